"""Patches of kafka-python 3.0: for joins of a consumer group, and for connections that end early."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from kafka.net.inet import KafkaNetSocket
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport


def patch_connections() -> None:
    """Apply the patches of connections; a second call does nothing."""
    if not hasattr(KafkaNetSocket.sock_connect, "__wrapped__"):
        KafkaNetSocket.sock_connect = _closing(KafkaNetSocket.sock_connect)
        for transport in (KafkaTCPTransport, KafkaSSLTransport):
            transport._sock_recv = _data_first(transport._sock_recv)


def _closing(connect: Any) -> Any:
    """Close the socket of a connection that is given up while it is opened.

    The socket is in a coroutine then, which is dropped, so it stayed open until Python collected it.
    """

    @functools.wraps(connect)
    async def sock_connect(self: Any, net: Any, sock: Any, *given: Any, **more: Any) -> Any:
        try:
            return await connect(self, net, sock, *given, **more)
        except BaseException:
            sock.close()
            raise

    return sock_connect


def _data_first(receive: Any) -> Any:
    """Report the end of a connection after the data before it.

    kafka-python drops data that it reads together with the end of a connection: a broker's answer that
    says why it ends the connection. The next read gets the end again.
    """

    @functools.wraps(receive)
    def sock_recv(self: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(self)
        return data, None if data else error

    return sock_recv


def keep_ended_joins(coordinator: Any) -> None:
    """Make a consumer's coordinator use a join that ended between two polls.

    A join takes as long as the slowest member needs to notice it, so it continues between polls.
    kafka-python discards a join that ends between two polls, and the next poll joins again. If the
    group's leader does this, all members must join again. Members with short polls, such as a worker with
    two topics, then rebalance forever.
    """
    join = coordinator.join_group_async

    async def join_group_async(timeout_ms: float | None = None) -> bool:
        task = coordinator._join_task
        ended = task is not None and task.is_done and task.exception is None
        # A member that left the group meanwhile is not rebalancing, and joins again.
        if ended and coordinator.rebalance_in_progress():
            coordinator._join_task = _LazyFuture(task.value)
        joined: bool = await join(timeout_ms=timeout_ms)
        return joined

    coordinator.join_group_async = join_group_async


class _LazyFuture:
    """A future of kafka-python that is pending until it is awaited."""

    is_done = False
    exception = None

    def __init__(self, value: bytes) -> None:
        self.value = value

    def add_callback(self, callback: Callable[[bytes], None]) -> None:
        callback(self.value)

    def add_errback(self, tell: Callable[[BaseException], None]) -> None:
        """There is no error."""

    def __await__(self) -> Generator[Any, None, bytes]:
        yield from ()
        return self.value
