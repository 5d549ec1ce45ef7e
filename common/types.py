"""The values that the packages exchange: frozen, slotted, checked at construction.

Times are float seconds of the source video; intervals are half-open, [start, end).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

VISUAL_DIMENSION = 512
ACTION_DIMENSION = 15
VECTOR_DIMENSION = VISUAL_DIMENSION + ACTION_DIMENSION
GRAPH_DIMENSION = 8
FRAME_CODE_SIZE = 64
DEFAULT_BANK = "default"

PassName: TypeAlias = Literal["first", "closer", "thorough"]
"""Passes over a query: first (the whole frame); second (also crops and transforms of the frame);
exhaustive (the same at more moments)."""

SECOND_PASS_STEP_SECONDS, SECOND_PASS_MOMENTS = 3.0, 24
"""Seconds between the moments of the second pass, and how many it has at most: in a longer query they are
further apart."""

TimeSpans: TypeAlias = tuple[tuple[float, float], ...]
"""Parts of a video: start and end of each in seconds, in order, apart from one another."""
EVERYWHERE: TimeSpans = ((0.0, math.inf),)
MOST_SPANS = 64
"""Parts of a query that a request to an embedder may name."""

Array: TypeAlias = npt.NDArray[Any]
Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Int64Array: TypeAlias = npt.NDArray[np.int64]
UInt64Array: TypeAlias = npt.NDArray[np.uint64]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Int8Array: TypeAlias = npt.NDArray[np.int8]


def check_array(
    name: str, array: Array, dtype: npt.DTypeLike, shape: tuple[int | str, ...]
) -> dict[str, int]:
    """Check an array's dtype and shape; a string in `shape` is a named axis of any size.

    Returns the size of each named axis. Raises ValueError with the expected and the actual shape; axes
    with one name must have one size.
    """
    sizes: dict[str, int] = {}
    fits = array.dtype == np.dtype(dtype) and array.ndim == len(shape)
    for want, size in zip(shape, array.shape, strict=False):
        bound = sizes.setdefault(want, size) if isinstance(want, str) else want
        fits = fits and bound == size
    if not fits:
        expected = f"{np.dtype(dtype)} ({', '.join(map(str, shape))})"
        raise ValueError(f"{name}: expected {expected}, got {array.dtype} {array.shape}")
    return sizes


def _check_interval(field: str, start_seconds: float, end_seconds: float) -> None:
    if not (0.0 <= start_seconds < end_seconds < float("inf")):
        raise ValueError(
            f"{field}: expected 0 <= start_seconds < end_seconds, "
            f"got [{start_seconds}, {end_seconds})"
        )


def check_name(field: str, value: str) -> None:
    """Raises ValueError for an empty name."""
    if not value:
        raise ValueError(f"{field}: expected a non-empty string, got {value!r}")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One video to ingest. metadata: of the user, stored unchanged."""

    video_id: str
    uri: str
    bank: str = DEFAULT_BANK
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("video_id", "uri", "bank"):
            check_name(name, getattr(self, name))


def segment_id_of(video_id: str, start_seconds: float, end_seconds: float) -> str:
    """`{video_id}@{start_ms}-{end_ms}`: the same time range has the same id in every version."""
    return f"{video_id}@{round(start_seconds * 1000)}-{round(end_seconds * 1000)}"


@dataclass(frozen=True, slots=True, order=True)
class SegmentRef:
    """The identity of a segment: video, version, bank and time range."""

    video_id: str
    start_seconds: float
    end_seconds: float
    version: int = 1
    bank: str = DEFAULT_BANK

    def __post_init__(self) -> None:
        check_name("video_id", self.video_id)
        check_name("bank", self.bank)
        _check_interval("segment", self.start_seconds, self.end_seconds)
        if self.version < 1:
            raise ValueError(f"version: expected >= 1, got {self.version}")

    @property
    def segment_id(self) -> str:
        """See `segment_id_of`."""
        return segment_id_of(self.video_id, self.start_seconds, self.end_seconds)

    @property
    def point_id(self) -> int:
        """The top 63 bits of the segment id's blake2b digest: FAISS and Qdrant take integers."""
        digest = hashlib.blake2b(self.segment_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a video as a small H.264 MP4: upright, at most 8 fps and 480 px short side.

    The clip's times start at 0, which is `ref.start_seconds` of the video.
    """

    ref: SegmentRef
    clip: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.clip:
            raise ValueError("clip: expected MP4 bytes, got none")


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Decoded pictures in time order.

    frames: uint8 (T, H, W, 3), RGB, upright. pts_seconds: float64 (T,), increasing.
    """

    frames: UInt8Array
    pts_seconds: Float64Array

    def __post_init__(self) -> None:
        sizes = check_array("frames", self.frames, np.uint8, ("T", "H", "W", 3))
        check_array("pts_seconds", self.pts_seconds, np.float64, (sizes["T"],))
        if self.pts_seconds.size > 1 and not bool(np.all(np.diff(self.pts_seconds) > 0)):
            raise ValueError("pts_seconds: expected strictly increasing times")


@dataclass(frozen=True, slots=True)
class Tracks:
    """N objects tracked over T moments, independent of resolution and frame rate.

    centroids: float32 (T, N, 2), xy as fractions of the frame diagonal from the top left corner.
    areas: float32 (T, N), fractions of the squared frame diagonal. visible: bool (T, N); if false, the
    other two have no meaning. pts_seconds: float64 (T,). quality: 0 (nothing could be tracked) to 1.
    """

    centroids: Float32Array
    areas: Float32Array
    visible: BoolArray
    pts_seconds: Float64Array
    quality: float

    def __post_init__(self) -> None:
        sizes = check_array("centroids", self.centroids, np.float32, ("T", "N", 2))
        shape = (sizes["T"], sizes["N"])
        check_array("areas", self.areas, np.float32, shape)
        check_array("visible", self.visible, np.bool_, shape)
        check_array("pts_seconds", self.pts_seconds, np.float64, (sizes["T"],))
        if not 0.0 <= self.quality <= 1.0:
            raise ValueError(f"quality: expected 0 to 1, got {self.quality}")


NO_FRAMES: Int8Array = np.zeros((0, FRAME_CODE_SIZE), dtype=np.int8)


def frames_from_bytes(data: bytes) -> Int8Array:
    """int8 (T, 64). Raises ValueError for another number of bytes than T times 64."""
    if len(data) % FRAME_CODE_SIZE:
        raise ValueError(f"frames: expected a multiple of {FRAME_CODE_SIZE} bytes, got {len(data)}")
    return np.frombuffer(data, dtype=np.int8).reshape(-1, FRAME_CODE_SIZE)


@dataclass(frozen=True, slots=True)
class Embedding:
    """One segment's fused vector, with its scene graph and its frames next to it.

    vector: float32 (527,), unit norm, 512 visual then 15 action; all zero exactly when not
    `informative`. graph: float32 (8,). `model_id` fingerprints weights, sampling, tracker, fusion.
    frames: int8 (T, 64), a code for each half second (see `common.frame_codes`), or none at all.
    thumbnails: packed (see `common.thumbnails`), or empty; an index keeps them in files of their own.
    """

    ref: SegmentRef
    vector: Float32Array = field(repr=False)
    graph: Float32Array = field(repr=False)
    informative: bool
    model_id: str
    frames: Int8Array = field(default_factory=lambda: NO_FRAMES, repr=False)
    thumbnails: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        check_array("vector", self.vector, np.float32, (VECTOR_DIMENSION,))
        check_array("graph", self.graph, np.float32, (GRAPH_DIMENSION,))
        check_array("frames", self.frames, np.int8, ("T", FRAME_CODE_SIZE))
        check_name("model_id", self.model_id)
        with np.errstate(over="ignore", invalid="ignore"):
            norm = math.sqrt(np.dot(self.vector, self.vector))
        # So written, a vector with NaN in it is refused too.
        if not abs(norm - float(self.informative)) <= 1e-3:
            raise ValueError(
                f"vector: expected norm {float(self.informative):.0f} "
                f"(informative={self.informative}), got {norm:.4f}"
            )


@dataclass(frozen=True, slots=True)
class QueryEmbedding:
    """A query as overlapping windows, each embedded through several views.

    window_start_seconds, window_end_seconds: float64 (W,). vectors: float32 (V, W, 527), unit norm, zero
    where `informative`, bool (V, W), is false. views: names along the first axis. A query without an
    informative window cannot be matched.

    A long query comes in `pieces`; `number`, from 1, is the number of this one. It has the windows that
    start in its part of the query, with times of the whole query. damaged: what could not be decoded, or
    empty.
    """

    uri: str
    duration_seconds: float
    model_id: str
    views: tuple[str, ...]
    window_start_seconds: Float64Array
    window_end_seconds: Float64Array
    vectors: Float32Array
    informative: BoolArray
    damaged: str = ""
    number: int = 1
    pieces: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.pieces:
            raise ValueError(f"number: expected 1 to {self.pieces}, got {self.number}")
        sizes = check_array("vectors", self.vectors, np.float32, ("V", "W", VECTOR_DIMENSION))
        if len(self.views) != sizes["V"] or len(set(self.views)) != sizes["V"]:
            raise ValueError(f"views: expected {sizes['V']} different names, got {self.views}")
        check_array("informative", self.informative, np.bool_, (sizes["V"], sizes["W"]))
        for name in ("window_start_seconds", "window_end_seconds"):
            check_array(name, getattr(self, name), np.float64, (sizes["W"],))

    def check_same_windows(self, other: QueryEmbedding) -> None:
        """Raises ValueError unless another pass of this query has the same windows and the same model."""
        same = self.model_id == other.model_id and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("window_start_seconds", "window_end_seconds")
        )
        if not same:
            raise ValueError("expected the same windows of the same model, got others")

    def joined(self, other: QueryEmbedding) -> QueryEmbedding:
        """This query with the views of another pass added.

        Raises ValueError unless the other has the same windows, the same model and none of these views.
        """
        self.check_same_windows(other)
        return replace(
            self,
            views=self.views + other.views,
            vectors=np.concatenate([self.vectors, other.vectors]),
            informative=np.concatenate([self.informative, other.informative]),
        )


TakePass: TypeAlias = Callable[[PassName, TimeSpans], Iterator[QueryEmbedding]]
"""The pieces of a query in the pass of this name, in order; only long queries have more than one. Only
moments in these parts of the query are embedded. Raises the errors of embedding."""

OnDecoded: TypeAlias = Callable[[float], None]
"""Called with the seconds of a video that are decoded so far."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One indexed segment near a query vector. `score` is the inner product; higher is closer."""

    ref: SegmentRef
    score: float


@dataclass(frozen=True, slots=True)
class Match:
    """A range of the query that is, with `probability`, a copy of a range of `video_id`.

    coverage: matched share of the query. range_confidence: probability that the ranges are right; None if
    it was not measured. evidence: explains the score with hit pairs, offsets,
    contributions of each signal and thresholds, all JSON values. transform: which edit made the query
    from the reference, as JSON values; None if it was not asked for.
    """

    video_id: str
    bank: str
    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    score: float
    probability: float
    view: str
    coverage: float
    evidence: Mapping[str, Any] = field(default_factory=dict)
    transform: Mapping[str, Any] | None = None
    range_confidence: float | None = None

    def __post_init__(self) -> None:
        check_name("video_id", self.video_id)
        _check_interval("query range", self.query_start_seconds, self.query_end_seconds)
        _check_interval("ref range", self.ref_start_seconds, self.ref_end_seconds)
        for name in ("probability", "coverage", "range_confidence"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
