"""Turns the timestamps of decoded frames into times that strictly increase.

Joined recordings, advertisements, encoder restarts and single wrong timestamps make a container's clock
jump. As in players, a jump counts as one frame, so no frame is lost and none lasts for hours. A long gap
may also be real: a slide or a screen that does not change. So a few frames after a doubtful timestamp are
examined before the decision.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

# Gaps up to this length are never doubted.
_SURE_SECONDS = 1.0
# A muxer may place a frame this much too late. Its time is then already past.
_LATE_SECONDS = 1.0
# Number of frames that are examined after a doubtful one.
_LOOK_AHEAD = 8
# Longest accepted gap: in formats whose clock may restart (broadcast), and in all others.
BROADCAST_GAP_SECONDS, GAP_SECONDS = 10.0, 600.0
# Maximum difference between a frame's own duration and the gap after it, if the duration proves the gap.
_SAME_SECONDS = 0.1


class TimelineFrame(Protocol):
    """A frame from a decoder.

    stamp_seconds: time on the container's clock, or None. duration_seconds: 0 if unknown.
    """

    @property
    def stamp_seconds(self) -> float | None: ...
    @property
    def duration_seconds(self) -> float: ...
    def keep(self) -> None:
        """Called before the frame waits: it should release large data."""


AnyShot = TypeVar("AnyShot", bound=TimelineFrame)


@dataclass(frozen=True, slots=True)
class TimedFrame(Generic[AnyShot]):
    """A frame with its start and end, in seconds since the first frame."""

    start_seconds: float
    end_seconds: float
    shot: AnyShot


@dataclass(slots=True)
class TimelineClock:
    """Converts the timestamps of one video; counts jumps, wrong and late timestamps. Use it once.

    typical_seconds: the duration of a frame that has none. gap_seconds: the longest gap that is accepted
    without proof. origin_seconds: the timestamp of time 0 (default: that of the first frame).
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
        """Every frame with its time. Times strictly increase. Late frames are dropped."""
        ahead: deque[AnyShot] = deque()
        source = iter(shots)
        before: AnyShot | None = None
        # Timestamp and time of the last frame given.
        stamp, now = 0.0, -1.0
        while True:
            shot = ahead.popleft() if ahead else next(source, None)
            if shot is None:
                return
            own_stamp = shot.stamp_seconds
            if before is None:
                origin = own_stamp or 0.0 if self.origin_seconds is None else self.origin_seconds
                stamp = origin if own_stamp is None else own_stamp
                self._offset = -origin
                now = 0.0 if own_stamp is None else stamp - origin
            else:
                step = self._step(before)
                if own_stamp is None:
                    stamp, now = stamp + self.typical_seconds, now + self.typical_seconds
                elif 0 < own_stamp - stamp <= _SURE_SECONDS:
                    stamp, now = own_stamp, self._forward(own_stamp, now)
                else:
                    _fill(ahead, source)
                    after = [other.stamp_seconds for other in ahead]
                    next_stamp = _returns(
                        stamp, own_stamp, [other for other in after if other is not None]
                    )
                    slipped = 0 <= stamp - own_stamp <= _LATE_SECONDS
                    if next_stamp is None and slipped and not after:
                        self.late += 1
                        continue
                    if next_stamp is not None:
                        if slipped:
                            self.late += 1
                            continue
                        self.wild += 1
                        now = min(now + step, (now + max(self._forward(next_stamp, now), now)) / 2)
                    elif own_stamp > stamp and self._is_held(own_stamp - stamp, before):
                        stamp, now = own_stamp, self._forward(own_stamp, now)
                    else:
                        self._jump(now)
                        # Rounded, so that rounding errors do not add up.
                        self._offset, stamp = round(now + step - own_stamp, 9), own_stamp
                        now = self._forward(own_stamp, now)
            before = shot
            yield TimedFrame(now, now + self._step(shot, self.gap_seconds), shot)

    def _forward(self, stamp: float, now: float) -> float:
        """The time of a timestamp, at least 1 microsecond after `now`, because float sums may lose the
        last bit."""
        return max(stamp + self._offset, now + 1e-6)

    def _step(self, shot: TimelineFrame, most: float = BROADCAST_GAP_SECONDS) -> float:
        """The duration of a frame in seconds, if it is plausible; otherwise the typical one."""
        return shot.duration_seconds if 0 < shot.duration_seconds <= most else self.typical_seconds

    def _is_held(self, gap: float, before: TimelineFrame) -> bool:
        """Whether the frame before a gap is shown during the complete gap."""
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


def _returns(stamp: float, own_stamp: float, after: list[float]) -> float | None:
    """The timestamp with which the clock continues if `own_stamp` is ignored; None if it does not.

    It continues if the next timestamps closely follow `stamp` and do not follow `own_stamp`.
    """
    if own_stamp > stamp:
        # A clock that continues has no timestamps between the two.
        between = [other for other in after if stamp < other < own_stamp]
        return between[0] if between and len(between) >= min(2, len(after)) else None
    steps = [later - other for other, later in pairwise([own_stamp, *after])]
    if after and after[0] <= stamp and all(0 < step <= _SURE_SECONDS for step in steps):
        # The second recording overlaps the end of the first by a few frames.
        return None
    return next((other for other in after if 0 < other - stamp <= _SURE_SECONDS), None)
