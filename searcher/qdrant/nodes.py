"""The clients of a Qdrant server or cluster: the only builder of clients, with fail-over and retries.

A server error (5xx), a timeout or a lost connection leaves the outcome of a write open, so every write
here must be idempotent: the same call is made again, at another node if there is one.
"""

from __future__ import annotations

import math
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TypeVar

from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.common.version_check import is_compatible
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from common.errors import DataFolderError, DependencyError
from common.retry import Backoff
from common.settings import QdrantSettings
from common.uris import without_passwords

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
_LONGEST_RETRY_AFTER_SECONDS = 30.0
# Concurrent requests of `ask_several`.
_THREADS = 8
_OPEN_STATUSES = (408, 429)
_FAILURES = (ResponseHandlingException, UnexpectedResponse, ResourceExhaustedResponse)


class UnansweredError(DependencyError):
    """No node answered; whether a write was applied is unknown."""


class Node:
    """One node, whose clients are made at the first call."""

    def __init__(self, where: str, make: Callable[[bool], QdrantClient]) -> None:
        """where: its name in messages. make: returns a client; True: for reading."""
        self.where = where
        self.aside_until = 0.0
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
            return _checked(url, key, reading if reads else writing)

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

    def ask_node(self, call: Call[Answer], *, reading: bool = False) -> tuple[Answer, Node]:
        """As `ask`, with the node that answered."""
        return self._insist(lambda: self._first(call, reading))

    def ask_several(
        self, call: Call[Answer], count: int, including: Node | None = None
    ) -> list[Answer]:
        """The answers of `count` different nodes to a call that reads; that of `including` is the first,
        if it answers. Raises DependencyError."""
        return self._insist(lambda: self._several(call, count, including))

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
        first = first or self.preferred
        now = time.monotonic()
        return sorted(self.nodes, key=lambda node: (node.aside_until > now, node is not first))

    def _first(self, call: Call[Answer], reading: bool) -> tuple[Answer, Node]:
        failed: UnansweredError | None = None
        for node in self._order():
            try:
                answer = self._one(node, call, reading)
            except UnansweredError as error:
                failed = error
                continue
            self.preferred = node
            return answer, node
        raise failed or UnansweredError("there is no Qdrant node")

    def _several(self, call: Call[Answer], count: int, including: Node | None) -> list[Answer]:
        left: Iterator[Node] = iter(self._order(including))
        if count == 1:
            return [self._first(call, True)[0]]
        pool = self._threads()
        node_of: dict[Future[Answer], Node] = {}

        def ask(more: int) -> set[Future[Answer]]:
            began = {pool.submit(self._one, node, call, True): node for node in islice(left, more)}
            node_of.update(began)
            return set(began)

        answers: dict[Future[Answer], Answer] = {}
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
                    answers[future] = future.result()
                except UnansweredError as error:
                    failed = error
                    waiting |= ask(1)
        if len(answers) < count:
            raise failed or UnansweredError("there are too few Qdrant nodes")
        return [answers[future] for future in node_of if future in answers]

    def _one(self, node: Node, call: Call[Answer], reading: bool) -> Answer:
        try:
            return call(node.client(reading))
        except UnansweredError:
            self.set_aside(node)
            raise
        except _FAILURES as error:
            if not self._leaves_open(error):
                raise DependencyError(_explain(node.where, error)) from None
            _obey(error)
            self.set_aside(node)
            raise UnansweredError(_explain(node.where, error)) from None

    def _leaves_open(self, error: Exception) -> bool:
        if isinstance(error, UnexpectedResponse):
            status = error.status_code
            # A node that joins, or that was away, learns of a collection after the others.
            late = status == 404 and len(self.nodes) > 1
            return status is None or status >= 500 or status in _OPEN_STATUSES or late
        return True

    def _insist(self, work: Callable[[], Answer]) -> Answer:
        rounds, ended = 0, threading.Event()
        last: BaseException | None = None

        def failed(error: BaseException, _: float) -> None:
            nonlocal rounds, last
            rounds, last = rounds + 1, error
            if rounds == ROUNDS:
                ended.set()

        retrying = Backoff(
            _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, ended, failed, errors=(UnansweredError,)
        )
        answer = retrying.call(work)
        if ended.is_set():
            raise DependencyError(str(last))
        # `None` stands for a call that was stopped, and for nothing else.
        return answer  # type: ignore[return-value]

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="qdrant-node")
            return self._pool


def _checked(url: str, key: str | None, timeout_seconds: int) -> QdrantClient:
    """A client whose version fits the server's."""
    with warnings.catch_warnings():
        # The client warns of a key over plain HTTP, which is usual inside a private network.
        warnings.simplefilter("ignore", UserWarning)
        # Its own check of versions only warns, and does so in a thread; the check below raises.
        client = QdrantClient(
            url=url, api_key=key, timeout=max(1, timeout_seconds), check_compatibility=False
        )
    try:
        check_versions(without_passwords(url), client.info().version)
    except BaseException:
        client.close()
        raise
    return client


def check_versions(where: str, server: str) -> None:
    """Raises DependencyError unless Qdrant supports this client with a server of this version: their
    minor versions differ by at most one."""
    client = version("qdrant-client")
    if not is_compatible(client, server):
        raise DependencyError(
            f"Qdrant at {where} has version {server}, and the installed qdrant-client {client} supports "
            "servers that differ by at most one minor version; update the server, or install a "
            "qdrant-client for it"
        )


def _obey(error: Exception) -> None:
    """Wait as long as a server that limits requests demands."""
    if isinstance(error, ResourceExhaustedResponse):
        time.sleep(min(max(error.retry_after_s, 0), _LONGEST_RETRY_AFTER_SECONDS))


def _explain(where: str, error: ApiException | ResourceExhaustedResponse) -> str:
    reason = " ".join(str(error).split())[:160]
    if isinstance(error, ResourceExhaustedResponse):
        return f"Qdrant at {where} limits requests ({reason}); raise its limits, or try again later"
    if isinstance(error, UnexpectedResponse):
        if error.status_code in (401, 403):
            return f"Qdrant at {where} refuses the key: set STORYHASH_QDRANT__API_KEY"
        return f"Qdrant at {where} answered {reason}"
    return (
        f"Qdrant at {where} does not respond ({str(error)[:120]}); start it, or set "
        "STORYHASH_QDRANT__URL to its addresses"
    )
