"""Migrations: what is applied, what is pending, forward and back.

yoyo keeps the record (`_yoyo_migration`) and applies the files; an advisory lock keeps two of us apart, since yoyo's
own lock is a row that a killed process leaves behind.
"""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from db.connection import conninfo, describe
from db.errors import DatabaseUnavailable, MigrationFailed, SchemaOutdated, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.connection import Connection

logging.getLogger("yoyo").setLevel(logging.WARNING)

_MIGRATION_LOCK = 0x6C636C01  # "lcl", 1: any number that only we use
LOCK_TIMEOUT = "60s"
_INCLUDE = re.compile(r"^-- include: (?P<package>\S+) (?P<first>\S+) \.\. (?P<last>\S+)$", re.MULTILINE)
_IS_MIGRATED: LiteralString = "SELECT to_regclass('_yoyo_migration') IS NOT NULL"
_APPLIED: LiteralString = "SELECT migration_id FROM _yoyo_migration"


@dataclass(frozen=True)
class Migration:
    """One migration's name and whether the database has it."""

    name: str
    applied: bool


def names() -> list[str]:
    """Return the names of the bundled migrations in order."""
    found = (file.name for file in files("db.migrations").iterdir())
    return sorted(name[:-4] for name in found if name.endswith(".sql") and not name.endswith(".rollback.sql"))


def text(file_name: str) -> str:
    """Return a migration's statements, those that it includes from a library's own migrations among them.

    A line `-- include: package first .. last` stands for that package's SQL files from one name to another: fixed for
    ever, as a released migration is.
    """
    own = files("db.migrations").joinpath(file_name).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda line: _included(line["package"], line["first"], line["last"]), own)


def _included(package: str, first: str, last: str) -> str:
    found = sorted(
        (file for file in files(package).iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return "\n".join(file.read_text(encoding="utf-8") for file in found if first <= file.name < f"{last}~")


async def applied(connection: Connection) -> set[str]:
    """Return the names of the migrations that the database has; empty when it was never migrated."""
    if await (await connection.execute(_IS_MIGRATED)).fetchone() != (True,):
        return set()
    return {row[0] for row in await (await connection.execute(_APPLIED)).fetchall()}


async def check(connection: Connection) -> None:
    """Raise `SchemaOutdated` unless the schema is at exactly the version this code needs."""
    has = await applied(connection)
    bundled = names()
    if missing := [name for name in bundled if name not in has]:
        msg = f"the database's schema is old: {', '.join(missing)} not applied. Run `scrapy migrate`."
        raise SchemaOutdated(msg)
    if unknown := sorted(has - set(bundled)):
        msg = (
            f"the database's schema is newer than this code: it has {', '.join(unknown)}. Update LCL Spiders, or go "
            f"back with `scrapy migrate --down {len(unknown)}` from the version that has these migrations."
        )
        raise SchemaOutdated(msg)


def status(url: str) -> list[Migration]:
    """Return every bundled migration with its state, changing nothing. Blocks. Raises `DatabaseUnavailable`."""
    with _connect(url) as connection:
        has = _applied(connection)
    return [Migration(name, name in has) for name in names()]


def upgrade(url: str) -> list[str]:
    """Apply what is pending and return its names. Blocks. Raises `DatabaseUnavailable` or `MigrationFailed`."""
    with _migrations(url) as (backend, migrations):
        return [_run(backend, migration, "apply") for migration in backend.to_apply(migrations)]


def upgrade_if_needed(url: str) -> list[str]:
    """Apply what is pending, at the price of one query when nothing is. Blocks. Raises `DatabaseUnavailable`."""
    with _connect(url) as connection:
        has = _applied(connection)
    return [] if has >= set(names()) else upgrade(url)


def downgrade(url: str, steps: int | None) -> list[str]:
    """Take back the newest `steps` migrations (None: all) and return their names. Blocks. Raises as `upgrade`."""
    with _migrations(url) as (backend, migrations):
        return [_run(backend, migration, "rollback") for migration in list(backend.to_rollback(migrations))[:steps]]


def _run(backend: Any, migration: Any, direction: str) -> str:
    # yoyo's own apply_one commits the steps and then the record of them: a kill between the two would leave a schema
    # that can go neither forward nor back.
    try:
        with backend.transaction(), _no_savepoints(backend):
            migration.process_steps(backend, direction)
            backend.log_migration(migration, direction)
            (backend.mark_one if direction == "apply" else backend.unmark_one)(migration, log=False)
    except psycopg.Error as error:
        msg = f"migration {migration.id} ({direction}) failed and left nothing behind: {one_line(error)}"
        raise MigrationFailed(msg) from error
    return str(migration.id)


@contextmanager
def _no_savepoints(backend: Any) -> Iterator[None]:
    """Run the steps in the transaction itself: a value added to an enum in a savepoint could not be used after it."""
    backend.transaction = nullcontext
    try:
        yield
    finally:
        del backend.transaction


def _applied(connection: psycopg.Connection[tuple[Any, ...]]) -> set[str]:
    if connection.execute(_IS_MIGRATED).fetchone() != (True,):
        return set()
    return {row[0] for row in connection.execute(_APPLIED)}


@contextmanager
def _migrations(url: str) -> Iterator[tuple[Any, Any]]:
    with warnings.catch_warnings():
        # yoyo imports pkg_resources-era helpers and sqlite adapters that warn on newer Pythons; not ours to act on.
        warnings.simplefilter("ignore", DeprecationWarning)
        import yoyo  # noqa: PLC0415 - only needed to migrate

        with _connect(url) as guard, tempfile.TemporaryDirectory() as folder:
            try:
                guard.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
            except psycopg.errors.LockNotAvailable as error:
                msg = f"another process has been migrating this database for {LOCK_TIMEOUT}. Try again when it is done."
                raise DatabaseUnavailable(msg) from error
            # Copied out, because yoyo opens files by path and an egg has none.
            for file in files("db.migrations").iterdir():
                if file.name.endswith(".sql"):
                    Path(folder, file.name).write_text(text(file.name), encoding="utf-8")
            backend = yoyo.get_backend(_yoyo_url(url))
            try:
                backend.break_lock()  # of a process that was killed: a living one would hold our own lock
                yield backend, yoyo.read_migrations(folder)
            finally:
                backend.connection.close()


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        return psycopg.connect(_conninfo(url), autocommit=True)
    except psycopg.OperationalError as error:
        msg = f"cannot reach the database ({describe(url)}): {one_line(error)}"
        raise DatabaseUnavailable(msg) from error


def _conninfo(url: str) -> str:
    return conninfo(url, lock_timeout=LOCK_TIMEOUT)


def _yoyo_url(url: str) -> str:
    # Everything as an argument of the query, which yoyo hands to psycopg: a libpq URL may be spelt in ways that yoyo's
    # parser does not know, and a connection string need not be a URL at all.
    return f"postgresql+psycopg:///?{urlencode(conninfo_to_dict(_conninfo(url)))}"
