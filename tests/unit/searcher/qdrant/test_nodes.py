"""Nodes of a cluster: another one answers for one that is gone, and errors are ours."""

from __future__ import annotations

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
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from common.errors import DependencyError
from common.settings import QdrantSettings
from searcher.qdrant import nodes as module
from searcher.qdrant.nodes import Node, Nodes, UnansweredError, check_versions

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


def test_a_key_that_is_refused_names_its_setting() -> None:
    with pytest.raises(DependencyError, match="STORYHASH_QDRANT__API_KEY"):
        cluster(Scripted("a", status(401), always=True)).ask(answer)


def test_a_cluster_that_is_gone_is_an_error_with_exit_code_3() -> None:
    lost = [Scripted(name, gone(), always=True) for name in "abc"]
    with pytest.raises(DependencyError, match="does not respond") as raised:
        cluster(*lost).ask(answer)
    assert raised.value.exit_code == 3
    assert {one.calls for one in lost} == {module.ROUNDS}


def test_a_limit_on_requests_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    busy = Scripted("busy", ResourceExhaustedResponse("too many", 7))
    assert cluster(busy).ask(answer) == "busy"
    assert slept == [7]


def test_a_majority_answers_although_a_node_is_gone() -> None:
    nodes = cluster(Scripted("a"), Scripted("b", gone(), always=True), Scripted("c"))
    assert nodes.majority == 2
    for _ in range(3):
        assert sorted(nodes.ask_several(answer, 2)) == ["a", "c"]
    nodes.close()


def test_a_node_that_hangs_holds_up_no_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLOW_SECONDS", 0.02)
    ended = threading.Event()

    class Hanging(Scripted):
        def answer(self) -> str:
            ended.wait(300)
            return super().answer()

    nodes = cluster(Hanging("hanging"), Scripted("b"), Scripted("c"))
    assert sorted(nodes.ask_several(answer, 2, nodes.nodes[0])) == ["b", "c"]
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
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(nodes.ask_several(answer, 2)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(len(set(pair)) == 2 for pair in found)
    nodes.close()


def test_several_addresses_are_one_cluster() -> None:
    settings = QdrantSettings(url=" http://a:6333, http://b:6333/,http://a:6333,")
    assert settings.urls == ["http://a:6333", "http://b:6333"]
    nodes = Nodes.connect(settings)
    assert len(nodes) == 2
    assert nodes.where == "http://a:6333, http://b:6333"


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
    assert len(locked) == 3
    assert all(pinned in client for pinned in locked)


def test_a_node_that_failed_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Scripted("first", gone()), Scripted("second")
    nodes = cluster(first, second)
    asked = {nodes.ask(answer) for _ in range(3)}
    assert "second" in asked or first.calls > 1
    later = time.monotonic() + 2 * module.ASIDE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert len(nodes.ask_several(answer, 2)) == 2
    nodes.close()
