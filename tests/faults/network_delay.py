"""A broker that is far away: what clients send and get is as it was, only later."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

_CHUNK_BYTES = 1 << 16


class Distance:
    """Listens at a port of its own and passes on to a broker's, each way so many seconds later."""

    def __init__(self, port: int, target_port: int, seconds: float) -> None:
        self._port = port
        self._target_port = target_port
        self._seconds = seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._connected, "127.0.0.1", self._port)
        asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _end(self) -> None:
        """Hang up everywhere."""
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bytes in their order, each chunk as late as every other; then the end."""
        loop = asyncio.get_running_loop()
        chunk = b"begin"
        while chunk:
            try:
                chunk = await reader.read(_CHUNK_BYTES)
            except OSError:
                chunk = b""
            if chunk:
                loop.call_later(self._seconds, writer.write, chunk)
            else:
                loop.call_later(self._seconds, writer.close)
