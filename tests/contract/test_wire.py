"""The wire format: not a byte changes by accident, and what is not ours is refused as just that."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import SchemaVersionError, WireError
from common.messaging.codec import TEXT, WHOLE, Field, Schema, Schemas
from common.messaging.event_schemas import EVENTS
from common.messaging.events import (
    Deletion,
    Event,
    LogModel,
    MatchEvent,
    SegmentFailed,
    VideoEnd,
    segments_digest,
)
from common.messaging.query_schemas import QUERIES, QueryPiece
from common.messaging.transport import ReceivedMessage
from common.messaging.wire import (
    Envelope,
    QueryReader,
    decode_event,
    decode_query,
    encode_event,
    encode_query,
    from_message,
    to_message,
)
from common.types import (
    FRAME_CODE_SIZE,
    GRAPH_DIMENSION,
    NO_FRAMES,
    VECTOR_DIMENSION,
    CatalogEntry,
    Embedding,
    QueryEmbedding,
    Segment,
    SegmentRef,
)
from scripts.make_wire_golden import (
    EARLIER,
    EVENT_SAMPLES,
    FOLDER,
    QUERY_SAMPLE,
    SAMPLES,
    golden_path,
    newest,
)
from scripts.wire_tables import PATH, fresh

VERSIONS = st.integers(1, 2**63 - 1)
# Text of any kind that UTF-8 holds.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAMES = TEXTS.filter(bool)
SECONDS = st.floats(0, 1e7)


def same(one: object, other: object) -> bool:
    """Are two values of one type the same, arrays bit for bit?"""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)
        )
    return one == other


def decode(data: bytes, like: object) -> Any:
    if isinstance(like, QueryPiece):
        return QueryPiece(decode_query(data))
    return decode_query(data) if isinstance(like, QueryEmbedding) else decode_event(data)


@st.composite
def refs(draw: st.DrawFn) -> SegmentRef:
    start = draw(SECONDS)
    end = start + draw(st.floats(0.001, 1e4))
    return SegmentRef(draw(NAMES), start, end, draw(VERSIONS), draw(NAMES))


@st.composite
def embeddings(draw: st.DrawFn) -> Embedding:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    informative = draw(st.booleans())
    vector = rng.normal(size=VECTOR_DIMENSION).astype(np.float32)
    vector *= np.float32(informative) / np.linalg.norm(vector)
    graph = rng.normal(size=GRAPH_DIMENSION).astype(np.float32)
    frames = rng.integers(-127, 128, (draw(st.integers(0, 12)), FRAME_CODE_SIZE), dtype=np.int8)
    return Embedding(draw(refs()), vector, graph, informative, draw(NAMES), frames)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def ends(draw: st.DrawFn) -> VideoEnd:
    metadata = draw(st.dictionaries(TEXTS, JSON, max_size=3))
    entry = CatalogEntry(draw(NAMES), draw(NAMES), draw(NAMES), draw(TEXTS), metadata)
    return VideoEnd(
        entry,
        draw(VERSIONS),
        draw(st.sampled_from(["complete", "failed"])),
        draw(SECONDS),
        draw(st.integers(0, 10**6)),
        draw(TEXTS),
        draw(TEXTS),
        draw(TEXTS),
        draw(TEXTS),
    )


REPORTS = st.dictionaries(
    TEXTS, st.integers(-(2**63), 2**63) | TEXTS | st.lists(SECONDS), max_size=3
)
ANY_EVENT: st.SearchStrategy[Event] = st.one_of(
    st.builds(Segment, refs(), st.binary(min_size=1, max_size=200)),
    embeddings(),
    ends(),
    st.builds(SegmentFailed, refs(), TEXTS),
    st.builds(Deletion, NAMES, VERSIONS),
    st.builds(LogModel, NAMES),
    st.builds(MatchEvent, NAMES, VERSIONS, REPORTS),
)


@st.composite
def queries(draw: st.DrawFn) -> QueryEmbedding:
    views = tuple(draw(st.lists(NAMES, max_size=3, unique=True)))
    windows = draw(st.integers(0, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    starts = np.sort(rng.uniform(0, 100, windows))
    return QueryEmbedding(
        draw(TEXTS),
        draw(SECONDS),
        draw(NAMES),
        views,
        starts,
        starts + 4,
        rng.normal(size=(len(views), windows, VECTOR_DIMENSION)).astype(np.float32),
        rng.uniform(size=(len(views), windows)) < 0.5,
    )


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: newest(value).name)
def test_not_a_byte_of_what_is_written_changes(value: object) -> None:
    golden = golden_path(newest(value)).read_bytes()
    assert newest(value).pack(value) == golden, "raise the schema's version; see docs/wire.md"
    assert same(decode(golden, value), value)


def test_there_is_an_example_of_every_version_and_each_can_be_read() -> None:
    known = {golden_path(schema): schema for schema in (*EVENTS, *QUERIES)}
    assert set(FOLDER.iterdir()) == set(known) | {FOLDER / name for name in EARLIER}
    every = Schemas((*EVENTS, *QUERIES))
    for path, schema in known.items():
        assert isinstance(every.unpack(path.read_bytes()), schema.type)


def test_an_embedding_of_before_there_were_frames_is_read_as_one_without() -> None:
    (sample,) = [one for one in EVENT_SAMPLES if isinstance(one, Embedding)]
    held = (FOLDER / "embedding-1.msgpack").read_bytes()
    assert len(held) == 2333
    before = dataclasses.replace(sample, frames=NO_FRAMES, thumbnails=b"")
    assert same(decode_event(held), before)


def test_an_embedding_of_before_there_were_thumbnails_is_read_as_one_without() -> None:
    (sample,) = [one for one in EVENT_SAMPLES if isinstance(one, Embedding)]
    held = (FOLDER / "embedding-1-frames.msgpack").read_bytes()
    assert len(held) == 2470
    assert same(decode_event(held), dataclasses.replace(sample, thumbnails=b""))


def test_a_report_of_before_there_were_candidates_is_read() -> None:
    (sample,) = [one for one in EVENT_SAMPLES if isinstance(one, MatchEvent)]
    held = (FOLDER / "match-1.msgpack").read_bytes()
    assert len(held) == 247
    added = {"schema_version", "candidates"}
    report = {name: value for name, value in sample.report.items() if name not in added}
    assert decode_event(held) == dataclasses.replace(sample, report=report)


def test_a_query_without_damage_is_written_as_before_it_was_told() -> None:
    held = (FOLDER / "query-1.msgpack").read_bytes()
    whole = dataclasses.replace(QUERY_SAMPLE, damaged="")
    assert encode_query(whole) == held
    assert same(decode_query(held), whole)


def test_an_end_of_before_there_was_a_digest_is_read_as_one_without() -> None:
    (sample,) = [one for one in EVENT_SAMPLES if isinstance(one, VideoEnd)]
    held = (FOLDER / "video-end-1.msgpack").read_bytes()
    assert len(held) == 330
    assert decode_event(held) == dataclasses.replace(sample, segments_digest="", origin="")


def test_the_digest_names_a_set_of_segments_and_no_other() -> None:
    once = segments_digest(["a@0-4000", "a@4000-8000"])
    assert segments_digest(["a@4000-8000", "a@0-4000", "a@0-4000"]) == once
    others: tuple[list[str], ...] = (
        ["a@0-4000"],
        ["a@0-5000", "a@5000-8000"],
        ["a@0-4000a@4000-8000"],
        [],
    )
    assert once not in {segments_digest(one) for one in others}
    assert segments_digest(["a", "b\nc"]) != segments_digest(["a\nb", "c"])


def test_an_example_that_would_change_is_refused_by_the_script_that_makes_them(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts import make_wire_golden

    monkeypatch.setattr(make_wire_golden, "FOLDER", tmp_path)
    assert make_wire_golden.main() == 0
    changed = tmp_path / "deletion-1.msgpack"
    changed.write_bytes(b"released long ago")
    capsys.readouterr()
    assert make_wire_golden.main() == 1
    assert "deletion-1.msgpack differs: raise the version" in capsys.readouterr().out
    assert changed.read_bytes() == b"released long ago"


def test_the_tables_of_the_document_are_fresh() -> None:
    text = PATH.read_text(encoding="utf-8")
    assert fresh(text) == text, "run: python -m scripts.wire_tables"


def test_the_tables_of_the_document_hold_the_fields_that_are_written() -> None:
    for value in SAMPLES:
        schema = newest(value)
        written = msgpack.unpackb(golden_path(schema).read_bytes())
        listed = ["schema", "schema_version", *(field.name for field in schema.fields)]
        assert sorted(written) == sorted(listed), schema.name


@settings(deadline=None)
@given(ANY_EVENT)
def test_every_event_comes_back_as_it_went(event: Event) -> None:
    assert same(decode_event(encode_event(event)), event)


@settings(deadline=None, max_examples=40)
@given(queries())
def test_every_query_comes_back_as_it_went(query: QueryEmbedding) -> None:
    assert same(decode_query(encode_query(query)), query)


def pieces_of(query: QueryEmbedding, count: int) -> list[QueryEmbedding]:
    """The query as so many pieces, zero where nothing is informative."""
    vectors = np.where(query.informative[:, :, None], query.vectors, np.float32(0))
    return [
        dataclasses.replace(query, vectors=vectors, number=number, pieces=count)
        for number in range(1, count + 1)
    ]


def read_blocks(data: bytes, size: int) -> list[QueryEmbedding]:
    reader = QueryReader()
    read = [
        piece
        for start in range(0, len(data), size)
        for piece in reader.feed(data[start : start + size])
    ]
    reader.end()
    return read


@settings(deadline=None, max_examples=40)
@given(queries(), st.integers(1, 4), st.integers(1, 10_000))
def test_the_pieces_of_a_query_come_back_however_their_bytes_are_cut(
    query: QueryEmbedding, count: int, size: int
) -> None:
    pieces = pieces_of(query, count)
    read = read_blocks(b"".join(map(encode_query, pieces)), size)
    assert len(read) == count
    assert all(map(same, read, pieces))


def test_pieces_that_are_missing_or_in_another_order_are_refused() -> None:
    one, two, three = map(encode_query, pieces_of(QUERY_SAMPLE, 3))
    (four,) = map(encode_query, pieces_of(QUERY_SAMPLE, 4)[1:2])
    for wrong in (b"", one, one + two, two + three, one + three, one + one, one + four):
        with pytest.raises(WireError, match="expected"):
            read_blocks(wrong, 1000)
    whole = encode_query(QUERY_SAMPLE)
    with pytest.raises(WireError, match="expected"):
        read_blocks(whole + whole, 1000)


def test_a_piece_larger_than_any_can_be_is_refused_before_it_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("common.messaging.wire.MOST_PIECE_BYTES", 10_000)
    (large,) = map(encode_query, pieces_of(QUERY_SAMPLE, 2)[:1])
    assert len(large) > 10_000
    with pytest.raises(WireError, match="at most 10000 bytes"):
        read_blocks(large, 4_000)


def test_of_a_large_query_the_zeros_are_not_written() -> None:
    nothing = np.zeros((8, 3600), dtype=bool)
    nothing[3, 7] = True
    vectors = np.zeros((8, 3600, VECTOR_DIMENSION), dtype=np.float32)
    vectors[3, 7, 0] = 1
    names = tuple(map(str, range(8)))
    starts = np.arange(3600.0)
    large = QueryEmbedding("q", 3604.0, "m", names, starts, starts + 4, vectors, nothing)
    packed = encode_query(large)
    assert len(packed) < 100_000
    assert same(decode_query(packed), large)


@settings(deadline=None, max_examples=40)
@given(ANY_EVENT, st.floats(0, 1e12))
def test_every_message_comes_back_with_its_moment_and_its_trace(
    event: Event, produced_at: float
) -> None:
    message = to_message("t", Envelope(event, produced_at, "0123abcd"))
    envelope = from_message(ReceivedMessage("t", 0, 0, message.key, message.value, message.headers))
    assert same(envelope, Envelope(event, produced_at, "0123abcd"))


def read_headers(*headers: tuple[str, bytes]) -> Envelope:
    value = encode_event(Deletion("a", 1))
    return from_message(ReceivedMessage("t", 0, 0, b"a@deleted", value, headers))


def test_keys_headers_and_partitions_are_as_the_document_says() -> None:
    messages = {
        newest(event).name: to_message("t", Envelope(event, 12.5, "f00")) for event in EVENT_SAMPLES
    }
    video = "films/ä film.mp4".encode()
    version = b"1700000000123"
    assert {name: message.key for name, message in messages.items()} == {
        "segment": video,
        "embedding": video + b"@4000-8500#" + version,
        "video-end": video + b"@v" + version,
        "segment-failed": video + b"@4000-8500#" + version + b"@failed",
        "deletion": video + b"@deleted",
        "model": b"@model/f00",
        "match": video,
    }
    for name, message in messages.items():
        placed = (None, 0) if name == "model" else (video, None)
        assert (message.partition_key, message.partition) == placed
        told = dict(message.headers)
        assert told.pop("model-id", None) == (
            b"offline-0123456789ab" if name in ("embedding", "model") else None
        )
        assert told.pop("segment", None) == (
            video + b"@4000-8500#" + version if name == "segment" else None
        )
        assert told == {"schema": f"{name}/1".encode(), "produced-at": b"12.5", "trace-id": b"f00"}


def test_what_follows_from_an_event_keeps_its_moment_and_its_trace() -> None:
    first = Envelope(LogModel("m"), 12.5, "f00")
    assert first.about(Deletion("a", 1)) == Envelope(Deletion("a", 1), 12.5, "f00")


def test_a_message_without_headers_was_produced_now_in_a_trace_of_its_own() -> None:
    one, other = read_headers(), read_headers()
    assert 1.5e9 < one.produced_at <= other.produced_at
    assert one.trace_id != other.trace_id
    assert len(one.trace_id) == 32


@pytest.mark.parametrize("told", [b"", b"soon", b"nan", b"inf", b"-1", b"\xff"])
def test_a_moment_that_is_none_is_refused(told: bytes) -> None:
    with pytest.raises(WireError, match="produced-at"):
        read_headers(("produced-at", told))


def test_trace_ids_that_are_no_ascii_do_not_stop_a_message() -> None:
    trace_id = read_headers(("trace-id", b"\xff\xfe")).trace_id
    again = to_message("t", Envelope(LogModel("m"), 0.0, trace_id))
    assert dict(again.headers)["trace-id"] == trace_id.encode()


def _without(name: str, told: dict[str, Any]) -> None:
    del told[name]


def _with(fields: dict[str, Any], told: dict[str, Any]) -> None:
    told.update(fields)


def mended(value: object, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A golden value with its map changed."""
    told = msgpack.unpackb(golden_path(newest(value)).read_bytes())
    change(told)
    return bytes(msgpack.packb(told))


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: newest(value).name)
def test_a_newer_version_is_refused_and_never_guessed(value: object) -> None:
    newer = mended(value, lambda told: told.update(schema_version=2, new_field="?"))
    with pytest.raises(SchemaVersionError, match=r"version 2, .* supports 1; update the service"):
        decode(newer, value)


@pytest.mark.parametrize("version", [None, "1", 1.0, True, b"1", [1]])
def test_a_version_that_is_no_integer_is_refused(version: object) -> None:
    data = mended(EVENT_SAMPLES[4], lambda told: told.update(schema_version=version))
    with pytest.raises(WireError, match="schema_version"):
        decode_event(data)


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: newest(value).name)
def test_a_field_that_is_missing_or_of_another_type_is_named(value: object) -> None:
    schema = newest(value)
    for field in schema.fields:
        name = field.name
        without = mended(value, partial(_without, name))
        if field.required:
            with pytest.raises(WireError, match=f"{schema.name}: field '{name}' is missing"):
                decode(without, value)
        else:
            read = decode(without, value)
            written = msgpack.unpackb(newest(read).pack(read))
            assert written.get(name, field.default) == field.default
        for wrong in (None, {"a": 1}, [1], True, -1, math.nan, b"", "x", 2**63):
            data = mended(value, partial(_with, {name: wrong}))
            try:
                read = decode(data, value)
            except WireError as error:
                assert schema.name in str(error)  # noqa: PT017
            else:
                # Where it is of the right type after all, it is what was read.
                assert type(wrong) in (str, bool, bytes, dict, int, list)
                assert msgpack.unpackb(newest(read).pack(read))[name] == wrong


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: newest(value).name)
def test_a_field_nobody_knows_is_passed_over(value: object) -> None:
    data = mended(value, lambda told: told.update(colour="blue", also={"nested": [1, 2]}))
    assert same(decode(data, value), value)


def test_an_integer_may_stand_for_a_float() -> None:
    data = mended(EVENT_SAMPLES[3], lambda told: told.update(start_seconds=4, end_seconds=8))
    ref = decode_event(data).ref
    assert (ref.start_seconds, ref.end_seconds) == (4.0, 8.0)
    assert isinstance(ref.start_seconds, float)


@pytest.mark.parametrize(
    ("sample", "change", "said"),
    [
        (0, {"clip": b""}, "clip: expected MP4 bytes"),
        (0, {"video_id": ""}, "video_id: expected a non-empty string"),
        (0, {"video_id": "a" * 4097}, "4097 bytes, at most 4096"),
        (2, {"video_id": "ü" * 2049}, "4098 bytes, at most 4096"),
        (0, {"version": 0}, "version: expected >= 1"),
        (0, {"end_seconds": 1.0}, "0 <= start_seconds < end_seconds"),
        (1, {"vector": b"\0" * 4}, r"vector: expected bytes: float32 \(527,\)"),
        (1, {"vector": b"\0" * 2108}, "expected norm 1"),
        (1, {"vector": b"\xff" * 2108}, "expected norm 1 .*, got nan"),
        (1, {"informative": False}, "expected norm 0"),
        (2, {"outcome": "perhaps"}, "outcome: expected complete or failed"),
        (2, {"metadata": "[1]"}, "metadata: expected a JSON object"),
        (2, {"metadata": "{"}, "video-end: Expecting"),
        (2, {"metadata": "[" * 100_000}, "video-end: maximum recursion"),
        (2, {"duration_seconds": -1.0}, "expected at least 0"),
        (4, {"version": 0}, "version: expected >= 1"),
        (5, {"model_id": ""}, "model_id: expected a non-empty"),
        (7, {"views": []}, "informative: expected 0 bits"),
        (7, {"views": ["mirrored", "mirrored"]}, "views: expected 2 different names"),
        (7, {"windows": 2}, "cannot reshape"),
        (7, {"windows": 2**60}, "bits, got 1 bytes"),
        (7, {"informative": b"\xff\xff"}, "expected 6 bits, got 2 bytes"),
        (7, {"window_start_seconds": b"\0" * 7}, "buffer size must be a multiple"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(
    sample: int, change: dict[str, Any], said: str
) -> None:
    value = SAMPLES[sample]
    with pytest.raises(WireError, match=said):
        decode(mended(value, lambda told: told.update(change)), value)


def refused(data: bytes) -> None:
    """Neither an event nor a query."""
    with pytest.raises(WireError):
        decode_event(data)
    with pytest.raises(WireError):
        decode_query(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"not msgpack",
        msgpack.packb([1, 2]),
        msgpack.packb({}),
        msgpack.packb({"schema": "deletion"}),
        msgpack.packb({"schema": "unheard-of", "schema_version": 1}),
        msgpack.packb({"schema": ["deletion"], "schema_version": 1}),
        msgpack.packb({1: 2}),
        b"\x91" * 5000,
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        msgpack.packb(msgpack.Timestamp(1, 2)),
        json.dumps({"schema": "deletion", "schema_version": 1, "video_id": "a"}).encode(),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    refused(data)


def test_a_query_is_no_event_and_an_event_no_query() -> None:
    with pytest.raises(WireError, match="unknown schema 'query'"):
        decode_event(encode_query(QUERY_SAMPLE))
    with pytest.raises(WireError, match="unknown schema 'deletion'; expected query"):
        decode_query(encode_event(Deletion("a", 1)))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_garbage_raises_a_wire_error_and_nothing_else(data: bytes) -> None:
    refused(data)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_cut_message_raises_a_wire_error(value: object, data: st.DataObject) -> None:
    whole = golden_path(newest(value)).read_bytes()
    with pytest.raises(WireError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))], value)
    with pytest.raises(WireError):
        decode(whole + data.draw(st.binary(min_size=1, max_size=3)), value)


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_damaged_message_is_read_whole_or_refused(value: object, data: st.DataObject) -> None:
    whole = bytearray(golden_path(newest(value)).read_bytes())
    # Fields and lengths lie in the first bytes of a message more often than in its last.
    for _ in range(data.draw(st.integers(1, 3))):
        most = data.draw(st.sampled_from([60, len(whole)]))
        whole[data.draw(st.integers(0, min(most, len(whole)) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = decode(bytes(whole), value)
    except WireError:
        return
    # What is read can be written: it is a value of ours in every respect.
    assert same(decode(newest(read).pack(read), read), read)


def test_a_field_with_a_default_may_be_missing_and_older_versions_stay_readable() -> None:
    @dataclasses.dataclass
    class Word:
        text: str
        count: int

    def schema(version: int, *more: Field) -> Schema:
        return Schema(
            "word",
            version,
            Word,
            (Field("text", TEXT, "?"), *more),
            dataclasses.asdict,
            lambda fields: Word(fields["text"], fields.get("count", 0)),
        )

    both = Schemas([schema(2, Field("count", WHOLE, "?", default=7)), schema(1)])
    assert both.of(Word("a", 1)).version == 2
    assert both.unpack(schema(1).pack(Word("a", 3))) == Word("a", 0)
    assert both.unpack(schema(2).pack(Word("a", 3))) == Word("a", 3)
    told = {"schema": "word", "schema_version": 2, "text": "a"}
    assert both.unpack(msgpack.packb(told)) == Word("a", 7)
    with pytest.raises(SchemaVersionError, match=r"version 3, .* supports 1, 2"):
        both.unpack(msgpack.packb(told | {"schema_version": 3}))
    with pytest.raises(WireError, match="count: expected integer"):
        both.unpack(msgpack.packb(told | {"count": None}))
