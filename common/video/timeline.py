"""Time stamps of decoded frames as one clock that only runs forward.

Recordings joined without new stamps, advertisements, restarts of an encoder and single wrong stamps make
a container's clock jump. A jump becomes one frame's step, as in players: no frame is lost by it, and none
is held for hours. A long gap may be real, though: a slide is held, a screen does not change. So a few
frames after a doubtful stamp are looked at before it is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

# Gaps up to this are never doubted.
_SURE_SECONDS = 1.0
# A frame may come this much late by a slip of the muxer; then its moment is shown already.
_LATE_SECONDS = 1.0
# Frames that are looked at after a doubtful one.
_LOOK_AHEAD = 8
# Longest gap that is believed: in formats whose clock may restart half-way (broadcast), and elsewhere.
BROADCAST_GAP_SECONDS, GAP_SECONDS = 10.0, 600.0
# How near a frame's own duration must be to the gap after it to prove it.
_SAME_SECONDS = 0.1


class TimelineFrame(Protocol):
    """A frame as it comes from a decoder.

    stamp_seconds: on the container's clock, None where it has none. duration_seconds: 0 where not known.
    """

    @property
    def stamp_seconds(self) -> float | None: ...
    @property
    def duration_seconds(self) -> float: ...
    def keep(self) -> None:
        """Called before it is held back: it should give up what is large."""


AnyShot = TypeVar("AnyShot", bound=TimelineFrame)


@dataclass(frozen=True, slots=True)
class TimedFrame(Generic[AnyShot]):
    """A frame, where it begins and where it ends; seconds from the first frame."""

    start_seconds: float
    end_seconds: float
    shot: AnyShot


@dataclass(slots=True)
class TimelineClock:
    """What became of the stamps of a video. Use once.

    typical_seconds: a frame's step where nothing else says. gap_seconds: longest gap that is believed
    without proof. origin_seconds: the stamp that is time 0; by default the first frame's.
    """

    typical_seconds: float
    gap_seconds: float = GAP_SECONDS
    origin_seconds: float | None = None
    jumps: int = 0
    wild: int = 0
    late: int = 0
    first_jump_seconds: float = 0.0
    _offset: float = field(default=0.0, init=False)

    def run(self, shots: Iterable[AnyShot]) -> Iterator[TimedFrame[AnyShot]]:
        """Every frame with its time; times strictly increase. Frames that come late are left out."""
        ahead: deque[AnyShot] = deque()
        source = iter(shots)
        before: AnyShot | None = None
        # Of the last frame given: its stamp, its time and the end of what it shows.
        stamp, now = 0.0, -1.0
        while True:
            shot = ahead.popleft() if ahead else next(source, None)
            if shot is None:
                return
            given = shot.stamp_seconds
            if before is None:
                origin = given or 0.0 if self.origin_seconds is None else self.origin_seconds
                stamp = origin if given is None else given
                self._offset = -origin
                now = 0.0 if given is None else stamp - origin
            else:
                step = self._step(before)
                if given is None:
                    stamp, now = stamp + self.typical_seconds, now + self.typical_seconds
                elif 0 < given - stamp <= _SURE_SECONDS:
                    stamp, now = given, self._forward(given, now)
                else:
                    _fill(ahead, source)
                    after = [one.stamp_seconds for one in ahead]
                    back = _returns(stamp, given, [one for one in after if one is not None])
                    slipped = 0 <= stamp - given <= _LATE_SECONDS
                    if back is None and slipped and not after:
                        self.late += 1
                        continue
                    if back is not None:
                        if slipped:
                            self.late += 1
                            continue
                        self.wild += 1
                        now = min(now + step, (now + max(self._forward(back, now), now)) / 2)
                    elif given > stamp and self._is_held(given - stamp, before):
                        stamp, now = given, self._forward(given, now)
                    else:
                        self._jump(now)
                        # Rounded, so that sums do not show.
                        self._offset, stamp = round(now + step - given, 9), given
                        now = self._forward(given, now)
            before = shot
            yield TimedFrame(now, now + self._step(shot, self.gap_seconds), shot)

    def _forward(self, stamp: float, now: float) -> float:
        """The time of a stamp. Sums of floats may lose the last bit, but never run back."""
        return max(stamp + self._offset, now + 1e-6)

    def _step(self, shot: TimelineFrame, most: float = BROADCAST_GAP_SECONDS) -> float:
        """How long a frame is shown, as far as can be believed."""
        return shot.duration_seconds if 0 < shot.duration_seconds <= most else self.typical_seconds

    def _is_held(self, gap: float, before: TimelineFrame) -> bool:
        """Whether the frame before a gap is shown all through it."""
        proved = abs(gap - before.duration_seconds) <= _SAME_SECONDS
        return gap <= (GAP_SECONDS if proved else self.gap_seconds)

    def _jump(self, now: float) -> None:
        if not self.jumps:
            self.first_jump_seconds = now
        self.jumps += 1


def _fill(ahead: deque[AnyShot], source: Iterator[AnyShot]) -> None:
    while len(ahead) < _LOOK_AHEAD and (shot := next(source, None)) is not None:
        shot.keep()
        ahead.append(shot)


def _returns(stamp: float, given: float, after: list[float]) -> float | None:
    """The stamp with which the clock goes on as if `given` had not been, or None where it does not.

    It goes on where the next stamps follow `stamp` closely and do not follow `given`.
    """
    if given > stamp:
        # A clock that runs on has nothing before the stamp it has reached.
        between = [one for one in after if stamp < one < given]
        return between[0] if between and len(between) >= min(2, len(after)) else None
    steps = [later - one for one, later in pairwise([given, *after])]
    if after and after[0] <= stamp and all(0 < step <= _SURE_SECONDS for step in steps):
        # A second take that overlaps the end of the first by a few frames.
        return None
    return next((one for one in after if 0 < one - stamp <= _SURE_SECONDS), None)
