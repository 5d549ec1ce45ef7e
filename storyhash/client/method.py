"""Functions that make a call become methods of both clients, with their documentation."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from storyhash.client.call import Call
from storyhash.client.transport import AsyncTransport, SyncTransport

Params = ParamSpec("Params")
Result = TypeVar("Result")
Item = TypeVar("Item")
PageItem = TypeVar("PageItem", covariant=True)
Function = TypeVar("Function", bound=Callable[..., Any])


class Page(Protocol[PageItem]):
    """A page of a list."""

    @property
    def items(self) -> Sequence[PageItem]: ...

    @property
    def next_cursor(self) -> str | int | None: ...


class _Both:
    """A function for the client without asyncio, and one for the client with it."""

    def __init__(self, function: Callable[..., Any], for_asyncio: Callable[..., Any]) -> None:
        self._function, self._for_asyncio = function, for_asyncio

    def _bound(self, client: object, kind: type) -> Any:
        chosen: Any = self._for_asyncio if issubclass(kind, AsyncTransport) else self._function
        return chosen.__get__(client, kind)


class Method(_Both, Generic[Params, Result]):
    """Sends a call and gives its result."""

    def __init__(self, make: Callable[Params, Call[Result]]) -> None:
        def send(client: SyncTransport, /, *args: Any, **kwargs: Any) -> Result:
            return client.send(make(*args, **kwargs))

        async def send_async(client: AsyncTransport, /, *args: Any, **kwargs: Any) -> Result:
            return await client.send(make(*args, **kwargs))

        super().__init__(_documented(send, make), _documented(send_async, make))

    @overload
    def __get__(self, client: SyncTransport, kind: type) -> Callable[Params, Result]: ...

    @overload
    def __get__(
        self, client: AsyncTransport, kind: type
    ) -> Callable[Params, Awaitable[Result]]: ...

    def __get__(self, client: object, kind: type) -> Any:
        return self._bound(client, kind)


class Pages(_Both, Generic[Params, Item]):
    """Sends the calls of all pages and gives their items."""

    def __init__(self, make: Callable[Params, Call[Page[Item]]]) -> None:
        def follow(client: SyncTransport, /, *args: Any, **kwargs: Any) -> Iterator[Item]:
            while True:
                page = client.send(make(*args, **kwargs))
                yield from page.items
                if page.next_cursor is None:
                    return
                kwargs["cursor"] = page.next_cursor

        async def follow_async(
            client: AsyncTransport, /, *args: Any, **kwargs: Any
        ) -> AsyncIterator[Item]:
            while True:
                page = await client.send(make(*args, **kwargs))
                for item in page.items:
                    yield item
                if page.next_cursor is None:
                    return
                kwargs["cursor"] = page.next_cursor

        first = "Every item of all pages; `limit` is the size of a page."
        super().__init__(_documented(follow, make, first), _documented(follow_async, make, first))

    @overload
    def __get__(self, client: SyncTransport, kind: type) -> Callable[Params, Iterator[Item]]: ...

    @overload
    def __get__(
        self, client: AsyncTransport, kind: type
    ) -> Callable[Params, AsyncIterator[Item]]: ...

    def __get__(self, client: object, kind: type) -> Any:
        return self._bound(client, kind)


def _documented(function: Function, make: Callable[..., Any], first: str = "") -> Function:
    """The function, with the name, text and signature of the one that makes its calls. first: put before
    the text."""
    function.__name__ = make.__name__
    function.__qualname__ = make.__name__
    function.__doc__ = f"{first} {make.__doc__}".strip()
    signature = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [own, *signature.parameters.values()]
    function.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=inspect.Signature.empty
    )
    return function
