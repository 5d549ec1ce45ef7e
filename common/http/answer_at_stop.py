"""A request that is cancelled because the service stops gets an answer, as every refused request does."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import NotReadyError
from common.http.errors import to_response


class AnswerAtStop:
    """A middleware inside those that record and count: the response costs no quota."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if begun:
                raise
            # Without Retry-After: the request may have changed something already.
            error = NotReadyError("the service stops; send the request again when it has restarted")
            await to_response(error)(scope, receive, send)
