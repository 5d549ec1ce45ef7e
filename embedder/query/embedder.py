"""Embeds a query as overlapping windows through several views."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.types import (
    ACTION_DIMENSION,
    EVERYWHERE,
    VECTOR_DIMENSION,
    VISUAL_DIMENSION,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    QueryEmbedding,
    Segment,
    TimeSpans,
    UInt8Array,
)
from embedder.action import action_features
from embedder.clip_opening import SampledFrames
from embedder.fusion import FusionMode, fuse
from embedder.pooling import Pooling, frames_of_windows, pool_windows
from embedder.query.features import QueryFeatures, SegmentFeatures, ViewFeatures
from embedder.query.one_ahead import one_ahead
from embedder.query.passes import FIRST, QueryPass, seconds_in
from embedder.query.pieces import HOP_SECONDS, Piece
from embedder.stage import EmbedderStage
from embedder.visual.frame_quality import informative
from embedder.visual.regions import FOUND_NAMES, found_regions
from embedder.visual.views import IDENTITY, apply_view, brighten_dark

# The last is one frame: it says when a copy begins and ends.
WINDOW_SECONDS = (4.0, 2.0, 0.5)
# Pictures of one segment per batch: enough for a first pass, and nearly always for a second one.
_PICTURE_BYTES = 64 << 20


def window_grid(
    duration_seconds: float, begin_seconds: float = 0.0, end_seconds: float = math.inf
) -> tuple[Float64Array, Float64Array]:
    """Starts and ends, float64 (W,), of the windows of a video, every 0.5 s, the longest first; only
    windows that start in [begin_seconds, end_seconds).

    A video that is shorter than a window has one window of its whole length.
    """
    spans: set[tuple[float, float]] = set()
    for length in WINDOW_SECONDS:
        if duration_seconds <= length:
            spans.add((0.0, duration_seconds))
            continue
        first = math.ceil(begin_seconds / HOP_SECONDS)
        last = int((min(duration_seconds - length, end_seconds) / HOP_SECONDS) + 1e-6)
        spans.update((k * HOP_SECONDS, k * HOP_SECONDS + length) for k in range(first, last + 1))
        if length > HOP_SECONDS:
            # A last window covers the end of the video even if it is not a multiple of the hop.
            spans.add((duration_seconds - length, duration_seconds))
    spans = {span for span in spans if begin_seconds <= span[0] < end_seconds}
    ordered = np.array(sorted(spans, key=lambda span: (span[0] - span[1], span[0])))
    return ordered[:, 0].copy(), ordered[:, 1].copy()


def distinct_windows(
    pts_seconds: Float64Array, starts: Float64Array, ends: Float64Array
) -> BoolArray:
    """bool (W,): selects one of the windows of one length that contain the same frames, the best centred.

    If frames are far apart, most windows are equal, and each would cost a search.
    """
    first, last = frames_of_windows(pts_seconds, starts, ends)
    best: dict[tuple[int, int, int], tuple[float, int]] = {}
    for window, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if low == high:
            continue
        middle = float(pts_seconds[low:high].mean())
        distance = abs(middle - float(starts[window] + ends[window]) / 2)
        key = (low, high, round(1000 * float(ends[window] - starts[window])))
        if key not in best or distance < best[key][0] - 1e-9:
            best[key] = (distance, window)
    selected = np.zeros(len(starts), dtype=bool)
    selected[[window for _, window in best.values()]] = True
    return selected


def window_actions(
    segments: Float64Array, actions: Float32Array, starts: Float64Array, ends: Float64Array
) -> Float32Array:
    """Action of each window: the mean of its segments' actions, weighted by seconds of overlap.

    segments: float64 (S, 2), start and end. actions: float32 (S, 15). Returns float32 (W, 15). A
    window that coincides with a segment has exactly that segment's action, as in the index.
    """
    overlap = np.minimum(ends[:, None], segments[None, :, 1]) - np.maximum(
        starts[:, None], segments[None, :, 0]
    )
    weights = np.maximum(overlap, 0.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return (weights @ actions).astype(np.float32)


class QueryEmbedder:
    """Embeds the frames of queries with the parts of an `EmbedderStage`, one segment at a time.

    Thread-safe, like the parts of the stage.
    """

    def __init__(self, stage: EmbedderStage) -> None:
        self._stage = stage

    @property
    def model_id(self) -> str:
        """The model of the vectors."""
        return self._stage.model_id

    @property
    def tracker(self) -> str:
        """Fingerprint of the tracker, on which alone the action features depend."""
        return self._stage.motion.tracker.fingerprint

    @property
    def pooling(self) -> Pooling:
        """How frames become windows."""
        return self._stage.visual.pooling

    def see(
        self,
        duration_seconds: float,
        segments: Iterable[Segment],
        query_pass: QueryPass = FIRST,
        seen_seconds: float | None = None,
        *,
        actions: dict[float, Float32Array],
        known: Sequence[SegmentFeatures] = (),
        within: TimeSpans = EVERYWHERE,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> QueryFeatures:
        """The features of a query through every view of a pass.

        seen_seconds: length of these segments if they are only a part of the query. known: features of
        further segments. Otherwise as `each`. Raises ValueError without segments, too.
        """
        length_seconds = duration_seconds if seen_seconds is None else seen_seconds
        new = self.each(
            segments,
            query_pass,
            length_seconds,
            actions=actions,
            within=within,
            cancellation=cancellation,
        )
        seen = sorted([*known, *new], key=lambda one: one.start_seconds)
        if not seen and seen_seconds is None:
            raise ValueError("segments: expected at least one, got none")
        by_view: dict[str, list[ViewFeatures]] = {
            name: [] for name in query_pass.views(self._stage.visual)
        }
        for part in (view for one in seen for view in one.views):
            by_view[part.name].append(part)
        spans = [(one.start_seconds, one.end_seconds) for one in seen]
        return QueryFeatures(
            max([duration_seconds, *(end for _, end in spans)]),
            np.array(spans, dtype=np.float64).reshape(-1, 2),
            np.array([one.action for one in seen], dtype=np.float32).reshape(-1, ACTION_DIMENSION),
            tuple(_joined(name, parts) for name, parts in by_view.items()),
        )

    def each(
        self,
        segments: Iterable[Segment],
        query_pass: QueryPass,
        length_seconds: float,
        *,
        actions: dict[float, Float32Array],
        within: TimeSpans = EVERYWHERE,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> Iterator[SegmentFeatures]:
        """The features of each segment, in order; while one is embedded, the clip of the next is opened.

        length_seconds: of all segments; no matter in a first pass. actions: action features of the
        query's segments by their start in seconds; missing ones are computed and added. within: only
        frames in these parts of the query are embedded; a clip outside them is not opened if its action
        features are known. Raises VideoError for a damaged clip, and CancelledError.
        """
        names = query_pass.views(self._stage.visual)
        before_seconds = -1.0
        open_segment = partial(self._open, actions, within)
        for segment, (sampled, action) in one_ahead(open_segment, segments):
            cancellation.check()
            ref, views = segment.ref, list[ViewFeatures]()
            if sampled is None:
                # Its last frame, as at a constant rate.
                last = ref.end_seconds - 1.0 / self._stage.visual.frames_per_second
            else:
                sampled = _with_dark_frames(sampled)
                times = sampled.pts_seconds
                chosen = query_pass.chosen(times, length_seconds, before_seconds, within)
                last = float(times.max(initial=-1.0))
                views = self._through_views(names, sampled, np.flatnonzero(chosen))
            before_seconds = max(before_seconds, last)
            yield SegmentFeatures(ref.start_seconds, ref.end_seconds, action, tuple(views))

    def _open(
        self, actions: dict[float, Float32Array], within: TimeSpans, segment: Segment
    ) -> tuple[SampledFrames | None, Float32Array]:
        """A segment's frames, None if no part of it is to be embedded, and its action features."""
        start_seconds = segment.ref.start_seconds
        action = actions.get(start_seconds)
        if action is not None and not seconds_in(within, start_seconds, segment.ref.end_seconds):
            return None, action
        opened = self._stage.open(segment, tracks=action is None)
        if action is None:
            action = actions[start_seconds] = action_features(opened.need_tracks)
        return opened.need_sampled, action

    def _through_views(
        self, names: tuple[str, ...], sampled: SampledFrames, chosen: Int64Array
    ) -> list[ViewFeatures]:
        """Embed one segment's frames through each view: together, or a few views at a time if there are
        many large pictures. Of the whole picture every frame is embedded, otherwise the chosen ones."""
        features: list[ViewFeatures] = []
        waiting: list[tuple[str, SampledFrames]] = []
        if not len(chosen):
            names = tuple(name for name in names if name == IDENTITY)
        # Regions are found in all frames of the segment.
        found = found_regions(sampled.frames, names)
        for name in names:
            if sum(shown_frames.frames.nbytes for _, shown_frames in waiting) > _PICTURE_BYTES:
                features += self._described(waiting)
                waiting = []
            seen = sampled if name == IDENTITY else _through(name, sampled, chosen, found)
            if seen is not None:
                waiting.append((name, seen))
        return features + self._described(waiting)

    def _described(self, views: Sequence[tuple[str, SampledFrames]]) -> list[ViewFeatures]:
        rows = self._stage.pictures.describe([frames for _, frames in views])
        return [
            ViewFeatures(name, described, frames.informative, frames.pts_seconds)
            for (name, frames), described in zip(views, rows, strict=True)
        ]


def _through(
    name: str, sampled: SampledFrames, chosen: Int64Array, found: Mapping[str, UInt8Array]
) -> SampledFrames | None:
    """The chosen frames, one or more, through a view; None if it shows nothing of them. found: regions of
    all frames, by name."""
    if name in FOUND_NAMES:
        region = found.get(name)
        part = None if region is None else region[chosen]
    else:
        part = apply_view(sampled.frames[chosen], name)
    if part is None:
        return None
    usable = sampled.informative[chosen]
    if part.shape[1:] != sampled.frames.shape[1:]:
        usable = usable & informative(part)
    return SampledFrames(part, usable, sampled.pts_seconds[chosen])


def _with_dark_frames(sampled: SampledFrames) -> SampledFrames:
    """The same, but frames that are only too dark to be informative are brightened."""
    dark = np.flatnonzero(~sampled.informative)
    brighter = brighten_dark(sampled.frames[dark]) if len(dark) else None
    if brighter is None:
        return sampled
    frames, usable = sampled.frames.copy(), sampled.informative.copy()
    frames[dark], usable[dark] = brighter, informative(brighter)
    return SampledFrames(frames, usable, sampled.pts_seconds)


def _joined(name: str, parts: list[ViewFeatures]) -> ViewFeatures:
    if not parts:
        nothing = np.zeros((0, VISUAL_DIMENSION), dtype=np.float32)
        return ViewFeatures(name, nothing, np.zeros(0, dtype=bool), np.zeros(0))
    return ViewFeatures(
        name,
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.informative for part in parts]),
        np.concatenate([part.pts_seconds for part in parts]),
    )


def windows_of(
    uri: str,
    model_id: str,
    features: QueryFeatures,
    pooling: Pooling,
    fusion: FusionMode = "storyhash",
    piece: Piece | None = None,
) -> QueryEmbedding:
    """Features pooled into windows and fused with action. Views without informative windows are dropped,
    except `identity` in the first pass. For a piece of a query, only its windows."""
    of_all = piece or Piece(1, 1, 0.0, math.inf)
    starts, ends = window_grid(features.duration_seconds, of_all.start_seconds, of_all.end_seconds)
    action = window_actions(features.spans, features.actions, starts, ends)
    by_view: list[tuple[str, Float32Array, BoolArray]] = []
    for view in features.views:
        pooled, informative = pool_windows(
            view.rows, view.informative, view.pts_seconds, starts, ends, pooling
        )
        informative &= distinct_windows(view.pts_seconds, starts, ends)
        if informative.any() or view.name == IDENTITY:
            by_view.append(
                (view.name, fuse(pooled[informative], action[informative], fusion), informative)
            )
    # Most windows of a second pass have no vector; pages of zeros that are never written use no memory.
    vectors = np.zeros((len(by_view), len(starts), VECTOR_DIMENSION), dtype=np.float32)
    for number, (_, fused, informative) in enumerate(by_view):
        vectors[number, informative] = fused
    return QueryEmbedding(
        uri=uri,
        duration_seconds=features.duration_seconds,
        model_id=model_id,
        views=tuple(name for name, _, _ in by_view),
        window_start_seconds=starts,
        window_end_seconds=ends,
        vectors=vectors,
        informative=np.array([informative for _, _, informative in by_view], dtype=bool).reshape(
            len(by_view), len(starts)
        ),
        number=of_all.number,
        pieces=of_all.pieces,
    )
