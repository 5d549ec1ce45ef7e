"""Messages as msgpack maps: a schema, its version and its fields, which are checked when read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgpack
import numpy as np

from common.errors import SchemaVersionError, WireError
from common.types import Array

Fields: TypeAlias = Mapping[str, Any]
# The largest signed 64-bit integer, of SQLite, Kafka and Java.
_MOST = 2**63 - 1
_REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a field: its description, and a check of a value."""

    text: str
    holds: Callable[[Any], bool]


def floats(width: int) -> Kind:
    return Kind(
        f"bytes: float32 ({width},), little-endian",
        lambda value: type(value) is bytes and len(value) == 4 * width,
    )


# `type` and not `isinstance`, because bool is a subclass of int.
TEXT = Kind("text", lambda value: type(value) is str)
WHOLE = Kind("integer, 0 to 2^63 - 1", lambda value: type(value) is int and 0 <= value <= _MOST)
NUMBER = Kind("number", lambda value: type(value) in (float, int) and math.isfinite(value))
FLAG = Kind("boolean", lambda value: type(value) is bool)
BYTES = Kind("bytes", lambda value: type(value) is bytes)
MAP = Kind("map", lambda value: type(value) is dict)
TEXTS = Kind(
    "array of text", lambda value: type(value) is list and all(type(one) is str for one in value)
)


def bytes_of(values: Array) -> bytes:
    """Little-endian, whatever the machine."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def array_of(data: bytes, dtype: str, shape: tuple[int, ...]) -> Array:
    """As `bytes_of` wrote it."""
    flat = np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<"))
    return flat.astype(dtype, copy=False).reshape(shape)


@dataclass(frozen=True, slots=True)
class Field:
    """One field. default: the value if the field is missing; a field without a default is required."""

    name: str
    kind: Kind
    about: str
    default: Any = _REQUIRED

    @property
    def required(self) -> bool:
        return self.default is _REQUIRED


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one kind of message, and its Python type."""

    name: str
    version: int
    type: type
    fields: tuple[Field, ...]
    to_fields: Callable[[Any], Fields]
    from_fields: Callable[[Fields], Any]

    def pack(self, value: Any) -> bytes:
        """Encode a value of its type."""
        fields = {"schema": self.name, "schema_version": self.version, **self.to_fields(value)}
        packed: bytes = msgpack.packb(fields)
        return packed

    def read(self, fields: Fields) -> Any:
        """The value in a map. Raises WireError that names the field."""
        values = {}
        for field in self.fields:
            value = fields.get(field.name, field.default)
            if value is _REQUIRED:
                raise WireError(f"{self.name}: field {field.name!r} is missing")
            if not field.kind.holds(value):
                raise WireError(
                    f"{self.name}: {field.name}: expected {field.kind.text}, got {_shown(value)}"
                )
            values[field.name] = value
        try:
            return self.from_fields(values)
        except (ValueError, TypeError, RecursionError) as error:
            raise WireError(f"{self.name}: {error}") from None


class Schemas:
    """The schemas of one place: the newest version of each is written, every version is read."""

    def __init__(self, schemas: Iterable[Schema]) -> None:
        self._of_type: dict[type, Schema] = {}
        self._versions: dict[str, dict[int, Schema]] = {}
        for schema in sorted(schemas, key=lambda schema: schema.version):
            self._of_type[schema.type] = schema
            self._versions.setdefault(schema.name, {})[schema.version] = schema

    def of(self, value: object) -> Schema:
        """The schema for writing a value."""
        return self._of_type[type(value)]

    def pack(self, value: object) -> bytes:
        """Encode a value."""
        return self.of(value).pack(value)

    def unpack(self, data: bytes) -> Any:
        """Decode a value. Raises WireError for another schema or damaged bytes, SchemaVersionError for an
        unknown version."""
        try:
            fields = msgpack.unpackb(data)
        except (ValueError, TypeError, msgpack.exceptions.UnpackException):
            fields = None
        return self.read(fields)

    def read(self, fields: Any) -> Any:
        """Like `unpack`, from the map that msgpack decoded."""
        if type(fields) is not dict or "schema" not in fields or "schema_version" not in fields:
            raise WireError("not a message of StoryHash: expected a msgpack map with a schema")
        name, version = fields["schema"], fields["schema_version"]
        versions = self._versions.get(name) if type(name) is str else None
        if versions is None:
            raise WireError(f"unknown schema {_shown(name)}; expected {', '.join(self._versions)}")
        if type(version) is not int:
            raise WireError(f"{name}: schema_version: expected an integer, got {_shown(version)}")
        if version not in versions:
            supported = ", ".join(map(str, versions))
            raise SchemaVersionError(
                f"schema {name} has version {version}, but this version of StoryHash "
                f"supports {supported}; update the service, then replay the message"
            )
        return versions[version].read(fields)


def _shown(value: object) -> str:
    if type(value) is bytes:
        return f"{len(value)} bytes"
    return repr(value)[:80]
