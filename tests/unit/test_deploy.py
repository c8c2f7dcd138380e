"""The files in deploy/, and what the documents say of files, settings and commands: nothing that is not there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
HOME = "/opt/lcl-spiders/"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def values(unit: Path) -> dict[str, str]:
    """Return the settings of a unit; of one that is given several times the last."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_names_files_of_the_project(unit: Path) -> None:
    named = re.findall(rf"{HOME}(\S+)", unit.read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).exists() and not path.startswith(".venv/")] == []


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_a_service_ends_in_order_and_within_bounds(unit: Path) -> None:
    settings = values(unit)

    # A signal to the whole group would end the extraction processes under crawls that are still to be ended in order.
    assert (settings["KillMode"], settings["KillSignal"]) == ("mixed", "SIGTERM")
    assert int(settings["TimeoutStopSec"]) > 60
    assert int(settings["MemoryMax"].removesuffix("G")) >= 3
    assert settings["EnvironmentFile"] == "/etc/lcl-spiders.env"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd on this machine")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_against_a_unit(unit: Path, tmp_path: Path) -> None:
    for each in UNITS:  # with a program that is there on this machine too
        text = each.read_text(encoding="utf-8").replace(f"{HOME}.venv/bin/scrapy", sys.executable)
        (tmp_path / each.name).write_text(text, encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / unit.name], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_containers_are_built_of_files_that_are_there() -> None:
    build = compose()["services"]["worker"]["build"]
    context = DEPLOY / build["context"]
    dockerfile = (context / build["dockerfile"]).read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE) for name in line.split()]
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()

    assert context.resolve() == ROOT
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if f"!{name}" not in let_in] == []


def test_containers_publish_no_port_and_migrate_before_they_work() -> None:
    services = compose()["services"]

    assert [name for name, service in services.items() if "ports" in service] == []
    assert services["migrate"]["command"] == ["migrate"]
    assert services["worker"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["worker"]["environment"] == services["migrate"]["environment"]


def test_scrapyd_is_on_loopback_and_its_password_in_no_file() -> None:
    config = ConfigParser()
    config.read(DEPLOY / "scrapyd.conf", encoding="utf-8")

    assert config["scrapyd"]["bind_address"] == "127.0.0.1"
    assert {"username", "password"} & {*config["scrapyd"]} == set()


def test_operations_links_to_files_that_are_there() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", OPERATIONS)

    assert linked
    assert [link for link in linked if not (ROOT / "docs" / link).exists()] == []


def test_operations_names_settings_and_commands_that_are_there() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "lcl_spiders").rglob("*.py"))
    code += "".join(file.read_text(encoding="utf-8") for file in (ROOT / "pipelines").rglob("*.py"))
    commands = {file.stem for file in (ROOT / "lcl_spiders" / "commands").glob("*.py")}

    settings = {name for name in re.findall(r"LCL_[A-Z_]+[A-Z]", OPERATIONS) if name != "LCL_EMBEDDING"}
    assert {name for name in settings if name not in code} == set()
    assert {*re.findall(r"`scrapy (\w+)", OPERATIONS)} - commands == set()
