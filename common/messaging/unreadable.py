"""What is told in place of a message that cannot be read, as far as its key and headers name what it was.

Without it the video would wait for ever for what the message held.
"""

from __future__ import annotations

import re

from common.errors import SchemaVersionError, WireError
from common.messaging.events import SegmentFailed, VideoEnd
from common.messaging.transport import ReceivedMessage
from common.types import CatalogEntry, SegmentRef

# Names the segment in a message whose key names its video alone: `SEGMENT_ID#VERSION`.
SEGMENT_HEADER = "segment"
# The error code of a video whose end could not be read.
END_UNREADABLE = "end_unreadable"
_SEGMENT = re.compile(r"(.+)@(\d{1,12})-(\d{1,12})#(\d{1,18})(?:@failed)?", re.DOTALL)
_END = re.compile(r"(.+)@v(\d{1,18})", re.DOTALL)


def stand_in(received: ReceivedMessage, error: WireError) -> SegmentFailed | VideoEnd | None:
    """A segment that cannot be read has failed; so has a video whose end cannot be. None where the
    message does not say what it is of, and for one of a later release, which that can still read."""
    if isinstance(error, SchemaVersionError):
        return None
    name = (received.header(SEGMENT_HEADER) or received.key).decode("utf-8", "replace")
    try:
        segment = _SEGMENT.fullmatch(name)
        if segment is not None:
            video_id, start, end, version = segment.groups()
            ref = SegmentRef(video_id, int(start) / 1000, int(end) / 1000, int(version))
            return SegmentFailed(ref, error.code)
        end_of = _END.fullmatch(name)
        if end_of is not None:
            return lost_end(end_of[1], int(end_of[2]), END_UNREADABLE, f"its end: {error}")
    except ValueError:
        # No name of ours after all.
        pass
    return None


def lost_end(video_id: str, version: int, code: str, message: str) -> VideoEnd:
    """The end of a version that failed, where nothing more is known of it than this. Its address and
    its like stay as they were."""
    entry = CatalogEntry(video_id, video_id)
    return VideoEnd(entry, version, "failed", error_code=code, error_message=message)
