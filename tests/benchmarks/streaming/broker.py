"""A real broker for the benchmark, and topics of its own in it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from kafka import KafkaAdminClient

from common.kafka.topics import create_topics
from common.kafka.transport import KafkaTransport
from common.messaging.topics import TopicNames, topic_specs
from common.settings import KafkaSettings, VideoSettings
from tests.conftest import docker_runs
from tests.kafka_broker import KafkaBroker
from tests.kafka_broker.container import kafka_container


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Bootstrap servers: STORYHASH_TEST_KAFKA, else a container, else a process (Java and Maven)."""
    named = os.environ.get("STORYHASH_TEST_KAFKA")
    if named:
        yield named
    elif docker_runs():
        with kafka_container() as servers:
            yield servers
    else:
        with KafkaBroker(folder / "kafka") as process:
            yield process.bootstrap_servers


class Topics:
    """The topics of one deployment, gone when the block ends."""

    def __init__(self, servers: str, partitions: int = 4) -> None:
        self.kafka = KafkaSettings(
            bootstrap_servers=servers,
            topic_prefix=f"bench-{uuid.uuid4().hex[:8]}",
            partitions=partitions,
        )
        self.names = TopicNames.of(self.kafka)
        self.transport = KafkaTransport(self.kafka, VideoSettings())

    @property
    def settings(self) -> Mapping[str, str]:
        """The same for a service's environment."""
        return {"STORYHASH_KAFKA__PARTITIONS": str(self.kafka.partitions)}

    def __enter__(self) -> Topics:
        create_topics(self.kafka, VideoSettings())
        return self

    def __exit__(self, *_: object) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers.split(","))
        with contextlib.closing(admin):
            admin.delete_topics([spec.name for spec in topic_specs(self.kafka, VideoSettings())])
