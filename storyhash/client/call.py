"""One request of the API: what is sent, and how the answer is read. No network here."""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

import httpx
from anyio import to_thread
from pydantic import BaseModel, ValidationError

from common.errors import UsageError, VideoError
from common.ids import id_in_path

Params = ParamSpec("Params")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Model = TypeVar("Model", bound=BaseModel)
# Sent bytes and all bytes of an upload.
OnProgress: TypeAlias = Callable[[int, int], None]
RAW_TYPE = "application/octet-stream"
_BLOCK_BYTES = 1 << 18
# Every call by method and path of the OpenAPI document.
OPERATIONS: dict[tuple[str, str], Callable[..., Call[Any]]] = {}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file, or bytes, as the body of a request. on_progress: called after each block."""

    source: Path | bytes
    on_progress: OnProgress | None = None


@dataclass(frozen=True, slots=True)
class Call(Generic[Result_co]):
    """One request. read: the result of a successful response. path: values of the path template; query:
    None is left out, a list is repeated. json, upload: the body, at most one of them. once: a POST that
    has an Idempotency-Key. repeatable: whether the request may be sent again if it is not known whether
    the service got it. accept: error statuses that are results. timeout_seconds: longest silence
    (default: that of the client)."""

    read: Callable[[httpx.Response], Result_co]
    path: Mapping[str, str | int] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    upload: Upload | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    once: str | None = None
    repeatable: bool = True
    accept: tuple[int, ...] = ()
    timeout_seconds: float | None = None
    method: str = ""
    template: str = ""

    def request(self, http: httpx.Client | httpx.AsyncClient, **options: Any) -> httpx.Request:
        """The request, to be sent with this client. Raises VideoError if the file cannot be read."""
        names = {name: id_in_path(str(value)) for name, value in self.path.items()}
        query = {name: value for name, value in self.query.items() if value not in (None, (), [])}
        headers = dict(self.headers)
        if self.once is not None:
            headers["Idempotency-Key"] = self.once
        if self.timeout_seconds is not None:
            options["timeout"] = self.timeout_seconds
        stream = None if self.upload is None else _UploadStream(self.upload)
        if stream is not None:
            headers |= {"Content-Type": RAW_TYPE, "Content-Length": str(stream.size)}
        request = http.build_request(
            self.method,
            self.template.format(**names),
            params=query,
            json=self.json,
            headers=headers,
            **options,
        )
        if stream is not None:
            request.stream = stream
        return request


def operation(
    method: str, template: str
) -> Callable[[Callable[Params, Call[Result]]], Callable[Params, Call[Result]]]:
    """Declares that a function makes the calls of an operation of the OpenAPI document."""

    def declared(make: Callable[Params, Call[Result]]) -> Callable[Params, Call[Result]]:
        @functools.wraps(make)
        def made(*args: Params.args, **kwargs: Params.kwargs) -> Call[Result]:
            return replace(make(*args, **kwargs), method=method, template=template)

        OPERATIONS[method, template] = made
        return made

    return declared


def as_model(model: type[Model]) -> Callable[[httpx.Response], Model]:
    """Reads JSON. Fields that a newer service has are kept and not checked."""

    def read(answer: httpx.Response) -> Model:
        return model.model_validate(answer.json(), extra="allow")

    return read


def as_nothing(_: httpx.Response) -> None:
    """Reads a response without a body."""


def as_text(answer: httpx.Response) -> str:
    """Reads text."""
    return answer.text


def body_of(model: type[BaseModel], **fields: Any) -> dict[str, Any]:
    """A JSON body of this schema, without the fields that are None. Raises UsageError."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return model.model_validate(given).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where or model.__name__}: {first['msg']}") from None


def if_unchanged(etag: str | None) -> dict[str, Any]:
    """Fields of a call that changes only the version with this ETag. It is not repeated: if the first
    attempt was done, the second one would be refused."""
    return {} if etag is None else {"headers": {"If-Match": etag}, "repeatable": False}


def new_key() -> str:
    """A new Idempotency-Key."""
    return uuid.uuid4().hex


class _UploadStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Reads an upload block by block, for both kinds of clients."""

    def __init__(self, upload: Upload) -> None:
        """Raises VideoError if the file cannot be read."""
        self._upload = upload
        source = upload.source
        try:
            self.size = source.stat().st_size if isinstance(source, Path) else len(source)
            if isinstance(source, Path):
                source.open("rb").close()
        except IsADirectoryError:
            raise VideoError(
                f"{source!s}: a folder cannot be uploaded; make a video file of its pictures"
            ) from None
        except OSError as error:
            raise VideoError(f"{source!s}: {error.strerror}") from None
        if not self.size:
            name = source if isinstance(source, Path) else "the upload"
            raise VideoError(f"{name}: it is empty")

    def __iter__(self) -> Iterator[bytes]:
        """Raises VideoError if the file cannot be read any more, or has another size."""
        sent = 0
        for block in self._blocks():
            sent += len(block)
            if sent > self.size:
                break
            yield block
            if self._upload.on_progress is not None:
                self._upload.on_progress(sent, self.size)
        if sent != self.size:
            raise VideoError(f"{self._upload.source!s}: it changed while it was sent; try again")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        blocks = iter(self)
        while (block := await to_thread.run_sync(next, blocks, None)) is not None:
            yield block

    def _blocks(self) -> Iterator[bytes]:
        source = self._upload.source
        if isinstance(source, bytes):
            for start in range(0, len(source), _BLOCK_BYTES):
                yield source[start : start + _BLOCK_BYTES]
            return
        try:
            with source.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
        except OSError as error:
            raise VideoError(f"{source!s}: {error.strerror}") from None
