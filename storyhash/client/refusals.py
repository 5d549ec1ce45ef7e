"""Responses that are errors, as exceptions of ours."""

from __future__ import annotations

import httpx

from common.errors import DependencyError, ServiceError, StoryHashError, UsageError, VideoError

# Codes of refusals that another key may change.
KEY_REFUSALS = frozenset({"unauthorized", "forbidden"})
_KINDS = {422: VideoError, 429: DependencyError, 503: DependencyError}
_OF_A_PROXY = frozenset({502, 503, 504})
# Errors 422 that are not about a video.
_MISTAKES = frozenset({"unknown_parameter", "idempotency_key_reused"})


class Service:
    """The service that is called, as messages name it."""

    def __init__(self, url: str, key_setting: str, *, has_key: bool) -> None:
        """url: without passwords. key_setting: the setting of the key."""
        self.url = url
        self._key_setting = key_setting
        self._has_key = has_key

    def silent(self, error: httpx.RequestError) -> ServiceError:
        """The error for a service that does not respond, or whose response cannot be decoded."""
        if isinstance(error, httpx.DecodingError):
            return self.not_ours("did not respond with what its Content-Encoding says")
        if isinstance(error, httpx.TimeoutException):
            return ServiceError(
                f"{self.url} does not respond in time ({type(error).__name__}); it may be "
                "overloaded"
            )
        return ServiceError(
            f"{self.url} does not respond ({error}); start the service, or use another address"
        )

    def refusal(self, answer: httpx.Response) -> StoryHashError:
        """A response as an error, with its code and message."""
        status = answer.status_code
        try:
            body = answer.json()["error"]
            code, message = str(body["code"]), str(body["message"])
        except (ValueError, KeyError, TypeError):
            if status in _OF_A_PROXY:
                return ServiceError(
                    f"{self.url} responded with {status}, as a proxy does whose service is down; start "
                    "the service, or check the address"
                )
            return self.not_ours(f"responded with {status}")
        if status == 401:
            message = self._explained()
        kind = _KINDS.get(status, UsageError if 400 <= status < 500 else StoryHashError)
        error = (UsageError if code in _MISTAKES else kind)(message)
        error.code = code
        return error

    def not_ours(self, what: str) -> ServiceError:
        """The error for a service that is not one of ours."""
        return ServiceError(f"{self.url} {what} but is not a StoryHash service; check the address")

    def _explained(self) -> str:
        """What to do about a key that is missing or wrong."""
        if not self._has_key:
            return (
                f"{self.url} requires an API key: set {self._key_setting} to one; on its machine, "
                "`storyhash keys create NAME --role ROLE` makes one"
            )
        return (
            f"{self.url} does not accept the key in {self._key_setting}: it is unknown, expired or "
            "revoked; set it to another one"
        )
