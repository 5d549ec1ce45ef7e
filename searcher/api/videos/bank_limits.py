"""Changes of videos by keys that are limited to banks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Request

from common.http.errors import ApiError
from common.http.request_facts import facts_of
from searcher.serving import Catalogue


class BankLimits:
    """Keys that are limited to banks change videos one after the other: between looking whose a video is
    and changing it, no key of another bank may take its id."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._limited = threading.Lock()
        # Between the check of If-Match and the change, no other request changes a video.
        self.changing = threading.Lock()

    @contextmanager
    def checked(
        self, request: Request, video_id: str, refusal: Callable[[str], ApiError]
    ) -> Iterator[None]:
        """For as long as the block lasts, the video is of a bank of the caller, or there is none. Raises
        `refusal` otherwise."""
        caller = facts_of(request.scope).caller
        if caller.banks is None:
            yield
            return
        with self._limited:
            video = self._catalogue.current().index.videos.get(video_id)
            if video is not None and not caller.may_see(video.bank):
                raise refusal(video_id)
            yield
