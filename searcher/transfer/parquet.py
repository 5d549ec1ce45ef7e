"""The file: one row per segment, the segments of a video one after another.

video_id, version, bank, start_seconds, end_seconds, informative
vector    float32 [527], unit norm; zero where `informative` is false
graph     float32 [8]
frames    int8 (T, 64) as bytes: a frame code per half second
video     the catalogue row as JSON, with the first segment of each video; null elsewhere

The metadata `storyhash` has the format, the profile, the model and the numbers of videos and segments.
Other tools read the columns as they are; `storyhash snapshot import` reads the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_write import replacing, sync
from common.errors import CorruptIndexError, StorageError, UsageError
from common.extras import install_command
from common.types import GRAPH_DIMENSION, VECTOR_DIMENSION, Embedding, SegmentRef, frames_from_bytes
from searcher.index_transaction import CompleteVideo
from searcher.storage.video import Video
from searcher.transfer.row_text import parse_row

FORMAT = 1
_KEY = b"storyhash"
# Segments in memory at once; a single video may have more.
ROWS_AT_ONCE = 1_000
# A group of rows is read at once. What we write is far below.
_MOST_GROUP_BYTES = 256 * 1024 * 1024
# Segments of one video, as many as the log and the catalogue take.
_MOST_SEGMENTS = 200_000
_PLAIN = ("video_id", "version", "bank", "start_seconds", "end_seconds", "informative")
# What reading a changed or damaged file raises; pyarrow's own errors are some of these.
_DAMAGE = (ValueError, TypeError, KeyError, NotImplementedError, OSError)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. calibration: the version of the constants that its catalogue was
    searched with; '' if unknown."""

    profile: str
    model_id: str
    calibration: str
    storyhash: str
    videos: int
    segments: int


def row_groups(videos: Iterable[CompleteVideo]) -> Iterator[list[CompleteVideo]]:
    """Whole videos, in groups of about 1,000 segments."""
    group: list[CompleteVideo] = []
    rows = 0
    for one in videos:
        group.append(one)
        rows += len(one.embeddings)
        if rows >= ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
    if group:
        yield group


class CatalogueWriter:
    """Writes a file, which has its name when it is complete. header: of what was written so far."""

    def __init__(self, writer: Any, arrow: Any, header: Header) -> None:
        self._writer, self._arrow = writer, arrow
        self.header = header

    def write(self, videos: Sequence[CompleteVideo]) -> None:
        """Add whole videos."""
        rows = [one for video in videos for one in video.embeddings]
        columns = self._columns(videos, rows)
        self._writer.write_table(
            self._arrow.table(columns, _schema(self._arrow)), row_group_size=ROWS_AT_ONCE
        )
        self.header = replace(
            self.header,
            videos=self.header.videos + len(videos),
            segments=self.header.segments + len(rows),
        )

    def _columns(
        self, videos: Sequence[CompleteVideo], rows: Sequence[Embedding]
    ) -> dict[str, Any]:
        arrow = self._arrow
        columns: dict[str, Any] = {name: [] for name in _PLAIN}
        for one in rows:
            ref = one.ref
            values = (ref.video_id, ref.version, ref.bank, ref.start_seconds, ref.end_seconds)
            for name, value in zip(_PLAIN, (*values, one.informative), strict=True):
                columns[name].append(value)
        for name, size in (("vector", VECTOR_DIMENSION), ("graph", GRAPH_DIMENSION)):
            flat = np.concatenate(
                [np.zeros(0, dtype=np.float32), *(getattr(one, name) for one in rows)]
            )
            columns[name] = arrow.FixedSizeListArray.from_arrays(arrow.array(flat), size)
        columns["frames"] = [one.frames.tobytes() for one in rows]
        described: list[str | None] = []
        for video in videos:
            described.append(json.dumps(asdict(video.video), ensure_ascii=False))
            described += [None] * (len(video.embeddings) - 1)
        columns["video"] = described
        return columns


@contextmanager
def catalogue_writer(
    path: Path, profile: str, model_id: str, calibration: str, storyhash: str
) -> Iterator[CatalogueWriter]:
    """A writer of a new file. Raises UsageError without pyarrow and for the path of a folder,
    StorageError."""
    arrow, parquet = _arrow()
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file")
    try:
        with replacing(path) as temporary:
            # Given a path, pyarrow would turn folder names such as `a=1` into columns. A dictionary of
            # vectors is never shorter than the vectors.
            with (
                temporary.open("wb") as file,
                parquet.ParquetWriter(
                    file, _schema(arrow), compression="zstd", use_dictionary=["video_id", "bank"]
                ) as writer,
            ):
                started = Header(profile, model_id, calibration, storyhash, 0, 0)
                catalogue = CatalogueWriter(writer, arrow, started)
                yield catalogue
                header = json.dumps({"format": FORMAT, **asdict(catalogue.header)})
                writer.add_key_value_metadata({_KEY: header.encode()})
            sync(temporary)
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror or error}; free some disk space, or choose another place"
        ) from None


def read_header(path: Path) -> Header:
    """What a file says of itself. Raises UsageError if it is none of ours."""
    _, parquet = _arrow()
    with _opened(path, parquet) as file:
        return _header(path, file)


def read_videos(path: Path) -> Iterator[CompleteVideo]:
    """The videos of a file, one after another. Raises UsageError for another kind of file,
    CorruptIndexError for damage, with the place."""
    _, parquet = _arrow()
    with _opened(path, parquet) as file:
        header = _header(path, file)
        try:
            yield from _videos(file, header)
        except _DAMAGE as error:
            raise CorruptIndexError(
                f"{path} is damaged ({str(error)[:200]}); export the catalogue again"
            ) from None


def read_rows(path: Path) -> Iterator[Video]:
    """The catalogue rows of a file, without its vectors. Raises the errors of `read_videos`."""
    _, parquet = _arrow()
    with _opened(path, parquet) as file:
        _header(path, file)
        try:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=["video"]):
                yield from (
                    parse_row(text) for text in batch["video"].to_pylist() if text is not None
                )
        except _DAMAGE as error:
            raise CorruptIndexError(
                f"{path} is damaged ({str(error)[:200]}); export the catalogue again"
            ) from None


def _videos(file: Any, header: Header) -> Iterator[CompleteVideo]:
    row: Video | None = None
    found: list[Embedding] = []
    videos = segments = 0
    for batch in file.iter_batches(ROWS_AT_ONCE):
        described = batch["video"].to_pylist()
        for text, one in zip(described, _embeddings(batch, header.model_id), strict=True):
            if text is not None:
                if row is not None:
                    yield _whole(row, found)
                row, found = parse_row(text), []
                videos += 1
            if row is None or (one.ref.video_id, one.ref.version, one.ref.bank) != (
                row.video_id,
                row.version,
                row.bank,
            ):
                raise ValueError(f"segment {segments} ({one.ref.segment_id}) is of another video")
            found.append(one)
            segments += 1
            if len(found) > _MOST_SEGMENTS:
                raise ValueError(f"{row.video_id} has more than {_MOST_SEGMENTS} segments")
    if row is not None:
        yield _whole(row, found)
    if (videos, segments) != (header.videos, header.segments):
        raise ValueError(
            f"it has {videos} videos and {segments} segments, not {header.videos} and "
            f"{header.segments}"
        )


def _embeddings(batch: Any, model_id: str) -> Iterator[Embedding]:
    columns = {
        field.name: _column(batch, field) for field in _schema(_arrow()[0]) if field.name != "video"
    }
    plain = [columns[name].to_pylist() for name in _PLAIN]
    vectors, graphs = (
        np.asarray(columns[name].flatten(), dtype=np.float32).reshape(-1, size)
        for name, size in (("vector", VECTOR_DIMENSION), ("graph", GRAPH_DIMENSION))
    )
    if not np.isfinite(graphs).all():
        raise ValueError("column graph has values that are no numbers")
    frames = columns["frames"].to_pylist()
    for at, (video_id, version, bank, start, end, informative) in enumerate(
        zip(*plain, strict=True)
    ):
        yield Embedding(
            SegmentRef(video_id, start, end, version, bank),
            vectors[at].copy(),
            graphs[at].copy(),
            informative,
            model_id,
            frames_from_bytes(frames[at]),
        )


def _column(batch: Any, field: Any) -> Any:
    """A column with the type that we write, and a value in each row. Raises what is in `_DAMAGE`."""
    column = batch[field.name].cast(field.type)
    if column.null_count:
        raise ValueError(f"column {field.name} has empty values")
    return column


def _whole(row: Video, found: list[Embedding]) -> CompleteVideo:
    different = len({one.ref.segment_id for one in found})
    if not different == len(found) == row.segments:
        raise ValueError(f"{row.video_id} has {different} different segments, not {row.segments}")
    without = sum(not one.informative for one in found)
    if without != row.uninformative_segments:
        raise ValueError(
            f"{row.video_id} has {without} low-information segments, not {row.uninformative_segments}"
        )
    return CompleteVideo(row, found)


def _header(path: Path, file: Any) -> Header:
    header_text = (file.metadata.metadata or {}).get(_KEY)
    if header_text is None:
        raise UsageError(f"{path} is no catalogue; `storyhash snapshot export` writes one")
    try:
        values = json.loads(header_text)
        form = values.pop("format")
        if form != FORMAT:
            raise UsageError(
                f"{path} has format {form}, this version reads {FORMAT}; use the version that wrote it, "
                "or a newer one"
            )
        header = Header(**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorruptIndexError(f"{path}: its description is damaged") from None
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    if any(group.total_byte_size > _MOST_GROUP_BYTES for group in groups):
        raise UsageError(
            f"{path}: expected row groups of at most {_MOST_GROUP_BYTES >> 20} MiB; export it again"
        )
    return header


@contextmanager
def _opened(path: Path, parquet: Any) -> Iterator[Any]:
    if not path.is_file():
        raise UsageError(f"{path}: file not found")
    try:
        opened = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    with opened as file:
        try:
            table = parquet.ParquetFile(file)
        except (ValueError, OSError):
            raise UsageError(
                f"{path} is no complete Parquet file; `storyhash snapshot export` writes one"
            ) from None
        yield table


def _schema(arrow: Any) -> Any:
    return arrow.schema(
        [
            ("video_id", arrow.string()),
            ("version", arrow.int64()),
            ("bank", arrow.string()),
            ("start_seconds", arrow.float64()),
            ("end_seconds", arrow.float64()),
            ("informative", arrow.bool_()),
            ("vector", arrow.list_(arrow.float32(), VECTOR_DIMENSION)),
            ("graph", arrow.list_(arrow.float32(), GRAPH_DIMENSION)),
            ("frames", arrow.binary()),
            ("video", arrow.string()),
        ]
    )


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"a catalogue file needs pyarrow: {install_command('parquet')}") from None
    return pyarrow, pyarrow.parquet
