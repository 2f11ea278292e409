"""How the codec is compiled and chosen: the build script, the selection at import, the cost of the import."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import codec
from codec import _select, build

ROOT = Path(__file__).resolve().parents[1]
COMPILED = codec.BUILD != _select.UNCOMPILED


def python(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a new Python in `folder`, with the selection of the build left to it unless FASTSLOW_CODEC is given."""
    clean = {name: value for name, value in os.environ.items() if name != "FASTSLOW_CODEC"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=clean | environment, capture_output=True, text=True, check=False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that is built like the codec, with two modules of which the second calls the first."""
    folder = tmp_path / "codec"
    folder.mkdir()
    for script in (build, _select):
        source = Path(str(script.__file__))
        (folder / source.name).write_text(source.read_text())
    (folder / "__init__.py").write_text("from codec._select import select\n\nBUILD = select(__path__)\n")
    kernel = "@cython.cfunc\ndef twice(x: cython.int) -> cython.int:\n    return x + x\n"
    (folder / "kernel.py").write_text(f"import cython\n\n{kernel}")
    (folder / "kernel.pxd").write_text("cdef int twice(int x)\n")
    cimport = "if cython.compiled:\n    from cython.cimports.codec.kernel import twice\n"
    otherwise = "else:\n    from codec.kernel import twice\n"
    (folder / "user.py").write_text(
        f"import cython\n\n{cimport}{otherwise}\ndef four(x):\n    return twice(twice(x))\n"
    )
    (folder / "plain.py").write_text('"""Not compiled."""\n')
    return tmp_path


def test_the_script_builds_what_changed_and_no_more(package: Path) -> None:
    target = build.default_targets()[-1].name
    script = ("codec/build.py", "--target", target)
    built = python(*script, folder=package)
    names = {Path(line).name for line in built.stdout.splitlines()}
    assert (names, built.returncode) == ({"kernel.abi3.so", "user.abi3.so"}, 0), built.stderr
    assert python(*script, folder=package).stdout == ""

    show = ("-c", "import codec, codec.user as u; print(u.four(3), codec.BUILD, u.__file__.endswith('.so'))")
    assert python(*show, folder=package, FASTSLOW_CODEC=target).stdout == f"12 {target} True\n"
    assert python(*show, folder=package, FASTSLOW_CODEC="uncompiled").stdout == "12 uncompiled False\n"

    with (package / "codec" / "user.py").open("a") as file:
        file.write("\n")
    assert python(*script, folder=package).stdout == f"codec/_compiled/{target}/user.abi3.so\n"
    with (package / "codec" / "kernel.pxd").open("a") as file:
        file.write("\n")
    assert len(python(*script, folder=package).stdout.splitlines()) == 2


def test_an_error_is_a_line_and_leaves_the_library_alone(package: Path) -> None:
    (package / "codec" / "user.py").write_text("import cython\n\ndef f():\n    return nowhere\n")
    failed = python("codec/build.py", "user", folder=package)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[0] == "codec/user.py:4:11: undeclared name not builtin: nowhere"
    unknown = python("codec/build.py", "nowhere", folder=package)
    assert unknown.stderr.splitlines()[0] == "not among the compiled modules of codec: nowhere"
    assert not list(package.glob("codec/_compiled/*/*"))


def test_an_error_is_found_in_the_file_it_is_in_though_one_is_pasted_into_another(package: Path) -> None:
    kernel = (
        '"""Pasted."""\n\nimport cython\n\n@cython.cfunc\ndef half(x: cython.int) -> cython.int:\n    return x >> 1\n'
    )
    user = "import cython\n\nfrom codec.pasted import half  # inlined\n\ndef f(x):\n    return half(x)\n"
    pasted, into = package / "codec" / "pasted.py", package / "codec" / "user.py"
    pasted.write_text(kernel)
    into.write_text(user)
    script = ("codec/build.py", "user", "--target", build.default_targets()[-1].name)
    assert len(python(*script, folder=package).stdout.splitlines()) == 1
    assert python("codec/build.py", "pasted", folder=package).returncode == 1, "it is not a module of its own"

    into.write_text(user.replace("half(x)", "nowhere"))
    assert python(*script, folder=package).stderr.startswith("codec/user.py:6:11: undeclared name")
    into.write_text(user)
    pasted.write_text(kernel.replace("x >> 1", "nowhere"))
    assert python(*script, folder=package).stderr.startswith("codec/pasted.py:7:11: undeclared name")


def test_a_library_is_stale_when_anything_it_was_made_from_changes() -> None:
    digest = build.source_digest("boolcoder")
    v3, baseline = build.TARGETS["x86_64_v3"], build.TARGETS["x86_64"]
    marks = [build.fingerprint(digest, v3), build.fingerprint(digest, baseline), build.fingerprint(b"other", v3)]
    assert len(set(marks)) == 3
    assert {len(mark) for mark in marks} == {20}


def test_sources_are_followed_through_pxd_files(package: Path) -> None:
    names = python("-c", "import build; print([p.name for p in build.sources('user')])", folder=package / "codec")
    assert names.stdout == "['user.py', 'kernel.pxd']\n"


def test_nothing_compiled_runs_and_says_so_once(package: Path) -> None:
    ran = python("-c", "import codec.user; import codec.kernel; print(codec.BUILD)", folder=package)
    assert ran.stdout == "uncompiled\n"
    assert ran.stderr.count("the codec runs uncompiled") == 1


def test_a_build_that_is_not_here_is_an_error() -> None:
    for name in ("riscv64", "../codec"):
        failed = python("-c", "import codec", FASTSLOW_CODEC=name)
        assert f"ImportError: FASTSLOW_CODEC={name}: no such build of the codec; here are" in failed.stderr


@pytest.mark.skipif(not COMPILED, reason="the codec runs uncompiled")
@pytest.mark.parametrize("module", build.compiled_modules())
def test_every_module_runs_compiled_from_its_source_of_today(module: str) -> None:
    library = importlib.import_module(f"codec.{module}").__file__
    assert library
    assert Path(library).parent == build.COMPILED / codec.BUILD
    if codec.BUILD in build.TARGETS:
        assert build.is_fresh(module, build.TARGETS[codec.BUILD])


@pytest.mark.skipif(not COMPILED, reason="the codec runs uncompiled")
def test_importing_the_codec_is_quick_and_brings_no_numpy() -> None:
    """A function that starts pays for it. Processor time, the best of a few: other work on the machine is not ours."""
    program = "import time; t = time.process_time(); import codec; t = time.process_time() - t; import sys; print("
    program += "t, *sorted({'numpy', 'asyncio', 'importlib.metadata', 'pathlib', 'cython'} & set(sys.modules)))"
    seconds = []
    for _ in range(8):
        spent, *modules = python("-c", program).stdout.split()
        assert modules == []
        seconds.append(float(spent))
    assert min(seconds) < 0.06


def test_one_command_sets_up_and_brings_the_stack_up(tmp_path: Path) -> None:
    """What `make up` would run in a fresh clone, in order."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "setup.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    command = ["make", "--no-print-directory", "--dry-run", "up"]  # make says where it is when it runs within another
    dry = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    wanted = ("-m venv .venv", "--editable '.[aws,deploy,dev", "codec/build.py", "fastslow local up")
    places = [max(number for number, line in enumerate(dry.stdout.splitlines()) if each in line) for each in wanted]
    assert places == sorted(places)
    assert dry.stdout.splitlines()[-1].strip() == ".venv/bin/fastslow local up"
