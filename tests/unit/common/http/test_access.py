"""Who may call a service: keys, when they are required, how long they are remembered, and their rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from common.http.access import MAX_REMEMBERED, REMEMBERED_SECONDS, Access
from common.http.health import Health
from common.http.key_routes import key_router
from common.http.rate_limit import RateLimit
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.http.server import HttpServer, new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.roles import Role
from common.state.state import State
from tests.support.clock import Clock
from tests.support.keys import access_over, key_of
from tests.support.queries import Client, error_of, message_of

ALWAYS = HttpSettings(require_keys="always")
Open = Callable[..., Client]


def app_over(access: Access, settings: HttpSettings) -> object:
    metrics = Metrics.create("test")
    app = new_app("test", Health(metrics, (), 60.0), metrics, settings, access)

    @app.get("/read", dependencies=needs(Role.READER))
    async def read(request: Request) -> dict[str, str | None]:
        return {"key_id": facts_of(request.scope).caller.key_id}

    @app.post("/write", dependencies=needs(Role.WRITER))
    async def write() -> Response:
        return Response(status_code=204)

    @app.get("/whole", dependencies=needs(Role.READER, all_banks=True))
    async def whole() -> Response:
        return Response(status_code=204)

    @app.get("/forgotten")
    async def forgotten() -> Response:
        return Response(status_code=204)

    app.add_routes(key_router(access))
    return app


@pytest.fixture
def open_client(state: State) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(settings: HttpSettings = ALWAYS, access: Access | None = None) -> Client:
            app = app_over(access or access_over(state, settings), settings)
            return stack.enter_context(Client(app))  # type: ignore[arg-type]

        yield opened


def read(client: Client, headers: dict[str, str] | None = None) -> httpx.Response:
    return client.get("/read", headers=headers or {})


def test_without_a_key_a_request_is_refused_and_told_how(open_client: Open) -> None:
    answer = read(open_client())
    assert error_of(answer) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="storyhash"'
    assert "`storyhash keys create` makes one" in message_of(answer)


def test_a_key_opens_what_its_role_may_do(open_client: Open, state: State) -> None:
    client = open_client()
    reader, writer = key_of(state, Role.READER), key_of(state, Role.WRITER)
    assert read(client, reader).status_code == 200
    refused = client.post("/write", headers=reader)
    assert error_of(refused) == (403, "forbidden")
    assert message_of(refused).startswith(
        "this needs the role writer, but the key has the role reader"
    )
    assert client.post("/write", headers=writer).status_code == 204
    assert read(client, writer).json()["key_id"] == writer["Authorization"][10:22]


def test_a_key_of_some_banks_may_not_ask_about_all(open_client: Open, state: State) -> None:
    client = open_client()
    refused = client.get("/whole", headers=key_of(state, Role.WRITER, ["news"]))
    assert error_of(refused) == (403, "forbidden")
    assert client.get("/whole", headers=key_of(state, Role.READER)).status_code == 204


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Basic {token}")],
        [("Authorization", "{token}")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer {token}x")],
        [("Authorization", "Bearer sh_0123456789ab_" + "A" * 43)],
        [("Authorization", "Bearer \xff\x00")],
        [("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")],
        [("X-Api-Key", "{token}")],
    ],
)
def test_anything_else_than_one_good_bearer_key_is_refused(
    open_client: Open, state: State, headers: list[tuple[str, str]]
) -> None:
    token = key_of(state, Role.ADMIN)["Authorization"].removeprefix("Bearer ")
    given = [(name, value.replace("{token}", token).encode("latin-1")) for name, value in headers]
    answer = open_client().get("/read", headers=given)
    assert error_of(answer) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    good = open_client().get("/read", headers={"authorization": f"bEARER {token}"})
    assert good.status_code == 200


def test_probes_need_no_key_and_metrics_only_if_told(open_client: Open, state: State) -> None:
    client = open_client()
    for path in ("/livez", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200, path
    assert error_of(client.get("/openapi.json")) == (401, "unauthorized")
    assert client.get("/openapi.json", headers=key_of(state, Role.READER)).status_code == 200
    assert error_of(client.get("/nowhere")) == (401, "unauthorized")
    strict = open_client(HttpSettings(require_keys="always", metrics_need_key=True))
    assert error_of(strict.get("/metrics")) == (401, "unauthorized")
    assert strict.get("/metrics", headers=key_of(state, Role.READER)).status_code == 200
    # They name banks.
    of_one = key_of(state, Role.WRITER, ["shows"])
    assert error_of(strict.get("/metrics", headers=of_one)) == (403, "forbidden")


def test_on_this_machine_keys_are_required_as_soon_as_there_is_one(
    open_client: Open, state: State
) -> None:
    settings, clock = HttpSettings(), Clock()
    access = access_over(state, settings, clock)
    client = open_client(settings, access)
    assert read(client).json() == {"key_id": None}
    assert read(client, {"Authorization": "Bearer sh_of_another_service"}).status_code == 200
    key = key_of(state, Role.READER)
    clock.now += REMEMBERED_SECONDS
    assert read(client).status_code == 401
    assert read(client, key).status_code == 200
    state.keys.revoke(key["Authorization"][10:22])
    clock.now += REMEMBERED_SECONDS
    assert read(client).status_code == 401


@pytest.mark.parametrize(
    ("mode", "beyond", "unauthenticated", "required"),
    [
        ("auto", False, False, False),
        ("auto", True, False, True),
        ("auto", True, True, False),
        ("always", False, False, True),
        ("always", True, True, True),
        ("never", True, False, False),
    ],
)
def test_without_any_key_the_settings_decide(
    open_client: Open, state: State, mode: str, beyond: bool, unauthenticated: bool, required: bool
) -> None:
    settings = HttpSettings.model_validate(
        {"require_keys": mode, "allow_unauthenticated": unauthenticated}
    )
    access = Access(settings, beyond_loopback=beyond)
    access.open(state)
    assert read(open_client(settings, access)).status_code == (401 if required else 200)


def test_never_means_never(open_client: Open, state: State) -> None:
    key_of(state, Role.ADMIN)
    assert read(open_client(HttpSettings(require_keys="never"))).status_code == 200


def test_before_the_state_is_open_nobody_is_let_in(open_client: Open) -> None:
    for settings in (ALWAYS, HttpSettings()):
        client = open_client(settings, Access(settings, beyond_loopback=False))
        answer = read(client, {"Authorization": "Bearer sh_0123456789ab_x"})
        assert error_of(answer) == (503, "not_ready")
        assert client.get("/livez").status_code == 200


def test_a_key_revoked_elsewhere_is_refused_within_seconds(open_client: Open, state: State) -> None:
    clock = Clock()
    client = open_client(ALWAYS, access_over(state, ALWAYS, clock))
    key = key_of(state, Role.READER)
    assert read(client, key).status_code == 200
    state.keys.revoke(key["Authorization"][10:22])
    clock.now += REMEMBERED_SECONDS - 0.1
    assert read(client, key).status_code == 200
    clock.now += 0.1
    assert error_of(read(client, key)) == (401, "unauthorized")


def test_a_key_revoked_here_is_refused_at_once(open_client: Open, state: State) -> None:
    client, admin = open_client(), key_of(state, Role.ADMIN)
    made = client.post("/v1/keys", json={"name": "ci", "role": "reader"}, headers=admin)
    assert made.status_code == 201
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    assert read(client, key).status_code == 200
    assert client.ask("DELETE", f"/v1/keys/{made.json()['id']}", headers=admin).status_code == 204
    assert error_of(read(client, key)) == (401, "unauthorized")
    again = client.ask("DELETE", "/v1/keys/0123456789ab", headers=admin)
    assert error_of(again) == (404, "unknown_key")


def test_a_key_that_expires_is_not_remembered_beyond_its_end(
    open_client: Open, state: State
) -> None:
    wall = Clock(0.0)
    access = Access(ALWAYS, beyond_loopback=False, clock=Clock(), wall_clock=wall)
    access.open(state)
    client, admin = open_client(ALWAYS, access), key_of(state, Role.ADMIN)
    body = {"name": "ci", "role": "reader", "expires_seconds": 600}
    made = client.post("/v1/keys", json=body, headers=admin).json()
    key = {"Authorization": f"Bearer {made['key']}"}
    assert read(client, key).status_code == 200
    # The database has a clock of its own: it is asked again, which an unexpired key outlives.
    state.keys.revoke(made["id"])
    assert read(client, key).status_code == 200
    wall.now = 1e12
    assert read(client, key).status_code == 401


def test_keys_are_listed_without_their_text(open_client: Open, state: State) -> None:
    client, admin = open_client(), key_of(state, Role.ADMIN)
    client.post("/v1/keys", json={"name": "tv", "role": "writer", "banks": ["tv"]}, headers=admin)
    first = client.get("/v1/keys?limit=1", headers=admin).json()
    rest = client.get(f"/v1/keys?limit=5&cursor={first['next_cursor']}", headers=admin).json()
    items = first["items"] + rest["items"]
    assert rest["next_cursor"] is None
    assert {(one["name"], one["role"]) for one in items} == {("tv", "writer"), ("admin", "admin")}
    assert all("key" not in one and "key_hash" not in one for one in items)
    for role in (Role.READER, Role.REVIEWER, Role.WRITER):
        assert client.get("/v1/keys", headers=key_of(state, role)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a"},
        {"name": "a", "role": "owner"},
        {"name": "", "role": "reader"},
        {"name": "a", "role": "reader", "banks": []},
        {"name": "a", "role": "admin", "banks": ["tv"]},
        {"name": "a", "role": "reader", "expires_seconds": 0},
        {"name": "a", "role": "reader", "more": 1},
        # 0 would mean no limit.
        {"name": "a", "role": "reader", "upload_bytes_per_day": False},
        {"name": "a", "role": "reader", "requests_per_minute": "0"},
    ],
)
def test_what_can_be_no_key_is_refused(
    open_client: Open, state: State, body: dict[str, object]
) -> None:
    answer = open_client().post("/v1/keys", json=body, headers=key_of(state, Role.ADMIN))
    assert error_of(answer) == (400, "usage")


def test_a_route_without_a_role_is_an_error_and_no_answer(open_client: Open, state: State) -> None:
    answer = open_client().get("/forgotten", headers=key_of(state, Role.ADMIN))
    assert error_of(answer) == (500, "internal")


def test_guessing_is_slowed_down_and_known_keys_are_not(open_client: Open, state: State) -> None:
    settings, clock = HttpSettings(require_keys="always", max_failed_keys_per_minute=3), Clock()
    client = open_client(settings, access_over(state, settings, clock))
    key = key_of(state, Role.READER)
    assert read(client, key).status_code == 200
    guess = {"Authorization": "Bearer sh_0123456789ab_" + "A" * 43}
    assert [read(client, guess).status_code for _ in range(4)] == [401, 401, 401, 429]
    answer = read(client, guess)
    assert error_of(answer) == (429, "too_many_requests")
    assert answer.headers["Retry-After"] == "20"
    clock.now += REMEMBERED_SECONDS
    assert read(client, key).status_code == 200
    clock.now += 20
    assert read(client, guess).status_code == 401


def test_a_key_has_its_rate_and_another_key_its_own(open_client: Open, state: State) -> None:
    settings, clock = HttpSettings(require_keys="always", requests_per_minute=2), Clock()
    client = open_client(settings, access_over(state, settings, clock))
    slow, fast = key_of(state, Role.READER), key_of(state, Role.READER, rate=0)
    assert [read(client, slow).status_code for _ in range(3)] == [200, 200, 429]
    answer = read(client, slow)
    assert (answer.headers["Retry-After"], error_of(answer)[1]) == ("30", "too_many_requests")
    assert {read(client, fast).status_code for _ in range(20)} == {200}
    clock.now += 30
    assert [read(client, slow).status_code for _ in range(2)] == [200, 429]


def test_a_rate_limit_remembers_a_bounded_number_of_callers() -> None:
    limit = RateLimit(2, Clock())
    assert limit.wait("a", 1) == 0
    assert limit.wait("a", 1) == 60
    assert [limit.wait(caller, 1) for caller in ("b", "c")] == [0, 0]
    assert limit.wait("a", 1) == 0


def test_remembered_keys_are_bounded(open_client: Open, state: State) -> None:
    access = access_over(state, ALWAYS)
    client = open_client(ALWAYS, access)
    for number in range(3):
        assert read(client, key_of(state, Role.READER)).status_code == 200
        assert access.remembered == number + 1
    assert MAX_REMEMBERED == 1024


def test_a_protected_service_may_listen_anywhere(state: State) -> None:
    settings = HttpSettings(host="0.0.0.0", port=0)
    access = Access(settings, beyond_loopback=True)
    access.open(state)
    app = app_over(access, settings)
    with HttpServer(app, settings, protected=True) as server:  # type: ignore[arg-type]
        assert httpx.get(f"{server.url}/read").status_code == 401
        assert httpx.get(f"{server.url}/livez").status_code == 200
        key = key_of(state, Role.READER)
        assert httpx.get(f"{server.url}/read", headers=key).status_code == 200
