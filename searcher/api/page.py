"""The review page: static files of this package, served at `/` and below `/page/`. `/docs` is its view of
the API."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from common.http.etag import etag, not_modified

_FOLDER = "page"
_INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Everything comes from this service; videos chosen in the browser have blob: addresses. There is no
# inline script or style, so text that is inserted into the page can become neither.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


class PageFile:
    """One file of the page, read once."""

    def __init__(self, content: bytes, content_type: str) -> None:
        self._content = content
        self._headers = {
            "Content-Type": content_type,
            "Content-Security-Policy": _POLICY,
            # The browser asks each time, and gets 304 while the file is the same.
            "Cache-Control": "no-cache",
            "ETag": etag(content),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    def response(self, request: Request) -> Response:
        if not_modified(request, self._headers["ETag"]):
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, headers=self._headers)


def page_files() -> dict[str, PageFile]:
    """All files of the page, by path."""
    folder = files("searcher").joinpath(_FOLDER)
    page = {
        f"/page/{entry.name}": PageFile(entry.read_bytes(), _TYPES[suffix])
        for entry in folder.iterdir()
        if (suffix := entry.name[entry.name.rfind(".") :]) in _TYPES
    }
    index = page.pop(f"/page/{_INDEX}")
    return {"/": index, "/docs": index, **page}


def page_router(page: Mapping[str, PageFile]) -> APIRouter:
    """The routes. They need no key: the files are the same for everybody and say nothing about the
    catalogue. The page asks for a key when the API requires one."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/docs")
    @router.get("/page/{name}")
    async def send(request: Request) -> Response:
        file = page.get(request.scope["path"])
        if file is None:
            raise HTTPException(404)
        return file.response(request)

    return router
