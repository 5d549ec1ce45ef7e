"""The patches of kafka-python meet the version that they were written for."""

from __future__ import annotations

import socket
from collections.abc import Generator
from importlib.metadata import version
from typing import Any

import pytest
from kafka.net.inet import KafkaNetSocket
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaTCPTransport

from common.kafka.kafka_python_patch import patch_connections


def test_the_installed_minor_version_is_the_one_that_is_patched() -> None:
    assert version("kafka-python").split(".")[:2] == ["3", "0"], (
        "read common/kafka/kafka_python_patch.py against the installed kafka-python, then pin it anew"
    )


class _Net:
    """An event loop in which nothing becomes ready."""

    def wait_write(self, sock: socket.socket, timeout_at: float | None = None) -> Any:
        return _Forever()


class _Forever:
    def __await__(self) -> Generator[None, None, None]:
        while True:
            yield


def test_the_socket_of_a_connection_that_is_given_up_is_closed() -> None:
    patch_connections()
    patch_connections()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        opening = KafkaNetSocket().sock_connect(_Net(), client, server.getsockname())
        opening.send(None)
        assert client.fileno() >= 0
        opening.close()
        assert client.fileno() == -1


@pytest.mark.parametrize("closing", [True, False])
def test_the_socket_of_a_connection_is_closed_with_its_event_loop(closing: bool) -> None:
    patch_connections()
    loop = NetworkSelector()
    broker, client = socket.socketpair()
    with broker:
        client.setblocking(False)
        transport = KafkaTCPTransport(loop, client)
        transport.resume_reading()
        transport.write(b"unsent")
        loop.poll(timeout_ms=0)
        if closing:
            transport.close()
        loop.close()
        assert client.fileno() == -1


def test_what_a_broker_sends_before_it_ends_a_connection_is_read() -> None:
    patch_connections()
    broker, client = socket.socketpair()
    with client:
        client.setblocking(False)
        with broker:
            broker.sendall(b"why")
        transport = KafkaTCPTransport(_Net(), client)
        assert transport._sock_recv() == (b"why", None)  # noqa: SLF001
        data, error = transport._sock_recv()  # noqa: SLF001
        assert (data, str(error)) == (b"", "KafkaConnectionError: socket disconnected")
