"""Localisation: refines the ranges of a run to half a second with frame codes.

Segments locate a window to a few seconds; frame codes are finer. The best path (Viterbi) through the
frame similarities selects the frames of the copy. If they lie on a line (one offset, one tempo), the line
gives a more precise reference range than single frames. If they do not, for example after cuts, the range
is from the first to the last frame. In a still scene all frames are similar and the path may not advance;
then the line is used, or else the ranges of the segments are kept. Frames that are seconds apart, those
of a closer pass, do not show where a copy begins and ends, but a line through them tells its place in the
reference.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from common.frame_codes import FRAME_SECONDS
from common.types import Float32Array, Float64Array
from searcher.matching.alignment.run import Run
from searcher.matching.alignment.temporal_fit import TEMPI, mean_along, ordered_range, tempo_penalty
from searcher.matching.localisation.frame_similarity import HALF_FRAME_SECONDS, FrameSimilarity
from searcher.matching.localisation.row_comparison import at_line
from searcher.matching.localisation.viterbi import MatchedFrames, best_path

# Reward per frame of a copy; the path penalties are in the same unit.
_COPY_REWARD = 0.4
# A line is accepted if its similarity is at most this much below that of the path, which is the best of
# many, so it gains from noise: the less similar its frames, the more.
_LINE_LOSS, _NOISE_LOSS = 0.03, 0.15
# If both start and end at about the same times, as with cuts between still pictures, or if most steps of
# the path do not advance: in a still part of the reference it stays at the frames whose codes lost least.
_AGREED_LOSS = 0.08
_AGREE_SECONDS = 1.0
# Of sparse frames, the best line must be better than the run's own by this; fewer frames are noisier.
_LEAST_GAIN, _GAIN_FRAMES = 0.03, 4
# A line may extend this far before the first reference frame, and twice as far beyond the last.
_BEYOND_SECONDS = 0.6 * FRAME_SECONDS
# A copy may begin and end with a fade.
_DARK_SECONDS = 2.0
_MIN_FRAMES, _MIN_FRAMES_OF_TEMPO = 2, 5
_PEAK_FRAMES = 4
# Seconds of reference per second of query. A slower path counts as not advancing.
_MIN_PACE = 0.25


def refine(run: Run, frames: FrameSimilarity, background_similarity: float) -> Run:
    """The run with ranges refined by its frames. It is unchanged if too few frames match or the scene is
    still.

    background_similarity: mean similarity of frames of non-matches.
    """
    best = np.sort(frames.similarity.max(axis=1, initial=-1.0))
    peak = float(best[-_PEAK_FRAMES:].mean()) if len(best) else -1.0
    if peak <= background_similarity or not len(frames.ref_seconds):
        return run
    if frames.are_sparse:
        return _on_line(run, frames)
    level = (peak + background_similarity) / 2
    reward = (frames.similarity - level) * (_COPY_REWARD / (peak - level))
    found = [
        one
        for one in best_path(reward, frames.query_seconds, frames.ref_seconds)
        if len(one.query) >= min(_MIN_FRAMES, len(frames.query_seconds))
        and _overlaps(run, frames.query_seconds[one.query])
    ]
    ranges = [_ref_range(frames, one) for one in found]
    stretches = [one for one in ranges if one is not None]
    if not stretches:
        return run
    start, end = _query_range(frames, int(found[0].query[0]), int(found[-1].query[-1]))
    ref_start, ref_end = ordered_range(
        min(one[0] for one in stretches), max(one[1] for one in stretches), frames.ref_end_seconds
    )
    tempo = stretches[0][2] if len(stretches) == 1 else None
    return replace(
        run,
        query_start_seconds=start,
        query_end_seconds=end,
        ref_start_seconds=ref_start,
        ref_end_seconds=ref_end,
        tempo=tempo,
    )


def _on_line(run: Run, frames: FrameSimilarity) -> Run:
    """The run with the reference range of the line through its frames, if they fit it clearly better than
    its own line."""
    if run.tempo is None:
        return run
    lines = _lines(frames.similarity, frames.query_seconds, frames.ref_seconds)
    line = max(lines, key=_Line.worth)
    at = at_line(run, frames.query_seconds)[None]
    inside = np.ones(at.shape, dtype=bool)
    own = float(mean_along(frames.similarity, at, frames.ref_seconds, inside)[0])
    noise = max(1.0, math.sqrt(_GAIN_FRAMES / len(frames.query_seconds)))
    if line.worth() < own - tempo_penalty(run.tempo) + _LEAST_GAIN * noise:
        return run
    start, end = ordered_range(
        float(line.at(run.query_start_seconds)),
        float(line.at(run.query_end_seconds)),
        frames.ref_end_seconds,
    )
    return replace(run, ref_start_seconds=start, ref_end_seconds=end, tempo=line.tempo)


def _query_range(frames: FrameSimilarity, first: int, last: int) -> tuple[float, float]:
    """From half a frame before the first frame to half a frame after the last one, in seconds. If only
    little of the query is left beyond, the range extends to its end."""
    start, end = float(frames.query_seconds[first]), float(frames.query_seconds[last])
    begins = start <= min(frames.first_seconds, _DARK_SECONDS)
    ends = end >= max(frames.last_seconds, frames.duration_seconds - _DARK_SECONDS)
    return (
        0.0 if begins else start - HALF_FRAME_SECONDS,
        frames.duration_seconds if ends else end + HALF_FRAME_SECONDS,
    )


def _ref_range(
    frames: FrameSimilarity, stretch: MatchedFrames
) -> tuple[float, float, float | None] | None:
    """Reference start and end of a matched part, and its tempo (None without a line); None if neither
    line nor path locates it."""
    times, ref_times = frames.query_seconds[stretch.query], frames.ref_seconds[stretch.ref]
    advances = _advances(times, ref_times)
    line = _line_of_path(frames, stretch, advances=advances)
    if line is not None:
        start, end = _query_range(frames, int(stretch.query[0]), int(stretch.query[-1]))
        low, high = sorted((float(line.at(start)), float(line.at(end))))
        return low, high, line.tempo
    if not advances:
        return None
    return *_path_range(frames, ref_times), None


def _line_of_path(
    frames: FrameSimilarity, stretch: MatchedFrames, *, advances: bool
) -> _Line | None:
    """The line that shows where a path lies; None if no line fits nearly as well as the path. advances:
    whether the path does, see `_advances`."""
    similarity, times = frames.similarity[stretch.query], frames.query_seconds[stretch.query]
    ref_times = frames.ref_seconds[stretch.ref]
    on_path = float(similarity[np.arange(len(times)), stretch.ref].mean())

    def agrees(line: _Line) -> bool:
        return float(np.abs(line.at(times) - ref_times)[[0, -1]].max()) <= _AGREE_SECONDS

    waits = np.abs(np.diff(ref_times)) < _MIN_PACE * np.diff(times)
    # A single frame waits for none.
    is_still = advances and 2 * np.count_nonzero(waits) > len(waits)
    lines = _lines(similarity, times, frames.ref_seconds)
    best = max(lines, key=_Line.worth)
    loss = _LINE_LOSS + _NOISE_LOSS * max(0.0, 1.0 - on_path)
    if best.similarity >= on_path - (_AGREED_LOSS if is_still or agrees(best) else loss):
        return best
    # The path tells the tempo too.
    nearest = max(lines, key=lambda line: line.similarity)
    if nearest.similarity >= on_path - _AGREED_LOSS and agrees(nearest):
        return nearest
    # A tempo between those that are tried, such as 25/24, leaves every line in a minute.
    fitted = _fitted_line(similarity, times, frames.ref_seconds, ref_times)
    return fitted if fitted is not None and fitted.similarity >= on_path - loss else None


def _advances(times: Float64Array, ref_times: Float64Array) -> bool:
    return bool(np.ptp(ref_times) >= _MIN_PACE * (np.ptp(times) - 2 * FRAME_SECONDS))


def _path_range(frames: FrameSimilarity, times: Float64Array) -> tuple[float, float]:
    """From half a frame before the first time to half a frame after the last one; near an end of the
    reference, to that end."""
    first, last = float(times.min()), float(times.max())
    low, high = first - HALF_FRAME_SECONDS, last + HALF_FRAME_SECONDS
    if first < frames.ref_start_seconds + FRAME_SECONDS:
        low = frames.ref_start_seconds
    if last >= frames.ref_end_seconds - FRAME_SECONDS:
        high = frames.ref_end_seconds
    return low, high


def _overlaps(run: Run, times: Float64Array) -> bool:
    """Whether these query frames overlap the run."""
    return bool(times[0] < run.query_end_seconds and times[-1] >= run.query_start_seconds)


class _Line(NamedTuple):
    """The line ref = tempo * query + offset, and its mean similarity."""

    tempo: float
    offset: float
    similarity: float

    def at(self, query: Float64Array | float) -> Float64Array:
        return np.asarray(self.tempo * query + self.offset)

    def worth(self) -> float:
        return self.similarity - tempo_penalty(self.tempo)


def _lines(similarity: Float32Array, query: Float64Array, ref: Float64Array) -> list[_Line]:
    """The line with the highest mean similarity of each tempo. similarity: float32 (n, Tr), of the frames
    at the times `query`, float64 (n,)."""
    found = []
    starts = np.arange(ref[0], ref[-1] + HALF_FRAME_SECONDS, FRAME_SECONDS)
    for tempo in TEMPI.tolist() if len(query) >= _MIN_FRAMES_OF_TEMPO else [1.0]:
        offsets = starts - tempo * query[0]
        at = tempo * query[None] + offsets[:, None]
        inside = (at >= ref[0] - _BEYOND_SECONDS) & (at <= ref[-1] + 2 * _BEYOND_SECONDS)
        values = mean_along(similarity, at, ref, inside)
        top = int(np.argmax(values))
        found.append(_Line(tempo, float(offsets[top]) + _between(values, top), float(values[top])))
    return found


def _fitted_line(
    similarity: Float32Array, query: Float64Array, ref: Float64Array, path: Float64Array
) -> _Line | None:
    """The line through a path by least squares; None if the path is short, or if its tempo is beyond
    those that are tried. path: float64 (n,), the reference times of the frames. The rest as for
    `_lines`."""
    if len(query) < _MIN_FRAMES_OF_TEMPO:
        return None
    tempo = round(float(np.polyfit(query - query.mean(), path, 1)[0]), 3)
    if not float(np.abs(TEMPI).min()) <= abs(tempo) <= float(TEMPI.max()):
        return None
    offset = float(path.mean() - tempo * query.mean())
    inside = np.ones((1, len(query)), dtype=bool)
    at = (tempo * query + offset)[None]
    return _Line(tempo, offset, float(mean_along(similarity, at, ref, inside)[0]))


def _between(values: Float64Array, at: int) -> float:
    """Seconds from the best offset to the vertex of the parabola through its value and its neighbours'
    values."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, top, after = values[at - 1 : at + 2].tolist()
    bend = before - 2 * top + after
    if bend > -1e-9:
        return 0.0
    return float(FRAME_SECONDS * np.clip((before - after) / (2 * bend), -0.5, 0.5))
