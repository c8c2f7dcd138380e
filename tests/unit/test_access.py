"""Which key goes to which server, and that nobody reads it elsewhere."""

from __future__ import annotations

from base64 import b64encode

import pytest

from pipelines.providers import ProviderMisconfigured, ProviderSpec
from pipelines.providers.access import access_of

KEY = "sk-very-secret-0123456789"
PASSWORD = "p%40ss"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OTHER_KEY", "other-secret")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def spec(**fields: str) -> ProviderSpec:
    return ProviderSpec("openai", "m", **fields)


def test_the_environments_key_goes_to_the_environments_server(monkeypatch):
    assert (access_of(spec()).url, access_of(spec()).key) == ("https://api.openai.com/v1", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    assert (access_of(spec()).url, access_of(spec()).key) == ("http://127.0.0.1:8000/v1", KEY)


@pytest.mark.parametrize(
    ("environment", "base_url"),
    [
        (None, "https://api.openai.com/v2"),
        (None, "https://api.openai.com:443/v1"),
        ("http://models.example:8000/v1", "http://models.example:8000/v2"),
        ("http://models.example/v1", "http://MODELS.example:80/v1"),
    ],
)
def test_another_path_of_the_same_server_takes_the_same_key(monkeypatch, environment, base_url):
    if environment:
        monkeypatch.setenv("OPENAI_BASE_URL", environment)
    assert access_of(spec(base_url=base_url)).key == KEY


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.openai.com.evil.example/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://evil.example/v1",
        "http://127.0.0.1/v1",
    ],
)
def test_a_key_is_never_sent_to_a_server_it_is_not_for(base_url):
    with pytest.raises(ProviderMisconfigured, match="--api-key-env"):
        access_of(spec(base_url=base_url))
    assert access_of(spec(base_url=base_url, api_key_env="OTHER_KEY")).key == "other-secret"


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MISSING_KEY"])
def test_a_missing_key_names_the_variable(monkeypatch, name):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ProviderMisconfigured, match=name):
        access_of(spec(api_key_env=name))


@pytest.mark.parametrize("key", ["sk-1\n", "sk\r\n-1", "schlüssel", "sk-1  ", " sk-1", "sk-1 2"])
def test_a_key_that_cannot_be_sent_is_told_without_showing_it(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ProviderMisconfigured, match="OPENAI_API_KEY") as caught:
        access_of(spec())
    assert key.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://host/v1", "https://", "http://[::1", f"http://{KEY}@:99999/", f"https://h/v1?key={KEY}"]
)
def test_what_is_no_url_of_a_server_is_told_without_showing_it(monkeypatch, url):
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ProviderMisconfigured, match="OPENAI_BASE_URL") as caught:
        access_of(spec())
    assert KEY not in str(caught.value)


def test_a_base_url_that_would_be_stored_holds_no_password():
    with pytest.raises(ProviderMisconfigured, match="--base-url") as caught:
        access_of(spec(base_url=f"https://user:{PASSWORD}@models.example/v1", api_key_env="OTHER_KEY"))
    assert PASSWORD not in str(caught.value)


def test_a_password_in_the_environments_url_becomes_a_header_and_no_echo_of_it_is_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:{PASSWORD}@models.example:8000/v1")
    access = access_of(spec())
    basic = b64encode(b"user:p@ss").decode()
    assert access.url == "http://models.example:8000/v1"
    assert access.authorization == f"Basic {basic}"
    assert access.server == "models.example:8000"
    echoed = f"no: Bearer {KEY}, Basic {basic}, http://user:{PASSWORD}@models.example p@ss user:p@ss"
    assert access.shown(echoed) == "no: Bearer ***, Basic ***, http://***@models.example *** ***"
    assert not any(secret in repr(access) for secret in (KEY, basic, PASSWORD, "p@ss"))


def test_a_key_given_as_the_urls_user_is_not_shown_alone_either(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://k%65y-word@models.example/v1")
    access = access_of(spec())
    assert access.shown("no such user: key-word, k%65y-word") == "no such user: ***, ***"


def test_a_password_of_several_words_is_not_shown_because_it_was_echoed_on_one_line(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:two%20%20words@models.example/v1")
    assert "words" not in access_of(spec()).shown("bad credentials: user:two  words")
