"""A substitute event for an unreadable message, made from its key and headers.

Without it the video would wait forever for the content of the message.
"""

from __future__ import annotations

import re

from common.errors import SchemaVersionError, WireError
from common.messaging.events import SegmentFailed, VideoEnd
from common.messaging.transport import ReceivedMessage
from common.types import CatalogEntry, SegmentRef

# Header with the segment, `SEGMENT_ID#VERSION`, in messages whose key is only the video.
SEGMENT_HEADER = "segment"
# The error code of a video whose end could not be read.
END_UNREADABLE = "end_unreadable"
_SEGMENT = re.compile(r"(.+)@(\d{1,12})-(\d{1,12})#(\d{1,18})(?:@failed)?", re.DOTALL)
_END = re.compile(r"(.+)@v(\d{1,18})", re.DOTALL)


def stand_in(received: ReceivedMessage, error: WireError) -> SegmentFailed | VideoEnd | None:
    """The failure of the segment or of the video that an unreadable message was about. None if the
    message does not name it, or if a later release wrote it, because that release can still read it."""
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
        # Not a valid name.
        pass
    return None


def lost_end(video_id: str, version: int, code: str, message: str) -> VideoEnd:
    """The end of a failed version, of which only these parameters are known. The catalogue keeps the
    video's address, title and metadata."""
    entry = CatalogEntry(video_id, video_id)
    return VideoEnd(entry, version, "failed", error_code=code, error_message=message)
