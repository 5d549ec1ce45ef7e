"""Results of a child travel as plain data; what is no result is refused, whatever it claims."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import NoFramesError, StorageError, VideoError
from common.sandbox.codec import checked, decode_error, encode_error, pack, unpack
from common.types import Array


def joined(*args: object) -> memoryview:
    return memoryview(bytearray(b"".join(bytes(part) for part in pack(*args))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.zeros((0, 64), dtype=np.int8),
        np.array([True, False]),
        np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2],
    ],
)
def test_arrays_and_bytes_come_back_as_they_were(array: Array) -> None:
    header, (back, content) = unpack(joined({"a": 1, "b": [None, "c"]}, array, b"clip"))
    assert header == {"a": 1, "b": [None, "c"]}
    assert content == b"clip"
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)


def message(specs: object, content: bytes = b"", header: object = None) -> memoryview:
    packed = msgpack.packb([header if header is not None else {}, specs])
    return memoryview(struct.pack("!I", len(packed)) + packed + content)


@pytest.mark.parametrize(
    "data",
    [
        memoryview(b""),
        memoryview(struct.pack("!I", 1 << 31)),
        message([], header=[]),
        message({}),
        message([], b"more"),
        message([["uint8", [1 << 40]]]),
        message([["uint8", [-1, -1]]], b"x"),
        message([["float64", [1]]], b"x"),
        message([["object", [1]]], b"x" * 8),
        message([["uint8", ["1"]]], b"x"),
        message([["V9", [1]]], b"x" * 9),
        message([["uint8", 1]], b"x"),
        message(["uint8"], b"x"),
        message([[["uint8"], [1]]], b"x"),
    ],
)
def test_what_is_no_result_is_refused(data: memoryview) -> None:
    with pytest.raises((ValueError, TypeError, struct.error)):
        unpack(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (unpack, decode_error):
        with suppress(ValueError, TypeError, struct.error, msgpack.UnpackException):
            read(memoryview(data))


def test_errors_come_back_as_errors_of_videos() -> None:
    back = decode_error(memoryview(encode_error(NoFramesError("nothing\nin it"))))
    assert type(back) is NoFramesError
    assert str(back) == "nothing in it"
    # A child may not say that the disk is full, or the caller is to blame.
    assert type(decode_error(memoryview(encode_error(StorageError("full"))))) is VideoError
    invented = decode_error(memoryview(msgpack.packb(["storage", "full"])))
    assert type(invented) is VideoError


@dataclass(frozen=True)
class Pair:
    name: str
    count: int | None = None


def test_fields_are_checked_against_their_types() -> None:
    assert checked(Pair, {"name": "a", "count": 2}) == Pair("a", 2)
    wrongs: tuple[Any, ...] = ({"name": 1}, {"name": "a", "count": "b"}, {}, [], None)
    for wrong in wrongs:
        with pytest.raises(ValueError, match="validation"):
            checked(Pair, wrong)
