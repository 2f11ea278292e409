"""What goes into each package, what is left out of it, and why. Data only.

Sizes are those of arm64, unzipped, in MB (docs/packages.md has the sums).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Arch = Literal["arm64", "x86_64"]
ARCHITECTURES: tuple[Arch, ...] = get_args(Arch)

PYTHON = "3.13"
"""The functions' Python; wheels are taken for it."""

MIB = 1 << 20
ZIPPED_LIMIT = 50 * MIB
"""Bytes of a zip that Lambda takes in a direct upload."""
UNZIPPED_LIMIT = 250 * MIB
"""Bytes of a function with all its layers, unpacked."""


PREFIX = "python/"
"""Where in a layer Python lies: Lambda unpacks it into /opt and has /opt/python on its search path."""


@dataclass(frozen=True)
class LeftOut:
    """Files that a package does without: a glob on the path in the wheel (`*` crosses folders), and why."""

    pattern: str
    because: str


@dataclass(frozen=True)
class Recipe:
    """A package: wheels by name (their versions are in the lock), and folders of the project."""

    name: str
    wheels: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    bytecode: bool = True  # made for the functions' Python: half of a cold start is compiling otherwise
    sources: tuple[str, ...] = ()  # folders that do without bytecode


# For every wheel. Licences stay, and so does METADATA, by which packages ask each other for versions.
EVERYWHERE = (
    LeftOut("*/tests/*", "tests"),
    LeftOut("*/test_*.py", "tests"),
    LeftOut("*/conftest.py", "tests"),
    LeftOut("*.pyc", "bytecode of the Python that made the wheel"),
    LeftOut("*.pyi", "type stubs"),
    LeftOut("*/py.typed", "says that there are type stubs"),
    LeftOut("*.h", "headers"),
    LeftOut("*.hpp", "headers"),
    LeftOut("*.pxd", "headers of Cython"),
    LeftOut("*.pyx", "sources of what is compiled"),
    LeftOut("*.c", "sources of what is compiled"),
    LeftOut("*.a", "static libraries"),
    LeftOut("*.lib", "static libraries"),
    LeftOut("*.pc", "for compilers that link against it"),
    LeftOut("*/docs/*[!y]", "documentation, where it is no Python that is imported"),
    LeftOut("*/doc/*", "documentation"),
    LeftOut("*/examples/*", "documentation"),
    LeftOut("*.data/scripts/*", "commands"),
    LeftOut("*.dist-info/RECORD", "the list of files is no longer true"),
    LeftOut("*.dist-info/WHEEL", "only installers read it"),
    LeftOut("*.dist-info/entry_points.txt", "commands and plugins for other tools"),
    LeftOut("*.dist-info/top_level.txt", "only installers read it"),
    LeftOut("*.dist-info/sboms/*", "for auditors; whoever builds the layer has the wheels"),
)

NUMPY = (
    LeftOut("numpy/f2py/*", "compiles Fortran"),
    LeftOut("numpy/distutils/*", "compiles extensions"),
    LeftOut("numpy/testing/*", "for tests; numpy loads it only when asked to"),
    LeftOut("numpy/_pyinstaller/*", "for a packager"),
    LeftOut("numpy/_core/lib/*", "libraries to link against"),
    LeftOut("numpy/random/lib/*", "libraries to link against"),
    LeftOut("numpy/random/_examples/*", "documentation"),
    LeftOut("numpy/*/_*_tests.cpython*", "compiled tests"),
    LeftOut("numpy/_core/_simd.cpython*", "only numpy's tests load it"),
    LeftOut("numpy/typing/*", "for type checkers"),
)
AV = (LeftOut("av/__main__.py", "a command"),)
ONNXRUNTIME = (
    LeftOut("onnxruntime/capi/libonnxruntime.so*", "25 MB for programs in C; the Python extension has it inside"),
    LeftOut("onnxruntime/transformers/*", "rewrites models before they are deployed"),
    LeftOut("onnxruntime/quantization/*", "rewrites models before they are deployed"),
    LeftOut("onnxruntime/tools/*", "converts models"),
    LeftOut("onnxruntime/backend/*", "needs the package onnx, which is not here"),
    LeftOut("onnxruntime/datasets/*", "examples"),
    LeftOut("onnxruntime/Privacy.md", "about builds for Windows"),
)
PILLOW = (
    LeftOut("PIL/_imagingtk*", "windows on a screen"),
    LeftOut("PIL/ImageTk.py", "windows on a screen"),
    LeftOut("PIL/_tkinter_finder.py", "windows on a screen"),
    LeftOut("PIL/ImageQt.py", "windows on a screen"),
    LeftOut("PIL/_imagingft*", "draws text"),
    LeftOut("pillow.libs/libfreetype*", "draws text"),
    LeftOut("pillow.libs/libharfbuzz*", "draws text"),
    LeftOut("pillow.libs/libbrotli*", "compressed fonts, of which there are none"),
    LeftOut("pillow.libs/libpng16*", "libfreetype's; Pillow reads PNG by itself"),
    LeftOut("PIL/_avif*", "pictures come as JPEG, PNG or WebP"),
    LeftOut("PIL/AvifImagePlugin.py", "its library is left out"),
    LeftOut("pillow.libs/libavif*", "pictures come as JPEG, PNG or WebP"),
    LeftOut("PIL/_imagingcms*", "colour profiles; a classifier is trained without them"),
    LeftOut("pillow.libs/liblcms2*", "colour profiles"),
)
COORDINATOR = (
    *("uvloop", "cryptography", "cffi", "pycparser"),
    *("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3"),
)
BOTOCORE = (
    LeftOut("botocore/data/[!sl]*/*", "services that are not called: only s3, sqs, sts and lambda are"),
    LeftOut("boto3/data/[!sl]*/*", "services that are not called"),
)
CRYPTOGRAPHY = (LeftOut("uvloop/loop.c", "what is compiled"), LeftOut("uvloop/_testbase.py", "for tests"))
PROJECT = (
    LeftOut("codec/build.py", "the compiler's driver"),
    LeftOut("*.pxd", "for the compiler"),
    LeftOut("*/py.typed", "says that there are types"),
)
# What only workers and the coordinator import, which run for long.
LATE = ("pipelines", "mu/away", "mu/core", "mu/local", "mu/server", "mu/worker")

RECIPES = {
    recipe.name: recipe
    for recipe in (
        # A worker runs for minutes, and the zip is close to the limit.
        Recipe("video", ("numpy", "av"), left_out=NUMPY + AV, bytecode=False),
        Recipe("vision", ("numpy", "onnxruntime", "pillow"), left_out=NUMPY + ONNXRUNTIME + PILLOW),
        Recipe("code", ("msgspec",), ("codec", "mu", "pages", "vision", "pipelines"), PROJECT, sources=LATE),
        # No layer: the coordinator's machine has it beside `code`. Functions find boto3 where they run.
        Recipe("coordinator", COORDINATOR, left_out=BOTOCORE + CRYPTOGRAPHY),
        # No layer: what `fastslow codec publish` takes, in place of the one in the layer.
        Recipe("codec", project=("codec",), left_out=PROJECT),
    )
}

FUNCTIONS: dict[str, tuple[str, ...]] = {
    "classify": ("vision", "code"),
    "worker": ("video", "vision", "code"),
    "jobs": ("code",),
}
"""The layers of each function; with all of it unpacked it must stay under UNZIPPED_LIMIT."""

COMPILED: dict[Arch, tuple[str, ...]] = {"arm64": ("aarch64",), "x86_64": ("x86_64_v3", "x86_64")}
"""The builds of the codec that an architecture's package holds."""
