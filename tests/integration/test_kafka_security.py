"""Brokers that want TLS, a password or a certificate, and what is said when they do not get it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from common.errors import BrokerError, StoryHashError
from common.kafka.topics import check_topics, create_topics, require_topics
from common.kafka.transport import KafkaTransport
from common.messaging.topics import TopicNames
from common.messaging.transport import Message
from common.settings import KafkaSettings, VideoSettings
from tests.conftest import skip_or_fail
from tests.kafka_broker import KafkaBroker, can_run
from tests.kafka_broker.broker import free_ports

USER, PASSWORD = "alice", "wonderland"
# May log in, and may not see topics with this prefix.
OUTSIDER, DENIED = "bob", "denied"


@dataclass(frozen=True)
class Secured:
    """A broker with a listener for names and passwords and one for certificates, both over TLS."""

    password_port: int
    certificate_port: int
    authority: Path
    stranger: Path
    certificate: Path
    key: Path

    def with_password(self, **changes: object) -> KafkaSettings:
        settings: dict[str, object] = {
            "bootstrap_servers": f"localhost:{self.password_port}",
            "topic_prefix": f"t-{uuid.uuid4().hex[:8]}",
            "partitions": 2,
            "security_protocol": "SASL_SSL",
            "ca_file": self.authority,
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": USER,
            "sasl_password": SecretStr(PASSWORD),
            "request_timeout_seconds": 5,
        }
        return KafkaSettings.model_validate(settings | changes)

    def with_certificate(self, **changes: object) -> KafkaSettings:
        return self.with_password(
            bootstrap_servers=f"localhost:{self.certificate_port}",
            security_protocol="SSL",
            **{"certificate_file": self.certificate, "key_file": self.key, **changes},
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if not can_run():
        skip_or_fail("kafka", "install Java 17 and Maven; a test starts a broker with TLS")
    folder = tmp_path_factory.mktemp("secured")
    ours, other = trustme.CA(), trustme.CA()
    server, client = ours.issue_cert("localhost", "127.0.0.1"), ours.issue_cert("client@test")
    files = {name: folder / f"{name}.pem" for name in ("ca", "other", "server", "cert", "key")}
    ours.cert_pem.write_to_path(files["ca"])
    other.cert_pem.write_to_path(files["other"])
    files["server"].write_bytes(
        pkcs8(server.private_key_pem.bytes())
        + b"".join(blob.bytes() for blob in server.cert_chain_pems)
    )
    client.private_key_pem.write_to_path(files["key"])
    for blob in client.cert_chain_pems:
        blob.write_to_path(files["cert"], append=True)
    plain, controller, password, certificate = free_ports(4)
    plugin = "org.apache.kafka.common.security"
    config = {
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},PASSWORD://127.0.0.1:{password},"
        f"CERTIFICATE://127.0.0.1:{certificate},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},PASSWORD://localhost:{password},"
        f"CERTIFICATE://localhost:{certificate}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PASSWORD:SASL_SSL,"
        "CERTIFICATE:SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.password.scram-sha-512.sasl.jaas.config": f"{plugin}.scram.ScramLoginModule "
        "required;",
        "listener.name.password.plain.sasl.jaas.config": f"{plugin}.plain.PlainLoginModule required "
        f'user_{USER}="{PASSWORD}" user_{OUTSIDER}="{PASSWORD}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "listener.name.certificate.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files["server"]),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files["ca"]),
    }
    with KafkaBroker(folder / "kafka", ports=(plain, controller), config=config):
        admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{plain}")
        mechanism = ScramMechanism.SCRAM_SHA_512
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(USER, mechanism, PASSWORD)]
        )
        everything = ResourcePattern(ResourceType.TOPIC, DENIED, ACLResourcePatternType.PREFIXED)
        admin.create_acls(
            [ACL(f"User:{USER}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, everything)]
        )
        admin.close()
        yield Secured(
            password, certificate, files["ca"], files["other"], files["cert"], files["key"]
        )


def pkcs8(pem: bytes) -> bytes:
    """A private key in the only form that Kafka reads."""
    key = serialization.load_pem_private_key(pem, password=None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def round_trip(settings: KafkaSettings) -> None:
    """Topics are made, a message goes in and comes out."""
    create_topics(settings, VideoSettings())
    require_topics(settings, VideoSettings())
    topic = TopicNames.of(settings).matches
    transport = KafkaTransport(settings, VideoSettings())
    publisher = transport.publisher()
    publisher.publish(Message(topic, b"k", b"v"))
    publisher.flush()
    publisher.close()
    assert [received.value for received in transport.scan(topic)] == [b"v"]
    consumer = transport.group_consumer([topic], "g")
    found = []
    for _ in range(100):
        found += consumer.poll(10, 0.2)
        if found:
            break
    consumer.close()
    assert [received.value for received in found] == [b"v"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_a_name_and_its_password_over_tls(secured: Secured, mechanism: str) -> None:
    round_trip(secured.with_password(sasl_mechanism=mechanism))


def test_a_certificate_in_place_of_a_password(secured: Secured) -> None:
    round_trip(secured.with_certificate())


def refusal(settings: KafkaSettings) -> StoryHashError:
    with pytest.raises(StoryHashError) as refused:
        check_topics(settings, VideoSettings())
    return refused.value


def test_a_wrong_password_is_told_as_that_and_is_never_shown(secured: Secured) -> None:
    error = refusal(secured.with_password(sasl_password=SecretStr("looking-glass")))
    assert isinstance(error, BrokerError)
    assert "STORYHASH_KAFKA__SASL_PASSWORD" in str(error)
    assert "looking-glass" not in str(error)


def test_a_mechanism_the_broker_does_not_offer_is_told(secured: Secured) -> None:
    error = refusal(secured.with_password(sasl_mechanism="SCRAM-SHA-256"))
    assert "STORYHASH_KAFKA__SASL_MECHANISM" in str(error)


def test_a_broker_whose_certificate_another_authority_signed_is_not_trusted(
    secured: Secured,
) -> None:
    error = refusal(secured.with_password(ca_file=secured.stranger))
    assert isinstance(error, BrokerError)
    assert "STORYHASH_KAFKA__CA_FILE" in str(error)


def test_a_client_that_speaks_another_protocol_is_told_so(secured: Secured) -> None:
    error = refusal(secured.with_password(security_protocol="PLAINTEXT"))
    assert "STORYHASH_KAFKA__SECURITY_PROTOCOL" in str(error)


def test_a_client_without_the_certificate_asked_for_is_turned_away(secured: Secured) -> None:
    error = refusal(secured.with_certificate(certificate_file=None, key_file=None))
    assert isinstance(error, BrokerError)
    assert "STORYHASH_KAFKA__CERTIFICATE_FILE" in str(error)


def test_a_user_without_the_permission_is_told_so(secured: Secured) -> None:
    create_topics(secured.with_password(topic_prefix=DENIED), VideoSettings())
    outsider = secured.with_password(
        topic_prefix=DENIED, sasl_mechanism="PLAIN", sasl_username=OUTSIDER
    )
    transport = KafkaTransport(outsider, VideoSettings())
    topics = TopicNames.of(outsider)
    for work in (
        lambda: create_topics(outsider, VideoSettings()),
        lambda: require_topics(outsider, VideoSettings()),
        lambda: list(transport.scan(topics.matches)),
        lambda: transport.moment(topics.clock),
    ):
        with pytest.raises(BrokerError, match="denies access"):
            work()
    transport.close()
