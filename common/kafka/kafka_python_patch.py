"""Patches of kafka-python 3.0: for joins of a consumer group, and for connections that end early."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from kafka.net.inet import KafkaNetSocket
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport


def patch_connections() -> None:
    """Apply the patches of connections; a second call does nothing."""
    if hasattr(KafkaNetSocket.sock_connect, "__wrapped__"):
        return
    KafkaNetSocket.sock_connect = _closing(
        KafkaNetSocket.sock_connect, lambda self, net, sock, *_: sock, BaseException
    )
    KafkaSSLTransport.handshake = _closing(KafkaSSLTransport.handshake, _socket_of, BaseException)
    # Only the end of the event loop throws this into them while the socket is open.
    for name in ("_read_from_sock", "_write_to_sock"):
        method = getattr(KafkaTCPTransport, name)
        setattr(KafkaTCPTransport, name, _closing(method, _socket_of, GeneratorExit))
    for transport in (KafkaTCPTransport, KafkaSSLTransport):
        transport._sock_recv = _data_first(transport._sock_recv)


def _socket_of(transport: Any) -> Any:
    return transport._sock


def _closing(coroutine: Any, socket_of: Callable[..., Any], causes: type[BaseException]) -> Any:
    """Close the socket of a connection whose coroutine is given up.

    A connection that fails while it is opened, or that has unsent bytes when its event loop ends, was
    dropped with its coroutine. Its socket stayed open until Python collected it.
    """

    @functools.wraps(coroutine)
    async def closing(*given: Any, **more: Any) -> Any:
        try:
            return await coroutine(*given, **more)
        except causes:
            sock = socket_of(*given)
            if sock is not None:
                sock.close()
            raise

    return closing


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
