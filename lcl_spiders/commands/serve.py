"""`scrapy serve`: the index searched over HTTP."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import signal
import sys
from typing import TYPE_CHECKING

from scrapy.exceptions import UsageError

from lcl_spiders.console import CommandFailed, IndexCommand, whole_number

if TYPE_CHECKING:
    from lcl_spiders.searching.api import SearchApi

TOKEN = "LCL_SEARCH_TOKEN"  # noqa: S105 - the variable's name


class Command(IndexCommand):
    """Answer searches over HTTP."""

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Answer searches over HTTP, as JSON"

    def long_desc(self) -> str:
        return (
            "Serve GET /search and GET /health until told to stop (Ctrl-C, SIGTERM): searches at work are answered "
            "first. Without a token it serves this machine only.\n"
            "\n"
            "  scrapy serve\n"
            '  curl "http://127.0.0.1:8080/search?q=opening+hours&language=nl&limit=3"\n'
            "\n"
            f"  {TOKEN}=$(openssl rand -hex 32) scrapy serve --host 0.0.0.0\n"
            f'  curl -H "Authorization: Bearer ${TOKEN}" "http://search.example:8080/search?q=opening+hours"\n'
            "\n"
            "What may be asked for, and what is answered, stands in docs/search.md.\n"
            "\n"
            "Exit code: 0 when it was stopped, 1 when it could not begin.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)")
        parser.add_argument(
            "--port",
            type=whole_number(0, 65535),
            default=8080,
            help="port to listen at; 0: any free one (default 8080)",
        )
        parser.add_argument(
            "--timeout",
            type=whole_number(1, 600),
            default=10,
            metavar="SECONDS",
            help="longest time for one answer (default 10)",
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        if words:
            msg = "serve takes no names"
            raise UsageError(msg, print_help=False)
        token = os.environ.get(TOKEN) or None
        if token is None and not is_loopback(opts.host):
            msg = f"--host {opts.host} lets others ask: set {TOKEN} in the environment, or serve 127.0.0.1 only"
            raise CommandFailed(msg)
        # All commands are imported at each start of any; the HTTP library takes a fifth of a second.
        from lcl_spiders.searching.api import SearchApi  # noqa: PLC0415 - see above

        api = SearchApi(self.config, token=token, timeout=opts.timeout)
        await api.open()
        try:
            await self._serve(api, opts)
        finally:
            await api.close()
        return 0

    async def _serve(self, api: SearchApi, opts: argparse.Namespace) -> None:
        from aiohttp import web  # noqa: PLC0415 - see main

        runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=opts.timeout)
        await runner.setup()
        try:
            site = web.TCPSite(runner, opts.host, opts.port)
            try:
                await site.start()
            except OSError as error:
                msg = f"cannot listen at {opts.host} port {opts.port}: {error.strerror or error}"
                raise CommandFailed(msg) from None
            address = url_of(*runner.addresses[0][:2])
            stopped = _stopped()
            if self.as_json:
                self.print_json({"url": address})
                sys.stdout.flush()  # whoever started this waits for the line
            else:
                self.say(f"serving {address}")
            await stopped.wait()
        finally:
            await runner.cleanup()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(host: str, port: int) -> str:
    """Return the URL of an address, IPv6 in brackets (RFC 3986 section 3.2.2)."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _stopped() -> asyncio.Event:
    """Return what is set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return stopped
