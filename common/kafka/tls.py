"""Addresses of brokers, TLS, and the diagnosis of brokers that accept connections but do not answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from common.errors import SettingsError
from common.settings import KafkaSettings
from common.uris import without_passwords

_LOOK_SECONDS = 3.0


def addresses(kafka: KafkaSettings) -> list[str]:
    """The bootstrap brokers. Raises SettingsError."""
    servers = [server.strip() for server in kafka.bootstrap_servers.split(",")]
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(
                f"STORYHASH_KAFKA__BOOTSTRAP_SERVERS: expected HOST:PORT, "
                f"got {without_passwords(server)!r}"
            )
    return servers


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """The trusted certificates and the client's certificate. Raises SettingsError that names the
    variable."""
    for variable, path in (
        ("CA_FILE", kafka.ca_file),
        ("CERTIFICATE_FILE", kafka.certificate_file),
        ("KEY_FILE", kafka.key_file),
    ):
        if path is not None and not path.is_file():
            raise SettingsError(f"STORYHASH_KAFKA__{variable}: file not found: {path}")
    if kafka.key_file is not None and kafka.certificate_file is None:
        raise SettingsError("STORYHASH_KAFKA__CERTIFICATE_FILE: must be set when KEY_FILE is")
    try:
        context = ssl.create_default_context(cafile=_text(kafka.ca_file))
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"STORYHASH_KAFKA__CA_FILE: {kafka.ca_file}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if kafka.certificate_file is not None:
        secret = kafka.key_password
        # Without a password, OpenSSL would prompt for one.
        password = secret.get_secret_value() if secret is not None else ""
        try:
            context.load_cert_chain(kafka.certificate_file, _text(kafka.key_file), lambda: password)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"STORYHASH_KAFKA__CERTIFICATE_FILE, KEY_FILE and KEY_PASSWORD: {error}"
            ) from None
    return context


def trouble(kafka: KafkaSettings) -> str:
    """Why a broker accepts connections but does not answer; empty if none accepts connections.

    After a TLS failure or a rejection, a client retries until its time-out, and then reports only that.
    """
    for address in addresses(kafka):
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            with socket.create_connection((host, int(port)), timeout=_LOOK_SECONDS) as plain:
                if kafka.security_protocol.endswith("SSL"):
                    _shake_hands(plain, host, tls_context(kafka))
        except (ssl.SSLError, ConnectionResetError) as error:
            return tls_trouble(address, error)
        except OSError:
            continue
        login = kafka.security_protocol.startswith("SASL")
        named = "USERNAME, STORYHASH_KAFKA__SASL_PASSWORD, STORYHASH_KAFKA__SASL_MECHANISM"
        other_settings = f"STORYHASH_KAFKA__SASL_{named} and " if login else ""
        return (
            f"Kafka at {address} accepts connections but does not respond: it may be "
            "starting or overloaded; otherwise check "
            f"{other_settings}STORYHASH_KAFKA__SECURITY_PROTOCOL"
        )
    return ""


def tls_trouble(address: str, error: OSError) -> str:
    """What an error of a TLS connection means, and what to check."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"Kafka at {address} has a certificate that is not trusted ({error.verify_message}); "
            "check STORYHASH_KAFKA__CA_FILE and the host name"
        )
    return (
        f"TLS connection to Kafka at {address} failed ({error.strerror or error}); "
        "check STORYHASH_KAFKA__SECURITY_PROTOCOL, "
        "STORYHASH_KAFKA__CERTIFICATE_FILE and STORYHASH_KAFKA__KEY_FILE"
    )


def _shake_hands(plain: socket.socket, host: str, context: ssl.SSLContext) -> None:
    """Do a TLS handshake. Raises ssl.SSLError or OSError if it fails."""
    # With TLS 1.3 a broker rejects a client's certificate only after the handshake; a broker that
    # accepts it waits for the client.
    with (
        context.wrap_socket(plain, server_hostname=host) as secure,
        contextlib.suppress(TimeoutError),
    ):
        secure.recv(1)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
