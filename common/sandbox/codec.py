"""Encodes the results of a child as plain data, which the parent checks; nothing is unpickled.

A result is a small msgpack header followed by raw buffers, so pictures are not copied. A child's data is
trusted no more than the file it was made from.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import msgpack
import numpy as np
from pydantic import TypeAdapter

from common.errors import StoryHashError, VideoError
from common.types import Array

Result = TypeVar("Result")
T = TypeVar("T")
Buffer: TypeAlias = bytes | bytearray | memoryview

_LENGTH = struct.Struct("!I")
# Headers become Python objects, which are many times larger than their bytes.
_MAX_HEADER_BYTES = 256 * 1024
_MAX_SIDE = 1 << 31
_MAX_MESSAGE = 1_000
_DTYPES = frozenset({"uint8", "int8", "bool", "uint16", "int64", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class Codec(Generic[Result]):
    """The encoding of one kind of result. Both functions must be importable; the child uses `encode`.

    encode: from a result to buffers, which are sent in order. decode: the reverse, from one buffer,
    which it may keep; any error it raises counts as a fault of the child. max_bytes: the largest encoded
    result that is read.
    """

    encode: Callable[[Result], Sequence[Buffer]]
    decode: Callable[[memoryview], Result]
    max_bytes: int


def _no_buffers(result: None) -> Sequence[Buffer]:
    return ()


def _no_result(data: memoryview) -> None:
    raise ValueError("no result was expected")


NO_RESULT: Codec[None] = Codec(_no_buffers, _no_result, 0)
"""The codec of a child whose work has no result."""


def pack(header: Mapping[str, Any], *arrays: Array | Buffer) -> list[Buffer]:
    """A map of plain values, and arrays or bytes, as buffers. Arrays are not copied if contiguous."""
    specs: list[Any] = []
    buffers: list[Buffer] = []
    for array in arrays:
        if isinstance(array, np.ndarray):
            specs.append([array.dtype.name, list(array.shape)])
            # Zero-sized views cannot be cast.
            buffers.append(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        else:
            specs.append(["bytes", [len(array)]])
            buffers.append(array)
    packed = msgpack.packb([dict(header), specs])
    return [_LENGTH.pack(len(packed)), packed, *buffers]


def unpack(data: memoryview) -> tuple[dict[str, Any], list[Any]]:
    """The reverse of `pack`: the map, with an array (a view of `data`) or bytes for each buffer.

    Raises ValueError or an error of msgpack for other data.
    """
    (size,) = _LENGTH.unpack_from(data)
    if size > _MAX_HEADER_BYTES:
        raise ValueError(f"a header of {size} bytes")
    start = _LENGTH.size + size
    header, specs = msgpack.unpackb(data[_LENGTH.size : start])
    if type(header) is not dict or type(specs) is not list:
        raise ValueError("no header")
    arrays: list[Any] = []
    for name, shape in specs:
        array, start = _buffer(data, start, name, shape)
        arrays.append(array)
    if start != len(data):
        raise ValueError("bytes left over")
    return header, arrays


def _buffer(data: memoryview, start: int, name: Any, shape: Any) -> tuple[Any, int]:
    if not all(type(side) is int and 0 <= side <= _MAX_SIDE for side in shape):
        raise ValueError("no shape")
    if name != "bytes" and name not in _DTYPES:
        raise ValueError("no dtype of ours")
    dtype = np.dtype("uint8" if name == "bytes" else name)
    end = start + math.prod(shape) * dtype.itemsize
    part = data[start:end]
    if len(part) != end - start:
        raise ValueError("cut short")
    if name == "bytes":
        return bytes(part), end
    return np.frombuffer(part, dtype=dtype).reshape(shape), end


def checked(kind: type[T], values: Any) -> T:
    """A dataclass from plain values; each is checked against the type of its field. Raises ValueError."""
    return TypeAdapter(kind).validate_python(values)


def encode_error(error: StoryHashError) -> bytes:
    """Encode an error as code and message; an error that is no VideoError becomes one."""
    code = error.code if isinstance(error, VideoError) else VideoError.code
    packed: bytes = msgpack.packb([code, one_line(str(error))])
    return packed


def decode_error(data: memoryview) -> VideoError:
    """The reverse. Raises ValueError or an error of msgpack for other data."""
    code, message = msgpack.unpackb(data)
    if type(code) is not str or type(message) is not str:
        raise ValueError("no error")
    kinds = {kind.code: kind for kind in _kinds(VideoError)}
    return kinds.get(code, VideoError)(one_line(message))


def one_line(text: str) -> str:
    """A child's text as one short line without control characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:_MAX_MESSAGE]


def _kinds(kind: type[VideoError]) -> Iterator[type[VideoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
