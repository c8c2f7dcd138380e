"""What needs a session for itself goes past the pool, which may be one of a transaction pooler's connections."""

from typing import Any

from psycopg_pool import AsyncConnectionPool
from scrapy.settings import Settings

from db.connection import Connection
from db.models import Model
from db.sources import Source
from pipelines import IndexAddon
from pipelines.config import Config
from pipelines.runtime import Runtime
from tests.support.index import Index, page
from tests.support.postgres import value

NOWHERE = "postgresql://127.0.0.1:1/nowhere"


async def test_search_indexes_are_built_over_the_direct_connection(
    connection: Connection, database_url: str, source: Source, model: Model
) -> None:
    index = await Index.opened(connection, source, model)
    await index.write(page(index.url("a"), "one"))
    settings = Settings({"LCL_LOCK_DATABASE_URL": database_url, "LCL_INDEX_MIN_CHUNKS": 1})
    IndexAddon.update_pre_crawler_settings(settings)
    unusable: AsyncConnectionPool[Any] = AsyncConnectionPool(NOWHERE, open=False)
    runtime = Runtime(Config.from_settings(settings), NOWHERE, unusable)

    await runtime.build_indexes(model)

    built = "SELECT count(*) FROM pg_indexes WHERE indexname ~ '^page_embeddings_(vector|text)_'"
    assert await value(connection, built) == 2
