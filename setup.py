"""Put the compiled codec into the wheel; all else is in pyproject.toml."""

import platform
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

BUILD_SCRIPT = Path(__file__).with_name("codec") / "build.py"


class BuildPython(build_py):
    """Copies the sources, then compiles them for every target that this kind of machine runs."""

    def run(self) -> None:
        """Copy and compile; without a compiler the sources alone are a working, slow, package."""
        super().run()
        spec = spec_from_file_location("codec_build", BUILD_SCRIPT)
        script = module_from_spec(spec)
        sys.modules[spec.name] = script
        spec.loader.exec_module(script)
        folder = script.COMPILED if self.editable_mode else Path(self.build_lib, "codec", "_compiled")
        try:
            for path in script.build(folder=folder):
                self.announce(f"compiled {path}", level=2)
        except script.BuildError as error:
            if not self.editable_mode:  # half of the modules compiled would not fit the other half
                shutil.rmtree(folder, ignore_errors=True)
            self.warn(f"THE CODEC STAYS UNCOMPILED AND IS A THOUSAND TIMES SLOWER. {error}")
        self.libraries = [str(path) for path in folder.glob("*/*.abi3.so")]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """All files of the package, the libraries among them."""
        return [*super().get_outputs(include_bytecode), *getattr(self, "libraries", [])]


class Wheel(bdist_wheel):
    """A wheel for CPython 3.11 and later on this kind of machine, or for any when nothing could be compiled."""

    def get_tag(self) -> tuple[str, str, str]:
        """The tag, by what the wheel holds."""
        self.root_is_pure = not any(Path(self.bdist_dir).glob("**/_compiled/*/*.abi3.so"))
        if self.root_is_pure:
            return "py3", "none", "any"
        return "cp311", "abi3", f"manylinux_2_26_{platform.machine()}"  # the glibc that codec/build.py compiles for


class Compiled(Distribution):
    """A distribution whose files depend on the machine, though setuptools compiles none of them."""

    def has_ext_modules(self) -> bool:
        """Make setuptools treat the package as one that is compiled."""
        return True


setup(cmdclass={"build_py": BuildPython, "bdist_wheel": Wheel}, distclass=Compiled)
