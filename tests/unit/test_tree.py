"""What must hold for the tree as a whole."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"[\w.-]+==[\w.!+]+")


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    """The text files that are, or would be, under version control; saved pages apart."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")  # an archive has no list of its files
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    files = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    texts = {}
    for file in files:
        if file.parts[:2] == ("tests", "fixtures") or not (ROOT / file).is_file():
            continue
        try:
            texts[file] = (ROOT / file).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


def test_no_file_names_the_folder_it_stands_in(texts: dict[Path, str]) -> None:
    if len(ROOT.parts) < 3:
        pytest.skip(f"{ROOT} is too short to tell a path from a word")  # every file would name it

    assert [str(file) for file, text in texts.items() if re.search(rf"{re.escape(str(ROOT))}\b", text)] == []


def test_no_file_names_a_package_index(texts: dict[Path, str]) -> None:
    option = re.compile("--" + r"(?:extra-)?(?:index" + r"-url|find-links)|PIP_" + r"(?:EXTRA_)?INDEX_URL")

    assert [str(file) for file, text in texts.items() if option.search(text)] == []


def test_constraints_are_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not line.startswith("#") and not PINNED.fullmatch(line)] == []


def test_everything_the_project_asks_for_is_pinned() -> None:
    def name(requirement: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {name(each) for each in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert asked - {name(line) for line in lines} == set()


def test_every_package_is_marked_as_typed() -> None:
    assert [
        package for package in ("lcl_spiders", "pipelines", "db") if not (ROOT / package / "py.typed").exists()
    ] == []
