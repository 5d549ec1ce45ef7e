"""Connections to Kafka: their settings, and kafka-python's errors as our own errors."""

from __future__ import annotations

import functools
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    FencedInstanceIdError,
    InvalidReceiveError,
    KafkaConfigurationError,
    KafkaError,
    LeaderNotAvailableError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient

from common.errors import BrokerError, SettingsError, StoryHashError, TopicMissingError
from common.kafka.kafka_python_patch import patch_connections
from common.kafka.tls import addresses, tls_context, tls_trouble, trouble
from common.settings import KafkaSettings
from common.uris import without_passwords

log = logging.getLogger("storyhash.kafka")

# Time-out of the search for a first broker.
_FIND_SECONDS = 8.0
# The metadata of topics are at most so old: so it is noticed that a topic was made anew.
_METADATA_SECONDS = 30.0
# A broker may not know a new topic for a moment.
_TOPIC_GRACE_SECONDS = 2.0

# Retries do not help with these.
_REFUSALS = (
    AuthorizationError,
    InvalidReceiveError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)

_Client = TypeVar("_Client")


def open_client(
    kafka: KafkaSettings, make: Callable[..., _Client], **settings: Any
) -> tuple[_Client, KafkaNetClient]:
    """A connected producer, consumer or admin client, and its network client.

    Raises BrokerError if no broker answers within eight seconds, or at once if each address refuses the
    connection for a reason that no retry can fix; SettingsError.
    """
    opened: list[KafkaNetClient] = []
    refusals: dict[str, Exception] = {}

    def make_network_client(**configs: Any) -> KafkaNetClient:
        patch_connections()
        client = KafkaNetClient(**configs)
        _leave_out_refusing(client, refusals)
        # The client's option of this name does not reach its metadata requests.
        client.cluster.config["allow_auto_create_topics"] = False
        opened.append(client)
        return client

    try:
        return make(kafka_client=make_network_client, **connection(kafka), **settings), opened[0]
    except BaseException as error:
        for client in opened:
            client.close()
        if isinstance(error, KafkaError):
            raise _reason(error, refusals, kafka) from None
        raise


def _leave_out_refusing(client: KafkaNetClient, refusals: dict[str, Exception]) -> None:
    """Make the search for a first broker end with an error when each address has refused for good.

    kafka-python tries random addresses until its time-out, whatever they answer. An address that refused
    is not tried again, because failed logins may lock a user out; another may still accept it.
    """
    manager, cluster = client._manager, client.cluster
    connect, named = manager.get_connection, cluster.bootstrap_brokers

    def note(address: str, error: Exception) -> None:
        if isinstance(error, _REFUSALS) or _tls_refusal(error) is not None:
            refusals[address] = error

    def get_connection(node_id: str, *arguments: Any, **options: Any) -> Any:
        connection = connect(node_id, *arguments, **options)
        if cluster.is_bootstrap(node_id):
            address = _address(cluster.broker_metadata(node_id))
            connection.init_future.add_errback(functools.partial(note, address))
        return connection

    def bootstrap_brokers() -> list[Any]:
        remaining = [broker for broker in named() if _address(broker) not in refusals]
        if not remaining:
            # The search asks for the addresses before each attempt, and raises what it gets.
            raise _last(refusals)[1]
        # One that failed a moment ago is waited for only if there is no other.
        return [one for one in remaining if not manager.connection_delay(one.node_id)] or remaining

    manager.get_connection, cluster.bootstrap_brokers = get_connection, bootstrap_brokers


def _tls_refusal(error: Exception) -> ssl.SSLError | None:
    """The TLS error that ended a connection, if no retry can fix it. A connection that only ended during
    the handshake may be one to a broker that is starting."""
    for cause in (error.__context__, *error.args):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _TLS_ENDS):
            return cause
    return None


def _address(broker: Any) -> str:
    return f"{broker.host}:{broker.port}"


def _last(refusals: Mapping[str, Exception]) -> tuple[str, Exception]:
    return list(refusals.items())[-1]


def _reason(
    error: KafkaError, refusals: Mapping[str, Exception], kafka: KafkaSettings
) -> StoryHashError:
    """Why no broker was found: the last refusal that no retry can fix, if there was one."""
    if refusals:
        address, refusal = _last(refusals)
        cause = _tls_refusal(refusal)
        if cause is None:
            return in_our_words(refusal, kafka)
        return BrokerError(tls_trouble(address, cause))
    if not getattr(error, "retriable", False):
        return in_our_words(error, kafka)
    problem = trouble(kafka)
    return BrokerError(problem) if problem else in_our_words(error, kafka)


def connection(kafka: KafkaSettings) -> dict[str, Any]:
    """The connection settings of every client. Raises SettingsError that names the variable."""
    settings: dict[str, Any] = {
        "bootstrap_servers": addresses(kafka),
        "client_id": "storyhash",
        "request_timeout_ms": round(kafka.request_timeout_seconds * 1000),
        # The default, half a minute, is too long after a broker has restarted.
        "reconnect_backoff_max_ms": 1000,
        "metadata_max_age_ms": round(_METADATA_SECONDS * 1000),
        "bootstrap_timeout_ms": round(_FIND_SECONDS * 1000),
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        settings["ssl_context"] = tls_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        if kafka.sasl_username is None or kafka.sasl_password is None:
            raise SettingsError(
                "STORYHASH_KAFKA__SASL_USERNAME and STORYHASH_KAFKA__SASL_PASSWORD: must be set when "
                f"the security protocol is {kafka.security_protocol}"
            )
        settings["sasl_mechanism"] = kafka.sasl_mechanism
        settings["sasl_plain_username"] = kafka.sasl_username
        settings["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return settings


def in_our_words(error: Exception, kafka: KafkaSettings) -> StoryHashError:
    """Our error for one of kafka-python; its message says what to do."""
    broker = f"Kafka at {without_passwords(kafka.bootstrap_servers)}"
    if isinstance(error, KafkaConfigurationError):
        return SettingsError(f"STORYHASH_KAFKA__...: {error}")
    if isinstance(error, SaslAuthenticationFailedError | UnsupportedSaslMechanismError):
        return BrokerError(
            f"{broker} rejects the login: check STORYHASH_KAFKA__SASL_USERNAME, "
            "STORYHASH_KAFKA__SASL_PASSWORD and STORYHASH_KAFKA__SASL_MECHANISM"
        )
    if isinstance(error, AuthorizationError):
        return BrokerError(
            f"{broker} denies access ({_words(error)}): grant this user the permission"
        )
    if isinstance(error, InvalidReceiveError):
        return BrokerError(
            f"{broker} does not answer in Kafka's protocol ({_words(error)}): check "
            "STORYHASH_KAFKA__BOOTSTRAP_SERVERS and STORYHASH_KAFKA__SECURITY_PROTOCOL"
        )
    if isinstance(error, FencedInstanceIdError):
        return BrokerError(
            "another service uses the same STORYHASH_KAFKA__INSTANCE_ID: give each service its own"
        )
    if isinstance(error, BrokerResponseError) and error.retriable:
        # For example while it elects a leader, or while too few replicas run.
        return BrokerError(
            f"{broker} cannot do this now ({_words(error)}); if that lasts, check that all brokers run"
        )
    if getattr(error, "retriable", False):
        return BrokerError(
            f"{broker} does not respond; start it, or set STORYHASH_KAFKA__BOOTSTRAP_SERVERS"
        )
    return BrokerError(f"{broker} rejects the request: {_words(error)}")


def topic_missing(topic: str) -> TopicMissingError:
    """The error for a missing topic."""
    return TopicMissingError(f"topic {topic} does not exist; `storyhash topics create` makes it")


def refreshed(client: KafkaNetClient, timeout_seconds: float) -> bool:
    """Request the topics' metadata; False if no broker answered in time."""
    answered = threading.Event()
    future = client.cluster.request_update()
    future.add_both(lambda _: answered.set())
    client.wakeup()
    return answered.wait(timeout_seconds) and (
        future.exception is None
        or isinstance(future.exception, UnknownTopicOrPartitionError | LeaderNotAvailableError)
    )


def check_permitted(client: KafkaNetClient, kafka: KafkaSettings, topics: Sequence[str]) -> None:
    """Raises BrokerError if the user may not see one of these topics: a broker lists only the others, so
    that such a topic seems to be missing. Does nothing without topics."""
    if topics:
        client.cluster.set_topics(topics)
        refreshed(client, kafka.request_timeout_seconds)
    denied = sorted(client.cluster.unauthorized_topics.intersection(topics))
    if denied:
        raise in_our_words(TopicAuthorizationFailedError(denied[0]), kafka)


def partitions_of(client: KafkaNetClient, kafka: KafkaSettings, topic: str) -> list[int]:
    """The partitions of a topic, for a client that reads metadata in its own thread.

    Raises TopicMissingError; BrokerError if no broker answers within the request time-out.
    """
    client.cluster.set_topics([topic])
    deadline = time.monotonic() + kafka.request_timeout_seconds
    missing = MissingTopics()
    while True:
        remaining_seconds = deadline - time.monotonic()
        answered = refreshed(client, max(0.0, remaining_seconds))
        partitions = client.cluster.partitions_for_topic(topic)
        if partitions:
            return sorted(partitions)
        if topic in client.cluster.unauthorized_topics:
            raise in_our_words(TopicAuthorizationFailedError(topic), kafka)
        if answered:
            missing.look(client, [topic])
        elif remaining_seconds <= 0:
            raise in_our_words(LeaderNotAvailableError(), kafka)


class MissingTopics:
    """Distinguishes a topic that does not exist from one that a broker does not know yet."""

    def __init__(self) -> None:
        self._since: float | None = None

    def look(self, client: KafkaNetClient, topics: Sequence[str]) -> None:
        """Raises TopicMissingError if a topic has been unknown to the broker for a while."""
        existing = client.cluster.topics()
        unknown = next((topic for topic in topics if topic not in existing), None)
        now = time.monotonic()
        if unknown is None:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since > _TOPIC_GRACE_SECONDS and refreshed(client, 1.0):
            if unknown not in client.cluster.topics():
                raise topic_missing(unknown)
            self._since = None


def _words(error: Exception) -> str:
    """The message of an error on one line, or its type if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__
