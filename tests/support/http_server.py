"""A small HTTP server for tests. The test defines the responses and their delays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

Answer: TypeAlias = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def running(handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> Iterator[str]:
    """Run a server with a thread for each connection; gives its address. It logs nothing."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer((host, 0), quiet) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def serving(answers: Mapping[str, Answer]) -> AbstractContextManager[str]:
    """Run the server; gives its address. answers: responses by path without query; other paths give
    404."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            try:
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)
            except OSError:
                return

    return running(Answers)


def content(data: bytes, **headers: str) -> Answer:
    """A response 200 with this content, sent at once."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def dripping(blocks: Iterator[bytes] | list[bytes], pause: Callable[[], object]) -> Answer:
    """A response 200 with these blocks. pause: called before each block."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for block in blocks:
            pause()
            handler.wfile.write(block)
            handler.wfile.flush()

    return answer


def redirect(location: str) -> Answer:
    """A response 302 to `location`."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.end_headers()

    return answer
