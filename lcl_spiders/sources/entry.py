"""One source, whole: everything that an operator may say of it, documented and checked field by field.

`scrapy sources add`, `set` and `sync` take the same fields, and `scrapy sources schema` prints them.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from db.errors import InvalidSource
from db.sources import RESERVED_SLUGS
from db.urls import canonical_url, domain_of
from lcl_spiders.source_config import SourceConfig, reason
from lcl_spiders.sources.durations import Duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pydantic import ValidationInfo
    from pydantic_core import ErrorDetails

    from db.sources import Source

_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
HIGHEST = 1_000


def _site(value: str) -> str:
    try:
        return canonical_url(value)
    except ValueError as error:
        msg = f"{error}. Give it whole, as in https://example.org/"
        raise ValueError(msg) from None


def _slug(value: str) -> str:
    if value in RESERVED_SLUGS:
        msg = f"{value!r} is the name of a kind of spider; choose another slug"
        raise ValueError(msg)
    if not _SLUG.fullmatch(value):
        msg = f"the slug {value!r} must be of lower case letters, digits and hyphens"
        raise ValueError(msg)
    return value


class Standing(BaseModel):
    """What a source is called, where it begins and how often it is crawled: the columns of `scraper_sources`."""

    url: Annotated[str, AfterValidator(_site)] = Field(description="the start URL; it may change within its domain")
    slug: Annotated[str, AfterValidator(_slug)] | None = Field(
        default=None, description="the source's name (default made from the domain); it never changes"
    )
    spider: str = Field(default="website", description="the kind of source, or the name of a spider in spiders/")
    enabled: bool = Field(default=True, description="whether the source is crawled by the schedule and by refresh")
    priority: int = Field(
        default=0, ge=-HIGHEST, le=HIGHEST, description="of two sources that are due the higher one goes first"
    )
    refresh_interval: Duration = Field(
        default=dt.timedelta(hours=24), gt=dt.timedelta(0), description="how often the source is crawled"
    )


class SourceEntry(SourceConfig, Standing):
    """A source as an operator writes it: its standing and its settings, side by side."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("spider")
    @classmethod
    def _is_a_kind(cls, value: str, info: ValidationInfo) -> str:
        kinds = (info.context or {}).get("kinds")
        if kinds is not None and value not in kinds:
            msg = f"there is no kind of source {value!r}. There is: {', '.join(kinds)}"
            raise ValueError(msg)
        return value

    @field_validator("start_urls")
    @classmethod
    def _are_of_the_domain(cls, value: list[str], info: ValidationInfo) -> list[str]:
        domain = domain_of(info.data["url"]) if "url" in info.data else None
        foreign = [each for each in value if domain is not None and domain_of(each) != domain]
        if foreign:
            msg = f"{foreign[0]} is not of the source's domain {domain}; another site is another source"
            raise ValueError(msg)
        return value

    @classmethod
    def read(cls, given: Mapping[str, Any], kinds: Collection[str]) -> Self:
        """Check a source's fields. Raises pydantic's `ValidationError`; `problems` tells it."""
        return cls.model_validate(dict(given), context={"kinds": kinds})

    @classmethod
    def checked(cls, given: Mapping[str, Any], kinds: Collection[str]) -> Self:
        """Check a source's fields. Raises `InvalidSource` that names each wrong one and what there is."""
        try:
            return cls.read(given, kinds)
        except ValidationError as error:
            wrong = "; ".join(f"{name}: {why}" for name, why in problems(error.errors()))
            msg = f"{wrong}. A source has the fields {', '.join(cls.model_fields)}."
            raise InvalidSource(msg) from None

    @property
    def domain(self) -> str:
        """The host of the start URL, with the port when it is not the scheme's own."""
        return domain_of(self.url)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that were given, as `scraper_sources.config` holds them."""
        return self.model_dump(
            mode="json", include=set(SourceConfig.model_fields), exclude_unset=True, exclude_none=True
        )

    @property
    def fields(self) -> dict[str, Any]:
        """Every field but the slug, defaults among them, as JSON: what two versions of a source are compared by."""
        return self.model_dump(mode="json", exclude={"slug"})


def problems(errors: Iterable[ErrorDetails]) -> list[tuple[str, str]]:
    """Return the field and the reason of each error; a field of a list has its position, as in `deny.0`."""
    return [(".".join(map(str, each["loc"])), reason(each)) for each in errors]


def given_fields(source: Source) -> dict[str, Any]:
    """Return a stored source as it would be written: its standing, and the settings that it does not leave alone."""
    return {
        **{name: value for name, value in source.config.items() if value is not None},
        "url": source.start_url,
        "spider": source.spider,
        "enabled": source.enabled,
        "priority": source.priority,
        "refresh_interval": source.refresh_interval,
    }


def stored_fields(source: Source) -> dict[str, Any]:
    """Return every field of a stored source as `SourceEntry.fields` does, also of one whose settings are not valid."""
    given = given_fields(source)
    try:
        return SourceEntry.model_validate(given).fields
    except ValidationError:
        bare = {name: value for name, value in given.items() if name in Standing.model_fields}
        return {**SourceEntry.model_validate(bare).fields, **source.config}


def written_fields(source: Source) -> dict[str, Any]:
    """Return what a file has to say of a stored source: its URL, and the fields that are not at their defaults."""
    defaults = SourceEntry(url=source.start_url).fields
    fields = stored_fields(source)
    return {"url": source.start_url} | {name: fields[name] for name in fields if fields[name] != defaults.get(name)}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the fields that differ, each as (before, after); one that is missing is None."""
    names = dict.fromkeys([*before, *after])
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def field_table() -> list[tuple[str, str, str]]:
    """Return (name, default, description) of every field, in the order in which they are documented."""
    defaults = SourceEntry(url="https://example.org/").fields | {"slug": None}
    return [
        (name, "required" if field.is_required() else shown(defaults[name]), field.description or "")
        for name, field in SourceEntry.model_fields.items()
    ]


def shown(value: Any) -> str:
    """Return a field's value for a person."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
