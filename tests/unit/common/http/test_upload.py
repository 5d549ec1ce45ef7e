"""A video in a request lies on disk whole while it is worked on, and never afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

import common.http.upload_reading
from common.http.errors import json_response
from common.http.health import Health
from common.http.request_body import read_bytes, read_json
from common.http.server import new_app
from common.http.upload import UploadStore
from common.metrics import Metrics
from common.settings import HttpSettings
from tests.support.queries import Client, error_of, message_of

MAX_BYTES = 1000
MULTIPART = ("Content-Type", "multipart/form-data; boundary=line")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where uploads lie while a request lasts."""
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="module")
def module_client(scratch: Path) -> Iterator[Client]:
    """An app that answers with what it was given."""
    metrics = Metrics.create("test")
    limits = HttpSettings(max_upload_bytes=MAX_BYTES, body_window_seconds=0.5)
    app = new_app("test", Health(metrics, (), 60.0), metrics, limits)
    uploads = UploadStore(limits)

    @app.post("/asked")
    async def echo(request: Request) -> Response:
        async with uploads.asked(request, frozenset({"uri", "video_id"})) as given:
            lying = sorted(scratch.iterdir())
            content = None if given.path is None else given.path.read_bytes()
            body = None if content is None else content.decode("latin-1")
            assert given.sha256 == ("" if content is None else hashlib.sha256(content).hexdigest())
            assert lying == ([] if given.path is None else [given.path])
        return json_response({"name": given.name, "fields": dict(given.fields), "body": body})

    @app.post("/bytes")
    async def small(request: Request) -> Response:
        return Response(await read_bytes(request, MAX_BYTES))

    @app.post("/json")
    async def read(request: Request) -> Response:
        return json_response(await read_json(request, MAX_BYTES))

    with Client(app) as made:
        yield made


@pytest.fixture
def client(module_client: Client, scratch: Path) -> Iterator[Client]:
    """After every request nothing of it is left."""
    yield module_client
    assert list(scratch.iterdir()) == []


def part(name: str, content: bytes, filename: str = "") -> bytes:
    told = f'; filename="{filename}"' if filename else ""
    head = f'--line\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def nameless(content: bytes) -> bytes:
    return b"--line\r\nX: y\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--line--\r\n"


def post_form(client: Client, body: bytes) -> tuple[int, str]:
    answer = client.post("/asked", content=body, headers=[MULTIPART])
    return (200, answer.json()["body"]) if answer.is_success else error_of(answer)


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "video/mp4", "application/x-www-form-urlencoded", None]
)
def test_a_raw_body_is_the_video(client: Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = client.post("/asked", content=b"\x00\xffvideo", headers=headers)
    assert answer.json() == {"name": "upload", "fields": {}, "body": "\x00ÿvideo"}


def test_the_parameter_name_names_it_whatever_it_comes_in(client: Client) -> None:
    raw = client.post("/asked?name=film%20%C3%A9", content=b"video")
    in_form = client.post("/asked?name=mine", files={"file": ("theirs.mp4", b"video")})
    by_uri = client.post("/asked?name=mine", json={"uri": "https://host/film.mp4"})
    assert [one.json()["name"] for one in (raw, in_form, by_uri)] == ["film é", "mine", "mine"]


def test_the_field_file_of_a_form_is_the_video_and_its_filename_its_name(client: Client) -> None:
    answer = client.post("/asked", files={"file": ("film.mp4", b"video\r\n--lin")})
    assert answer.json() == {"name": "film.mp4", "fields": {}, "body": "video\r\n--lin"}


def test_a_filename_is_a_name_and_never_a_path(client: Client) -> None:
    answer = client.post("/asked", files={"file": ("../../etc/passwd", b"video")})
    assert answer.json()["name"] == "../../etc/passwd"
    assert answer.json()["body"] == "video"


def test_a_long_name_is_cut_because_each_match_keeps_it(client: Client) -> None:
    long, kept = "é" * 1001, "é" * 1000
    raw = client.post(f"/asked?name={long}", content=b"video")
    in_form = client.post("/asked", files={"file": (long, b"video")})
    assert [one.json()["name"] for one in (raw, in_form)] == [kept, kept]


def test_a_form_without_a_filename_is_called_upload(client: Client) -> None:
    answer = client.post("/asked", content=form(part("file", b"video")), headers=[MULTIPART])
    assert (answer.json()["name"], answer.json()["body"]) == ("upload", "video")


@pytest.mark.parametrize("size", [MAX_BYTES, MAX_BYTES + 1])
@pytest.mark.parametrize("claimed", [True, False], ids=["with-length", "chunked"])
@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_video_may_be_as_large_as_allowed_and_not_a_byte_larger(
    client: Client, size: int, claimed: bool, kind: str
) -> None:
    body = b"x" * size
    headers = []
    if kind == "form":
        body = form(nameless(b"y" * 500), part("file", body))
        headers = [MULTIPART]

    async def blocks() -> object:
        for start in range(0, len(body), 64):
            yield body[start : start + 64]

    answer = client.post("/asked", content=body if claimed else blocks(), headers=headers)
    if size <= MAX_BYTES:
        assert answer.json()["body"] == "x" * size
        return
    assert error_of(answer) == (413, "too_large")
    assert "STORYHASH_HTTP__MAX_UPLOAD_BYTES" in message_of(answer)
    # The rest of the body is not read, so no other request may follow on this connection.
    assert answer.headers["Connection"] == "close"


def test_a_length_that_is_claimed_too_large_is_refused_before_a_byte_is_read(
    client: Client,
) -> None:
    read: list[int] = []

    async def blocks() -> object:
        read.append(1)
        yield b"x"

    headers = {"Content-Length": str(10**15)}
    assert error_of(client.post("/asked", content=blocks(), headers=headers))[0] == 413
    assert read == []


@pytest.mark.parametrize("length", ["-5", "many", "", "٣"])
def test_a_length_that_is_no_number_is_not_believed(client: Client, length: str) -> None:
    headers = [("Content-Length", length)]
    assert client.blocks("/asked", [b"video"], headers) == 200


def test_an_empty_body_is_no_video(client: Client) -> None:
    answer = client.post("/asked", content=b"")
    assert error_of(answer) == (400, "usage")
    assert 'JSON {"uri": ...} or {"video_id": ...}' in message_of(answer)


@pytest.mark.parametrize("blocks", [[], [b"--line\r\n"]], ids=["at-once", "half-way"])
@pytest.mark.parametrize("headers", [[], [MULTIPART]], ids=["raw", "form"])
def test_nothing_stays_of_a_caller_who_hangs_up(
    client: Client, blocks: Sequence[bytes], headers: Sequence[tuple[str, str]]
) -> None:
    assert client.blocks("/asked", blocks, headers, whole=False) == 499


@pytest.mark.parametrize(
    ("kind", "begun"),
    [
        ("video/mp4", b"half a film"),
        ("multipart/form-data; boundary=line", b"--line\r\n"),
        ("application/json", b'{"uri":'),
    ],
    ids=["raw", "form", "json"],
)
def test_a_caller_who_falls_silent_is_given_up_on(client: Client, kind: str, begun: bytes) -> None:
    async def blocks() -> object:
        yield begun
        await asyncio.Event().wait()

    answer = client.post("/asked", content=blocks(), headers={"Content-Type": kind})
    assert error_of(answer) == (408, "timeout")
    assert answer.headers["Connection"] == "close"


def test_every_block_of_a_video_is_written_in_order(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common.http.upload_reading, "_PIECE_BYTES", 10)
    body = bytes(range(256)) * 3

    async def blocks() -> object:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    answer = client.post("/asked", content=blocks())
    assert answer.json()["body"].encode("latin-1") == body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "is not JSON"),
        (b'"https://host/film.mp4"', "expected a JSON object"),
        (b"{}", "with 'uri' or 'video_id', got []"),
        (b'{"uri": "https://h/f", "video_id": "a"}', "got ['uri', 'video_id']"),
        (b'{"path": "/etc/passwd"}', "got ['path']"),
        (b'{"video_id": ""}', "video_id: expected a non-empty string"),
        (b'{"uri": 5}', "uri: expected a non-empty string"),
        (b"[" * 5000, "is not JSON"),
        (b'{"uri": "\xff"}', "is not JSON"),
    ],
)
def test_json_that_names_no_video_is_refused_in_words(
    client: Client, body: bytes, said: str
) -> None:
    answer = client.post("/asked", content=body, headers={"Content-Type": "application/json"})
    assert error_of(answer) == (400, "usage")
    assert said in message_of(answer)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_names_a_video(client: Client, kind: str) -> None:
    body = b'{"video_id": "a/b.mp4"}'
    answer = client.post("/asked", content=body, headers={"Content-Type": kind})
    assert answer.json() == {"name": "a/b.mp4", "fields": {"video_id": "a/b.mp4"}, "body": None}


@pytest.mark.parametrize(
    "uri",
    [
        "film.mp4",
        "/etc/passwd",
        "/sys/class/leds/mmc0::/x://film.mp4",
        "x://../../etc/passwd",
        "../a://b",
        "://host/film.mp4",
    ],
)
def test_a_path_is_no_address_whatever_is_in_it(client: Client, uri: str) -> None:
    answer = client.post("/asked", json={"uri": uri})
    assert error_of(answer) == (400, "usage")
    assert "expected an address such as https://host/film.mp4" in message_of(answer)


def test_json_is_read_up_to_a_bound_of_its_own(client: Client) -> None:
    answer = client.post("/asked", json={"video_id": "a" * 70_000})
    assert error_of(answer) == (413, "too_large")
    # It is no upload: raising that bound would change nothing.
    assert "STORYHASH_HTTP__MAX_UPLOAD_BYTES" not in message_of(answer)


def test_a_form_without_a_video_is_refused(client: Client) -> None:
    assert post_form(client, form(part("film", b"video"))) == (400, "usage")
    assert post_form(client, form(part("file", b""))) == (400, "usage")
    assert post_form(client, form()) == (400, "usage")


def test_another_field_of_a_form_is_not_ignored(client: Client) -> None:
    for order in (1, -1):
        body = form(*(part("file", b"video"), part("bank", b"news"))[::order])
        answer = client.post("/asked", content=body, headers=[MULTIPART])
        assert error_of(answer) == (400, "usage")
        assert "unexpected field 'bank'" in message_of(answer)


def test_two_videos_in_a_form_are_refused(client: Client) -> None:
    body = form(part("file", b"one"), part("file", b"two"))
    answer = client.post("/asked", content=body, headers=[MULTIPART])
    assert error_of(answer) == (400, "usage")
    assert "expected one video, got several" in message_of(answer)


def test_a_form_that_is_cut_short_is_refused_wherever_it_is_cut(client: Client) -> None:
    body = form(nameless(b"x"), part("file", b"video", "film.mp4"))
    last = body.rindex(b"--")
    for end in range(last):
        assert post_form(client, body[:end]) == (400, "usage"), body[:end]
    assert post_form(client, body) == (200, "video")


def test_what_is_beside_the_video_is_bounded(client: Client) -> None:
    def body(bytes_beside: int) -> list[bytes]:
        whole = form(nameless(b"x" * bytes_beside), part("file", b"video"))
        return [whole[start : start + 4096] for start in range(0, len(whole), 4096)]

    assert client.blocks("/asked", body(60_000), [MULTIPART]) == 200
    assert client.blocks("/asked", body(70_000), [MULTIPART]) == 400


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"y" * 100_000,
        b"\r\n".join(b"X: y" for _ in range(20_000)),
        b'Content-Disposition: form-data; name="file"; x="' + b"\\" * 100_000 + b'"',
    ],
    ids=["long", "many", "quoted"],
)
def test_headers_of_a_part_are_bounded(client: Client, head: bytes) -> None:
    whole = b"--line\r\n" + head + b"\r\n\r\nvideo\r\n--line--\r\n"
    blocks = [whole[start : start + 4096] for start in range(0, len(whole), 4096)]
    assert client.blocks("/asked", blocks, [MULTIPART]) == 400


@pytest.mark.parametrize(
    "boundary",
    [
        "",
        '""',
        "other",
        '"line',
        "a" * 5000,
        "line\x0b",
        "; boundary=line; boundary=other",
        "\u00ff",
    ],
)
def test_a_boundary_that_does_not_fit_is_the_callers_mistake(client: Client, boundary: str) -> None:
    kind = f"multipart/form-data; boundary={boundary}"
    headers = [("Content-Type", kind)]
    assert client.blocks("/asked", [form(part("file", b"video"))], headers) == 400


def test_a_form_that_names_no_boundary_is_told_so(client: Client) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    answer = client.post("/asked", content=form(part("file", b"video")), headers=headers)
    assert "has no boundary" in message_of(answer)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"--", b"line", b"-", b"x", b"\x00"])),
    st.integers(1, 9),
)
def test_any_content_comes_through_a_form_in_blocks_of_any_size(
    client: Client, pieces: list[bytes], block_bytes: int
) -> None:
    content = b"<" + b"".join(pieces).replace(b"--line", b"--lime") + b">"
    whole = form(part("file", content))

    async def blocks() -> object:
        for start in range(0, len(whole), block_bytes):
            yield whole[start : start + block_bytes]

    answer = client.post("/asked", content=blocks(), headers=[MULTIPART])
    assert answer.json()["body"].encode("latin-1") == content


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200), st.sampled_from(["raw", "head", "tail"]))
def test_no_form_however_wrong_is_more_than_the_callers_mistake(
    client: Client, noise: bytes, where: str
) -> None:
    whole = form(part("file", b"video"))
    body = {"raw": noise, "head": noise + whole, "tail": whole[:-9] + noise}[where]
    status, _ = post_form(client, body)
    assert status in (200, 400)


def test_a_disk_that_takes_no_upload_is_a_dependency_that_is_down(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(common.http.upload_reading, "_write_all", full)
    answer = client.post("/asked", content=b"video")
    assert error_of(answer) == (503, "storage")
    assert "No space left on device; free some disk space in" in message_of(answer)


def test_a_disk_where_no_upload_can_begin_is_a_dependency_that_is_down(
    client: Client, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "gone"))
    assert error_of(client.post("/asked", content=b"video")) == (503, "storage")


def test_a_small_body_is_read_up_to_its_bound(client: Client) -> None:
    assert client.post("/bytes", content=b"x" * MAX_BYTES).content == b"x" * MAX_BYTES
    assert error_of(client.post("/bytes", content=b"x" * (MAX_BYTES + 1)))[0] == 413
    assert client.blocks("/bytes", [b"x" * 600, b"x" * 600]) == 413


def test_a_json_body_must_be_an_object(client: Client) -> None:
    kind = {"Content-Type": "application/json"}
    assert client.post("/json", content=b'{"a": 1}', headers=kind).json() == {"a": 1}
    assert error_of(client.post("/json", content=b"[1]", headers=kind)) == (400, "usage")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_json_is_called_json(client: Client, kind: str) -> None:
    answer = client.post("/json", content=b"{}", headers={"Content-Type": kind})
    assert error_of(answer) == (415, "unsupported_media_type")


def test_json_is_nested_so_deep_and_no_deeper(client: Client) -> None:
    def nested(depth: int) -> dict[str, object]:
        value: object = 1
        for _ in range(depth - 1):
            value = [value]
        return {"a": value}

    assert client.post("/json", json=nested(32)).json() == nested(32)
    assert error_of(client.post("/json", json=nested(33))) == (400, "usage")


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "audio/mpeg", "application/zip"])
def test_what_is_no_video_by_its_own_words_is_refused(client: Client, kind: str) -> None:
    answer = client.post("/asked", content=b"video", headers={"Content-Type": kind})
    assert error_of(answer) == (415, "unsupported_media_type")


def test_a_form_of_a_web_page_is_no_upload_by_curl(client: Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://localhost"}
    assert error_of(client.post("/asked", content=b"video", headers=headers))[0] == 415
