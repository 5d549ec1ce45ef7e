"""What was read and computed of pictures while one report is made: nothing is read or computed twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from common.brightness import brightened
from common.errors import VideoError
from common.sandbox.limits import Check
from common.types import UInt8Array
from searcher.transform.keypoints import Keypoints
from searcher.transform.pictures import PictureKind, Pictures

MOST_TOGETHER = 64
"""Pictures that one report reads for several matches and keeps: about 20 MB, at most 180 MB."""
# Pictures whose keypoints are kept: at most 26 MB.
_MOST_KEYPOINTS = 64


class RememberedPictures:
    """The pictures of one video, dark ones brightened. Those that several matches need are read together
    and kept, of the others only those of the last match."""

    def __init__(self, pictures: Pictures, side: int, together: Iterable[float]) -> None:
        """side: see `Pictures.at`. together: the moments of several matches, seconds."""
        self._pictures = pictures
        self._side = side
        self._together = sorted(together)
        self._known: dict[float, UInt8Array] = {}

    def at(self, times: Sequence[float], check: Check) -> Mapping[float, UInt8Array]:
        """Pictures by time, with all of these times.

        Raises VideoError and the errors of `check`; what was read before an error is in `known`.
        """
        if not self._together:
            self._known = {one: self._known[one] for one in times if one in self._known}
        elif any(one not in self._known for one in times):
            try:
                self._read(self._together, check)
            except VideoError:
                # The moment of another match may be what cannot be read.
                self._together = []
        self._read(sorted(set(times)), check)
        return self._known

    @property
    def kind(self) -> PictureKind:
        """Where they come from."""
        return self._pictures.kind

    @property
    def known(self) -> Mapping[float, UInt8Array]:
        """The pictures that are here, by time."""
        return self._known

    def _read(self, times: Sequence[float], check: Check) -> None:
        missing = [one for one in times if one not in self._known]
        if missing:
            pictures = self._pictures.at(missing, self._side, check)
            for seconds, picture in zip(missing, pictures, strict=True):
                brighter = brightened(picture)
                self._known[seconds] = picture if brighter is None else brighter


class RememberedKeypoints:
    """The keypoints of pictures; those of the last ones are kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By the identity of a picture, which is kept with them.
        self._known: OrderedDict[int, tuple[UInt8Array, Keypoints]] = OrderedDict()

    def __call__(self, picture: UInt8Array) -> Keypoints:
        """Of a picture, uint8 (H, W, 3)."""
        with self._lock:
            if id(picture) in self._known:
                self._known.move_to_end(id(picture))
                return self._known[id(picture)][1]
        found = Keypoints.of_colour(picture)
        with self._lock:
            self._known[id(picture)] = picture, found
            while len(self._known) > _MOST_KEYPOINTS:
                self._known.popitem(last=False)
        return found
