"""The openai provider against a server that speaks HTTP: one request a call, and what each answer means."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
from base64 import b64encode
from email.utils import formatdate
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipelines import providers
from pipelines.embedding_config import EmbeddingConfig
from pipelines.providers import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderSpec,
    ProviderUnavailable,
    UnusableVector,
)
from pipelines.providers.base import Quota
from tests.support.faulty_provider import (
    DIMENSIONS,
    HANG,
    PROBE,
    RESET,
    FaultyProvider,
    Reply,
    faulty_provider,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pipelines.providers import EmbeddingProvider

KEY = "sk-very-secret-0123456789"
CONFIG = EmbeddingConfig("openai", "double", None, timeout=20)
PRIVATE = "a very private text"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProvider]:
    with faulty_provider() as running:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


@pytest.fixture
async def provider(server: FaultyProvider) -> AsyncIterator[EmbeddingProvider]:
    made = providers.create(ProviderSpec("openai", "double"), CONFIG)
    yield made
    await made.close()


@pytest.mark.parametrize("has_floats", [False, True], ids=["base64", "floats"])
async def test_vectors_are_asked_for_in_base64_and_taken_as_floats_where_the_server_knows_no_other(
    server, provider, has_floats
):
    server.has_floats = has_floats
    answer = await provider.embed(["a", "b"])
    assert server.requests[0].body == {"model": "double", "input": ["a", "b"], "encoding_format": "base64"}
    assert answer.vectors.shape == (2, DIMENSIONS)
    assert np.allclose(np.linalg.norm(answer.vectors, axis=1), 1)
    assert answer.total_tokens == 2


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (refusal(400), ProviderRefused, "refuses a text"),
        (refusal(413), ProviderRefused, "refuses a text"),
        (refusal(422), ProviderRefused, "refuses a text"),
        (refusal(401), ProviderMisconfigured, "OPENAI_API_KEY"),
        (refusal(403), ProviderMisconfigured, "OPENAI_API_KEY"),
        (refusal(404), ProviderMisconfigured, "LCL_EMBEDDING_MODEL"),
        (refusal(405), ProviderMisconfigured, "OPENAI_BASE_URL"),
        (Reply(307, {}, {"Location": "http://127.0.0.1:9/v1/embeddings"}), ProviderMisconfigured, "OPENAI_BASE_URL"),
        (refusal(408), ProviderBusy, "408"),
        (refusal(409), ProviderBusy, "409"),
        (refusal(429), ProviderBusy, "429"),
        (refusal(500), ProviderBusy, "500"),
        (refusal(503), ProviderBusy, "503"),
        (refusal(529), ProviderBusy, "529"),
        (refusal(429, code="insufficient_quota"), ProviderUnavailable, "no money"),
        (Reply(200, b"<html>"), ProviderBusy, "no OpenAI-compatible API"),
        (Reply(200, {"data": []}), UnusableVector, "0 vectors for 1 texts"),
        (Reply(200, b""), ProviderBusy, "no OpenAI-compatible API"),
        (RESET, ProviderBusy, "does not answer"),
    ],
    ids=lambda value: f"{value.status} {value.manner}" if isinstance(value, Reply) else None,
)
async def test_each_answer_means_one_thing_and_is_asked_for_once(server, provider, reply, error, says):
    server.plan.append(reply)
    with pytest.raises(ProviderError, match=says) as caught:
        await provider.embed(["a"])
    assert type(caught.value) is error
    assert len(server.requests) == 1
    assert caught.value.__cause__ is None


async def test_no_answer_in_time_is_told_as_such(server):
    provider = providers.create(ProviderSpec("openai", "double"), EmbeddingConfig("openai", None, None, timeout=0.05))
    server.plan.append(HANG)
    with pytest.raises(ProviderBusy) as caught:
        await provider.embed(["a"])
    assert caught.value.is_late
    await provider.close()


async def test_a_server_that_is_not_there_is_named(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    provider = providers.create(ProviderSpec("openai", "double"), CONFIG)
    with pytest.raises(ProviderBusy, match=r"127\.0\.0\.1:9 does not answer.*OPENAI_BASE_URL"):
        await provider.embed(["a"])
    await provider.close()


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry_After": "7"}, 7, 7),
        ({"Retry_After_Ms": "1500", "Retry_After": "2"}, 1.5, 1.5),
        ({"Retry_After": formatdate(time.time() + 3600, usegmt=True)}, 3000, 3600),
    ],
)
async def test_what_a_busy_server_asks_to_wait_is_told(server, provider, headers, least, most):
    server.plan.append(refusal(429, **headers))
    with pytest.raises(ProviderBusy) as caught:
        await provider.embed(["a"])
    assert least <= caught.value.retry_after <= most
    assert caught.value.is_limit


async def test_the_limits_that_an_answer_tells_are_told_also_by_one_that_fails(server, provider):
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
    server.headers = headers
    assert (await provider.embed(["a"])).limits.requests == Quota(60, 59, 1.0)
    server.plan.append(Reply(429, {}, headers))
    with pytest.raises(ProviderBusy) as caught:
        await provider.embed(["a"])
    assert caught.value.limits.requests == Quota(60, 59, 1.0)


async def test_shorter_vectors_are_asked_for_only_where_the_models_own_are_longer(server):
    for wanted, sent in ((DIMENSIONS, [None]), (4, [None, 4])):
        server.requests.clear()
        provider = providers.create(ProviderSpec("openai", "double", wanted), CONFIG)
        assert (await provider.probe()).vectors.shape == (1, wanted)
        assert [request.body.get("dimensions") for request in server.requests] == sent
        assert (await provider.embed(["a"])).vectors.shape == (1, wanted)
        assert server.requests[-1].body.get("dimensions") == sent[-1]
        await provider.close()


async def test_texts_on_their_way_get_shorter_vectors_also_while_the_provider_is_probed_again(server):
    provider = providers.create(ProviderSpec("openai", "double", 4), CONFIG)
    await provider.probe()
    asked, answered, reply = threading.Event(), threading.Event(), server.reply

    def held(request):
        if request.body["input"] == PROBE and not answered.is_set():
            asked.set()
            answered.wait(20)
        return reply(request)

    server.reply = held
    probing = asyncio.create_task(provider.probe())
    assert await asyncio.to_thread(asked.wait, 20)
    try:
        vectors = (await provider.embed(["a"])).vectors
    finally:
        answered.set()
    assert vectors.shape == (1, 4)
    assert (await probing).vectors.shape == (1, 4)
    await provider.close()


async def test_a_probe_that_fails_leaves_what_is_known_of_the_model_alone(server):
    provider = providers.create(ProviderSpec("openai", "double", 4), CONFIG)
    await provider.probe()
    server.probe = refusal(503)
    with pytest.raises(ProviderBusy):
        await provider.probe()
    assert (await provider.embed(["a"])).vectors.shape == (1, 4)
    await provider.close()


async def test_an_answer_that_breaks_off_is_asked_for_again(server, provider):
    server.plan.append(Reply(200, b'{"data": [', {"Content-Length": "1000"}))
    with pytest.raises(ProviderBusy, match="does not answer"):
        await provider.embed(["a"])


async def test_a_dimension_that_the_server_does_not_give_names_the_setting(server, monkeypatch):
    provider = providers.create(ProviderSpec("openai", "double", 4), CONFIG)
    monkeypatch.setattr(server, "answer", lambda texts, _: FaultyProvider.answer(server, texts, {}))
    with pytest.raises(ProviderMisconfigured, match=r"double has 8 dimensions, and 4 are .*LCL_EMBEDDING_DIM"):
        await provider.probe()
    await provider.close()


async def test_a_health_check_that_is_refused_names_the_model(server, provider):
    server.probe = refusal(400, "no such model")
    with pytest.raises(ProviderMisconfigured, match="LCL_EMBEDDING_MODEL"):
        await provider.probe()


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_no_secret_that_a_server_echoes_gets_into_an_error_or_a_log(server, monkeypatch, caplog, status):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("http://", "http://user:pass-word@"))
    basic = b64encode(b"user:pass-word").decode()
    provider = providers.create(ProviderSpec("openai", "double"), CONFIG)
    server.plan.append(refusal(status, f"Bearer {KEY}, Basic {basic}, pass-word, a text"))
    with pytest.raises(ProviderError) as caught:
        await provider.embed([PRIVATE])
    assert server.requests[0].headers["Authorization"] == f"Basic {basic}"
    told = [repr(caught.value), caplog.text, *traceback.format_exception(caught.value)]
    assert [secret for secret in (KEY, basic, "pass-word", PRIVATE) if secret in "".join(told)] == []
    await provider.close()


async def test_the_key_is_sent_as_a_bearer_token(server, provider):
    await provider.embed(["a"])
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
