"""A real scrapyd, with the project as an egg, as an operator deploys it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import venv
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any

import requests

from tests.support.scrapy import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROJECT = "lcl_spiders"
PARTS = ("lcl_spiders", "pipelines", "db", "pyproject.toml", "setup.py", "scrapy.cfg")
PATIENCE = 240.0  # seconds that something may take on a machine with much else to do


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Return when a condition holds. Raises `AssertionError` when it never does."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, f"not in {seconds} s: {what}"
        Event().wait(0.05)


def as_scrapyd_settings(settings: Mapping[str, str]) -> list[str]:
    """Return settings of a crawl, with nothing throttled, as `schedule` takes them."""
    return [f"{name}={value}" for name, value in {"AUTOTHROTTLE_ENABLED": "false", **settings}.items()]


class Scrapyd:
    """A running scrapyd in a folder of its own."""

    def __init__(self, folder: Path, url: str, auth: tuple[str, str]) -> None:
        self.folder = folder
        self.url = url
        self._auth = auth
        self._session = requests.Session()
        self._session.auth = auth
        self._session.trust_env = False  # no proxy

    @property
    def said(self) -> str:
        """What it wrote to its own log."""
        return (self.folder / "scrapyd.log").read_text(encoding="utf-8")

    def get(self, service: str, **values: str) -> dict[str, Any]:
        """Ask a service, which must answer that all is well."""
        return self._answer(self._session.get(f"{self.url}{service}.json", params=values, timeout=PATIENCE))

    def post(self, service: str, **values: str | list[str]) -> dict[str, Any]:
        """Tell a service, which must answer that all is well."""
        return self._answer(self._session.post(f"{self.url}{service}.json", data=values, timeout=PATIENCE))

    def deploy(self) -> dict[str, Any]:
        """Send the project with `scrapyd-deploy`, from a copy of it, and return scrapyd's answer."""
        copy = self.folder / "project"
        copy.mkdir()
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, copy)
        with (copy / "scrapy.cfg").open("a", encoding="utf-8") as config:
            config.write(f"\n[deploy:here]\nurl = {self.url}\n")
        username, password = self._auth
        done = subprocess.run(
            [Path(sysconfig.get_path("scripts"), "scrapyd-deploy"), "here"],
            cwd=copy,
            env={**environment(), "SCRAPYD_USERNAME": username, "SCRAPYD_PASSWORD": password},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def egg(self) -> Path:
        """Return the egg that was deployed."""
        (egg,) = (self.folder / "eggs" / PROJECT).iterdir()
        return egg

    def schedule(self, spider: str, *settings: str, **arguments: str) -> str:
        """Schedule a crawl and return scrapyd's id of the job."""
        answer = self.post("schedule", project=PROJECT, spider=spider, setting=list(settings), **arguments)
        return str(answer["jobid"])

    def wait_for(self, *jobs: str) -> None:
        """Return when these jobs have finished."""
        until(lambda: {*jobs} <= {job["id"] for job in self.get("listjobs", project=PROJECT)["finished"]}, self.said)

    def log(self, spider: str, job: str) -> str:
        """Return the log of a job, as its web page shows it."""
        answer = self._session.get(f"{self.url}logs/{PROJECT}/{spider}/{job}.log", timeout=PATIENCE)
        answer.raise_for_status()
        return answer.text

    @staticmethod
    def _answer(response: requests.Response) -> dict[str, Any]:
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        assert answer["status"] == "ok", answer
        return answer


@contextmanager
def running_scrapyd(folder: Path, database_url: str | None) -> Iterator[Scrapyd]:
    """Start scrapyd with the configuration that the project ships, and end it with all its crawls.

    Its Python has the project's libraries but not the project: that comes out of the egg or not at all.
    """
    python = _python_without_the_project(folder / "venv")
    auth = ("operator", secrets.token_hex())
    config = ConfigParser()
    config.read(ROOT / "deploy" / "scrapyd.conf", encoding="utf-8")
    port = _free_port()
    config["scrapyd"].update({"http_port": str(port), "username": auth[0], "password": auth[1], "poll_interval": "0.2"})
    with (folder / "scrapyd.conf").open("w", encoding="utf-8") as file:
        config.write(file)
    with (folder / "scrapyd.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [python, "-m", "scrapyd"],
            cwd=folder,
            env=environment(database_url),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    scrapyd = Scrapyd(folder, f"http://{config['scrapyd']['bind_address']}:{port}/", auth)
    try:
        until(lambda: process.poll() is not None or _answers(scrapyd), "scrapyd does not answer")
        assert process.poll() is None, scrapyd.said
        yield scrapyd
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its crawls are of its group
        process.wait()


def _python_without_the_project(folder: Path) -> Path:
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    # A folder that a .pth file names is not searched for .pth files, such as that of the project's own installation.
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "libraries.pth").write_text("".join(f"{path}\n" for path in sorted(paths)), encoding="utf-8")
    python = folder / "bin" / "python"
    found = subprocess.run([python, "-c", "import lcl_spiders"], cwd=folder, capture_output=True, check=False)
    assert b"ModuleNotFoundError" in found.stderr, "the egg would not be what is tested"
    return python


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _answers(scrapyd: Scrapyd) -> bool:
    try:
        scrapyd.get("daemonstatus")
    except requests.ConnectionError:
        return False
    return True
