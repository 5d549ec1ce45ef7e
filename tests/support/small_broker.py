"""As much of a Kafka broker as a client needs to know that one is there; it can stop to answer."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import struct
import threading
from typing import Self

from kafka.protocol.api_header import RequestHeader
from kafka.protocol.metadata import ApiVersionsResponse, MetadataResponse
from kafka.protocol.sasl import SaslAuthenticateResponse, SaslHandshakeResponse

_API_VERSIONS, _METADATA, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 18, 3, 17, 36
_KNOWN = {_API_VERSIONS: 0, _METADATA: 8, _SASL_HANDSHAKE: 1, _SASL_AUTHENTICATE: 0}
_AUTHENTICATION_FAILED = 58


class SmallBroker:
    """Answers ApiVersions, logins and Metadata on a free port of this machine. While `hangs` is set it
    accepts connections and requests, and answers nothing; while `refuses` is set it rejects logins, and
    counts them."""

    def __init__(self) -> None:
        self.hangs = threading.Event()
        # Whether a request for metadata was answered.
        self.answered = threading.Event()
        self.refuses = threading.Event()
        self.logins = 0
        self._server = _Server(self)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    @property
    def bootstrap_servers(self) -> str:
        host, port = self.address
        return f"{host}:{port}"

    def gone(self) -> None:
        """End every connection and accept no more."""
        self._server.server_close()
        for connection in list(self._server.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def answer(self, request: bytes) -> bytes | None:
        """The response to a request, both without their sizes; None if it gets none."""
        key, version = struct.unpack(">hh", request[:4])
        if self.hangs.is_set():
            return None
        header = RequestHeader.decode(io.BytesIO(request))
        host, port = self.address
        if key == _API_VERSIONS:
            # To a version that it does not know, a broker answers in version 0, with error 35.
            wanted = [
                ApiVersionsResponse.ApiVersion(api_key=one, min_version=0, max_version=newest)
                for one, newest in _KNOWN.items()
            ]
            error = 35 if version > _KNOWN[key] else 0
            response = ApiVersionsResponse(version=0, error_code=error, api_keys=wanted)
        elif key == _SASL_HANDSHAKE:
            response = SaslHandshakeResponse(version=version, error_code=0, mechanisms=["PLAIN"])
        elif key == _SASL_AUTHENTICATE:
            self.logins += 1
            error = _AUTHENTICATION_FAILED if self.refuses.is_set() else 0
            response = SaslAuthenticateResponse(
                version=version, error_code=error, error_message=None, auth_bytes=b""
            )
        else:
            self.answered.set()
            node = MetadataResponse.MetadataResponseBroker(1, host, port, None)
            response = MetadataResponse(
                version=version, brokers=[node], cluster_id="small", controller_id=1, topics=[]
            )
        response.with_header(correlation_id=header.correlation_id)
        return bytes(response.encode(header=True))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, broker: SmallBroker) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.broker = broker
        self.open: set[socket.socket] = set()


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.open.add(self.request)
        while size := self.rfile.read(4):
            response = self.server.broker.answer(self.rfile.read(int.from_bytes(size)))
            if response is not None:
                self.wfile.write(len(response).to_bytes(4) + response)
