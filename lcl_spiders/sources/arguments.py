"""The words and options of `scrapy sources`, and which of them go together."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scrapy.exceptions import UsageError

from db import overview
from lcl_spiders.console import whole_number
from lcl_spiders.sources.entry import field_table

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 100
MANY = 10**6

WORDS = {
    "add": "<url>",
    "list": "",
    "show": "<source>",
    "enable": "<source>",
    "disable": "<source>",
    "set": "<source> <name>=<value> ...",
    "remove": "<source>",
    "sync": "<file>",
    "export": "",
    "review": "[<source>]",
    "schema": "",
}
"""The actions and the words that each of them takes."""

OPTIONS = {
    "slug": ("add",),
    "spider": ("add",),
    "source_settings": ("add",),
    "disabled": ("add",),
    "kind": ("list",),
    "state": ("list",),
    "limit": ("list", "review"),
    "unset": ("set",),
    "yes": ("remove",),
    "dry_run": ("sync",),
    "prune": ("sync",),
    "reject": ("review",),
}
"""The options and the actions that take them."""


def describe() -> str:
    """Return what the command does, with examples and every field of a source."""
    fields = "\n".join(f"  {name:<19} {about}; {_default(default)}" for name, default, about in field_table())
    return (
        "A source is a site that is crawled. It is named by its slug, its domain or its id, exactly.\n"
        "\n"
        "  scrapy sources add https://example.org/\n"
        "  scrapy sources add https://example.org/ --slug example --set max_pages=500 \\\n"
        "      --set deny=/login --set deny=/search\n"
        "  scrapy sources list --state backoff\n"
        "  scrapy sources show example\n"
        "  scrapy sources set example refresh_interval=6h deny=        (deny is emptied)\n"
        "  scrapy sources disable example\n"
        "  scrapy sources remove example                               (with everything indexed of it)\n"
        "  scrapy sources export > sources.toml\n"
        "  scrapy sources sync sources.toml --dry-run\n"
        "  scrapy sources review                                       (what `scrapy discover` was not sure of)\n"
        "\n"
        "Adding a site that is known already changes nothing. Enabling a source clears its failures and its "
        "backoff; enabling one that waits for review approves it.\n"
        "\n"
        "Fields of a source, for --set, set and sync; allow, deny and other lists take one entry each time:\n"
        f"{fields}\n"
    )


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of every action."""
    group = parser.add_argument_group("options of add")
    group.add_argument("--slug", metavar="SLUG", help="name of the source (default made from the domain)")
    group.add_argument("--spider", metavar="KIND", help="kind of source (default website)")
    group.add_argument(
        "--set",
        dest="source_settings",
        action="append",
        metavar="NAME=VALUE",
        help="a field of the source (may be repeated); Scrapy's own settings go with -s",
    )
    group.add_argument("--disabled", action="store_true", help="add it without enabling it")
    group = parser.add_argument_group("options of list")
    group.add_argument("--kind", metavar="KIND", help="only sources of this kind")
    group.add_argument("--state", choices=overview.STATES, help=f"only these: {', '.join(overview.STATES)}")
    group.add_argument(
        "--limit",
        type=whole_number(1, MANY),
        metavar="N",
        help=f"most sources to print (default {SHOWN}, all with --json); also of review",
    )
    group = parser.add_argument_group("options of set, remove, sync and review")
    group.add_argument(
        "--unset", action="append", metavar="NAME", help="set: give a field its default again (may be repeated)"
    )
    group.add_argument("--yes", action="store_true", help="remove: do not ask")
    group.add_argument("--dry-run", action="store_true", help="sync: only print what it would change")
    group.add_argument("--prune", action="store_true", help="sync: disable sources that are not in the file")
    group.add_argument("--reject", action="store_true", help="review: keep the source disabled and out of review")


def check(action: str, names: Sequence[str], opts: argparse.Namespace) -> None:
    """Raise `UsageError` for an action that there is not, and for words and options that it does not take."""
    if action not in WORDS:
        msg = f"say what to do: {', '.join(WORDS)}"
        raise UsageError(msg, print_help=False)
    most = WORDS[action].count("<") if action != "set" else MANY
    least = min(most, 0 if action == "review" else 1)
    if not least <= len(names) <= most:
        msg = f"sources {action} takes {WORDS[action] or 'no words'}"
        raise UsageError(msg, print_help=False)
    for option, actions in OPTIONS.items():
        if getattr(opts, option) and action not in actions:
            name = "set" if option == "source_settings" else option.replace("_", "-")
            msg = f"--{name} goes with `sources {actions[0]}`"
            raise UsageError(msg, print_help=False)


def _default(default: str) -> str:
    return default if default == "required" else f"default {default}"
