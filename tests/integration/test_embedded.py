import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from db import embedded
from db.errors import DatabaseUnavailable

_ROOT = Path(__file__).parents[2]
_START = "import sys; from pathlib import Path; from db import embedded; print(embedded.start(Path(sys.argv[1])))"


def start_elsewhere(folder: Path, then: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"{_START}\nsys.stdout.flush()\n{then}", str(folder)],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_share_a_server_that_ends_with_the_last(lcl_home: Path) -> None:
    folder = lcl_home / "postgres"
    both = [start_elsewhere(folder, "sys.stdin.read()") for _ in range(2)]
    urls = {process.stdout.readline().strip() for process in both if process.stdout}

    assert urls == {embedded.running_uri(folder)}
    both[0].communicate(timeout=30)
    with psycopg.connect(urls.pop()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    both[1].communicate(timeout=30)
    assert embedded.running_uri(folder) is None


def test_a_server_left_by_a_killed_process_is_found_again_and_stopped_at_last(lcl_home: Path) -> None:
    folder = lcl_home / "postgres"
    killed = start_elsewhere(folder, "sys.stdin.read()")
    assert killed.stdout is not None
    url = killed.stdout.readline().strip()
    killed.kill()
    killed.communicate()

    assert embedded.running_uri(folder) == url
    found, _ = start_elsewhere(folder).communicate(timeout=30)
    assert found.strip() == url
    assert embedded.running_uri(folder) is None


def test_a_server_that_died_is_not_running(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    lines = (str(process.pid), str(tmp_path), "0", "5432", str(tmp_path), "", "0 0", "ready")
    (tmp_path / "postmaster.pid").write_text("\n".join(lines))

    assert embedded.running_uri(tmp_path) is None


def test_a_folder_without_a_server_has_no_address(tmp_path: Path) -> None:
    assert embedded.running_uri(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", ["my projects", "50%", "a$b", "it's"])
def test_a_path_that_the_server_cannot_take_is_refused_with_a_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"cannot live in .* because of the .* LCL_HOME"):
        embedded.start(tmp_path / name / "postgres")

    assert not (tmp_path / name).exists()
