"""Which model is used, and what is told of settings that name another."""

from __future__ import annotations

import pytest
from scrapy.settings import Settings

from db.errors import ModelMismatch
from db.models import Model
from pipelines.addon import IndexAddon
from pipelines.index_model import Named, chunker_of, held_to, spec_of, takes_batches
from pipelines.providers import ProviderMisconfigured, ProviderSpec

MODEL = Model(1, "openai", "e5", 384, "markdown-1000-v1", base_url="http://127.0.0.1/v1", api_key_env="E5_KEY")


def named(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], **given: str) -> Named:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(given)
    IndexAddon.update_pre_crawler_settings(settings)
    return Named.from_settings(settings)


def test_defaults_name_no_model(monkeypatch):
    assert named(monkeypatch, {}).unlike(MODEL) is None


def test_settings_that_name_the_model_of_the_index_are_not_told_of(monkeypatch):
    same = {"LCL_EMBEDDING_PROVIDER": "openai", "LCL_EMBEDDING_MODEL": "e5", "LCL_EMBEDDING_DIMENSIONS": "384"}
    assert named(monkeypatch, same, LCL_CHUNK_SIZE="1000").unlike(MODEL) is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LCL_EMBEDDING_PROVIDER", "local", "LCL_EMBEDDING_PROVIDER names local"),
        ("LCL_EMBEDDING_MODEL", "e6", "LCL_EMBEDDING_MODEL names e6"),
        ("LCL_EMBEDDING_DIMENSIONS", "256", "LCL_EMBEDDING_DIMENSIONS names 256"),
        ("LCL_CHUNK_SIZE", "700", "LCL_CHUNK_SIZE names markdown-700-v1"),
    ],
)
def test_a_setting_that_names_something_else_is_told_of_also_when_it_is_the_default(monkeypatch, name, value, told):
    for unlike in (named(monkeypatch, {}, **{name: value}), named(monkeypatch, {name: value})):
        message = unlike.unlike(MODEL)
        assert message is not None
        assert told in message
        assert "openai/e5 (384 dimensions, chunker markdown-1000-v1)" in message
        assert "scrapy reembed" in message


def test_a_model_is_reached_as_its_row_says():
    assert spec_of(MODEL, ProviderSpec("local")) == ProviderSpec("openai", "e5", None, "http://127.0.0.1/v1", "E5_KEY")


@pytest.mark.parametrize(
    ("asks", "configured", "dimensions"),
    [
        (True, ProviderSpec("local"), 384),
        (False, ProviderSpec("openai", "e5", 384), 384),
        (False, ProviderSpec("openai", "e5", 256), None),
        (False, ProviderSpec("openai", "other", 384), None),
    ],
    ids=["the row says so", "the settings say so", "another length", "another model"],
)
def test_a_length_is_asked_for_only_where_it_was(asks, configured, dimensions):
    model = Model(1, "openai", "e5", 384, "markdown-1000-v1", asks_dimensions=asks)
    assert spec_of(model, configured).dimensions == dimensions


def test_vectors_of_another_length_are_not_those_of_the_model():
    held_to(MODEL, 384)
    with pytest.raises(ModelMismatch, match="answers vectors of 768 dimensions"):
        held_to(MODEL, 768)


def test_a_provider_without_batches_says_so():
    takes_batches("openai")
    with pytest.raises(ProviderMisconfigured, match="the provider local takes no batches: unset LCL_EMBEDDING_BATCH"):
        takes_batches("local")


def test_chunks_are_cut_as_the_row_says():
    assert chunker_of(MODEL).size == 1000


@pytest.mark.parametrize("version", ["markdown-1000-v2", "markdown-0-v1", "words-1000-v1", ""])
def test_a_way_of_cutting_that_this_code_lacks_says_so(version):
    model = Model(1, "openai", "e5", 384, version)
    with pytest.raises(ModelMismatch, match="which this version of LCL Spiders cannot"):
        chunker_of(model)
