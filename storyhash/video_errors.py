"""What goes wrong with one video, apart from what goes wrong for all of them alike."""

from __future__ import annotations

from common.errors import DependencyError, VideoError

# What goes wrong for all videos alike; anything else may lie in one of them.
SHARED = (DependencyError, MemoryError)


def as_video_error(error: Exception) -> VideoError:
    """The error of one video, so that the others continue."""
    if isinstance(error, VideoError):
        return error
    reason = " ".join(str(error).split())[:200]
    unforeseen = VideoError(f"internal error ({type(error).__name__}: {reason})")
    unforeseen.code = "internal"
    unforeseen.__cause__ = error
    return unforeseen
