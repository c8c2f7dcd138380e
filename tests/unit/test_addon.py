"""What the add-on puts into a project's settings."""

import pytest
from scrapy.settings import Settings

from pipelines import IndexAddon


def filled(**given: str) -> Settings:
    settings = Settings(given)
    IndexAddon.update_pre_crawler_settings(settings)
    return settings


def test_settings_come_from_the_project_else_the_environment_else_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCL_CHUNK_SIZE", "700")
    monkeypatch.setenv("LCL_RECRAWL_AFTER", "1")
    settings = filled(LCL_RECRAWL_AFTER="2")
    named = ("LCL_CHUNK_SIZE", "LCL_RECRAWL_AFTER", "LCL_EMBEDDING_PROVIDER")
    assert [settings[name] for name in named] == ["700", "2", "local"]


@pytest.mark.parametrize("name", ["LCL_SEARCH_KEY", "LCL_PROXY_PASSWORD", "LCL_API_SECRET", "LCL_API_TOKEN"])
def test_secrets_stay_in_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "never to be seen")
    assert "never to be seen" not in str(filled().copy_to_dict())
