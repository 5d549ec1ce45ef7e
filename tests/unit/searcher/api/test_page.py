"""The files of the review page: complete, small, without a key, and with nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from common.http.health import Health
from common.http.server import new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from searcher.api import page
from tests.support.keys import access_over, opened_state
from tests.support.queries import Client, error_of

FOLDER = Path(page.__file__).parents[1] / "page"
MOST_BYTES = 200_000
TEXT = {path.name: path.read_text() for path in FOLDER.iterdir() if path.is_file()}


def test_the_page_needs_no_key_where_the_api_does(tmp_path: Path) -> None:
    settings = HttpSettings(require_keys="always")
    files = page.page_files()
    with opened_state(tmp_path) as state:
        app = new_app(
            "test",
            Health(None, (), 60.0),
            Metrics.create("test"),
            settings,
            access_over(state, settings),
            files,
        )
        app.add_routes(page.page_router(files))
        with Client(app) as client:
            index = client.get("/")
            again = client.get("/", headers={"If-None-Match": index.headers["etag"]})
            assert (index.status_code, again.status_code) == (200, 304)
            assert index.headers["content-type"] == "text/html; charset=utf-8"
            assert {*files} >= {"/", "/docs", "/page/main.js", "/page/style.css"}
            for path in files:
                answer = client.get(path)
                assert answer.status_code == 200
                policy = answer.headers["content-security-policy"]
                assert "script-src 'self'" in policy
                assert "unsafe" not in policy
            assert error_of(client.get("/page/unknown.js")) == (401, "unauthorized")


def test_a_path_that_is_no_file_of_the_page_is_not_found() -> None:
    health = Health(None, (), 60.0)
    app = new_app("test", health, Metrics.create("test"), HttpSettings())
    app.add_routes(page.page_router(page.page_files()))
    with Client(app) as client:
        for path in ("/page/unknown.js", "/page/index.html", "/page/", "/page/a/main.js"):
            assert error_of(client.get(path)) == error_of(client.get("/unknown")), path


def test_the_page_is_small_and_every_file_of_it_is_served() -> None:
    assert sum(len(text.encode()) for text in TEXT.values()) < MOST_BYTES
    served = {path.removeprefix("/page/") for path in page.page_files()} - {"/", "/docs"}
    assert served | {"index.html"} == set(TEXT)


def test_every_file_that_the_page_names_is_there() -> None:
    for name, text in TEXT.items():
        named = re.findall(r"""from "\./([^"]+)"|(?:src|href)="/page/([^"]+)\"""", text)
        assert {one or other for one, other in named} <= set(TEXT), name


def test_nothing_is_parsed_as_html_and_nothing_comes_from_elsewhere() -> None:
    parsed = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser")
    elsewhere = re.compile(r"""["'(]\s*(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z]""")
    inline = re.compile(r"""\son[a-z]+="|\sstyle="|<style|<script(?! type="module" src)""")
    for name, text in TEXT.items():
        assert not parsed.search(text), name
        assert not elsewhere.search(text), name
        assert not inline.search(text), name
