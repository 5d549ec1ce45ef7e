"""What both consumers have in common."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import KafkaTimeoutError

from common.kafka.base_consumer import KafkaReader
from common.settings import KafkaSettings
from tests.support.small_broker import SmallBroker


def test_a_consumer_that_cannot_leave_its_group_releases_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unable(*_: Any, **__: Any) -> None:
        raise KafkaTimeoutError

    before = set(threading.enumerate())
    with SmallBroker() as broker:
        reader = KafkaReader(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), 1000)
        io = [one for one in set(threading.enumerate()) - before if "kafka-io" in one.name]
        with monkeypatch.context() as patch:
            patch.setattr(ConsumerCoordinator, "close", unable)
            reader.close()
        assert [one.is_alive() for one in io] == [False]
