"""Compile the codec: `python codec/build.py [--target T]... [module...]`, the only build script.

A module in Cython's pure Python mode goes through Cython once and through clang (`python -m ziglang cc`, from PyPI)
once for each target. The result, codec/_compiled/<target>/<module>.abi3.so, serves CPython 3.11 and later;
codec/__init__.py puts the folder that suits the machine before the source. Only what changed is built: a library
carries the fingerprint of all that went into it as its ELF build id, so nothing else is kept, and two builds at once
do each other no harm.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
COMPILED = PACKAGE / "_compiled"
SHOWN = 12  # lines of errors of one module
HARMLESS = "externally modifiable global"  # the tables are constants, whatever Cython fears
LISTINGS = ROOT / "build" / "codec"  # where --annotate and --debug leave the C and its annotated listing

DIRECTIVES = ("boundscheck=False", "wraparound=False", "cdivision=True", "initializedcheck=False")
CYTHON = ("-m", "cython", "-3", *(f"-X{directive}" for directive in DIRECTIVES))
CHECKED = (*CYTHON, "-Xboundscheck=True", "-Xinitializedcheck=True")
# Every build must compute the same. So no fused multiply-add, which would change sums of costs; and ints wrap, since
# their overflow, which a hostile stream may bring about, would else be undefined. Neither costs measurable time.
CC = ("-shared", "-fPIC", "-ffp-contract=off", "-fwrapv", "-DPy_LIMITED_API=0x030b0000")
# For the fuzzer: which branches are taken, and how near the others were.
COVERAGE = "inline-8bit-counters,pc-table,trace-cmp,indirect-calls"
# Python has no #include: where a module asks for it, another's text is pasted in before Cython sees it.
INLINED = re.compile(r"^from codec\.(\w+) import .*# inlined$", re.MULTILINE)


class BuildError(Exception):
    """What stopped the build, ready to be printed."""


@dataclass(frozen=True)
class Target:
    """A flavour of the compiled codec: the folder it goes to, the options of Cython and the C compiler that make it."""

    name: str
    compiler: tuple[str, ...]
    cython: tuple[str, ...] = CYTHON


def _clang(name: str, *options: str) -> Target:
    return Target(name, (sys.executable, "-m", "ziglang", "cc", *options, "-O3", "-s", *CC))


# The oldest glibc to run on is Amazon Linux 2's, 2.26.
TARGETS = {
    "x86_64_v3": _clang("x86_64_v3", "-target", "x86_64-linux-gnu.2.26", "-mcpu=x86_64_v3"),
    "x86_64": _clang("x86_64", "-target", "x86_64-linux-gnu.2.26", "-mcpu=x86_64"),
    "aarch64": _clang("aarch64", "-target", "aarch64-linux-gnu.2.26"),
    "native": _clang("native", "-mcpu=native"),
}


def default_targets() -> list[Target]:
    """The targets that this kind of machine runs."""
    names = {"x86_64": ("x86_64_v3", "x86_64"), "aarch64": ("aarch64",)}.get(platform.machine(), ())
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or not names:
        raise BuildError(f"no target for {platform.platform()}: there the codec runs uncompiled")
    return [TARGETS[name] for name in names]


def debug_target() -> Target:
    """The target that finds stray reads and undefined behaviour. It needs the system's compiler: zig lacks that."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise BuildError("--debug needs gcc or clang on the PATH")
    options = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", *CC)
    return Target("debug", (compiler, *options), CHECKED)


def fuzz_target() -> Target:
    """The target that tests/fuzz runs: bounds checks, and what atheris's libFuzzer and address sanitizer are told by.

    Their runtime is in atheris's wheel, and preloaded. What is undefined ends the process at once.
    """
    undefined = "-fsanitize=bounds,shift,integer-divide-by-zero,unreachable"
    sanitizers = ("-fsanitize=address", undefined, "-fsanitize-trap=all", f"-fsanitize-coverage={COVERAGE}")
    options = ("-target", "x86_64-linux-gnu.2.26", "-mcpu=x86_64_v3", "-O2", "-g1", "-fno-omit-frame-pointer")
    return Target("fuzz", (sys.executable, "-m", "ziglang", "cc", *options, *sanitizers, *CC), CHECKED)


# What is compiled, from what, and whether that is done


def compiled_modules() -> list[str]:
    """The modules in pure Python mode: those that have a .pxd or import cython."""
    texts = {path: path.read_text() for path in PACKAGE.glob("*.py")}
    inlined = {name for text in texts.values() for name in INLINED.findall(text)}
    return sorted(
        path.stem
        for path, text in texts.items()
        if path.stem not in inlined
        and (path.with_suffix(".pxd").exists() or re.search(r"^import cython$", text, re.MULTILINE))
    )


def sources(module: str) -> list[Path]:
    """The files that the C of `module` is made from: the module and each .pxd that is reached from it."""
    found, pending = [PACKAGE / f"{module}.py"], [module]
    pattern = r"cython\.cimports\.codec\.(\w+)|\bfrom codec\.(\w+) cimport|\bcimport codec\.(\w+)"
    for path in found:  # grows while it is read
        text = path.read_text()
        found += (p for name in INLINED.findall(text) if (p := PACKAGE / f"{name}.py") not in found)
        pending += (name for groups in re.findall(pattern, text) for name in groups if name)
        found += dict.fromkeys(p for name in pending if (p := PACKAGE / f"{name}.pxd").exists() and p not in found)
        pending.clear()
    return found


def source_digest(module: str) -> bytes:
    """A digest of the sources of `module` as they are now."""
    digest = hashlib.sha256()
    for path in sources(module):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


@cache
def _tools() -> bytes:
    try:
        return f"cython {version('cython')} ziglang {version('ziglang')}".encode()
    except PackageNotFoundError as error:
        raise BuildError(f"{error.name} is not installed for {sys.executable}: pip install cython ziglang") from None


def fingerprint(digest: bytes, target: Target) -> bytes:
    """The build id of a library: 20 bytes that depend on its sources, the options and the compilers' versions."""
    options = "\0".join((*target.cython, *target.compiler[1:]))
    return hashlib.sha256(digest + options.encode() + _tools()).digest()[:20]


def library(module: str, target: Target, folder: Path = COMPILED) -> Path:
    """Where the library of `module` for `target` belongs."""
    return folder / target.name / f"{module}.abi3.so"


def is_fresh(module: str, target: Target, folder: Path = COMPILED) -> bool:
    """Whether the library of `module` for `target` is there and was made from the sources as they are now."""
    path = library(module, target, folder)
    return path.exists() and fingerprint(source_digest(module), target) in path.read_bytes()


# The two steps


def translate(module: str, target: Target, work: Path, *options: str) -> bytes:
    """Write work/<module>.c; return the digest of the sources it was made from."""
    telling = re.compile(rf"^(warning: )?(?!.*{HARMLESS})\S*?codec/\w+\.\w+:\d+:\d+: ")
    while True:
        digest = source_digest(module)
        source, origin = _expanded(module, work)
        name = ("--module-name", f"codec.{module}", source, "-o", str(work / f"{module}.c"))
        _run((sys.executable, *target.cython, "-I.", *options, *name), telling, source, origin)
        if digest == source_digest(module):  # nobody wrote to them meanwhile
            return digest


def _expanded(module: str, work: Path) -> tuple[str, list[str]]:
    """The module, or a copy with the text of those it inlines in place; and where each line of that is from."""
    path = PACKAGE / f"{module}.py"
    text = path.read_text()
    if not INLINED.search(text):
        return f"codec/{module}.py", []
    lines = list(_pasted(path, set()))
    copy = work / "codec" / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text("".join(f"{line}\n" for line, _ in lines))
    if path.with_suffix(".pxd").exists():
        shutil.copy(path.with_suffix(".pxd"), copy.parent)
    return str(copy), [origin for _, origin in lines]


def _pasted(path: Path, done: set[str], skip: int = 0) -> Iterator[tuple[str, str]]:
    """The lines of a module and their origins, with each module that it inlines, however deep, in place once."""
    lines = enumerate(path.read_text().splitlines()[skip:], skip + 1)
    for number, line in lines:
        if not (inlined := INLINED.match(line)):
            yield line, f"codec/{path.name}:{number}"
            continue
        if "(" in line:  # the names follow
            next(number for number, name in lines if name == ")")
        if inlined[1] not in done:
            done.add(inlined[1])
            other = PACKAGE / f"{inlined[1]}.py"
            yield from _pasted(other, done, other.read_text().splitlines().index("import cython") + 1)


def compile_c(module: str, digest: bytes, target: Target, work: Path, headers: Sequence[str], folder: Path) -> Path:
    """Compile work/<module>.c into the library of `module` for `target`: replaced in one step, or not at all."""
    path = library(module, target, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    mark = f"-Wl,--build-id=0x{fingerprint(digest, target).hex()}"
    try:
        telling = re.compile("error|undefined ")
        _run((*target.compiler, *headers, mark, str(work / f"{module}.c"), "-o", str(new)), telling)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return path


def _run(command: Sequence[str], telling: re.Pattern[str], copy: str = "", origin: Sequence[str] = ()) -> None:
    """Run a compiler; print the telling lines of what it says, or raise them when it fails.

    Line n of the file `copy` is reported as `origin[n - 1]`.
    """
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = done.stdout.splitlines()
    told = [line for line in lines if telling.search(line)]
    if origin:
        told = [re.sub(rf"{re.escape(copy)}:(\d+)", lambda place: origin[int(place[1]) - 1], line) for line in told]
    if done.returncode:
        told = [line for line in told if not line.startswith("warning")]
        # Cython follows one mistake with a complaint about the GIL for every place that it reaches.
        told.sort(key=lambda line: bool(re.search("without (the )?gil", line, re.IGNORECASE)))
        more = [f"... and {len(told) - SHOWN} more like this"] if len(told) > SHOWN else []
        raise BuildError("\n".join(told[:SHOWN] + more or lines) or f"{command[0]} ended with code {done.returncode}")
    for line in told:
        print(line, file=sys.stderr)


def python_include() -> Path:
    """The folder of a Python.h: this Python's, or any other's from 3.11 on, for the limited API is the same in all."""
    own = Path(sysconfig.get_paths()["include"])
    others = [Path("/usr/include"), *Path.home().glob(".pyenv/versions/*/include")]
    others += Path.home().glob(".local/share/uv/python/*/include")
    found = (path for folder in others for path in sorted(folder.glob("python3.1[1-9]")))
    for include in (own, *found):
        if (include / "Python.h").exists():
            return include
    raise BuildError(
        f"{own}/Python.h is missing: install python3-dev, or, without root, `pip install uv; uv python install 3.13`"
    )


def header_options(work: Path) -> list[str]:
    """The compiler's options for `#include "Python.h"`; a file that they need goes to `work`."""
    include = python_include()
    # Debian's pyconfig.h includes <machine/pythonX.Y/pyconfig.h>, from a folder that a cross compiler does not search
    # and for a machine that is not there. What counts is the same for all targets: 64 bits, little endian, glibc.
    for real in include.parent.glob(f"*-linux-gnu/{include.name}/pyconfig.h"):
        for machine in ("x86_64-linux-gnu", "aarch64-linux-gnu"):
            copy = work / machine / include.name / "pyconfig.h"
            copy.parent.mkdir(parents=True)
            shutil.copy(real, copy)
        break
    return [f"-I{include}", f"-I{work}"]


def build(
    modules: Iterable[str] = (), targets: Iterable[Target] = (), folder: Path = COMPILED, listings: Path | None = None
) -> Iterator[Path]:
    """Bring the libraries of `modules` (all) for `targets` (this machine's) up to date, and yield those that were made.

    The C and its annotated listing stay in `listings`, if given; then everything is made anew. All targets must agree
    about Cython's options. A module that fails does not stop the others; at the end BuildError tells of every error.
    """
    known, targets = compiled_modules(), list(targets) or default_targets()
    wanted = list(modules) or known
    if unknown := sorted(set(wanted) - set(known)):
        raise BuildError(f"not among the compiled modules of codec: {', '.join(unknown)}")
    stale = {m: [t for t in targets if listings or not is_fresh(m, t, folder)] for m in wanted}

    errors: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        work = listings or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        headers = header_options(Path(scratch))
        options = ["--annotate"] if listings else []
        first = {pool.submit(translate, m, ts[0], work, *options): m for m, ts in stale.items() if ts}
        second: list[Future[Path]] = []
        for step in as_completed(first):
            module = first[step]
            try:
                digest = step.result()
                second += [pool.submit(compile_c, module, digest, t, work, headers, folder) for t in stale[module]]
            except BuildError as error:
                errors.append(str(error))
        for last in second:
            try:
                yield last.result()
            except BuildError as error:
                errors.append(str(error))
    if errors:
        raise BuildError("\n".join(errors))
    if not modules:  # a library whose module is gone would still be found
        for target in targets:
            for path in (folder / target.name).glob("*.abi3.so"):
                if path.name.removesuffix(".abi3.so") not in known:
                    path.unlink()


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description="Compile the codec; only what changed is built.")
    parser.add_argument("modules", nargs="*", metavar="module", help="such as loopfilter (default: all)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: what this machine can run")
    parser.add_argument("--headers", action="store_true", help="only say where Python.h is")
    parser.add_argument("--debug", action="store_true", help="a build with address and undefined-behaviour sanitizers")
    parser.add_argument("--fuzz", action="store_true", help="the build that `python -m tests.fuzz` runs")
    parser.add_argument("--annotate", action="store_true", help=f"leave C and annotated listings in {LISTINGS.name}/")
    args = parser.parse_args()
    try:
        if args.headers:
            print(python_include())
            return
        checked = [debug_target()] * args.debug or [fuzz_target()] * args.fuzz
        targets = checked or [TARGETS[name] for name in args.target or ()]
        for path in build(args.modules, targets, listings=LISTINGS if args.annotate or args.debug else None):
            print(path.relative_to(ROOT), flush=True)
    except BuildError as error:
        sys.exit(f"{error}\ncodec/build.py: failed")
    if args.debug:
        compiler = targets[0].compiler[0]
        asan = subprocess.check_output([compiler, "-print-file-name=libasan.so"], text=True).strip()
        print(f"run with: FASTSLOW_CODEC=debug PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD={asan}")


if __name__ == "__main__":
    main()
