import asyncio
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from db import schema
from db.connection import connect
from db.errors import DatabaseUnavailable, MigrationFailed, SchemaOutdated
from tests.support.postgres import named, rows

Catalog = dict[str, list[str]]

# What pg_catalog says of everything in `public` that neither the extension nor yoyo made.
_OWN = "NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = {oid} AND d.deptype = 'e')"
_CATALOG = {
    "relations": """
        SELECT c.relkind::text || ' ' || c.oid::regclass::text || ' ' || coalesce(c.reloptions::text, '')
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ 'yoyo'
    """,
    "columns": """
        SELECT format('%s.%s %s %s %s%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                      a.attidentity, a.attgenerated, pg_get_expr(f.adbin, f.adrelid))
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ 'yoyo' AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraints": """
        SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ 'yoyo'
    """,
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename !~ 'yoyo'",
    "functions": f"""
        SELECT pg_get_functiondef(p.oid)
        FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND {_OWN.format(oid="p.oid")}
    """,
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "views": "SELECT viewname || definition FROM pg_views WHERE schemaname = 'public'",
    "types": f"""
        SELECT t.typname
        FROM pg_type AS t
        WHERE t.typnamespace = 'public'::regnamespace AND t.typname !~ 'yoyo' AND t.typcategory <> 'A'
          AND {_OWN.format(oid="t.oid")}
    """,
}

_MIGRATE = "import sys; from db import schema; print(*schema.upgrade(sys.argv[1]))"


def catalog(url: str) -> Catalog:
    with psycopg.connect(url, autocommit=True) as connection:
        return {kind: sorted(row[0] for row in connection.execute(query.encode())) for kind, query in _CATALOG.items()}


def leftovers(url: str) -> list[tuple[str, ...]]:
    """Advisory locks and rows of yoyo's own lock table."""
    with psycopg.connect(url, autocommit=True) as connection:
        held = connection.execute("SELECT locktype FROM pg_locks WHERE locktype = 'advisory'").fetchall()
        return held + connection.execute("SELECT pid::text FROM yoyo_lock").fetchall()


def test_every_migration_applies(empty_database_url: str) -> None:
    assert schema.upgrade(empty_database_url) == schema.names()
    assert all(migration.applied for migration in schema.status(empty_database_url))


def test_every_way_back_leaves_the_catalog_it_found(empty_database_url: str, server: str) -> None:
    before = []
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        for name in schema.names():
            before.append(catalog(empty_database_url))
            connection.execute(schema.text(f"{name}.sql").encode())
        whole = catalog(empty_database_url)
        connection.execute("CREATE DATABASE stepwise")
    url = named(server, "stepwise")
    try:
        schema.upgrade(url)
        assert catalog(url) == whole

        for name, found in zip(reversed(schema.names()), reversed(before), strict=True):
            assert schema.downgrade(url, 1) == [name]
            assert catalog(url) == found, name

        assert schema.upgrade(url) == schema.names()
        assert catalog(url) == whole
    finally:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute("DROP DATABASE stepwise WITH (FORCE)")


def test_all_can_be_taken_back_at_once(empty_database_url: str) -> None:
    schema.upgrade(empty_database_url)

    assert schema.downgrade(empty_database_url, None) == schema.names()[::-1]
    assert not any(migration.applied for migration in schema.status(empty_database_url))


def test_data_does_not_keep_a_migration_from_going_back(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("""
            INSERT INTO scraper_sources (slug, start_url, domain) VALUES ('a', 'https://a.org/', 'a.org');
            INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state)
            VALUES ('local', 'x', 2, '1', 'active');
            INSERT INTO scraped_pages (source_id, url, content, content_hash)
            SELECT id, start_url, '', '' FROM scraper_sources;
            INSERT INTO page_embeddings (page_id, source_id, model_id, chunk_hash, content, embedding)
            SELECT p.id, p.source_id, m.id, '', '', '[1,2]' FROM scraped_pages AS p, embedding_models AS m;
            INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state)
            VALUES ('local', 'y', 2, '1', 'building');
            INSERT INTO page_embeddings (page_id, source_id, model_id, chunk_hash, content, embedding)
            SELECT page_id, source_id, model_id + 1, '', '', '[1,2]' FROM page_embeddings;
            INSERT INTO page_manifests (page_id, model_id, content_hash, chunk_hashes)
            SELECT page_id, model_id, '', '{}' FROM page_embeddings WHERE model_id > 1;
        """)

    assert schema.downgrade(database_url, None) == schema.names()[::-1]


def test_applying_twice_does_nothing(database_url: str) -> None:
    before = catalog(database_url)

    assert schema.upgrade(database_url) == []
    assert schema.upgrade_if_needed(database_url) == []
    assert catalog(database_url) == before


def test_asking_for_the_status_changes_nothing(empty_database_url: str) -> None:
    assert [migration.applied for migration in schema.status(empty_database_url)] == [False] * len(schema.names())
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


async def test_a_database_that_was_never_migrated_is_told_how(empty_database_url: str) -> None:
    async with connect(empty_database_url, vectors=False) as connection:
        with pytest.raises(SchemaOutdated, match=r"0001\.sources.*scrapy migrate"):
            await schema.check(connection)
    with pytest.raises(SchemaOutdated, match="scrapy migrate"):
        async with connect(empty_database_url):
            pass


async def test_a_database_that_is_behind_is_told_what_is_missing(database_url: str) -> None:
    await asyncio.to_thread(schema.downgrade, database_url, 1)

    async with connect(database_url) as connection:
        with pytest.raises(SchemaOutdated, match=rf"is old: {schema.names()[-1]} not applied. Run `scrapy migrate`"):
            await schema.check(connection)


async def test_a_database_that_is_ahead_is_told_apart(database_url: str) -> None:
    async with connect(database_url) as connection:
        await connection.execute("INSERT INTO _yoyo_migration VALUES ('hash', '9999.future', now())")

        with pytest.raises(SchemaOutdated, match=r"newer than this code: it has 9999\.future"):
            await schema.check(connection)


async def test_a_current_database_passes(database_url: str) -> None:
    async with connect(database_url) as connection:
        await schema.check(connection)


@pytest.mark.parametrize(
    "killed_at",
    [
        "public.yoyo_lock",
        "public._yoyo_log",
        "public.scraper_sources",
        "public.page_embeddings",
        "public.page_tombstones",
        "public.domain_fences",
        "public.search_pages(pg_catalog.text,public.vector,integer,pg_catalog.uuid,integer,integer)",
    ],
)
def test_a_migrator_killed_anywhere_leaves_no_lock_and_no_half_schema(
    empty_database_url: str, database_url: str, killed_at: str
) -> None:
    whole = catalog(database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        # As when the process is killed: all its sessions end, the one that runs the statement last.
        connection.execute("""
            CREATE TABLE killed (at text);
            CREATE FUNCTION kill_migrator() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM FROM pg_event_trigger_ddl_commands() AS c JOIN killed AS k ON k.at = c.object_identity;
                IF FOUND THEN
                    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'lcl-spiders' AND pid <> pg_backend_pid();
                    PERFORM pg_terminate_backend(pg_backend_pid());
                END IF;
            END $$;
            CREATE EVENT TRIGGER killer ON ddl_command_end EXECUTE FUNCTION kill_migrator();
        """)
        connection.execute("INSERT INTO killed VALUES (%s)", (killed_at,))

        with pytest.raises((psycopg.OperationalError, MigrationFailed)):
            schema.upgrade(empty_database_url)

        connection.execute("DROP EVENT TRIGGER killer; DROP FUNCTION kill_migrator; DROP TABLE killed")
    done = [migration.name for migration in schema.status(empty_database_url) if migration.applied]
    assert schema.upgrade(empty_database_url) == schema.names()[len(done) :]
    assert catalog(empty_database_url) == whole
    assert leftovers(empty_database_url) == []


def test_a_migrator_killed_before_it_noted_a_migration_leaves_none_of_it(empty_database_url: str) -> None:
    schema.upgrade(empty_database_url)
    schema.downgrade(empty_database_url, 2)
    before = catalog(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("""
            CREATE FUNCTION pg_temp.kill_migrator() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
            CREATE TRIGGER killer BEFORE INSERT ON _yoyo_migration
            FOR EACH ROW EXECUTE FUNCTION pg_temp.kill_migrator();
        """)
        with pytest.raises((psycopg.OperationalError, MigrationFailed)):
            schema.upgrade(empty_database_url)
        connection.execute("DROP TRIGGER killer ON _yoyo_migration")

    assert catalog(empty_database_url) == before
    assert schema.upgrade(empty_database_url) == schema.names()[-2:]


def test_a_refused_migration_says_which_and_leaves_nothing(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE failed_pages ()")  # in the way of the second migration

    with pytest.raises(MigrationFailed, match=r'0002\.pages .* left nothing behind: relation "failed_pages" already'):
        schema.upgrade(empty_database_url)

    assert [migration.applied for migration in schema.status(empty_database_url)][:2] == [True, False]
    assert [line for line in catalog(empty_database_url)["relations"] if "scraped_pages" in line] == []


def test_two_migrators_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    commands = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, empty_database_url],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [command.communicate(timeout=60) for command in commands]

    assert [command.returncode for command in commands] == [0, 0], outputs
    assert sorted(stdout.split() for stdout, _ in outputs) == [[], schema.names()]


def test_a_migrator_that_waits_too_long_says_for_whom(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "LOCK_TIMEOUT", "20ms")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (schema._MIGRATION_LOCK,))

        with pytest.raises(DatabaseUnavailable, match="another process has been migrating"):
            schema.upgrade(empty_database_url)


def test_a_connection_string_that_is_no_url_can_be_migrated(empty_database_url: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(empty_database_url)

    assert schema.upgrade(psycopg.conninfo.make_conninfo("", **parts)) == schema.names()


@pytest.mark.parametrize("url", ["postgresql://user:hunter2@[::1/db", "host=x password=hunter2 nonsense", "hunter2"])
def test_an_unreadable_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseUnavailable) as refused:
        schema.upgrade(url)

    assert "DATABASE_URL cannot be read" in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot reach the database") as refused:
        async with connect("postgresql://user:hunter2@127.0.0.1:1/db"):
            pass

    assert "hunter2" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


async def test_sessions_plan_for_their_values_and_wait_in_bounds(database_url: str) -> None:
    async with connect(database_url, idle_session_timeout="60s") as connection:
        names = [
            "plan_cache_mode",
            "jit",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "idle_session_timeout",
        ]
        found = dict(await rows(connection, "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", names))

    assert found == {
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
        "lock_timeout": "30000",
        "idle_in_transaction_session_timeout": "30000",
        "idle_session_timeout": "60000",
    }
