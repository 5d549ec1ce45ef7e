"""Brokers' addresses, TLS to them, and what is wrong with it when nobody answers."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from common.errors import SettingsError
from common.settings import KafkaSettings

_LOOK_SECONDS = 3.0


def addresses(kafka: KafkaSettings) -> list[str]:
    """The brokers to ask first. Raises SettingsError."""
    servers = [server.strip() for server in kafka.bootstrap_servers.split(",")]
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(
                f"STORYHASH_KAFKA__BOOTSTRAP_SERVERS: expected HOST:PORT, got {server!r}"
            )
    return servers


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """What connections trust, and what they show. Raises SettingsError that names the variable."""
    for variable, path in (
        ("CA_FILE", kafka.ca_file),
        ("CERTIFICATE_FILE", kafka.certificate_file),
        ("KEY_FILE", kafka.key_file),
    ):
        if path is not None and not path.is_file():
            raise SettingsError(f"STORYHASH_KAFKA__{variable}: there is no file {path}")
    if kafka.key_file is not None and kafka.certificate_file is None:
        raise SettingsError("STORYHASH_KAFKA__CERTIFICATE_FILE: must be set when KEY_FILE is")
    try:
        context = ssl.create_default_context(cafile=_text(kafka.ca_file))
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"STORYHASH_KAFKA__CA_FILE: {kafka.ca_file}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if kafka.certificate_file is not None:
        secret = kafka.key_password
        # Without a password OpenSSL would ask for one at the terminal.
        password = secret.get_secret_value() if secret is not None else ""
        try:
            context.load_cert_chain(kafka.certificate_file, _text(kafka.key_file), lambda: password)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"STORYHASH_KAFKA__CERTIFICATE_FILE, KEY_FILE and KEY_PASSWORD: {error}"
            ) from None
    return context


def tls_trouble(kafka: KafkaSettings) -> str:
    """Why no broker can be spoken to over TLS, where that is why; else nothing.

    A client that cannot agree on TLS tries again until its time is up, and then knows no more than that
    nobody answered.
    """
    if not kafka.security_protocol.endswith("SSL"):
        return ""
    context = tls_context(kafka)
    for address in addresses(kafka):
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            with (
                socket.create_connection((host, int(port)), timeout=_LOOK_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=host) as secure,
            ):
                # With TLS 1.3 a broker refuses a client's certificate only after the handshake.
                secure.settimeout(_LOOK_SECONDS)
                secure.recv(1)
        except ssl.SSLCertVerificationError as error:
            return (
                f"Kafka at {address} shows a certificate that is not trusted ({error.verify_message}); "
                "check STORYHASH_KAFKA__CA_FILE and the host's name"
            )
        except TimeoutError:
            continue
        except (ssl.SSLError, ConnectionResetError) as error:
            return (
                f"Kafka at {address} cannot be spoken to over TLS ({error.strerror or error}); check "
                "STORYHASH_KAFKA__SECURITY_PROTOCOL, STORYHASH_KAFKA__CERTIFICATE_FILE and "
                "STORYHASH_KAFKA__KEY_FILE"
            )
        except OSError:
            continue
    return ""


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
