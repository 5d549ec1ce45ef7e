"""A broker that refuses for good is asked once; the others named beside it are still asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient
from pydantic import SecretStr

from common.errors import BrokerError
from common.http.health import Health
from common.kafka import broker_watch
from common.kafka.broker_watch import BrokerWatch
from common.kafka.client import open_client
from common.settings import KafkaSettings
from tests.support.services import wait_until
from tests.support.small_broker import SmallBroker


@pytest.fixture
def refusing() -> Iterator[SmallBroker]:
    with SmallBroker() as broker:
        broker.refuses.set()
        yield broker


@pytest.fixture
def other() -> Iterator[SmallBroker]:
    with SmallBroker() as broker:
        yield broker


def login_at(*brokers: SmallBroker) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=",".join(broker.bootstrap_servers for broker in brokers),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="alice",
        sasl_password=SecretStr("looking-glass"),
    )


def test_a_broker_that_rejects_the_login_is_asked_once(refusing: SmallBroker) -> None:
    with pytest.raises(BrokerError, match="rejects the login"):
        open_client(login_at(refusing), KafkaAdminClient)
    assert refusing.logins == 1


def test_the_search_ends_when_each_named_broker_has_refused(
    refusing: SmallBroker, other: SmallBroker
) -> None:
    other.refuses.set()
    with pytest.raises(BrokerError, match="rejects the login"):
        open_client(login_at(refusing, other), KafkaAdminClient)
    assert (refusing.logins, other.logins) == (1, 1)


def test_a_broker_that_refuses_does_not_hide_one_that_accepts(
    refusing: SmallBroker, other: SmallBroker
) -> None:
    for tries in range(1, 9):
        admin, _ = open_client(login_at(refusing, other), KafkaAdminClient)
        admin.close()
        # The first address is chosen at random.
        assert refusing.logins <= tries
    assert other.logins >= 8


def test_a_broker_that_may_still_come_is_searched_for(
    refusing: SmallBroker, other: SmallBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.kafka.client._FIND_SECONDS", 0.5)
    other.gone()
    with pytest.raises(BrokerError, match="rejects the login"):
        open_client(login_at(refusing, other), KafkaAdminClient)
    assert refusing.logins == 1


def test_a_login_that_is_rejected_while_a_service_runs_is_told(
    refusing: SmallBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_watch, "_ASK_SECONDS", 0.05)
    health = Health(None, ("broker",), 60.0)
    health.met("broker")
    with BrokerWatch(login_at(refusing)) as watch:
        health.watch("broker", watch.reason)
        wait_until(lambda: health.reasons() != {}, "a reason", 60, 0.01)
        assert "rejects the login" in health.reasons()["broker"]
        refusing.refuses.clear()
        wait_until(lambda: health.reasons() == {}, "no reason", 60, 0.01)
