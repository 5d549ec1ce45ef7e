"""Real segments to send, as often as is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from common.messaging.events import VideoEnd
from common.messaging.transport import Message
from common.messaging.wire import Envelope, to_message
from common.settings import Settings
from common.types import CatalogEntry, Segment
from ingest.catalogue import read_catalog
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone
from tests.benchmarks.bench_embedding import draw


@dataclass(frozen=True)
class Film:
    """A film cut into segments."""

    segments: list[Segment]
    duration_seconds: float

    def messages(self, topic: str, video_id: str) -> Iterator[Message]:
        """The film under a name, as a producer sends it now."""
        for one in self.segments:
            named = Segment(replace(one.ref, video_id=video_id), one.clip)
            yield to_message(topic, Envelope(named))
        entry = CatalogEntry(video_id, f"/films/{video_id}.mp4")
        end = VideoEnd(entry, 1, "complete", self.duration_seconds, len(self.segments))
        yield to_message(topic, Envelope(end))


def films(videos: Path | None, count: int, folder: Path) -> list[Film]:
    """`count` films of a folder, or drawn ones of 20 s; those that cannot be read are left out."""
    if videos is None:
        folder.mkdir(parents=True, exist_ok=True)
        draw(folder, count)
    listed = read_catalog([str(videos or folder)], "default")[:count]
    settings = Settings()
    parts: dict[str, list[Segment]] = {}
    made = []
    with DecoderPool(settings.video, settings.ingest) as pool:
        for event in pool.run([(one.entry, 1) for one in listed]):
            if isinstance(event, SegmentReady):
                parts.setdefault(event.entry.video_id, []).append(event.segment)
            elif isinstance(event, VideoDone):
                cut = parts[event.entry.video_id]
                made.append(Film(cut, event.duration_seconds))
    if not made:
        raise RuntimeError(f"{videos or folder}: no film can be read")
    return made
