"""Commands and searchers send their key, and say what to do when it is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from common.errors import DependencyError, EmbedderUnavailableError, SettingsError, UsageError
from common.http.health import Health
from common.http.server import HttpServer
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.roles import Role
from common.state.state import State
from common.types import EVERYWHERE
from embedder.server import embed_app
from storyhash.client.calls.embedder import model
from storyhash.client.catalogue import RemoteCatalogue
from storyhash.client.retries import ONLY_BUSY
from storyhash.client.transport import SyncTransport
from storyhash.query.remote import RemoteQueries
from tests.support.keys import access_over, key_of

SETTINGS = HttpSettings(port=0, require_keys="always", requests_per_minute=3)


@pytest.fixture
def url(state: State) -> Iterator[str]:
    """An embedder that requires keys."""

    def no_query(*_: object) -> None:
        raise AssertionError("nobody with a key asks for a query")

    app = embed_app(
        *(no_query, "model-1", Health(None, (), 60.0), Metrics.create("test"), SETTINGS),  # type: ignore[arg-type]
        access=access_over(state, SETTINGS),
    )
    with HttpServer(app, SETTINGS) as server:
        yield server.url


def secret(headers: dict[str, str]) -> SecretStr:
    return SecretStr(headers["Authorization"].removeprefix("Bearer "))


def test_a_key_is_sent(url: str, state: State) -> None:
    with SyncTransport(url, secret(key_of(state, Role.READER))) as service:
        assert service.send(model()).model_id == "model-1"


def test_a_service_that_wants_a_key_says_where_to_set_it(url: str) -> None:
    for empty in (None, SecretStr("")):
        with (
            RemoteCatalogue(url, empty) as catalogue,
            pytest.raises(UsageError, match="requires an API key: set STORYHASH_API_KEY") as caught,
        ):
            catalogue.videos(1, "")
        assert caught.value.code == "unauthorized"


def test_a_key_that_is_refused_is_named_by_its_setting_and_not_shown(url: str) -> None:
    wrong = "sh_0123456789ab_" + "A" * 43
    with (
        RemoteCatalogue(url, SecretStr(wrong)) as catalogue,
        pytest.raises(UsageError, match="does not accept the key in STORYHASH_API_KEY") as caught,
    ):
        catalogue.videos(1, "")
    assert wrong not in str(caught.value)


def test_what_cannot_be_a_key_is_a_mistake_in_the_settings() -> None:
    for text in ("sh_\n", "sh_é", "two words"):
        with pytest.raises(SettingsError, match="STORYHASH_API_KEY: expected a key"):
            SyncTransport("http://127.0.0.1:9", SecretStr(text))


def test_too_many_requests_are_no_mistake_of_the_caller(url: str, state: State) -> None:
    waits: list[float] = []
    key = secret(key_of(state, Role.READER))
    with SyncTransport(url, key, retries=ONLY_BUSY, sleep=waits.append) as service:
        for _ in range(3):
            service.send(model())
        with pytest.raises(DependencyError, match="the key may send 3 requests per minute"):
            service.send(model())
    # As long as the service says, each time.
    assert len(waits) == ONLY_BUSY.attempts - 1


def test_a_searcher_whose_key_an_embedder_refuses_tells_its_caller_503(url: str) -> None:
    for key in (None, SecretStr("sh_0123456789ab_" + "A" * 43)):
        queries = RemoteQueries([url], timeout_seconds=60, key=key)
        with (
            queries.open("https://example.com/a.mp4", "a", "model-1") as query,
            pytest.raises(EmbedderUnavailableError, match="STORYHASH_SERVICE__EMBEDDER_API_KEY"),
        ):
            list(query.take_pass("first", EVERYWHERE))
        queries.close()
