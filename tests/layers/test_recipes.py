"""What is left out, what is refused, and that the same goes in and out; on small made wheels, without a network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from layers import archive, build, wheels
from layers.errors import BadWheel, LayerError, TooLarge, Unavailable
from layers.recipes import ARCHITECTURES, FUNCTIONS, RECIPES, LeftOut, Recipe
from layers.wheels import Pin
from tests.test_house import LAYERS

MADE = {
    "made/__init__.py": b"answer = 42\n",
    "made/core.py": b"x = 1\n" * 500,
    "made/core.pyi": b"x: int\n",
    "made/__pycache__/core.cpython-313.pyc": b"\0" * 99,
    "made/tests/test_core.py": b"assert True\n",
    "made/include/made.h": b"int made(void);\n",
    "made/heavy/compiler.py": b"y = 2\n",
    "made-1.0.dist-info/METADATA": b"Name: made\nVersion: 1.0\n",
    "made-1.0.dist-info/RECORD": b"made/__init__.py,,\n",
    "made-1.0.dist-info/licenses/LICENSE": b"do as you like\n",
}
PURE = ("boto3", "botocore", "jmespath", "pycparser", "python-dateutil", "s3transfer", "six", "urllib3")
RECIPE = Recipe("small", ("made",), left_out=(LeftOut("made/heavy/*", "nobody compiles here"),))


def wheel(folder: Path, files: dict[str, bytes] = MADE) -> Path:
    """A wheel with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return path


def test_what_is_left_out_and_what_stays(tmp_path: Path) -> None:
    files = build.tree(RECIPE, [wheels.contents(wheel(tmp_path))], {"codec/state.py": b"pass\n"})
    assert sorted(files) == [
        "python/codec/state.py",
        "python/made-1.0.dist-info/METADATA",
        "python/made-1.0.dist-info/licenses/LICENSE",
        "python/made/__init__.py",
        "python/made/core.py",
    ]


def test_the_same_files_are_the_same_bytes(tmp_path: Path) -> None:
    files = build.tree(RECIPE, [wheels.contents(wheel(tmp_path))], {})
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    archive.write(one, files)
    archive.write(other, dict(reversed(files.items())))
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as zipped:
        assert {name: zipped.read(name) for name in zipped.namelist()} == files
        assert {entry.external_attr >> 16 for entry in zipped.infolist()} == {0o100644}
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_package_over_a_limit_stops_the_build_and_names_the_largest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.zip"
    archive.write(path, build.tree(RECIPE, [wheels.contents(wheel(tmp_path))], {}))
    package = build._measured("small", "arm64", path)
    monkeypatch.setattr(build, "ZIPPED_LIMIT", package.zipped - 1)
    with pytest.raises(TooLarge, match=r"package 'small' is .* zipped(?s:.*)python/made/core\.py"):
        build.check_zip(package)
    monkeypatch.setattr(build, "FUNCTIONS", {"both": ("small", "small2"), "other": ("absent",)})
    other = build.Package("small2", "arm64", path, package.zipped, package.unzipped, package.files, package.sha256)
    assert build.check_functions([package, other]) == {"both": 2 * package.unzipped}
    monkeypatch.setattr(build, "UNZIPPED_LIMIT", 2 * package.unzipped - 1)
    with pytest.raises(TooLarge, match=r"function 'both' is .* unzipped"):
        build.check_functions([package, other])


@pytest.mark.parametrize("name", ["../outside.py", "/etc/passwd", "made/../../x.py", "made\\..\\x.py"])
def test_a_wheel_does_not_reach_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadWheel, match="outside its folder"):
        wheels.contents(wheel(tmp_path, {name: b""}))


def test_a_damaged_wheel_is_told(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadWheel, match=r"made-1\.0-py3-none-any\.whl cannot be read"):
        wheels.contents(path)


def test_a_wheel_is_known_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wheel(tmp_path)
    pin = Pin("made", "1.0", hashlib.sha256(path.read_bytes()).hexdigest())
    assert wheels.find([pin], "arm64", tmp_path) == [path]
    # Something else is there, and pip (which would check, too) brings nothing.
    monkeypatch.setattr(wheels, "download", lambda *_: None)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(BadWheel, match=r"made 1\.0"):
        wheels.find([pin], "arm64", tmp_path)


def test_pip_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"(?s)arm64.*no-such-file"):
        wheels.download([str(tmp_path / "no-such-file.whl")], "arm64", tmp_path)


def test_a_line_of_a_lock_is_checked(tmp_path: Path) -> None:
    (tmp_path / "arm64.txt").write_text("# head\nmade==1.0 --hash=sha256:" + "0" * 63 + "\n")
    with pytest.raises(LayerError, match=r"arm64\.txt, line 2"):
        wheels.read_lock("arm64", tmp_path)


def test_locks_have_what_recipes_name_in_the_versions_of_the_constraints() -> None:
    constraints = {line.lower() for line in (wheels.ROOT / "constraints.txt").read_text().splitlines()}
    wanted = {name for recipe in RECIPES.values() for name in recipe.wheels}
    for arch in ARCHITECTURES:
        lock = wheels.read_lock(arch)
        assert set(lock) == wanted
        assert {f"{pin.name}=={pin.version}" for pin in lock.values()} <= constraints
    one, other = (wheels.read_lock(arch) for arch in ARCHITECTURES)
    same = {name for name, pin in one.items() if pin.sha256 == other[name].sha256}
    assert same == set(PURE)


def test_every_rule_says_why_and_every_function_has_its_layers() -> None:
    assert all(rule.because for recipe in RECIPES.values() for rule in recipe.left_out)
    assert {name for names in FUNCTIONS.values() for name in names} <= set(RECIPES)


def test_the_code_layer_has_every_package_that_functions_may_import() -> None:
    here = {name for name in LAYERS["functions"] if (wheels.ROOT / name).is_dir()}
    assert set(RECIPES["code"].project) == here
    files = build.project_files(RECIPES["code"])
    assert {name.split("/")[0] for name in files} == here
    assert {"pages/plot.js", "pages/page.css", "mu/page/job.js"} <= set(files), "pages are made where jobs run"
    with pytest.raises(LayerError, match="nowhere/"):
        build.project_files(Recipe("none", project=("nowhere",)))


def test_bytecode_is_made_of_what_runs_from_source() -> None:
    names = ["codec/decode.py", "codec/state.py", "codec/_compiled/x/decode.abi3.so", "late/job.py", "vision/a.py"]
    files = {f"python/{name}": b"" for name in names}
    left = build._interpreted(Recipe("code", sources=("late",)), files)
    assert [name for name in left if name.endswith(".py")] == ["python/codec/state.py", "python/vision/a.py"]


def test_sources_beside_what_was_compiled_of_them_are_left_out(tmp_path: Path) -> None:
    made = {"made/core.py": b"", "made/core.abi3.so": b"", "made/other.py": b""}
    files = build.tree(RECIPE, [wheels.contents(wheel(tmp_path, made))], {"codec/core.py": b""})
    assert sorted(files) == ["python/codec/core.py", "python/made/core.abi3.so", "python/made/other.py"]
