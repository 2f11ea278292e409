"""The source that a job takes along: what is gathered here, what is believed there, and that nothing of it stays."""

from __future__ import annotations

import hashlib
import json
import linecache
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.recipes import RECIPES
from mu import Job, JobError, Task, argument
from mu.away.sources import DEPLOYED, modules_of, sources_of
from mu.code import LARGEST_CODE, Module, code_digest, decode_code, encode_code
from mu.programs import MAIN
from mu.store.folder import FolderStore
from mu.wire import Assigned, Done, Failed, Goodbye, Invitation, Stored
from mu.worker.work import Worked, work
from tests.mu.scripted import Scripted

ROOT = Path(__file__).resolve().parents[2]
TEXT = st.text(max_size=20)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that only this process finds."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


# What is gathered


def test_what_a_program_imports_of_its_own_goes_along_and_nothing_else(own: Path) -> None:
    write(
        own,
        {
            "own_words.py": "import json, numpy, mu, own_helper, not_there\nfrom own_package.deep import thing\n",
            "own_helper.py": "# -*- coding: latin-1 -*-\n",
            "own_other.py": "",
            "own_package/__init__.py": "",
            "own_package/deep/thing.py": "def f():\n    from own_lazy import g\n",
            "own_package/deep/broken.py": "print 'for another Python'\n",
            "own_package/deep/not-a-module.py": "",
            "own_package/.hidden/x.py": "",
            "own_package/data/picture.bin": "",
            "own_lazy.py": "from . import x\n",
        },
    )
    found = sources_of(["own_words"])
    assert sorted(found) == [
        *("own_helper", "own_lazy", "own_package", "own_package.deep", "own_package.deep.broken"),
        *("own_package.deep.thing", "own_words"),
    ]
    assert [name for name, module in found.items() if module.package] == ["own_package", "own_package.deep"]
    assert sources_of(["own_package.deep.thing"]).keys() == found.keys() - {"own_words", "own_helper"}


def test_links_that_lead_back_are_not_followed(own: Path) -> None:
    write(
        own, {"own_looped/__init__.py": "", "own_looped/deep/thing.py": "", "own_looped/hard.py": "-" * 100_000 + "1"}
    )
    (own / "own_looped" / "itself").symlink_to(".")
    (own / "own_looped" / "deep" / "up").symlink_to("..")
    expected = {"own_looped", "own_looped.deep", "own_looped.deep.thing", "own_looped.hard"}
    assert sources_of(["own_looped"]).keys() == expected


def test_what_workers_have_stays_here(own: Path) -> None:
    assert sources_of(["mu.mapping", "pipelines.probe", "json", "os.path", "sys"]) == {}
    assert set(RECIPES["code"].project) | {"functions"} == set(DEPLOYED)
    job = Job("x", (Task("a", "own_a.b:f", adds=("own_c:g", "pipelines.x:h")),))
    assert modules_of(job) == {"own_a.b", "own_c", "pipelines.x"}


def test_what_cannot_go_along_says_why(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError, match="no module own_nowhere on this machine"):
        sources_of(["own_nowhere.inner"])
    monkeypatch.setattr("mu.away.sources.main_script", lambda: None)
    with pytest.raises(JobError, match="what was typed in"):
        sources_of(["__main__"])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    write(own, {"own_user.py": "import colorsys", "colorsys.py": ""})
    with pytest.raises(JobError, match=r"colorsys of .*colorsys.py has the name of another one that workers have"):
        sources_of(["own_user"])
    large = write(own, {"own_large.py": "x = '" + "x" * LARGEST_CODE + "'"})
    with pytest.raises(JobError, match="own_large is too large"):
        sources_of(["own_large"])
    (large / "own_large.py").write_bytes(b"\xff\xfe")
    with pytest.raises(JobError, match=r"own_large.py cannot be taken along"):
        sources_of(["own_large"])
    with pytest.raises(JobError, match=r"10,000,\d+ bytes, and 10,000,000 at most: big are the largest"):
        encode_code({"big": Module("x" * LARGEST_CODE)})


def test_a_script_goes_along_as_what_its_main_is(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "script.py": "from mu.away.sources import sources_of\nimport beside\nif __name__ == '__main__':\n"
            "    print(sorted(sources_of(['__main__'])), sorted(sources_of(['script'])))\n",
            "beside.py": "",
        },
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['__mu_main__', 'beside'] ['beside', 'script']\n"


def test_the_same_modules_are_the_same_bytes() -> None:
    one = {"a": Module("1"), "b.c": Module("ä", package=True)}
    other = dict(reversed(list(one.items())))
    assert encode_code(one) == encode_code(other)
    assert decode_code(encode_code(one), code_digest(encode_code(one))) == one
    assert Job("x", (), code=code_digest(b"1")).id != Job("x", (), code=code_digest(b"2")).id != Job("x", ()).id


# What is believed


@pytest.mark.parametrize(
    "made",
    [
        {"../a": ["x", False]},
        {"/a": ["x", False]},
        {"a/b": ["x", False]},
        {"a..b": ["x", False]},
        {".a": ["x", False]},
        {"a.": ["x", False]},
        {"a\n": ["x", False]},
        {"": ["x", False]},
        {"a" * 201: ["x", False]},
        {"a": [b"x", False]},
        {"a": ["x", 1]},
        {"a": ["x", False, "link"]},
        {"a": "x"},
        {b"a": ["x", False]},
        ["a"],
        5,
    ],
    ids=repr,
)
def test_what_is_no_code_is_refused(made: Any) -> None:
    data = msgspec.msgpack.encode(made)
    with pytest.raises(JobError, match="cannot be read"):
        decode_code(data, code_digest(data))


@given(st.binary(max_size=200) | st.dictionaries(TEXT, st.tuples(TEXT, st.booleans())).map(msgspec.msgpack.encode))
def test_whatever_comes_is_code_or_refused(data: bytes) -> None:
    try:
        modules = decode_code(data, code_digest(data))
    except JobError:
        return
    for name, module in modules.items():
        assert all(part.isidentifier() for part in name.split(".")), name
        assert isinstance(module.source, str)
    with pytest.raises(JobError, match="the job's code is"):
        decode_code(data, hashlib.sha256(data + b"x").hexdigest())


# What workers do with it


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    server = Scripted(tmp_path)
    yield server
    server.close()


def invited(scripted: Scripted, folder: Path, modules: Mapping[str, str]) -> Invitation:
    """An invitation to a job with such modules; `package` in a name's source says that it is one."""
    code = encode_code({name: Module(source, "package" in source) for name, source in modules.items()})
    FolderStore(folder).write(code_digest(code), code)
    return msgspec.structs.replace(scripted.invitation, code=f"{folder}/{code_digest(code)}")


def worked(scripted: Scripted, invitation: Invitation, *programs: str) -> tuple[Worked, list[Any]]:
    """What a worker in this process does, and what it says of each program: its failure, or its first word."""
    heard: list[Any] = []

    def script() -> None:
        peer, _ = scripted.welcome()
        for run, program in enumerate(programs, 1):
            peer.say(Assigned(run, Task("it", program, argument("value"), stores=("out",))))
            words = [peer.read()]
            while not isinstance(words[-1], Done | Failed):
                words.append(peer.read())
            heard.append(words[0] if isinstance(words[-1], Done) else words[-1])
        peer.say(Goodbye("enough"))

    store = FolderStore(Path(invitation.store))
    with scripted.beside(script):
        made = work(invitation, store, grace_s=60.0)
    return made, heard


STORES = "import mu\nclass Thing:\n    pass\ndef f(ctx, value):\n    ctx.store('out', {!r}.encode() + value.encode())\n"


def test_worker_after_worker_has_what_its_own_job_took_along(scripted: Scripted, tmp_path: Path) -> None:
    """One environment, three jobs: a module of one name, then the same with other source, then none of this name."""
    before, path, variables, here = set(sys.modules), sys.path[:], dict(os.environ), Path.cwd()
    for what in ("one", "two"):
        helper = (
            "import os, sys\nsys.path.append('/nowhere')\nos.chdir('/')\nassert 'OWN' not in os.environ\n"
            f"os.environ |= {{'OWN': 'x', 'PATH': 'y'}}\nWHAT = {what!r}\n"
        )
        modules = {
            "own_words": "from own_p.inner import WHAT\n" + STORES.format(what).replace(repr(what), "WHAT"),
            "own_p": "# a package\n",
            "own_p.inner": helper,
            MAIN: STORES.format(f"main {what}"),
        }
        invitation = invited(scripted, tmp_path / what, modules)
        for program, says in (("own_words:f", what), ("__main__:f", f"main {what}")):
            made, (heard,) = worked(scripted, invitation, program)
            assert isinstance(heard, Stored), heard
            assert made == Worked(1, 0, "enough")
            assert bytes(FolderStore(Path(invitation.store)).read("out")) == f"{says}value".encode()
            assert not {name for name in sys.modules if name.startswith("own_") or name == MAIN}
            assert (sys.path, dict(os.environ), Path.cwd()) == (path, variables, here)
            assert not any("/job/" in name for name in linecache.cache)
    _, (heard,) = worked(scripted, scripted.invitation, "own_words:f")
    assert "there is no module own_words" in heard.text
    assert not {name for name in set(sys.modules) - before if name.startswith("own_")}


def test_a_program_that_raises_shows_its_own_lines(scripted: Scripted, tmp_path: Path) -> None:
    for number in (1, 2):
        source = "\n" * number + f"def f(ctx, value):\n    raise ValueError(value)  # line {number + 2}\n"
        _, (heard,) = worked(scripted, invited(scripted, tmp_path, {"own_raises": source}), "own_raises:f")
        assert f'File "/job/own_raises.py", line {number + 2}, in f' in heard.traceback
        assert f"# line {number + 2}" in heard.traceback, "not that of the job before"


def test_a_package_that_workers_do_not_have_is_named(scripted: Scripted, tmp_path: Path) -> None:
    modules = {
        "own_needs": "import no_such_package.deep\ndef f(ctx, value): pass\n",
        "own_lazy": "def f(ctx, value):\n    import no_such_package\n",
        "own_copes": "try:\n    import no_such_package\nexcept ImportError:\n    pass\n" + STORES.format("x"),
    }
    invitation = invited(scripted, tmp_path, modules)
    made, heard = worked(scripted, invitation, "own_needs:f", "own_lazy:f", "own_copes:f")
    for each in heard[:2]:
        assert "No module named 'no_such_package" in each.text
        assert "workers have Python 3." in each.text
        assert "numpy 2." in each.text
        assert "modules that the job takes along" in each.text
    assert (made.done, made.failed) == (1, 2)


def test_code_that_is_not_what_was_said_runs_nothing(scripted: Scripted, tmp_path: Path) -> None:
    good = invited(scripted, tmp_path, {"own_m": STORES.format("good")})
    digest = good.code.rpartition("/")[2]
    evil = encode_code({"own_m": Module(STORES.format("evil"))})
    FolderStore(tmp_path).write(digest, evil)
    _, heard = worked(scripted, good, "own_m:f", "own_m:f")
    for each in heard:
        assert f"the job's code is {digest[:16]}" in each.text
    FolderStore(tmp_path).delete(digest)
    _, (heard,) = worked(scripted, good, "own_m:f")
    assert heard.kind == "Missing"
    FolderStore(tmp_path).write(digest, bytes(LARGEST_CODE + 1))
    _, (heard,) = worked(scripted, good, "own_m:f")
    assert heard.kind == "Refused"


@pytest.mark.parametrize("name", ["json", "mu", "numpy", "colorsys", "pytest"])
def test_nothing_that_workers_have_is_replaced(scripted: Scripted, tmp_path: Path, name: str) -> None:
    there = sys.modules.get(name)
    _, (heard,) = worked(scripted, invited(scripted, tmp_path, {name: STORES.format("evil")}), f"{name}:f")
    assert f"a module {name} along, and workers have another one of this name" in heard.text
    assert sys.modules.get(name) is there
    assert json.dumps({}) == "{}"


@pytest.mark.parametrize("code", ["x", "s3://b/x", "s3://b/" + "g" * 64, "a" * 64, "s3://b/" + "a" * 65, "x" * 2000])
def test_an_invitation_to_code_without_a_digest_is_none(scripted: Scripted, code: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(scripted.invitation), "code": code}, Invitation)
