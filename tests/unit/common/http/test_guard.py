"""Web pages may not use a service of their readers' network, whatever name they call it by."""

from __future__ import annotations

import pytest

from common.http.health import Health
from common.http.server import new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from tests.support.queries import Client, error_of, message_of


def client(**settings: object) -> Client:
    metrics = Metrics.create("test")
    given = HttpSettings.model_validate(settings)
    app = new_app("test", Health(metrics, (), 3600.0), metrics, given)

    @app.api_route("/thing", methods=["GET", "POST", "DELETE"])
    async def thing() -> str:
        return "done"

    return Client(app)


def asked(on: Client, method: str = "POST", **headers: str) -> int | tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = on.ask(method, "/thing", headers=named)
    return 200 if answer.is_success else error_of(answer)


OURS = ["localhost", "localhost:8000", "LOCALHOST.", "films.localhost", "127.0.0.1:9", "127.1.2.3"]
THEIRS = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "0.0.0.0",
    "192.0.2.7",
    "@",
]


@pytest.mark.parametrize("host", [*OURS, "[::1]:8000", ""])
def test_a_loopback_service_is_called_by_loopback_names(host: str) -> None:
    with client() as on:
        assert asked(on, Host=host) == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("host", THEIRS)
def test_and_by_no_other(host: str, method: str) -> None:
    with client() as on:
        assert asked(on, method, Host=host) == (403, "forbidden_host")


def test_a_service_of_a_network_is_called_by_addresses_and_by_the_names_it_is_given() -> None:
    with client(host="0.0.0.0", allowed_hosts=["embedder"]) as on:
        for host in ("192.0.2.7:8000", "[2001:db8::1]:8000", "embedder:8000", "EMBEDDER"):
            assert asked(on, Host=host) == 200
        assert asked(on, Host="evil.example") == (403, "forbidden_host")


def test_a_refusal_names_the_setting() -> None:
    with client() as on:
        answer = on.get("/thing", headers={"Host": "films.example"})
        assert "'films.example'; if it is correct, add it to STORYHASH_HTTP__ALLOWED_HOSTS" in (
            message_of(answer)
        )
        assert answer.headers["Connection"] == "close"


def test_every_name_may_be_allowed_but_not_every_page() -> None:
    with client(allowed_hosts=["*"]) as on:
        assert asked(on, Host="films.example") == 200
        refused = asked(on, Host="films.example", Origin="http://evil.example")
        assert refused == (403, "forbidden_origin")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_health_answers_whatever_it_is_called(path: str) -> None:
    with client() as on:
        assert on.get(path, headers={"Host": "evil.example"}).status_code in (200, 503)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:3000", "https://127.0.0.1:8000", "file://"],
)
def test_a_page_from_elsewhere_is_refused(method: str, origin: str) -> None:
    with client() as on:
        refused = asked(on, method, Host="localhost:8000", Origin=origin)
        assert refused == (403, "forbidden_origin")


def test_a_page_of_the_service_itself_or_of_an_allowed_host_is_not() -> None:
    with client(allowed_hosts=["films.example"]) as on:
        assert asked(on, Host="localhost:8000", Origin="http://localhost:8000") == 200
        assert asked(on, Host="localhost:8000", Origin="https://films.example:8443") == 200


@pytest.mark.parametrize(("method", "refused"), [("POST", True), ("DELETE", True), ("GET", False)])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_is_of_another_site_changes_nothing(
    method: str, refused: bool, site: str
) -> None:
    with client() as on:
        answer = asked(on, method, Sec_Fetch_Site=site)
        assert answer == ((403, "forbidden_origin") if refused else 200)
        assert asked(on, method, Sec_Fetch_Site="same-origin") == 200


def test_a_body_that_is_compressed_is_refused_as_such() -> None:
    with client() as on:
        assert asked(on, Content_Encoding="identity") == 200
        assert asked(on, Content_Encoding="gzip") == (415, "unsupported_media_type")
