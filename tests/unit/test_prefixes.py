"""What stands before texts: part of how chunks are made, and so of which model it is."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.settings import Settings

from db.models import Model
from lcl_spiders.reembedding.asked import Asked, chosen
from pipelines.addon import IndexAddon
from pipelines.chunker import Chunker, UnknownChunker
from pipelines.config import Config
from pipelines.index_model import Named
from pipelines.prefixes import Prefixes

E5 = Prefixes("query: ", "passage: ")
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=50)
ACTIVE = Model(1, "openai", "e5", 384, Chunker(1000, E5).version, "active", "http://127.0.0.1/v1")


def settings(**given: str) -> Settings:
    made = Settings(given)
    IndexAddon.update_pre_crawler_settings(made)
    return made


def test_what_is_sent_begins_with_the_prefix_and_what_is_kept_does_not() -> None:
    (plain,), (chunk,) = Chunker(1000).cut("Boats leave at nine."), Chunker(1000, E5).cut("Boats leave at nine.")
    assert (plain.sent, chunk.sent) == ("Boats leave at nine.", "passage: Boats leave at nine.")
    assert chunk.text == plain.text
    assert chunk.hash == hashlib.sha256(chunk.sent.encode()).digest() != plain.hash


@given(TEXTS, TEXTS)
def test_a_version_says_how_texts_are_made(query: str, passage: str) -> None:
    made = Chunker(700, Prefixes(query, passage))
    read = Chunker.of(made.version)
    assert (read.size, read.prefixes) == (700, made.prefixes)
    assert (made.version == "markdown-700-v1") == (query == passage == "")


@pytest.mark.parametrize(
    "version", ["markdown-700-v1 []", 'markdown-700-v1 ["a"]', 'markdown-700-v1 ["a", 1]', "markdown-700-v1 [", "x"]
)
def test_a_version_that_cannot_be_read_is_not_cut_like(version: str) -> None:
    with pytest.raises(UnknownChunker):
        Chunker.of(version)


def test_settings_name_the_prefixes_of_a_new_index() -> None:
    given = settings(LCL_EMBEDDING_QUERY_PREFIX="query: ", LCL_EMBEDDING_PASSAGE_PREFIX="passage: ")
    assert Config.from_settings(given).prefixes == E5
    assert Config.from_settings(settings()).prefixes == Prefixes()


@pytest.mark.parametrize("value", ["x" * 501, "a\0b", "\ud800"])
def test_what_can_be_no_prefix_is_named(value: str) -> None:
    with pytest.raises(ValueError, match="LCL_EMBEDDING_QUERY_PREFIX"):
        Config.from_settings(settings(LCL_EMBEDDING_QUERY_PREFIX=value))


def test_settings_that_name_other_prefixes_than_the_indexs_model_has_are_told_of() -> None:
    same = settings(LCL_EMBEDDING_QUERY_PREFIX="query: ", LCL_CHUNK_SIZE="1000")
    assert Named.from_settings(same).unlike(ACTIVE) is None
    told = Named.from_settings(settings(LCL_EMBEDDING_PASSAGE_PREFIX="text: ")).unlike(ACTIVE)
    assert told is not None
    assert "LCL_EMBEDDING_PASSAGE_PREFIX names 'text: '" in told


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        (Asked(chunk_size=500), Chunker(500, E5)),
        (Asked(query_prefix=""), Chunker(1000, Prefixes("", "passage: "))),
        (Asked(model="large"), Chunker(1000)),
        (Asked(model="large", passage_prefix="p: "), Chunker(1000, Prefixes("", "p: "))),
    ],
    ids=["other chunks of the same model", "another prefix", "another model", "another model with one"],
)
def test_prefixes_go_with_the_model_they_are_for(asked: Asked, made: Chunker) -> None:
    assert chosen(asked, [ACTIVE]).chunker_version == made.version


def test_a_stored_model_with_other_prefixes_is_not_the_one_that_is_meant() -> None:
    assert chosen(Asked(model="e5", passage_prefix="passage: "), [ACTIVE]) == ACTIVE
    assert chosen(Asked(model="e5", passage_prefix="text: "), [ACTIVE]).id == 0
