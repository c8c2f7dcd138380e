"""The system's Chromium: where it is, and which version."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
VERSION_TIMEOUT = 20
ADVICE = "Install one (Debian: apt-get install chromium), or name it: LCL_CHROMIUM_PATH=/path/to/chromium"


class BrowserUnavailable(Exception):
    """There is no browser, or it cannot be started. The message says what to do; no source is to blame for it."""


def find_chromium(path: str | None) -> str:
    """Return the browser's executable: `path` where the operator names it, else the first on PATH.

    Raises `BrowserUnavailable`.
    """
    if path is not None:
        found = shutil.which(path)
        if found is None:
            what = "is there, but cannot be executed" if Path(path).exists() else "does not exist"
            msg = f"LCL_CHROMIUM_PATH is {path}, which {what}. {ADVICE}"
            raise BrowserUnavailable(msg)
        return found
    for name in NAMES:
        if found := shutil.which(name):
            return found
    msg = f"no Chromium is on PATH (looked for {', '.join(NAMES)}). {ADVICE}"
    raise BrowserUnavailable(msg)


async def version_of(executable: str) -> str:
    """Return what `--version` prints. Raises `BrowserUnavailable` when it prints nothing."""
    try:
        process = await asyncio.create_subprocess_exec(
            executable, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        msg = f"{executable} cannot be run: {error.strerror}. {ADVICE}"
        raise BrowserUnavailable(msg) from error
    try:
        async with asyncio.timeout(VERSION_TIMEOUT):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        printed = b""
    version = " ".join(printed.decode("utf-8", "replace").split())
    if process.returncode or not version:
        msg = f"{executable} --version says nothing (exit code {process.returncode}). {ADVICE}"
        raise BrowserUnavailable(msg)
    return version
