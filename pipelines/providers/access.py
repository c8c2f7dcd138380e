"""Where an OpenAI-compatible server is and with which key, and how neither's secret is ever told.

`OPENAI_BASE_URL` and `OPENAI_API_KEY` come from the environment, under the names that the client library reads.
"""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from pipelines.providers.base import ProviderMisconfigured

if TYPE_CHECKING:
    from pipelines.providers.base import ProviderSpec

KEY = "OPENAI_API_KEY"
BASE_URL = "OPENAI_BASE_URL"
DEFAULT_URL = "https://api.openai.com/v1"
SHOWN = 300  # characters of a server's error
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Access:
    """How a server is reached. `url` has no user in it; one that was given stands in `authorization`, for HTTP Basic.

    `key_name` and `url_name` are what an operator would have to correct.
    """

    url: str
    key: str = field(repr=False)
    authorization: str | None = field(repr=False)
    key_name: str
    url_name: str
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def server(self) -> str:
        """The server's name and port, which is no secret."""
        parts = urlsplit(self.url)
        return parts.netloc

    def shown(self, error: object) -> str:
        """Return a text as one short line, without the secrets that a server may echo."""
        text = str(error)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:SHOWN]


def access_of(spec: ProviderSpec) -> Access:
    """Return how the server of a spec is reached.

    Raises `ProviderMisconfigured` when the URL is none, when the key is missing, and when it is not known for which key
    a server other than the environment's asks: a key is only ever sent to the server it is for.
    """
    given = os.environ.get(BASE_URL) or DEFAULT_URL
    own = _parts(given, BASE_URL)
    parts, url_name = own, BASE_URL
    if spec.base_url is not None:
        url_name = "--base-url"
        parts = _parts(spec.base_url, url_name)
        if parts.username is not None:
            msg = f"{url_name} holds a user name or password, and would be stored: give them in {BASE_URL}, or a key"
            raise ProviderMisconfigured(msg)
        if _origin(parts) == _origin(own):
            parts = own._replace(path=parts.path)
        elif spec.api_key_env is None:
            msg = (
                f"{parts.hostname} is not the server of {BASE_URL}, so {KEY} is not sent to it. Name the variable that "
                f"holds its key: --api-key-env NAME"
            )
            raise ProviderMisconfigured(msg)
    key_name = spec.api_key_env or KEY
    key = os.environ.get(key_name)
    if not key:
        msg = (
            f"{key_name} is not set in the environment. Set it (any word for a local server); a new index does without "
            "where LCL_EMBEDDING_PROVIDER is local"
        )
        raise ProviderMisconfigured(msg)
    if key.split() != [key] or not key.isprintable() or not key.isascii():
        msg = f"{key_name} holds characters that no key has (a blank or a line end, perhaps): set it again"
        raise ProviderMisconfigured(msg)
    host = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=host, fragment="").geturl()
    if spec.base_url is not None:
        url_name = f"{url_name}, as given to scrapy reembed"
    return Access(url, key, _basic(parts), key_name, url_name, _secrets(key, parts))


def _parts(url: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:
        is_url = False
    if not is_url:
        # The value itself is not told: what cannot be read may hold a password anywhere.
        msg = f"{name} is no URL of a server: it should look like https://api.openai.com/v1"
        raise ProviderMisconfigured(msg)
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _pair(parts: SplitResult) -> str | None:
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username is not None else None


def _basic(parts: SplitResult) -> str | None:
    pair = _pair(parts)
    return None if pair is None else f"Basic {b64encode(pair.encode()).decode()}"


def _secrets(key: str, parts: SplitResult) -> tuple[str, ...]:
    """Return every form in which a secret may be echoed, longest first, so that no part of a longer one is left."""
    found = {key}
    if (pair := _pair(parts)) is not None:
        found |= {b64encode(pair.encode()).decode(), pair, parts.netloc.rpartition("@")[0]}
        alone = parts.password or parts.username or ""  # some services take a key for the user's name
        found |= {secret for secret in (alone, unquote(alone)) if secret}
    return tuple(sorted(found, key=len, reverse=True))
