"""Settings of Kafka: brokers, topics and client behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from common.settings.group import SettingsGroup


class KafkaSettings(SettingsGroup):
    """The brokers, the configuration of topics, and how services behave as clients."""

    bootstrap_servers: str = Field(
        "127.0.0.1:9092", min_length=1, description="Bootstrap servers, HOST:PORT[,HOST:PORT...]."
    )
    topic_prefix: str = Field(
        "storyhash",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Prefix of every topic and consumer group.",
    )
    generation: str = Field(
        "",
        pattern=r"^[a-z0-9-]{0,40}$",
        description="Index generation that this service works for. Empty is the first generation. See "
        "streaming.md.",
    )
    partitions: int = Field(12, ge=1, description="Partitions per created topic.")
    replication: int = Field(
        1, ge=1, description="Replication factor of created topics. Use 3 in production."
    )
    retention_hours: float = Field(
        168.0, gt=0, description="Retention of segments, matches and dead letters, in hours."
    )
    max_lag_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Producers pause while the oldest message that no embedder has processed is older "
        "than this fraction of the retention.",
    )
    purge_hours: float = Field(
        24.0,
        gt=0,
        description="Maximum hours until compaction removes deleted and replaced embeddings from the "
        "log.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka `security.protocol`."
    )
    ca_file: Path | None = Field(
        None,
        description="CA certificate that signed the brokers' certificates, PEM (default: the system's "
        "CAs).",
    )
    certificate_file: Path | None = Field(
        None, description="Client certificate, PEM (default: none)."
    )
    key_file: Path | None = Field(
        None, description="Private key of the client certificate, PEM (default: none)."
    )
    key_password: SecretStr | None = Field(
        None, description="Password of the private key (default: none)."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism."
    )
    sasl_username: str | None = Field(None, description="SASL user name (default: none).")
    sasl_password: SecretStr | None = Field(None, description="SASL password (default: none).")
    instance_id: str | None = Field(
        None,
        description="Kafka `group.instance.id` (default: none). A service with a fixed id is a static "
        "member: after a restart within the session timeout it keeps its partitions.",
    )
    session_timeout_seconds: float = Field(
        15.0,
        gt=0,
        description="Kafka `session.timeout`, in seconds: a member that sends no heartbeat for this "
        "long loses its partitions.",
    )
    max_poll_seconds: float = Field(
        120.0,
        gt=0,
        description="Kafka `max.poll.interval`, in seconds: a member that does not poll for this long "
        "loses its partitions.",
    )
    request_timeout_seconds: float = Field(
        15.0, gt=0, description="Kafka `request.timeout`, in seconds."
    )
    delivery_timeout_seconds: float = Field(
        120.0,
        gt=0,
        description="Kafka `delivery.timeout`, in seconds: a message that no broker acknowledges in "
        "this time fails.",
    )
    max_inflight_mib: int = Field(
        64,
        ge=1,
        description="Maximum MiB of sent but unacknowledged messages before the producer waits.",
    )
