"""What a caller hands in, looked at before compiled code takes pointers into it.

States, images and frames that the codec made are whole; one that a caller put together need not be. Raises Mismatch.
"""

from __future__ import annotations

import cython

from codec.errors import Mismatch
from codec.image import MAX_SIDE, macroblocks
from codec.quantization import MAX_INDEX
from codec.symbols import B_PRED  # inlined

if cython.compiled:
    from cython.cimports.codec.decisions import Decisions
else:
    from codec.decisions import Decisions

from codec.decisions import BUFFERS

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from codec.frame import Frame
    from codec.header import Header
    from codec.image import Image
    from codec.state import Probabilities, State

__all__ = ["check_frame", "check_image", "check_state"]

TABLES = (1056, 4, 3, 38)  # bytes of the probabilities of coefficients, luma and chroma modes, vectors

# The largest value of each field of a header that is a number.
MOST = {
    "version": 3,
    "color_space": 1,
    "clamping_type": 1,
    "filter_level": 63,
    "sharpness": 7,
    "log2_partitions": 3,
    "quantizer_index": MAX_INDEX,
    "copy_to_golden": 2,
    "copy_to_altref": 2,
    "prob_skip": 255,
    "prob_intra": 255,
    "prob_last": 255,
    "prob_golden": 255,
}


def check_state(state: State, references: bool = True) -> None:
    """See that all parts of a state have the sizes that its frame size asks for, and segments are 0 to 3.

    Without ``references`` those are not looked at: to parse takes none.
    """
    n = check_size("state", state.width, state.height)
    if references:
        check_raster("the state's last reference", state.last, n)
        check_raster("the state's golden reference", state.golden, n)
        check_raster("the state's altref reference", state.altref, n)
    check_tables(state.probabilities)
    segment_map = state.segment_map
    if type(segment_map) is not bytes or len(segment_map) != n or not is_at_most(segment_map, 3):
        raise Mismatch(f"the state's segment map must be {n} bytes from 0 to 3")


def check_image(image: Image) -> None:
    """See that an image's raster has the size that its width and height ask for."""
    check_raster("the image", image.raster, check_size("image", image.width, image.height))


def check_frame(frame: Frame) -> None:
    """See that a frame is one that bytes could say."""
    d = frame.decisions
    n = check_size("frame", frame.width, frame.height)
    if (d.columns, d.rows) != macroblocks(frame.width, frame.height):
        raise Mismatch(f"a frame of {frame.width} x {frame.height} pixels has not {d.columns} x {d.rows} macroblocks")
    for name, size in BUFFERS.items():
        if len(getattr(d, name)) != n * size:
            raise Mismatch(f"the frame's {name} must be {n * size} bytes, not {len(getattr(d, name))}")
    check_header(frame.header)
    at = first_impossible(d, frame.header.key_frame)
    if at >= 0:
        raise Mismatch(f"the decisions of macroblock {at} are none that a frame can say")


def check_size(what: str, width: int, height: int) -> int:
    """Return the number of macroblocks."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise Mismatch(f"the {what} is {width} x {height} pixels; sides are 1 to {MAX_SIDE}")
    columns, rows = macroblocks(width, height)
    return columns * rows


def check_raster(what: str, raster: object, n: int) -> None:
    """See that a raster is one of ``n`` macroblocks."""
    if type(raster) is not bytes or len(raster) != 384 * n:
        raise Mismatch(f"{what} must be a raster of {384 * n} bytes")


def check_tables(p: Probabilities) -> None:
    """See that the probabilities are as many as there are."""
    if (len(p.coefficients), len(p.y_modes), len(p.uv_modes), len(p.vectors)) != TABLES:
        raise Mismatch("probabilities are 1056 of coefficients, 4 and 3 of modes, 38 of vectors")


def check_header(header: Header) -> None:
    """See that the numbers in a header are some that its bits can say (§19.2)."""
    for name, most in MOST.items():
        if not 0 <= getattr(header, name) <= most:
            raise Mismatch(f"the frame's {name} is {getattr(header, name)}, not 0 to {most}")
    segmentation, deltas = header.segmentation, header.filter_deltas
    for what, values, count, least, most in (
        ("quantizer_deltas", header.quantizer_deltas, 5, -15, 15),
        ("segment_probs", header.segment_probs, 3, 0, 255),
        ("segmentation.quantizers", segmentation.quantizers, 4, -MAX_INDEX, MAX_INDEX),
        ("segmentation.filter_levels", segmentation.filter_levels, 4, -63, 63),
        ("filter_deltas.references", deltas.references, 4, -63, 63),
        ("filter_deltas.modes", deltas.modes, 4, -63, 63),
    ):
        if len(values) != count or min(values) < least or max(values) > most:
            raise Mismatch(f"the frame's {what} must be {count} numbers from {least} to {most}, not {values}")
    check_tables(header.probabilities)


def is_at_most(data: bytes, most: int) -> bool:
    """Tell whether no byte is larger."""
    p: cython.p_uchar = data
    n: cython.Py_ssize_t = len(data)
    limit: cython.uchar = most
    i: cython.Py_ssize_t
    over: cython.int = 0
    with cython.nogil:
        for i in range(n):
            over |= p[i] > limit
    return over == 0


def first_impossible(decisions: Decisions, key_frame: bool) -> int:
    """Return the first macroblock whose decisions no frame can say (§8, §11, §16), or -1."""
    d: Decisions = decisions
    references: cython.int = 0 if key_frame else 3
    at: cython.Py_ssize_t
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t = d.columns * d.rows
    wrong: cython.int = 0
    found: cython.Py_ssize_t = -1
    with cython.nogil:
        for at in range(n):
            wrong = d.segment[at] > 3 or d.skip[at] > 1 or d.uv_mode[at] > 3 or d.split_shape[at] > 3
            wrong |= d.reference[at] > references or d.y_mode[at] > 9
            wrong |= (d.reference[at] > 0) != (d.y_mode[at] > B_PRED)
            for k in range(16):
                wrong |= d.b_mode[16 * at + k] > 9
            if wrong:
                found = at
                break
    return found
