"""Nothing that the project starts opens a port (A25): no telnet console, no remote control."""

from __future__ import annotations

import psutil
import pytest

from db import queue
from db.connection import Connection
from tests.support.door import PATIENT, closed_site
from tests.support.fleet import register
from tests.support.scrapy import started_scrapy
from tests.support.site import small_town


@pytest.mark.parametrize("command", ["crawl", "worker"])
async def test_a_crawl_at_work_listens_on_no_port(connection: Connection, database_url: str, command: str) -> None:
    # The door is the site's page for paths that are not there: the first page has gone through the extraction pool.
    with closed_site({"/robots.txt": "", **small_town()}) as (site, door):
        (slug,) = await register(connection, [site])
        words = [command, slug] if command == "crawl" else [command]
        if command == "worker":
            await queue.enqueue_due(connection, trigger="queue", args={})
        with started_scrapy(*words, database_url=database_url, settings=PATIENT) as process:
            door.wait_for_knock(120)
            main = psutil.Process(process.pid)
            processes = [main, *main.children(recursive=True)]
            connections = {each: each.net_connections("inet") for each in processes}

    assert len(processes) > 1
    assert connections[main], "the crawl is not connected to anything: not what is meant to be looked at"
    assert [each for found in connections.values() for each in found if each.status == psutil.CONN_LISTEN] == []
