"""A Scrapy project that is not this one, with this one installed from its wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.scrapy import ROOT, Completed, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("lcl_spiders", "pipelines", "db")
PATIENCE = 240.0  # seconds that a command may take on a machine with much else to do


def build_wheel(folder: Path) -> Path:
    """Build the project's wheel out of a copy of it, without a network, and return its path."""
    copy = folder / "sources"
    for part in PACKAGES:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "setup.py"):
        shutil.copy(ROOT / part, copy)
    _pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(copy))
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_programs(folder: Path) -> Path:
    """Make a virtual environment with this project's libraries and without the project; return where its programs are.

    A folder that a .pth file names is not searched for .pth files, such as that of the installation which runs the
    tests. Its `pip` installs what it is given from a file, and asks no index for anything.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (_site(folder) / "libraries.pth").write_text("".join(f"{path}\n" for path in sorted(paths)), encoding="utf-8")
    quiet = "PIP_NO_INDEX=1 PIP_NO_DEPS=1 PIP_IGNORE_INSTALLED=1 PIP_DISABLE_PIP_VERSION_CHECK=1"
    programs = {
        "scrapy": f"exec {python} -m scrapy",
        "pip": f"{quiet} exec {sys.executable} -m pip --python {python}",
    }
    for name, command in programs.items():
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\n{command} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return folder / "bin"


def is_from_the_wheel(programs: Path) -> bool:
    """Return whether a virtual environment imports the project from its own packages."""
    code = f"import {', '.join(PACKAGES)}; print(*({', '.join(f'{each}.__file__' for each in PACKAGES)}))"
    found = subprocess.run(
        [programs / "python", "-c", code], cwd=programs, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return all(Path(file).is_relative_to(_site(programs.parent)) for file in found.stdout.split())


def _site(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class ForeignProject:
    """A project in a folder of its own. `programs` is the folder with its `scrapy`."""

    folder: Path
    programs: Path

    def sh(self, script: str, *, env: Mapping[str, str] | None = None) -> Completed:
        """Run a script as a person would, in the project's folder, with its `scrapy` on PATH and nothing set."""
        inherited = {name: value for name, value in environment().items() if not name.startswith("LCL_")}
        path = os.pathsep.join([str(self.programs), inherited["PATH"]])
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=self.folder,
            env={**inherited, **(env or {}), "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def add(self, path: str, text: str) -> None:
        """Add a text to the end of a file of the project, which need not be there."""
        file = self.folder / path
        before = f"{file.read_text(encoding='utf-8')}\n" if file.exists() else ""
        file.write_text(before + text, encoding="utf-8")


def blocks(document: str) -> list[tuple[str, str]]:
    """Return the code blocks of a Markdown document in order: a file's path and a text for it, or "" and a script."""
    found = re.findall(r"(?:^In `([^`]+)`[^\n]*:\n\n)?^```(python|sh)\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    return [(path if language == "python" else "", text) for path, language, text in found]
