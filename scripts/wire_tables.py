#!/usr/bin/env python3
"""Write the tables of docs/wire.md from the code: topics, keys, every field of every schema.

python -m scripts.wire_tables
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from common.messaging.codec import Schema
from common.messaging.event_schemas import EVENTS
from common.messaging.query_schemas import QUERIES
from common.messaging.topics import topic_specs
from common.messaging.wire import Envelope, to_message
from common.settings import KafkaSettings, VideoSettings
from scripts.document import filled
from scripts.make_wire_golden import EVENT_SAMPLES, golden_path, newest

PATH = Path(__file__).parents[1] / "docs" / "wire.md"


def fresh(text: str) -> str:
    """The file with its tables rebuilt. Raises ValueError when a place for one is missing."""
    for name, make in _TABLES.items():
        text = filled(text, f"table: {name}", "\n".join(["", *make(), ""]))
    return text


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _topics() -> Iterator[str]:
    yield "| Topic | Partitions | Kept |\n| --- | --- | --- |"
    kafka = KafkaSettings()
    for spec in topic_specs(kafka, VideoSettings()):
        compacted = spec.config["cleanup.policy"] == "compact"
        hours = f"`{kafka.retention_hours:g}` h (`STORYHASH_KAFKA__RETENTION_HOURS`)"
        newest = (
            f"for ever, compacted: the newest of each key; the others for `{kafka.purge_hours:g}` h "
            "(`STORYHASH_KAFKA__PURGE_HOURS`) at most"
        )
        retention = newest if compacted else hours
        yield _row([f"`{spec.name}`", spec.partitions, retention])


def _keys() -> Iterator[str]:
    yield "| Schema | Example of a key | Partition by |\n| --- | --- | --- |"
    for event in EVENT_SAMPLES:
        message = to_message("", Envelope(event, 0.0, "TRACE-ID"))
        shared = message.partition_key
        by = "always partition 0" if shared is None else f"`{shared.decode()}`"
        yield _row([f"`{newest(event).name}`", f"`{message.key.decode()}`", by])


def _fields() -> Iterator[str]:
    for schema in (*EVENTS, *QUERIES):
        yield from _schema(schema)


def _schema(schema: Schema) -> Iterator[str]:
    size = golden_path(schema).stat().st_size
    summary = " ".join((schema.type.__doc__ or "").split("\n\n")[0].split())
    yield f"### `{schema.name}`, version {schema.version}\n"
    yield f"`{schema.type.__name__}`: {summary} The example has {size} bytes.\n"
    yield "| Field | Type | |\n| --- | --- | --- |"
    yield _row(["`schema`", "text", f"`{schema.name}`."])
    yield _row(["`schema_version`", "integer", f"{schema.version}."])
    for field in schema.fields:
        missing = "" if field.required else f" Where it is missing: `{field.default!r}`."
        yield _row([f"`{field.name}`", field.kind.text, field.about + missing])
    yield ""


_TABLES: dict[str, Callable[[], Iterable[str]]] = {
    "topics": _topics,
    "keys": _keys,
    "fields": _fields,
}


if __name__ == "__main__":
    PATH.write_text(fresh(PATH.read_text(encoding="utf-8")), encoding="utf-8")
