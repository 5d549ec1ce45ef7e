"""Stores the thumbnails that come with the log of embeddings.

While a video is incomplete, its pictures are staged with its segments. They become those of the video in
the transaction that makes the video searchable, just before it ends. So after a crash none is lost: the
batch is taken again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from common.messaging.handler import Item
from common.thumbnails import Thumbnail, unpack_thumbnails
from common.types import Embedding
from searcher.log.batch_sorter import BatchOutcome
from searcher.storage.staged_videos import PartialVideo
from searcher.storage.thumbnails import ThumbnailWriter
from searcher.video_index import VideoIndex


def without_thumbnails(items: Sequence[Item]) -> list[Item]:
    """The same messages, without their pictures."""
    return [
        replace(one, envelope=replace(one.envelope, event=replace(event, thumbnails=b"")))
        if isinstance(event := one.envelope.event, Embedding) and event.thumbnails
        else one
        for one in items
    ]


@contextmanager
def written_thumbnails(index: VideoIndex, outcome: BatchOutcome) -> Iterator[list[ThumbnailWriter]]:
    """Writers of the pictures of the videos that a batch completes or adds to; whoever enters finishes
    them, and what was not finished is dropped. Raises StorageError."""
    writers: list[ThumbnailWriter] = []
    try:
        for video in outcome.whole:
            writers.append(index.thumbnails.begin(video.video_id))
            for pictures in _of_video(index, video):
                writers[-1].add(pictures)
        for video_id, late in _late(outcome).items():
            writers.append(index.thumbnails.begin(video_id))
            for picture in index.thumbnails.all(video_id):
                writers[-1].add([picture])
            for one in late:
                writers[-1].add(unpack_thumbnails(one.thumbnails))
        yield writers
    finally:
        for writer in writers:
            writer.drop()


def _of_video(index: VideoIndex, video: PartialVideo) -> Iterator[list[Thumbnail]]:
    """The pictures of each segment: of the staged ones, then of those in the batch."""
    for segment_id, packed in index.staging.thumbnails(video.video_id, video.version):
        if segment_id in video.parts:
            yield unpack_thumbnails(packed)
    for one in video.embeddings:
        yield unpack_thumbnails(one.thumbnails)


def _late(outcome: BatchOutcome) -> dict[str, list[Embedding]]:
    """By video, the late segments that have pictures."""
    late: dict[str, list[Embedding]] = {}
    for one, _ in outcome.late:
        if one.thumbnails:
            late.setdefault(one.ref.video_id, []).append(one)
    return late
