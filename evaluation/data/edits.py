"""Makes the edits of videos."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from common.settings import VideoSettings
from evaluation.data.datasets import DatasetVideo
from evaluation.data.video_io import read_film, write_film
from evaluation.transforms.base import Film, TransformResult
from evaluation.transforms.registry import TRANSFORMS, context_for
from ingest.fingerprint import content_digest

EDITS_VERSION = 3
"""Part of the keys of caches: raise it when an edit or a view changes."""
# A video is in memory as a whole, so only the first seconds of a partner are read.
_PARTNERS, _PARTNER_SECONDS, _PARTNERS_HELD = 6, 20.0, 3


class EditMaker:
    """Applies transforms to videos. Not thread-safe: it keeps the last films in memory."""

    def __init__(self, limits: VideoSettings) -> None:
        self._limits = limits
        self._original = lru_cache(1)(self._film)
        self._partner = lru_cache(_PARTNERS_HELD)(self._partner_film)

    def apply(
        self, video: DatasetVideo, partners: Sequence[DatasetVideo], transform: str
    ) -> TransformResult:
        """One edit of a video. partners: those of `partners_of`. Raises VideoError."""
        # No more than are in the keys of caches.
        drawn = partners[: TRANSFORMS[transform].partners]

        def partner(number: int) -> tuple[str, Film]:
            chosen = drawn[number % len(drawn)]
            return chosen.video_id, self._partner(chosen.uri)

        return TRANSFORMS[transform].apply(
            self._original(video.uri), context_for(transform, video.video_id, partner)
        )

    def _film(self, uri: str) -> Film:
        return read_film(Path(uri), limits=self._limits)

    def _partner_film(self, uri: str) -> Film:
        return read_film(Path(uri), max_seconds=_PARTNER_SECONDS, limits=self._limits)


class EditedVideos:
    """The files of edits in one folder; each is made when it is first asked for."""

    def __init__(self, folder: Path, videos: Sequence[DatasetVideo], limits: VideoSettings) -> None:
        self._folder = folder
        self._videos = videos
        self._maker = EditMaker(limits)

    def path(self, video: DatasetVideo, transform: str) -> Path:
        """The file of one edit of one video. Raises VideoError."""
        parts = edit_key(video, transform, self._videos)
        name = hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
        path = self._folder / transform / f"{name}.mp4"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = self._maker.apply(video, partners_of(video, self._videos), transform)
            # The suffix chooses the container, so the temporary file has the same name in another folder.
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                temporary = Path(folder) / path.name
                write_film(temporary, made)
                temporary.replace(path)
        return path


def edit_key(
    video: DatasetVideo, transform: str, videos: Sequence[DatasetVideo]
) -> tuple[str, ...]:
    """What one edit of a video, or the unedited video, is made from: a part of the keys of caches.

    videos: those that partners are drawn from.
    """
    edit = TRANSFORMS.get(transform)
    partners = partners_of(video, videos)[: edit.partners] if edit and edit.partners else ()
    return (
        *(video.video_id, content_digest(video.uri), transform, str(EDITS_VERSION)),
        *(part for one in partners for part in (one.video_id, content_digest(one.uri))),
    )


def partners_of(video: DatasetVideo, videos: Sequence[DatasetVideo]) -> tuple[DatasetVideo, ...]:
    """Videos of other families to combine with it, chosen by a digest, so the same in every run.

    None is a known look-alike of the video. A match with a partner is neither right nor wrong, so a
    partner that looks like the video would hide a false match. Partners may look like one another or like
    other videos of the catalogue: a match with a look-alike of a partner is wrong, as that video is not
    in the query.
    """
    others = [
        other
        for other in videos
        if other.family != video.family
        and (not video.lookalike_group or other.lookalike_group != video.lookalike_group)
    ]
    order = sorted(
        others,
        key=lambda other: hashlib.blake2b(f"{video.video_id}\n{other.video_id}".encode()).digest(),
    )
    return tuple(order[:_PARTNERS])
