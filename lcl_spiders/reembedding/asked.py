"""Which model an operator means: one that is stored, or a new one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.models import Model
from lcl_spiders.console import CommandFailed
from pipelines.chunker import Chunker, UnknownChunker

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Asked:
    """The model that an operator asks for; None for what is left open."""

    provider: str | None = None
    model: str | None = None
    dimensions: int | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    chunk_size: int | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing is said of which model, be it of where its provider is."""
        return replace(self, base_url=None, api_key_env=None) == Asked()

    def fits(self, model: Model) -> bool:
        """Return whether a stored model is one that was asked for."""
        return (
            self.provider in (None, model.provider)
            and self.model in (None, model.name)
            and self.dimensions in (None, model.dimensions)
            and self.chunker(model.chunker_version) == model.chunker_version
        )

    def chunker(self, version: str) -> str:
        """Return a chunker's version with what is asked of it. One that this code lacks is left as it is."""
        with suppress(UnknownChunker):
            like = Chunker.of(version)
            return like.but(size=self.chunk_size, query=self.query_prefix, passage=self.passage_prefix).version
        return version

    def means(self, model: Model, active: Model) -> bool:
        """Return whether a stored model is meant: one that fits, and where no name is given, one of the active's."""
        is_named = self.provider is not None or self.model is not None
        return self.fits(model) and (is_named or (model.provider, model.name) == (active.provider, active.name))


def chosen(asked: Asked, stored: Sequence[Model]) -> Model:
    """Return the model that is meant: a stored one, or a new one; 0 stands for what is not known yet.

    Where nothing is said it is the one that is being built. What is left open otherwise is as the active model has it.
    Raises `CommandFailed`.
    """
    active = next((model for model in stored if model.state == "active"), None)
    if active is None:
        msg = "the index has no model yet: the first crawl makes the one active that the settings name"
        raise CommandFailed(msg)
    if asked.is_open:
        building = [model for model in stored if model.state == "building"]
        if len(building) != 1:
            at_work = "several models are" if building else f"the index's model is {active}, and no other is"
            msg = (
                f"{at_work} being built: say which model is meant, by --provider, --model, --dimensions or "
                "--chunk-size. See: scrapy reembed --status"
            )
            raise CommandFailed(msg)
        return _reached(building[0], asked)
    if found := _best([model for model in stored if asked.means(model, active)], active):
        return _reached(found, asked)
    provider = asked.provider or active.provider
    is_same = provider == active.provider and asked.model in (None, active.name)
    # What stands before texts is a model's own.
    plain = replace(asked, query_prefix="", passage_prefix="").chunker(active.chunker_version)
    known = active if is_same else Model(0, provider, asked.model or "", 0, plain)
    made = Model(
        id=0,
        provider=provider,
        name=known.name,
        dimensions=asked.dimensions or (known.dimensions if known.asks_dimensions else 0),
        chunker_version=asked.chunker(known.chunker_version),
        state="new",
        base_url=known.base_url,
        api_key_env=known.api_key_env,
        asks_dimensions=asked.dimensions is not None or known.asks_dimensions,
    )
    return _reached(made, asked)


def _reached(model: Model, asked: Asked) -> Model:
    """Return a model with the address and the key's name that are given, if any."""
    return replace(model, base_url=asked.base_url or model.base_url, api_key_env=asked.api_key_env or model.api_key_env)


def _best(found: Sequence[Model], active: Model) -> Model | None:
    """Return, of stored models that fit, one beside the active one if there is, preferably with its chunks."""
    beside = sorted(
        (model for model in found if model.state != "active"),
        key=lambda model: (model.chunker_version == active.chunker_version, model.id),
    )
    return beside[-1] if beside else next(iter(found), None)
