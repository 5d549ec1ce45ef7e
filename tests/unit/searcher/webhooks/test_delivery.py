"""Every event reaches its receiver, however often that fails; and no address inside is reached."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import common.network.checked_request
from common.errors import UsageError
from common.metrics import Metrics
from common.settings import Settings, WebhookSettings
from common.state.deliveries import Delivery
from common.state.events import Event
from common.state.state import State
from common.state.webhooks import MAX_WEBHOOKS, NewWebhook
from searcher.webhooks.deliverer import Deliverer
from searcher.webhooks.sender import Sender, SendError, check_url
from storyhash.client.webhooks import verify_webhook
from storyhash.services.webhook_worker import WebhookWorker
from tests.support.http_server import running
from tests.support.services import wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOCAL = WebhookSettings(
    private_hosts=("127.0.0.1",), first_retry_seconds=0.01, timeout_seconds=60, max_attempts=30
)


class Receiver:
    """Answers the n-th request with `status(n)`, and keeps what it accepted."""

    def __init__(self) -> None:
        self.status: Callable[[int], int] = lambda number: 200
        self.location = ""
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.accepted: list[tuple[dict[str, str], bytes]] = []
        self.url = ""
        self._lock = threading.Lock()

    @contextmanager
    def serving(self) -> Iterator[None]:
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver._lock:
                    request = (dict(self.headers), body)
                    receiver.requests.append(request)
                    status = receiver.status(len(receiver.requests))
                    if status < 300:
                        receiver.accepted.append(request)
                self.send_response(status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

        with running(Hook) as url:
            self.url = f"{url}/hook"
            yield


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is looked for more often than a service does it."""
    monkeypatch.setattr("searcher.webhooks.deliverer._TICK_SECONDS", 0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    with made.serving():
        yield made


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(Settings(data_dir=tmp_path / "data", webhooks=LOCAL)) as opened:
        yield opened


def event(number: int) -> Event:
    return Event("video.deleted", frozenset({"b"}), {"video_id": f"{number}.mp4", "bank": "b"})


@contextmanager
def delivering(state: State, metrics: Metrics) -> Iterator[WebhookWorker]:
    worker = WebhookWorker(lambda: state, LOCAL, metrics)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        worker.join()


def states(state: State, webhook_id: str) -> Counter[str]:
    rows, _, _ = state.deliveries.page(webhook_id, None, None, 1000)
    return Counter(row.state for row in rows)


def test_a_receiver_that_fails_half_the_time_gets_every_event(
    receiver: Receiver, state: State
) -> None:
    receiver.status = lambda number: 500 if number % 2 else 204
    webhook, secret = state.webhooks.create(NewWebhook(receiver.url))
    events = [event(number) for number in range(8)]
    state.webhooks.enqueue(*events)
    metrics = Metrics.create("serve")
    with delivering(state, metrics):
        wait_until(lambda: states(state, webhook.id)["delivered"] == 8, "8 events", pause=0.02)
    got = [verify_webhook(secret, headers, body) for headers, body in receiver.accepted]
    assert {one["id"] for one in got} == {one.id for one in events}
    assert {one["data"]["video_id"] for one in got} == {f"{number}.mp4" for number in range(8)}
    # Also what was not accepted had the same id at each attempt.
    sent = Counter(headers["webhook-id"] for headers, _ in receiver.requests)
    assert set(sent) == {one.id for one in events}
    assert sum(sent.values()) == 16
    value = metrics.registry.get_sample_value
    assert value("storyhash_webhook_deliveries_total", {"outcome": "delivered"}) == 8
    assert value("storyhash_webhook_deliveries_total", {"outcome": "failed"}) == 8


def test_what_was_being_sent_in_a_crash_is_sent_after_the_restart(
    receiver: Receiver, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, secret = state.webhooks.create(NewWebhook(receiver.url))
    state.webhooks.enqueue(event(1))
    # The process dies when the receiver has the event, and before that is stored.
    (attempt,) = state.deliveries.take((), 1, lease_seconds=0.0)
    sender = Sender(LOCAL)
    body = attempt.body.encode()
    asyncio.run(sender.send(attempt.url, attempt.secret, attempt.event_id, body))
    with delivering(state, Metrics.create("serve")):
        wait_until(lambda: states(state, webhook.id)["delivered"] == 1, "the event", pause=0.02)
    first, second = (verify_webhook(secret, headers, body) for headers, body in receiver.accepted)
    assert first == second


def test_a_service_that_stops_gives_back_what_it_was_sending(
    receiver: Receiver, state: State
) -> None:
    hold = threading.Event()

    def waiting(number: int) -> int:
        hold.wait(300)
        return 200

    receiver.status = waiting
    webhook, _ = state.webhooks.create(NewWebhook(receiver.url))
    state.webhooks.enqueue(event(1))
    with delivering(state, Metrics.create("serve")) as worker:
        wait_until(lambda: bool(receiver.requests), "the request", pause=0.01)
        worker.stop()
        worker.join()
        hold.set()
    ((row,), _, _) = state.deliveries.page(webhook.id, None, None, 9)
    assert (row.state, row.attempts) == ("pending", 0)


def test_a_broken_receiver_rests_and_delays_no_other(receiver: Receiver, state: State) -> None:
    """Without a rest, 30 attempts would follow one another within half a second."""
    broken, _ = state.webhooks.create(NewWebhook("http://127.0.0.1:1/closed"))
    works, _ = state.webhooks.create(NewWebhook(receiver.url))
    state.webhooks.enqueue(*(event(number) for number in range(4)))

    def tried() -> list[Delivery]:
        return [row for row in state.deliveries.page(broken.id, None, None, 100)[0] if row.error]

    with delivering(state, Metrics.create("serve")):
        wait_until(lambda: states(state, works.id)["delivered"] == 4, "4 events", pause=0.02)
        wait_until(lambda: tried() != [], "an attempt", pause=0.02)
    assert states(state, broken.id) == {"pending": 4}
    assert all(row.status is None for row in tried())


class Waiting(Sender):
    """Refuses as it is told, and notes when it was asked, by a clock that each look moves on."""

    def __init__(self, refuses: Callable[[int], bool]) -> None:
        super().__init__(LOCAL)
        self._refuses = refuses
        self.now = 0.0
        self.asked: list[float] = []

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    async def send(self, *_: Any) -> int:
        self.asked.append(self.now)
        if self._refuses(len(self.asked)):
            raise SendError("refused", 500)
        return 204


@pytest.mark.parametrize("works", [True, False])
def test_a_receiver_rests_after_failures_unless_it_has_just_accepted_an_event(
    state: State, works: bool
) -> None:
    """12 attempts: the first of them is accepted, or none is."""
    webhook, _ = state.webhooks.create(NewWebhook("https://example.org/hook"))
    state.webhooks.enqueue(*(event(number) for number in range(12)))
    sender = Waiting(lambda number: not (works and number == 1))
    deliverer = Deliverer(state.deliveries, sender, Metrics.create("serve"), 2, sender.clock)
    stopping = threading.Event()

    async def until_asked() -> None:
        task = asyncio.create_task(deliverer.run(stopping))
        while len(sender.asked) < 12:
            # A rest is over when its time has come.
            sender.now = max([sender.now, *deliverer.rests.values()])
            await asyncio.sleep(0.01)
        stopping.set()
        await task

    asyncio.run(asyncio.wait_for(until_asked(), 300))
    assert (max(sender.asked) >= 1.0) is not works
    assert states(state, webhook.id)["delivered"] == int(works)


def send(url: str, settings: WebhookSettings = LOCAL) -> int:
    return asyncio.run(Sender(settings).send(url, SECRET, "evt_1", b"{}"))


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status = lambda number: 307
    receiver.location = receiver.url
    with pytest.raises(SendError, match="answered with 307; no redirect is followed") as failed:
        send(receiver.url)
    assert failed.value.status == 307
    assert len(receiver.requests) == 1


def test_a_receiver_that_never_ends_its_answer_is_left() -> None:
    """Each byte comes before a time-out of reading, so only the whole attempt has one."""
    quick = LOCAL.model_copy(update={"timeout_seconds": 0.3})

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def attempt() -> None:
        server = await asyncio.start_server(dripping, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SendError, match=r"no answer within 0\.3 s"):
            await Sender(quick).send(f"http://127.0.0.1:{port}/", SECRET, "evt_1", b"{}")
        server.close()

    asyncio.run(attempt())


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/"),
        *("https://169.254.169.254/latest", "https://[::ffff:127.0.0.1]/", "https://0/"),
        *("https://2130706433/", "https://0x7f.1/", "https://017700000001/", "https://127.1/"),
        *("https://localhost/", "http://example.org/", "ftp://example.org/", "file:///etc/passwd"),
        *("https://user:secret@example.org/", "https://", "nothing", "https://a b/", "//x"),
    ],
)
def test_an_address_that_is_not_public_is_refused_when_made_and_when_sent(url: str) -> None:
    public = WebhookSettings()
    with pytest.raises(UsageError, match="url: "):
        check_url(url, public)
    with pytest.raises(SendError) as refused:
        send(url, public)
    assert "secret" not in str(refused.value)


def test_a_name_that_is_given_a_private_address_later_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answers of DNS change between the check and the attempt."""
    addresses = iter([["93.184.216.34"], ["93.184.216.34", "127.0.0.1"], ["192.168.1.1"]])

    def resolve(*_: Any, **__: Any) -> list[str]:
        return next(addresses)

    monkeypatch.setattr(common.network.checked_request, "resolve", resolve)
    url = "https://example.org/hook"
    check_url(url, WebhookSettings())
    for _ in range(2):
        with pytest.raises(SendError, match="private address"):
            send(url, WebhookSettings())


def test_a_host_that_the_settings_name_may_be_private(receiver: Receiver) -> None:
    check_url(receiver.url, LOCAL)
    assert send(receiver.url) == 200
    ((headers, body),) = receiver.requests
    assert (headers["Content-Type"], body) == ("application/json", b"{}")
    assert json.loads(body) == {}


def test_an_error_that_nobody_foresaw_costs_one_delivery(
    receiver: Receiver, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, _ = state.webhooks.create(NewWebhook(receiver.url))
    state.webhooks.enqueue(event(1), event(2))
    real, failures = Sender.send, iter([ValueError("a bug")])

    async def send_(self: Sender, *given: Any) -> int:
        for error in failures:
            raise error
        return await real(self, *given)

    monkeypatch.setattr(Sender, "send", send_)
    deliverer = Deliverer(state.deliveries, Sender(LOCAL), Metrics.create("serve"), 2)
    stopping = threading.Event()

    async def until_delivered() -> None:
        task = asyncio.create_task(deliverer.run(stopping))
        while states(state, webhook.id)["delivered"] < 2:
            await asyncio.sleep(0.02)
        stopping.set()
        await task

    asyncio.run(asyncio.wait_for(until_delivered(), 300))
    assert len(receiver.accepted) == 2


def test_one_receiver_gets_its_event_while_all_others_hang(state: State) -> None:
    made = [
        state.webhooks.create(NewWebhook(f"https://example.org/{number}"))[0]
        for number in range(MAX_WEBHOOKS)
    ]
    state.webhooks.enqueue(event(1))
    # The database may take them in the order of their ids.
    last, stopping = max(made, key=lambda one: one.id), threading.Event()

    class Hanging(Sender):
        async def send(self, url: str, *_: Any) -> int:
            if url != last.url:
                await asyncio.Event().wait()
            stopping.set()
            return 200

    deliverer = Deliverer(state.deliveries, Hanging(LOCAL), Metrics.create("serve"), 60.0)

    async def deliver() -> None:
        await asyncio.wait_for(deliverer.run(stopping), 60)

    asyncio.run(deliver())
    assert states(state, last.id)["delivered"] == 1
