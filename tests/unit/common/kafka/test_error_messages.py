"""Errors of kafka-python in our words: a broker that answers is not said to be silent."""

from __future__ import annotations

import pytest
from kafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    KafkaTimeoutError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
)

from common.errors import BrokerError
from common.kafka.client import in_our_words
from common.settings import KafkaSettings


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KafkaTimeoutError(), "does not respond; start it"),
        (CoordinatorNotAvailableError(), r"cannot do this now \(.*CoordinatorNotAvailableError\)"),
        (NotEnoughReplicasError(), "check that all brokers run"),
        (TopicAuthorizationFailedError(), "denies access"),
    ],
)
def test_an_error_says_what_the_broker_did(error: KafkaError, told: str) -> None:
    with pytest.raises(BrokerError, match=told):
        raise in_our_words(error, KafkaSettings(bootstrap_servers="kafka:9092"))
