"""The patches of kafka-python meet the version that they were written for."""

from __future__ import annotations

import socket
from collections.abc import Generator
from importlib.metadata import version
from typing import Any

from kafka.net.inet import KafkaNetSocket
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


def test_what_a_broker_sends_before_it_ends_a_connection_is_read() -> None:
    patch_connections()
    broker, client = socket.socketpair()
    with client:
        client.setblocking(False)
        with broker:
            broker.sendall(b"why")
        transport = KafkaTCPTransport(_Net(), client)
        assert transport._sock_recv() == (b"why", None)
        data, error = transport._sock_recv()
        assert (data, str(error)) == (b"", "KafkaConnectionError: socket disconnected")
