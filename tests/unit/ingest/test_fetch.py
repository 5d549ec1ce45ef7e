"""Fetching: what may be asked, how long it may take, and what is left behind."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import DependencyError, FetchError, VideoTimeoutError
from common.network import dns as resolving
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry
from ingest.decoder_pool import DecoderPool, VideoDone, VideoFailed
from ingest.fetch import check_allowed, fetch
from ingest.fetcher import DownloadFolder, Fetcher
from tests.support.http_server import content, dripping, redirect, serving
from tests.support.opened_files import watched
from tests.unit.common.video.test_formats import LISTS, connected
from tests.unit.ingest.test_catalogue_and_decoders import film

HERE = ("127.0.0.1",)


def kept(path: Path) -> Path:
    path.touch()
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    data = film(tmp_path / "served.mp4", 3).read_bytes()
    over = threading.Event()
    answers = {
        "/film.mp4": content(data),
        "/away": redirect("http://169.254.1.1/secret?token=hunter2"),
        "/round": redirect("/round"),
        "/packed.mp4": content(gzip.compress(data), Content_Encoding="gzip"),
        "/plain.mp4": content(data, Content_Encoding="identity"),
        "/huge.mp4": content(b"", Content_Length=str(1 << 60)),
        "/endless.mp4": dripping([bytes(1000)] * 10_000, lambda: time.sleep(0.01)),
        "/silent.mp4": dripping([b"a"], lambda: over.wait(300)),
    }
    with serving(answers) as url:
        yield url
        over.set()


@pytest.mark.usefixtures("own_interpreters")
def test_an_address_is_fetched_where_its_host_is_named(server: str, tmp_path: Path) -> None:
    allowed = IngestSettings(workers=1, allowed_hosts=HERE, download_dir=tmp_path / "downloads")
    with DecoderPool(VideoSettings(), allowed) as pool:
        events = list(pool.run([(CatalogEntry("film", f"{server}/film.mp4"), 1)]))
        assert isinstance(events[-1], VideoDone), events
        assert not list((tmp_path / "downloads").glob("*/tmp*")), "the file is deleted at once"
    assert list((tmp_path / "downloads").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="inotify tells what is opened")
@pytest.mark.parametrize("name", ["an ffconcat list", "an HLS playlist"])
def test_a_playlist_that_is_sent_as_a_film_opens_nothing(tmp_path: Path, name: str) -> None:
    secret = film(tmp_path / "secret.mp4", 3)
    allowed = IngestSettings(workers=1, allowed_hosts=HERE, download_dir=tmp_path / "downloads")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        elsewhere = f"http://127.0.0.1:{listening.getsockname()[1]}/film.mp4"
        text = LISTS[name].format(file=secret, url=elsewhere).encode()
        with (
            serving({"/film.mp4": content(text, Content_Type="video/mp4")}) as url,
            watched(tmp_path) as opened,
            DecoderPool(VideoSettings(), allowed) as pool,
        ):
            (event,) = pool.run([(CatalogEntry("film", f"{url}/film.mp4"), 1)])
        assert not connected(listening)
    assert isinstance(event, VideoFailed)
    assert f"{name} refers to other files" in str(event.error)
    assert "secret.mp4" not in opened


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("/film.mp4", {}, "private address"),
        ("/film.mp4", {"allowed_hosts": ("example.org",)}, "ALLOWED_HOSTS"),
        ("/film.mp4", {"allowed_hosts": HERE, "max_fetch_bytes": 10}, "larger than"),
        ("/endless.mp4", {"allowed_hosts": HERE, "max_fetch_bytes": 5000}, "larger than"),
        ("/gone.mp4", {"allowed_hosts": HERE}, "404"),
        ("/away", {"allowed_hosts": HERE}, "ALLOWED_HOSTS"),
        ("/round", {"allowed_hosts": HERE}, "redirects"),
        ("/packed.mp4", {"allowed_hosts": HERE}, "content encoding 'gzip'"),
        ("/silent.mp4", {"allowed_hosts": HERE, "fetch_timeout_seconds": 0.5}, "FETCH_TIMEOUT"),
        ("/endless.mp4", {"allowed_hosts": HERE, "max_fetch_seconds": 0.5}, "MAX_FETCH_SECONDS"),
    ],
)
def test_what_may_not_be_fetched_is_refused_and_shows_no_secret(
    server: str, tmp_path: Path, path: str, options: dict[str, object], said: str
) -> None:
    allowed = IngestSettings.model_validate(options)
    address = server.replace("//", "//user:hunter2@") + path + "?key=hunter2"
    with pytest.raises(FetchError, match=said) as told:
        fetch(address, kept(tmp_path / "file"), allowed)
    assert "hunter2" not in str(told.value)
    assert path in str(told.value)


def test_content_that_is_not_packed_is_taken_as_it_is(server: str, tmp_path: Path) -> None:
    path = kept(tmp_path / "file")
    fetch(f"{server}/plain.mp4", path, IngestSettings(allowed_hosts=HERE))
    assert path.read_bytes() == (tmp_path / "served.mp4").read_bytes()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://a/b.mp4", "scheme"),
        (f"http://{'a' * 70}.org/film.mp4", "not a host name"),
        ("http://user:hunter2@host:hunter2/film.mp4", "valid address"),
        ("http://127.0.0.1/film.mp4", "private"),
        ("http://[::ffff:127.0.0.1]/film.mp4", "private"),
        ("http://[64:ff9b::a9fe:a9fe]/film.mp4", "private"),
        ("http://2130706433/film.mp4", "private"),
        ("http://0x7f.1/film.mp4", "private"),
        ("http://017700000001/film.mp4", "private"),
        ("http://[2002:7f00:1::]/film.mp4", "private"),
        ("http:///film.mp4", "host|address"),
        ("http://127.0.0.1:99999/film.mp4", "port 99999"),
    ],
)
def test_addresses_that_may_not_be_asked_are_refused(address: str, said: str) -> None:
    with pytest.raises(FetchError, match=said) as told:
        check_allowed(address, IngestSettings())
    assert "hunter2" not in str(told.value)


def test_a_name_that_is_given_a_private_address_after_the_check_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers of DNS change between the check of a request and the download."""
    found = iter(["93.184.216.34", "127.0.0.1", "169.254.169.254"])

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert host == "films.example"
        return [(0, 0, 0, "", (next(found), 80))]

    monkeypatch.setattr("common.network.dns.socket.getaddrinfo", look_up)
    address = "http://films.example/film.mp4"
    check_allowed(address, IngestSettings())
    for _ in range(2):
        with pytest.raises(FetchError, match="private address"):
            fetch(address, kept(tmp_path / "file"), IngestSettings())


def test_a_download_may_take_longer_than_a_decoder_may_be_silent(tmp_path: Path) -> None:
    data = film(tmp_path / "served.mp4", 3).read_bytes()
    step = len(data) // 16 + 1
    blocks = [data[at : at + step] for at in range(0, len(data), step)]
    settings = IngestSettings(workers=1, allowed_hosts=HERE, download_dir=tmp_path / "downloads")
    answers = {"/slow.mp4": dripping(blocks, lambda: time.sleep(0.3))}
    with serving(answers) as url, DecoderPool(VideoSettings(stall_seconds=4), settings) as pool:
        events = list(pool.run([(CatalogEntry("film", f"{url}/slow.mp4"), 1)]))
    assert isinstance(events[-1], VideoDone), events


def test_a_silent_server_meets_its_own_bound_not_that_of_the_decoder(
    server: str, tmp_path: Path
) -> None:
    settings = IngestSettings(
        allowed_hosts=HERE, fetch_timeout_seconds=3, download_dir=tmp_path / "downloads"
    )
    folder = DownloadFolder(settings)
    fetcher = Fetcher(settings, folder, 120)
    try:
        with (
            pytest.raises(FetchError, match=r"silent for 3 s.*FETCH_TIMEOUT_SECONDS"),
            fetcher.fetched(f"{server}/silent.mp4"),
        ):
            pass
    finally:
        fetcher.close()
        folder.close()


def test_a_header_that_drips_for_ever_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte resets the clock of the HTTP library; the bound of the child does not wait for it."""
    monkeypatch.setattr("ingest.fetcher._SPARE_SECONDS", 1.0)
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.1):
                try:
                    connection.sendall(b"a")
                except OSError:
                    return

    threading.Thread(target=drip, daemon=True).start()
    settings = IngestSettings(
        allowed_hosts=HERE,
        fetch_timeout_seconds=0.5,
        max_fetch_seconds=0.5,
        download_dir=tmp_path / "downloads",
    )
    folder = DownloadFolder(settings)
    fetcher = Fetcher(settings, folder, 120)
    try:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/film.mp4"
        with pytest.raises(VideoTimeoutError, match="FETCH"), fetcher.fetched(address):
            pass
    finally:
        over.set()
        fetcher.close()
        folder.close()
        listening.close()


def test_a_download_that_was_killed_leaves_nothing(server: str, tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    code = (
        "import sys, pathlib\n"
        "from common.settings import IngestSettings\n"
        "from ingest.fetcher import DownloadFolder, Fetcher\n"
        "folder = pathlib.Path(sys.argv[2])\n"
        "settings = IngestSettings(allowed_hosts=('127.0.0.1',), download_dir=folder)\n"
        "with Fetcher(settings, DownloadFolder(settings), 120).fetched(sys.argv[1]): pass\n"
    )
    command = [sys.executable, "-c", code, f"{server}/endless.mp4", str(downloads)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        for _ in range(6000):
            if any(one.stat().st_size for one in downloads.glob("*/tmp*")):
                break
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (left,) = downloads.iterdir()
    assert left.stat().st_mode & 0o777 == 0o700
    assert [one.stat().st_mode & 0o777 for one in left.glob("tmp*")] == [0o600]

    settings = IngestSettings(download_dir=downloads)
    one = DownloadFolder(settings)
    assert list(downloads.iterdir()) == []
    mine = one.new_file()
    DownloadFolder(settings)
    assert mine.exists(), "what a living process needs stays"
    one.close()
    assert list(downloads.iterdir()) == []


def test_look_ups_that_hang_cost_their_callers_little(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        released.wait(300)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        for _ in range(resolving.MAX_LOOKUPS):
            with pytest.raises(FetchError, match="no DNS response within"):
                check_allowed("http://slow.example/a.mp4", IngestSettings(), timeout_seconds=0.05)
        # All places are taken by look-ups that go on: the next caller is not kept.
        with pytest.raises(DependencyError, match="DNS lookups are already in progress"):
            check_allowed("http://slow.example/a.mp4", IngestSettings(), timeout_seconds=3600)
    finally:
        released.set()
    for _ in range(resolving.MAX_LOOKUPS):
        assert resolving.lookup_places.acquire(timeout=300), "the places are never given back"
    for _ in range(resolving.MAX_LOOKUPS):
        resolving.lookup_places.release()
