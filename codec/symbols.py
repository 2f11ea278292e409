"""Names for the numbers of the syntax: references, modes, and where things lie (RFC 6386 §8 to §17).

Inlined as ``window`` is, so that each is defined once and C code has it without asking the interpreter.
"""

from __future__ import annotations

import cython

__all__ = [
    "B_PRED",
    "MV_LONG",
    "MV_LONG_BITS",
    "MV_PROBS",
    "MV_SHORT",
    "MV_SIGN",
    "NEAR",
    "NEAREST",
    "NEARESTMV",
    "NEARMV",
    "NEWMV",
    "SPLITMV",
    "WEIGHT",
    "ZEROMV",
]

# Luma modes; the four before them are DC_PRED, V_PRED, H_PRED and TM_PRED.
B_PRED = cython.declare(cython.int, 4)
NEARESTMV = cython.declare(cython.int, 5)
NEARMV = cython.declare(cython.int, 6)
ZEROMV = cython.declare(cython.int, 7)
NEWMV = cython.declare(cython.int, 8)
SPLITMV = cython.declare(cython.int, 9)

# §17.2: places in the 19 probabilities of a vector component.
MV_SIGN = cython.declare(cython.int, 1)
MV_SHORT = cython.declare(cython.int, 2)
MV_LONG = cython.declare(cython.int, 9)
MV_LONG_BITS = cython.declare(cython.int, 10)
MV_PROBS = cython.declare(cython.int, 19)

# Places in ``near`` (see ``neighbours``): candidate vectors by number, and where their weights begin.
NEAREST = cython.declare(cython.int, 1)
NEAR = cython.declare(cython.int, 2)
WEIGHT = cython.declare(cython.int, 8)
