"""Which build of the codec runs: the compiled one that suits the processor, or the source as it is."""

import os
import sys

# What a processor must have for x86-64-v3, by its names in /proc/cpuinfo ("abm" is where lzcnt hides).
_V3 = frozenset(("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"))

UNCOMPILED = "uncompiled"


def select(path: list[str]) -> str:
    """Put the folder of the chosen build first on the package's search path; return the build's name.

    FASTSLOW_CODEC forces a build by name, "uncompiled" among them. Raises ImportError when that one is not here.
    """
    compiled = os.path.join(path[0], "_compiled")
    present = sorted(os.listdir(compiled)) if os.path.isdir(compiled) else []
    forced = os.environ.get("FASTSLOW_CODEC")
    if forced and forced not in (UNCOMPILED, *present):
        here = ", ".join((UNCOMPILED, *present))
        raise ImportError(f"FASTSLOW_CODEC={forced}: no such build of the codec; here are {here}")
    build = forced or next((name for name in _suitable() if name in present), None)
    if build is None:
        import warnings

        slow = "the codec runs uncompiled, a thousand times slower: `python -m codec.build` compiles it"
        warnings.warn(slow, stacklevel=3)
        return UNCOMPILED
    if build != UNCOMPILED:
        path.insert(0, os.path.join(compiled, build))
    return build


def _suitable() -> tuple[str, ...]:
    """The builds that this machine can run, best first."""
    if sys.implementation.name != "cpython" or "t" in sys.abiflags:
        return ()  # the free-threaded Python does not load what was built for the limited API
    machine = os.uname().machine
    if machine == "x86_64" and _has_v3():
        return ("x86_64_v3", "x86_64")
    return (machine,)


def _has_v3() -> bool:
    try:
        with open("/proc/cpuinfo") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return False
    return _V3.issubset(flags.split())
