"""The nodes of a Qdrant server or cluster, with fail-over and retries.

A server error (5xx), a timeout or a lost connection leaves the outcome of a write open, so every write
here must be idempotent: the same call is made again, at another node if there is one.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from common.errors import DataFolderError, DependencyError
from common.retry import Backoff
from common.settings import QdrantSettings
from common.uris import without_passwords
from searcher.qdrant.clients import checked_client
from searcher.qdrant.failures import FAILURES, explain, leaves_open

Answer = TypeVar("Answer")
Call = Callable[[QdrantClient], Answer]

# A call is made in so many rounds over the nodes; the pauses between them double.
ROUNDS = 4
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 4.0
# A node that failed is asked last for this long.
ASIDE_SECONDS = 5.0
# `ask_several` asks another node too when those it asked take longer. For as long, threads wait for one
# that is connecting.
_SLOW_SECONDS = 1.0
# The longest a call waits, in all, for nodes that limit requests.
_LONGEST_LIMIT_SECONDS = 30.0
# Concurrent requests of `ask_several`.
_THREADS = 8


class UnansweredError(DependencyError):
    """No node answered; whether a write was applied is unknown."""


class Node:
    """One node, whose clients are made at the first call."""

    def __init__(self, where: str, make: Callable[[bool], QdrantClient]) -> None:
        """where: its name in messages. make: returns a client; True: for reading."""
        self.where = where
        # Times of `time.monotonic`. Before `limited_until` the node must not be asked: it said so.
        self.aside_until = self.limited_until = 0.0
        self._make = make
        self._lock = threading.Lock()
        self._clients: dict[bool, QdrantClient] = {}

    def client(self, reading: bool) -> QdrantClient:
        """The client for reading, or that for writing. Raises DependencyError if the versions of client
        and server do not fit together, UnansweredError if another thread has been connecting for a
        while: threads that wait for a node which does not respond are lost to the other nodes."""
        found = self._clients.get(reading)
        if found is not None:
            return found
        if not self._lock.acquire(timeout=_SLOW_SECONDS):
            raise UnansweredError(
                f"Qdrant at {self.where} does not respond: the connection to it is not ready after "
                f"{_SLOW_SECONDS:.0f} s; start it, or set STORYHASH_QDRANT__URL to its addresses"
            )
        try:
            found = self._clients.get(reading)
            if found is None:
                found = self._clients[reading] = self._make(reading)
            return found
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()


class Nodes:
    """The nodes of a cluster, a single server, or the client's local mode. Thread-safe."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = list(nodes)
        self.preferred = random.choice(self.nodes)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, settings: QdrantSettings) -> Nodes:
        """A server or a cluster; nothing is sent yet."""
        urls = settings.urls
        # A read goes to the next node while the caller still waits. A write may need the whole time:
        # a node that stopped responding holds it up until the cluster sets that node aside.
        reading = max(1, int(settings.timeout_seconds / len(urls)))
        writing = math.ceil(settings.timeout_seconds)
        key = settings.api_key.get_secret_value() if settings.api_key else None

        def make(url: str, reads: bool) -> QdrantClient:
            return checked_client(url, key, reading if reads else writing)

        return cls([Node(without_passwords(url), partial(make, url)) for url in urls])

    @classmethod
    def local(cls, folder: Path) -> Nodes:
        """The client's own store in a folder: some thousand vectors, one process. Raises
        DataFolderError."""
        try:
            return cls.of(QdrantClient(path=str(folder)), str(folder))
        except RuntimeError as error:
            raise DataFolderError(f"{folder}: {error}") from None

    @classmethod
    def of(cls, client: QdrantClient, where: str) -> Nodes:
        """One client that is there already."""
        return cls([Node(where, lambda _: client)])

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def where(self) -> str:
        """Name in messages."""
        return ", ".join(node.where for node in self.nodes)

    @property
    def majority(self) -> int:
        """Number of nodes that are more than half."""
        return len(self.nodes) // 2 + 1

    def ask(self, call: Call[Answer], *, reading: bool = False) -> Answer:
        """The answer of a node. reading: the call writes nothing, so it may be given up sooner.

        Raises DependencyError if the server refuses the call, or if no node answers in several rounds.
        """
        return self.ask_node(call, reading=reading)[0]

    def ask_node(
        self, call: Call[Answer], *, reading: bool = False, first: Node | None = None
    ) -> tuple[Answer, Node]:
        """As `ask`, with the node that answered. first: the node to ask first (default: the one that
        answered last)."""
        return self._insist(lambda: self._first(call, reading, first), 1)

    def ask_several(
        self, call: Call[Answer], count: int, including: Node | None = None
    ) -> dict[Node, Answer]:
        """The answers of `count` different nodes to a call that reads, that of `including` among them
        if it answers in time. Raises DependencyError."""
        return self._insist(lambda: self._several(call, count, including), count)

    def check(self, call: Call[Answer]) -> None:
        """Make a call that reads at a majority of the nodes, once. Raises DependencyError if fewer
        answer."""
        self._several(call, self.majority, None)

    def set_aside(self, node: Node) -> None:
        """Ask this node last for a while."""
        node.aside_until = time.monotonic() + ASIDE_SECONDS

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        for node in self.nodes:
            node.close()

    def _order(self, first: Node | None = None) -> list[Node]:
        """The nodes that may be asked now."""
        first = first or self.preferred
        now = time.monotonic()
        return sorted(
            (node for node in self.nodes if node.limited_until <= now),
            key=lambda node: (node.aside_until > now, node is not first),
        )

    def _first(self, call: Call[Answer], reading: bool, first: Node | None) -> tuple[Answer, Node]:
        failed: UnansweredError | None = None
        for node in self._order(first):
            try:
                answer = self._one(node, call, reading)
            except UnansweredError as error:
                failed = error
                continue
            self.preferred = node
            return answer, node
        raise failed or self._limited()

    def _several(
        self, call: Call[Answer], count: int, including: Node | None
    ) -> dict[Node, Answer]:
        left: Iterator[Node] = iter(self._order(including))
        if count == 1:
            answer, node = self._first(call, True, including)
            return {node: answer}
        pool = self._threads()
        node_of: dict[Future[Answer], Node] = {}

        def ask(more: int) -> set[Future[Answer]]:
            began = {pool.submit(self._one, node, call, True): node for node in islice(left, more)}
            node_of.update(began)
            return set(began)

        answers: dict[Node, Answer] = {}
        failed: UnansweredError | None = None
        waiting = ask(count)
        while waiting and len(answers) < count:
            done, waiting = wait(waiting, _SLOW_SECONDS, return_when=FIRST_COMPLETED)
            if not done:
                # Another node is asked as well, and the slow ones last for a while.
                for future in waiting:
                    self.set_aside(node_of[future])
                waiting |= ask(len(waiting))
            for future in done:
                try:
                    answers[node_of[future]] = future.result()
                except UnansweredError as error:
                    failed = error
                    waiting |= ask(1)
        if len(answers) < count:
            raise failed or self._limited()
        return answers

    def _one(self, node: Node, call: Call[Answer], reading: bool) -> Answer:
        try:
            return call(node.client(reading))
        except UnansweredError:
            self.set_aside(node)
            raise
        except FAILURES as error:
            if not leaves_open(error, several=len(self.nodes) > 1):
                raise DependencyError(explain(node.where, error)) from None
            if isinstance(error, ResourceExhaustedResponse):
                node.limited_until = time.monotonic() + error.retry_after_s
            else:
                self.set_aside(node)
            raise UnansweredError(explain(node.where, error)) from None

    def _limited(self) -> UnansweredError:
        now = time.monotonic()
        limited = {node.where: node.limited_until - now for node in self.nodes}
        where = ", ".join(name for name, seconds in limited.items() if seconds > 0)
        seconds = min((one for one in limited.values() if one > 0), default=0.0)
        return UnansweredError(
            f"Qdrant at {where or self.where} limits requests for {math.ceil(seconds)} more seconds; "
            "raise its limits, or try again later"
        )

    def _await_limits(self, count: int, until: float) -> None:
        """Wait until `count` nodes may be asked, or as many of them as may be before `until`."""
        limits = sorted(node.limited_until for node in self.nodes)[:count]
        seconds = max((one for one in limits if one <= until), default=0.0) - time.monotonic()
        if seconds > 0:
            time.sleep(seconds)

    def _insist(self, work: Callable[[], Answer], count: int) -> Answer:
        """The result of `work`, which needs answers of `count` nodes."""
        rounds, ended = 0, threading.Event()
        until = time.monotonic() + _LONGEST_LIMIT_SECONDS
        last: BaseException | None = None

        def failed(error: BaseException, _: float) -> None:
            nonlocal rounds, last
            rounds, last = rounds + 1, error
            if rounds == ROUNDS:
                ended.set()

        def round_of_nodes() -> Answer:
            # Nodes that limit requests are the last resort.
            last_round = rounds == ROUNDS - 1
            self._await_limits(len(self.nodes) if last_round else count, until)
            return work()

        retrying = Backoff(
            _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, ended, failed, errors=(UnansweredError,)
        )
        answer = retrying.call(round_of_nodes)
        if ended.is_set():
            raise DependencyError(str(last))
        # `None` stands for a call that was stopped, and for nothing else.
        return answer  # type: ignore[return-value]

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="qdrant-node")
            return self._pool
