"""Checks whether child processes are confined on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from common.sandbox.codec import NO_RESULT
from common.sandbox.limits import ChildLimits
from common.sandbox.process import Beat, Child
from common.settings import VideoSettings


def examine_child(video: VideoSettings) -> str:
    """Start an idle child; returns why it is not confined, or an empty string.

    Raises DecoderCrashedError or VideoTimeoutError if it does not start.
    """
    child: Child[str, None] = Child(_work, ChildLimits.for_video(video), NO_RESULT)
    try:
        for _ in child.run(""):
            pass
        return child.unconfined
    finally:
        child.close()


def _work(job: str, beat: Beat) -> Iterator[None]:
    yield from ()
