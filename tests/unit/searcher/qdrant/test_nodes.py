"""Nodes of a cluster: another one answers for one that is gone, and errors are ours."""

from __future__ import annotations

import json
import re
import threading
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from common.errors import DependencyError
from common.settings import QdrantSettings
from searcher.qdrant import nodes as module
from searcher.qdrant.clients import check_versions
from searcher.qdrant.nodes import Node, Nodes, UnansweredError
from tests.support.background import together

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.0)


class Scripted:
    """A node that fails as often as it is told, and then answers its name."""

    def __init__(self, name: str, *failures: Exception, always: bool = False) -> None:
        self.name = name
        self.failures = list(failures)
        self.always = always
        self.calls = 0

    def answer(self) -> str:
        self.calls += 1
        if self.always:
            raise self.failures[0]
        if self.failures:
            raise self.failures.pop(0)
        return self.name

    def close(self) -> None:
        """Nothing is open."""


def status(code: int) -> UnexpectedResponse:
    return UnexpectedResponse(code, "refused", b"", httpx.Headers())


def gone() -> ResponseHandlingException:
    return ResponseHandlingException(httpx.ConnectError("refused"))


def cluster(*scripts: Scripted) -> Nodes:
    def node(script: Scripted) -> Node:
        made: Any = script
        return Node(script.name, lambda _: made)

    return Nodes([node(script) for script in scripts])


def answer(client: QdrantClient) -> str:
    scripted: Any = client
    return str(scripted.answer())


@pytest.mark.parametrize("failure", [gone(), status(500), status(503), status(408), status(404)])
def test_another_node_answers_for_one_that_failed(failure: Exception) -> None:
    lost, alive = Scripted("lost", failure, always=True), Scripted("alive")
    nodes = cluster(lost, alive)
    assert {nodes.ask(answer) for _ in range(5)} == {"alive"}
    # It is asked last for a while, not at every call.
    assert lost.calls <= 1


def test_a_check_needs_a_majority_and_asks_nobody_twice() -> None:
    gone_nodes = [Scripted(name, gone(), always=True) for name in "ab"]
    cluster(gone_nodes[0], Scripted("c"), Scripted("d")).check(answer)
    with pytest.raises(DependencyError):
        cluster(*gone_nodes, Scripted("c")).check(answer)
    only = Scripted("only", gone(), always=True)
    with pytest.raises(DependencyError):
        cluster(only).check(answer)
    assert only.calls == 1


def test_a_write_whose_outcome_is_unknown_is_made_again() -> None:
    only = Scripted("only", status(500), gone())
    assert cluster(only).ask(answer) == "only"
    assert only.calls == 3


@pytest.mark.parametrize("code", [400, 401, 403, 422])
def test_a_refused_call_is_not_made_again(code: int) -> None:
    first, second = (Scripted(name, status(code), always=True) for name in "ab")
    with pytest.raises(DependencyError):
        cluster(first, second).ask(answer)
    assert first.calls + second.calls == 1


@pytest.mark.parametrize(("code", "said"), [(401, "refuses the key"), (403, "denies access")])
def test_a_key_that_is_refused_names_its_setting(code: int, said: str) -> None:
    with pytest.raises(DependencyError, match=f"{said}.*STORYHASH_QDRANT__API_KEY") as raised:
        cluster(Scripted("a", status(code), always=True)).ask(answer)
    assert raised.value.exit_code == 3


def test_a_certificate_that_is_not_trusted_names_the_setting() -> None:
    failed = ResponseHandlingException(
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    )
    with pytest.raises(DependencyError, match="SSL_CERT_FILE"):
        cluster(Scripted("a", failed, always=True)).ask(answer)


def test_an_error_repeats_what_the_server_says() -> None:
    said = b'{"status":{"error":"Bad request: Limit exceeded 5000 > 1000 for \\"limit\\"."}}'
    refused = UnexpectedResponse(400, "Bad Request", said, httpx.Headers())
    with pytest.raises(DependencyError, match=r'answered 400: Bad request: Limit .* "limit"\.$'):
        cluster(Scripted("a", refused, always=True)).ask(answer)


def test_a_cluster_that_is_gone_is_an_error_with_exit_code_3() -> None:
    lost = [Scripted(name, gone(), always=True) for name in "abc"]
    with pytest.raises(DependencyError, match="does not respond") as raised:
        cluster(*lost).ask(answer)
    assert raised.value.exit_code == 3
    assert {one.calls for one in lost} == {module.ROUNDS}


class Clock:
    """A time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    # Only for the nodes: threads of earlier tests sleep too.
    monkeypatch.setattr(module, "time", made)
    return made


def limiting(name: str, *seconds: int) -> Scripted:
    return Scripted(name, *(ResourceExhaustedResponse("too many", one) for one in seconds))


def test_a_limit_on_requests_is_obeyed(clock: Clock) -> None:
    busy = limiting("busy", 7, 2)
    assert cluster(busy).ask(answer) == "busy"
    assert clock.slept == [7, 2]
    assert busy.calls == 3


def test_another_node_answers_at_once_for_one_that_limits_requests(clock: Clock) -> None:
    busy, free = limiting("busy", 7), Scripted("free")
    nodes = cluster(busy, free)
    nodes.preferred = nodes.nodes[0]
    assert nodes.ask(answer) == "free"
    assert clock.slept == []
    # It is not asked before its time, even if the other one fails.
    free.failures = [gone()]
    assert nodes.ask(answer) == "free"
    assert (busy.calls, clock.slept) == (1, [])
    clock.now += 7
    free.failures, free.always = [gone()], True
    assert nodes.ask(answer) == "busy"


def test_a_node_that_limits_requests_is_waited_for_when_the_others_are_gone(clock: Clock) -> None:
    busy, lost = limiting("busy", 20), Scripted("lost", gone(), always=True)
    nodes = cluster(busy, lost)
    nodes.preferred = nodes.nodes[0]
    assert nodes.ask(answer) == "busy"
    assert sum(clock.slept) == 20
    assert (busy.calls, lost.calls) == (2, module.ROUNDS - 1)


def test_each_node_has_a_limit_of_its_own(clock: Clock) -> None:
    nodes = cluster(limiting("a", 20), limiting("b", 5), limiting("c", 10))
    assert sorted(nodes.ask_several(answer, 2).values()) == ["b", "c"]
    assert sum(clock.slept) == 10
    nodes.close()


def test_nobody_waits_for_a_limit_of_minutes(clock: Clock) -> None:
    nodes = cluster(limiting("a", 300), limiting("b", 200))
    with pytest.raises(DependencyError, match="limits requests for 200 more seconds"):
        nodes.ask(answer)
    assert clock.slept == []


@pytest.mark.parametrize(
    "failure",
    [
        QdrantException("Retry-After header value is not a valid integer: tomorrow"),
        json.JSONDecodeError("Expecting value", "<html>", 0),
    ],
)
def test_an_odd_answer_is_an_error_of_ours(failure: Exception) -> None:
    with pytest.raises(DependencyError, match="http://odd"):
        cluster(Scripted("http://odd", failure, always=True)).ask(answer)


def test_a_majority_answers_although_a_node_is_gone() -> None:
    nodes = cluster(Scripted("a"), Scripted("b", gone(), always=True), Scripted("c"))
    assert nodes.majority == 2
    for _ in range(3):
        assert sorted(nodes.ask_several(answer, 2).values()) == ["a", "c"]
    nodes.close()


def test_a_node_that_hangs_holds_up_no_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLOW_SECONDS", 0.02)
    ended = threading.Event()

    class Hanging(Scripted):
        def answer(self) -> str:
            ended.wait(300)
            return super().answer()

    nodes = cluster(Hanging("hanging"), Scripted("b"), Scripted("c"))
    assert sorted(nodes.ask_several(answer, 2, nodes.nodes[0]).values()) == ["b", "c"]
    assert not ended.is_set()
    ended.set()
    nodes.close()


def test_a_node_that_is_connecting_holds_up_no_other_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SLOW_SECONDS", 0.02)
    connecting, ended = threading.Event(), threading.Event()
    made: Any = Scripted("slow")

    def connect(_: bool) -> QdrantClient:
        connecting.set()
        ended.wait(300)
        return made

    slow = Node("http://slow", connect)
    first = threading.Thread(target=slow.client, args=(True,))
    first.start()
    connecting.wait(300)
    nodes = Nodes([slow, *cluster(Scripted("b"), Scripted("c")).nodes])
    nodes.preferred = slow
    assert nodes.ask(answer, reading=True) in ("b", "c")
    # It is asked last for a while.
    assert slow.aside_until > time.monotonic()
    with pytest.raises(UnansweredError, match="http://slow does not respond"):
        slow.client(True)
    ended.set()
    first.join()
    # What was connected meanwhile is used.
    assert slow.client(True) is made
    nodes.close()


def test_no_majority_is_an_error() -> None:
    nodes = cluster(Scripted("a"), *(Scripted(name, gone(), always=True) for name in "bc"))
    with pytest.raises(DependencyError, match="does not respond"):
        nodes.ask_several(answer, 2)
    nodes.close()


def test_several_threads_share_the_nodes() -> None:
    nodes = cluster(Scripted("a"), Scripted("b"), Scripted("c"))
    found = together([lambda: nodes.ask_several(answer, 2)] * 20)
    assert all(len(set(pair.values())) == 2 for pair in found)
    nodes.close()


def test_several_addresses_are_one_cluster() -> None:
    settings = QdrantSettings(url=" http://a:6333, http://b:6333/,http://a:6333,")
    assert settings.urls == ["http://a:6333", "http://b:6333"]
    nodes = Nodes.connect(settings)
    assert len(nodes) == 2
    assert nodes.where == "http://a:6333, http://b:6333"


@pytest.mark.parametrize(
    "url", ["http://", "ftp://host:6333", "http://host:port", "http://a:6333,https:///path"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected addresses as http://host:6333"):
        QdrantSettings(url=url)


def test_a_server_two_minor_versions_away_is_refused() -> None:
    client = Version(version("qdrant-client"))
    for distance in (0, 1, 2):
        server = f"{client.major}.{client.minor - distance}.3"
        if distance < 2:
            check_versions("here", server)
            continue
        with pytest.raises(DependencyError, match=re.escape(server)):
            check_versions("here", server)


def test_every_client_that_may_be_installed_fits_the_image_of_the_server() -> None:
    image = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["qdrant"][
        "image"
    ]
    server = Version(image.rpartition(":v")[2])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [Requirement(one) for one in project["dependencies"]]
    (client,) = [one.specifier for one in needed if one.name == "qdrant-client"]
    allowed = [minor for minor in range(100) if f"{server.major}.{minor}.0" in client]
    assert allowed
    assert all(abs(minor - server.minor) <= 1 for minor in allowed)
    locks = (ROOT / "deploy/requirements").glob("*.txt")
    locked = [
        pinned
        for lock in locks
        for pinned in re.findall(r"^qdrant-client==(\S+)", lock.read_text(), re.MULTILINE)
    ]
    assert len(locked) == 4
    assert all(pinned in client for pinned in locked)


def test_a_node_that_failed_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Scripted("first", gone()), Scripted("second")
    nodes = cluster(first, second)

    def asked() -> str:
        return nodes.ask_node(answer, first=nodes.nodes[0])[0]

    assert [asked(), asked()] == ["second", "second"]
    assert first.calls == 1
    later = time.monotonic() + 2 * module.ASIDE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert asked() == "first"
    nodes.close()
