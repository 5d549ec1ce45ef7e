"""Creates, corrects and checks the topics on a broker."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import AuthorizationError, KafkaError, TopicAlreadyExistsError, for_code
from kafka.net.compat import KafkaNetClient

from common.errors import BrokerError, TopicMissingError
from common.kafka.client import check_permitted, in_our_words, open_client
from common.messaging.topics import TopicSpec, topic_specs
from common.settings import KafkaSettings, VideoSettings

log = logging.getLogger("storyhash.kafka")

# If these options differ, messages are lost or rejected. Other options are the operator's choice.
_VITAL = frozenset({"cleanup.policy", "max.message.bytes", "message.timestamp.type"})


@dataclass(frozen=True, slots=True)
class TopicState:
    """The state of one topic.

    missing: it does not exist. differences: by option, the present and the expected value; `partitions`
    and `replication` count as options. More partitions or replicas than expected are no difference.
    """

    spec: TopicSpec
    missing: bool
    differences: Mapping[str, tuple[str, str]]

    @property
    def correct(self) -> bool:
        return not self.missing and not self.differences

    @property
    def usable(self) -> bool:
        """Whether services can use it in this state."""
        return not self.missing and not any(self._is_vital(name) for name in self.differences)

    @property
    def retention_ms(self) -> int:
        """Its present retention; negative means no limit."""
        expected = self.spec.config["retention.ms"]
        return int(self.differences.get("retention.ms", (expected, expected))[0])

    def describe(self) -> str:
        """The differences as text, or `ok`."""
        if self.missing:
            return "missing"
        differences = [
            f"{name}: expected {expected}, got {actual}"
            for name, (actual, expected) in self.differences.items()
        ]
        return "; ".join(differences) or "ok"

    def _is_vital(self, name: str) -> bool:
        if name not in _VITAL:
            return False
        actual, expected = self.differences[name]
        return name != "max.message.bytes" or int(actual) < int(expected)


def check_topics(kafka: KafkaSettings, video: VideoSettings) -> list[TopicState]:
    """The state of every topic. Raises BrokerError."""
    with _admin(kafka) as (admin, _):
        return _states(admin, topic_specs(kafka, video))


def require_topics(kafka: KafkaSettings, video: VideoSettings) -> dict[str, TopicState]:
    """The state of every topic by name, checked before a service starts: every topic exists, has the
    right clean-up policy and clock, and accepts the largest message. Other differences are only logged.

    Raises TopicMissingError, which says what to do, and BrokerError.
    """
    with _admin(kafka) as (admin, client):
        states = _states(admin, topic_specs(kafka, video))
        check_permitted(client, kafka, [state.spec.name for state in states if state.missing])
    for state in states:
        if not state.usable:
            raise TopicMissingError(
                f"topic {state.spec.name}: {state.describe()}; `storyhash topics create` corrects it"
            )
        if not state.correct:
            log.warning("topic %s: %s", state.spec.name, state.describe())
    return {state.spec.name: state for state in states}


def create_topics(kafka: KafkaSettings, video: VideoSettings) -> list[TopicState]:
    """Create missing topics and correct differing ones; returns the states before.

    Partitions are added only to a topic that was never written to: otherwise they would split the
    messages of a video. Replicas are never changed. Raises BrokerError.
    """
    specs = topic_specs(kafka, video)
    with _admin(kafka) as (admin, client):
        before = _states(admin, specs)
        _make(admin, [state.spec for state in before if state.missing])
        for state in before:
            if not state.missing:
                _correct(admin, kafka, state)
        # One that exists unseen would be waited for in vain.
        check_permitted(client, kafka, [state.spec.name for state in before if state.missing])
        admin.wait_for_topics(
            [spec.name for spec in specs], timeout_ms=round(kafka.request_timeout_seconds * 1000)
        )
    return before


@contextmanager
def _admin(kafka: KafkaSettings) -> Iterator[tuple[Any, KafkaNetClient]]:
    admin, client = open_client(kafka, KafkaAdminClient)
    try:
        yield admin, client
    except KafkaError as error:
        raise in_our_words(error, kafka) from None
    finally:
        admin.close()


def _states(admin: Any, specs: Sequence[TopicSpec]) -> list[TopicState]:
    # A request for all topics: a request by name may create a missing topic.
    described = {description["name"]: description for description in admin.describe_topics()}
    existing = [spec for spec in specs if spec.name in described]
    configs: Mapping[str, Any] = {}
    if existing:
        resources = [ConfigResource(ConfigResourceType.TOPIC, spec.name) for spec in existing]
        configs = admin.describe_configs(resources, config_filter="all").get("topic", {})
    states = []
    for spec in specs:
        if spec.name not in described:
            states.append(TopicState(spec, True, {}))
            continue
        differences = _differences(spec, described[spec.name]["partitions"], configs[spec.name])
        states.append(TopicState(spec, False, differences))
    return states


def _differences(
    spec: TopicSpec, partitions: Sequence[Any], config: Mapping[str, Any]
) -> dict[str, tuple[str, str]]:
    differences = {}
    if len(partitions) < spec.partitions:
        differences["partitions"] = (str(len(partitions)), str(spec.partitions))
    copies = min(len(partition["replica_nodes"]) for partition in partitions)
    if copies < spec.replication:
        differences["replication"] = (str(copies), str(spec.replication))
    for name, expected in spec.config.items():
        actual = str(config[name]["value"])
        if actual != expected:
            differences[name] = (actual, expected)
    return differences


def _make(admin: Any, specs: Sequence[TopicSpec]) -> None:
    if not specs:
        return
    requests = {
        spec.name: {
            "num_partitions": spec.partitions,
            "replication_factor": spec.replication,
            "configs": spec.config,
        }
        for spec in specs
    }
    answer = admin.create_topics(requests, raise_errors=False)
    for result in answer["topics"]:
        kind = for_code(result["error_code"])
        if issubclass(kind, AuthorizationError):
            raise kind(result["name"])
        # Another process may have created it at the same time.
        if result["error_code"] and kind is not TopicAlreadyExistsError:
            reason = result.get("error_message") or kind.__name__
            raise BrokerError(
                f"topic {result['name']} could not be created: {reason}; see "
                "STORYHASH_KAFKA__REPLICATION and STORYHASH_KAFKA__PARTITIONS"
            )


def _correct(admin: Any, kafka: KafkaSettings, state: TopicState) -> None:
    name = state.spec.name
    options = {
        option: expected for option, (_, expected) in state.differences.items() if "." in option
    }
    if options:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, options)])
    if "partitions" in state.differences:
        actual, expected = state.differences["partitions"]
        if not _was_never_written(kafka, name, int(actual)):
            raise BrokerError(
                f"topic {name}: expected {expected} partitions, got {actual}, and it has "
                "messages: more partitions would split the messages of a video. Set "
                f"STORYHASH_KAFKA__PARTITIONS={actual}, or use another "
                "STORYHASH_KAFKA__TOPIC_PREFIX"
            )
        admin.create_partitions({name: int(expected)})


def _was_never_written(kafka: KafkaSettings, topic: str, partitions: int) -> bool:
    consumer, _ = open_client(kafka, KafkaConsumer)
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        return not any(consumer.end_offsets(places).values())
    finally:
        consumer.close()
