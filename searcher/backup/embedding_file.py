"""Embeddings in a file: one message of the log (docs/wire.md) after the other, each after its length in
four bytes, little-endian. So backups stay readable for as long as the messages do."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import CorruptIndexError, WireError
from common.messaging.wire import decode_event, encode_event
from common.types import Embedding

_LENGTH = struct.Struct("<I")


def write_embeddings(path: Path, embeddings: Iterable[Embedding]) -> None:
    """Write a new file. Raises OSError."""
    with path.open("xb") as file:
        for one in embeddings:
            message = encode_event(one)
            file.write(_LENGTH.pack(len(message)) + message)


def read_embeddings(path: Path) -> Iterator[Embedding]:
    """The embeddings of a file. Raises CorruptIndexError, OSError."""
    with path.open("rb") as file:
        while head := file.read(_LENGTH.size):
            try:
                (length,) = _LENGTH.unpack(head)
                embedding = decode_event(file.read(length))
            except (struct.error, WireError) as error:
                raise CorruptIndexError(
                    f"{path.name} is damaged ({error}); use another backup"
                ) from None
            if not isinstance(embedding, Embedding):
                raise CorruptIndexError(
                    f"{path.name}: expected embeddings, got {type(embedding).__name__}; use another "
                    "backup"
                )
            yield embedding
