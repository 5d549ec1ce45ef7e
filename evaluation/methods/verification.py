"""Geometric verification of the matches of edited videos, as the product does it."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from common.sandbox.limits import Check
from common.settings import VideoSettings
from common.types import UInt8Array
from evaluation.data.edits import EditedVideos
from evaluation.protocol import LOOKALIKE, REAL, Dataset, Query
from ingest.source_pictures import pictures_of
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import Policies
from searcher.transform.estimate import KeypointsOf, Moment, PictureComparison, compare
from searcher.transform.finder import TransformFinder
from searcher.transform.picture_memory import RememberedKeypoints
from searcher.transform.pictures import PictureKind, Pictures, References

_REMEMBERED = 64
# Pictures that are kept when the next report of the same query begins: at most 360 MB.
_PICTURES = 512


@dataclass(frozen=True, slots=True)
class _SourcePictures:
    """The `Pictures` of a file or folder, read in this process."""

    path: Path
    limits: VideoSettings
    kind: ClassVar[PictureKind] = "file"

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        return pictures_of(self.path, times, self.limits, short_side=side, beat=check)


@dataclass(frozen=True, slots=True)
class _KeptPictures:
    """Pictures that are read once for all reports of a query. kept: by file, side and time."""

    pictures: Pictures
    name: str
    kept: dict[tuple[str, int, float], UInt8Array]
    kind: ClassVar[PictureKind] = "file"

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        missing = [one for one in times if (self.name, side, one) not in self.kept]
        read = self.pictures.at(missing, side, check) if missing else iter(())
        for one in times:
            key = self.name, side, one
            if key not in self.kept:
                self.kept[key] = next(read)
            yield self.kept[key]


@dataclass(frozen=True, slots=True)
class _EditPictures:
    """The `Pictures` of the query, whose file is made when a picture is asked for."""

    query: Query
    edits: EditedVideos
    limits: VideoSettings
    kind: ClassVar[PictureKind] = "file"

    def at(self, times: Sequence[float], side: int, check: Check) -> Iterator[UInt8Array]:
        path = self.edits.path(self.query.video, self.query.transform)
        return _SourcePictures(path, self.limits).at(times, side, check)


class Verification:
    """Verifies doubtful matches, without a limit of time."""

    def __init__(self, dataset: Dataset, edits: EditedVideos, limits: VideoSettings) -> None:
        self._edits = edits
        self._limits = limits
        self._uris = {
            name: video.uri for name, video in {**dataset.videos, **dataset.lookalikes}.items()
        }
        # By their ids, which stand for their URIs.
        self._films: dict[str, Pictures] = {}
        # A query finds the same in several catalogues and with several methods.
        self._query = ""
        self._kept: dict[tuple[str, int, float], UInt8Array] = {}
        self._keypoints = RememberedKeypoints()
        self._known: OrderedDict[bytes, PictureComparison] = OrderedDict()
        self._finder = TransformFinder(
            self, math.inf, only_doubtful=True, comparer=self._compared_once
        )

    def add(self, video_id: str, pictures: Pictures) -> None:
        """Compare these pictures for a video that has no file of its own."""
        self._uris[video_id] = video_id
        self._films[video_id] = pictures

    def of_uri(self, uri: str) -> Pictures | None:
        """See `PictureSource`. A distractor made of vectors has no pictures."""
        if not uri:
            return None
        pictures = self._films.get(uri) or _SourcePictures(Path(uri), self._limits)
        return _KeptPictures(pictures, uri, self._kept)

    def verified(self, query: Query, policies: Policies, report: MatchReport) -> MatchReport:
        """The report after the doubtful matches were verified."""
        of_query = f"{query.video.uri} {query.transform}"
        if of_query != self._query or len(self._kept) > _PICTURES:
            self._kept.clear()
            self._keypoints = RememberedKeypoints()
        self._query = of_query
        pictures: Pictures
        if query.group in (REAL, LOOKALIKE):
            pictures = _SourcePictures(Path(query.video.uri), self._limits)
        else:
            pictures = _EditPictures(query, self._edits, self._limits)
        return self._finder.add_to(
            report,
            _KeptPictures(pictures, "", self._kept),
            References(lambda name: self._uris.get(name, "")),
            policies,
        )

    def _compared_once(self, moments: Sequence[Moment], _: KeypointsOf) -> PictureComparison:
        digester = hashlib.blake2b(digest_size=16)
        for moment in moments:
            for picture in (moment.query, *moment.references):
                digester.update(str(picture.shape).encode())
                digester.update(picture.tobytes())
        key = digester.digest()
        if key not in self._known:
            self._known[key] = compare(moments, self._keypoints)
        self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]
