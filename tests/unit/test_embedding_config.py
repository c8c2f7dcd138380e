"""The settings of embedding: what holds without them, and what they may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scrapy.settings import Settings

from pipelines import IndexAddon
from pipelines.embedding_config import EmbeddingConfig
from pipelines.providers import ProviderSpec


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROVIDER", "MODEL", "DIMENSIONS", "BATCH_SIZE", "TIMEOUT", "LINGER", "CONCURRENCY"):
        monkeypatch.delenv(f"LCL_EMBEDDING_{name}", raising=False)


def config(**given: Any) -> EmbeddingConfig:
    settings = Settings({f"LCL_EMBEDDING_{name}": value for name, value in given.items()})
    IndexAddon.update_pre_crawler_settings(settings)
    return EmbeddingConfig.from_settings(settings)


def test_the_defaults_of_the_settings_are_those_of_the_class():
    assert config() == EmbeddingConfig("local", None, None)
    assert config().spec == ProviderSpec("local")


def test_settings_come_as_words_from_the_environment(monkeypatch):
    monkeypatch.setenv("LCL_EMBEDDING_LINGER", "0.5")
    given = config(PROVIDER="openai", MODEL="m", DIMENSIONS="256", REQUESTS_PER_MINUTE="300", TOKENS_PER_MINUTE="")
    assert given == replace(
        EmbeddingConfig("openai", "m", 256), linger=0.5, requests_per_minute=300, tokens_per_minute=None
    )
    assert given.spec == ProviderSpec("openai", "m", 256)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROVIDER", "other"),
        ("DIMENSIONS", "4001"),
        ("BATCH_SIZE", "0"),
        ("BATCH_SIZE", "2049"),
        ("TOKENS_PER_REQUEST", "1"),
        ("CONCURRENCY", "many"),
        ("LINGER", "nan"),
        ("LINGER", "-1"),
        ("REQUESTS_PER_MINUTE", "0"),
        ("TOKENS_PER_MINUTE", "1.5"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_it_may_be(name, value):
    with pytest.raises(ValueError, match=f"LCL_EMBEDDING_{name} is '{value}'.*(give|choose)"):
        config(**{name: value})
