"""An uploaded video of the catalogue: its file is kept as long as the video, and never longer."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from common.http.health import Health
from common.settings import HttpSettings, IngestSettings
from common.state.keys import NewKey
from common.state.quotas import Quota, Use
from common.state.roles import Role
from common.state.state import State
from searcher.api.app import api_app
from searcher.backup.backups import Backups
from searcher.backup.create import Source
from searcher.local_index import LocalIndex
from searcher.review.reviews import Reviews
from searcher.serving import ServingIndex
from storyhash.services.serve.indexed_videos import IndexedVideos
from storyhash.services.serve.local_catalogue import OpenedWithQueue, ServedCatalogue
from tests.support.keys import access_over, key_of, opened_state
from tests.support.queries import Client, error_of, message_of
from tests.support.services import wait_until
from tests.unit.searcher.api.test_api import embed
from tests.unit.storyhash.services.serve.test_index_queue import Bench

FILM, OTHER = b"the film" * 10, b"another film" * 10
SETTINGS = HttpSettings(
    require_keys="always", max_upload_bytes=500, max_kept_uploads_bytes=len(FILM + OTHER) + 40
)


class Shop:
    """The API of `serve` over a bench, whose videos are made up."""

    def __init__(self, folder: Path, state: State) -> None:
        self.bench, self.state = Bench(folder), state
        self.catalogue = ServedCatalogue(self.bench.metrics, IngestSettings())
        answering = ServingIndex("", self.index, None)  # type: ignore[arg-type]
        self.catalogue.open(OpenedWithQueue(answering, None, self.bench.queue))  # type: ignore[arg-type]
        backups = Backups(
            folder.parent / "backups",
            1,
            lambda: Source(self.index, folder, "", state_is_elsewhere=False),
        )
        app = api_app(
            *(self.catalogue, embed, Health(None, (), 1e6), self.bench.metrics, SETTINGS),
            add_video=self.catalogue.add_video,
            add_upload=self.catalogue.add_upload,
            access=access_over(state, SETTINGS),
            backups=backups,
        )
        self.client, self.backups = Client(app), backups
        self.writer = key_of(state, Role.WRITER)

    @property
    def index(self) -> LocalIndex:
        return self.bench.index

    def post(self, query: str = "", content: Any = FILM, **headers: str) -> httpx.Response:
        given = self.writer | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/v1/videos{query}", content=content, headers=given)

    def show(self, video_id: str) -> Any:
        return self.client.get(f"/v1/videos/{video_id}", headers=self.writer).json()

    def delete(self, video_id: str) -> int:
        path = f"/v1/videos/{video_id}"
        return self.client.ask("DELETE", path, headers=self.writer).status_code

    def files(self) -> list[Path]:
        folder = self.bench.folder / "uploads"
        return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened_state(tmp_path / "data") as state:
        made = Shop(tmp_path / "data", state)
        yield made
        made.backups.close()
        made.client.__exit__(None, None, None)
        made.index.close()


def test_an_upload_is_indexed_and_its_file_is_kept_for_its_owner_alone(shop: Shop) -> None:
    answer = shop.post('?video_id=tea&name=Tea.MP4&metadata={"year":1971}')
    assert (answer.status_code, answer.headers["Location"]) == (202, "/v1/videos/tea")
    video = answer.json()
    assert (video["state"], video["title"], video["bank"]) == ("pending", "Tea.MP4", "default")
    assert video["metadata"] == {"year": 1971}
    (path,) = shop.files()
    assert path.read_bytes() == FILM
    assert str(path) == shop.index.videos.uri_of("tea")
    # Readers see the address of its content, not where it is.
    assert video["uri"] == "/v1/videos/tea/content"
    assert path.name == f"{hashlib.sha256(FILM).hexdigest()}.mp4"
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0
    shop.bench.work()
    assert (shop.show("tea")["state"], shop.files()) == ("ready", [path])


def test_a_data_folder_may_be_moved_with_the_files_of_videos_that_wait_and_are_indexed(
    shop: Shop,
) -> None:
    shop.post("?video_id=tea")
    shop.bench.work()
    shop.post("?video_id=jam", content=OTHER)
    old = shop.bench.folder
    shop.index.close()
    moved = old.rename(old.with_name("larger disk"))
    again = Bench(moved)
    try:
        for video_id, content in (("tea", FILM), ("jam", OTHER)):
            path = Path(again.index.videos.uri_of(video_id))
            assert path.is_relative_to(moved)
            assert path.read_bytes() == content
        again.work()
        assert again.states() == {"tea": ("ready", 1), "jam": ("ready", 1)}
    finally:
        again.index.close()


def test_a_form_is_taken_too(shop: Shop) -> None:
    form = {"file": ("harbour.mkv", FILM)}
    answer = shop.client.post("/v1/videos", files=form, headers=shop.writer)
    assert answer.json()["title"] == "harbour.mkv"
    assert [path.suffix for path in shop.files()] == [".mkv"]


def test_the_same_file_in_the_same_bank_is_the_same_video(shop: Shop) -> None:
    first, again = shop.post().json(), shop.post().json()
    assert first["video_id"] == again["video_id"]
    assert shop.post("?bank=shows").json()["video_id"] != first["video_id"]
    shop.bench.work()
    assert shop.post().json()["state"] == "ready"
    assert shop.bench.queue.idle


def test_another_file_of_a_video_takes_the_place_of_the_first(shop: Shop) -> None:
    shop.post("?video_id=tea")
    shop.bench.work()
    assert shop.post("?video_id=tea", OTHER).json()["state"] == "pending"
    shop.bench.work()
    assert shop.show("tea")["version"] == 2
    assert [path.read_bytes() for path in shop.files()] == [OTHER]


def test_a_deletion_takes_the_file_and_the_receipt_tells_it(shop: Shop) -> None:
    shop.post("?video_id=tea")
    shop.bench.work()

    def receipt() -> dict[str, int]:
        answer = shop.client.get("/v1/videos/tea/erasure", headers=shop.writer).json()
        return {place["place"]: place["found"] for place in answer["places"]}

    assert receipt()["uploads"] == 1
    assert shop.delete("tea") == 204
    # As the housekeeping of `serve` does.
    shop.index.finish_deletions()
    assert (receipt()["uploads"], shop.files()) == (0, [])


@pytest.mark.parametrize("version", [1, 2])
def test_a_video_that_cannot_be_read_leaves_no_file_and_no_path(shop: Shop, version: int) -> None:
    if version == 2:
        shop.post("?video_id=tea", OTHER)
        shop.bench.work()
    shop.bench.pool.unreadable = {"tea"}
    shop.post("?video_id=tea")
    shop.bench.work()
    video = shop.show("tea")
    assert (video["state"], video["error"]["message"]) == ("failed", "not a film")
    assert shop.files() == []
    shop.bench.pool.unreadable = set()
    assert shop.post("?video_id=tea").json()["state"] == "pending"
    shop.bench.work()
    assert shop.show("tea")["state"] == "ready"
    assert len(shop.files()) == 1


@pytest.mark.parametrize(
    ("query", "content", "expected"),
    [
        ("", b"", (400, "usage")),
        ("", bytes(501), (413, "too_large")),
        ("?video_id=../../etc", FILM, (400, "usage")),
        ("?video_id=a%00b", FILM, (400, "usage")),
        ("?bank=", FILM, (400, "usage")),
        ("?metadata=[]", FILM, (400, "usage")),
        ("?metadata={", FILM, (400, "usage")),
        ("?metadata=" + "x" * 4097, FILM, (400, "usage")),
        ("?titel=Tea", FILM, (422, "unknown_parameter")),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_is_kept(
    shop: Shop, query: str, content: bytes, expected: tuple[int, str]
) -> None:
    assert error_of(shop.post(query, content)) == expected
    assert (shop.files(), shop.bench.states()) == ([], {})


def test_a_body_of_json_takes_no_query_parameter(shop: Shop) -> None:
    answer = shop.client.post(
        "/v1/videos?bank=shows", json={"uri": "https://host/a.mp4"}, headers=shop.writer
    )
    assert error_of(answer) == (400, "usage")
    assert "query parameters describe an upload" in message_of(answer)


def test_the_total_is_bounded_and_a_deletion_makes_room(shop: Shop) -> None:
    for video_id, content in (("a", FILM), ("b", OTHER)):
        assert shop.post(f"?video_id={video_id}", content).status_code == 202
    refused = shop.post("?video_id=c")
    assert error_of(refused) == (507, "uploads_full")
    assert "MAX_KEPT_UPLOADS_BYTES" in message_of(refused)
    assert len(shop.files()) == 2
    shop.delete("a")
    shop.index.finish_deletions()
    assert shop.post("?video_id=c").status_code == 202


def test_a_repeated_request_gets_its_first_answer(shop: Shop) -> None:
    first = shop.post("?video_id=tea", Idempotency_Key="1")
    shop.bench.work()
    again = shop.post("?video_id=tea", Idempotency_Key="1")
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    for other in (
        shop.post("?video_id=tea", OTHER, Idempotency_Key="1"),
        shop.post("?video_id=coffee", Idempotency_Key="1"),
    ):
        assert error_of(other) == (422, "idempotency_key_reused")
    assert [path.read_bytes() for path in shop.files()] == [FILM]


def test_of_two_requests_with_one_key_at_the_same_time_only_the_first_is_done(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    note_payer = shop.state.quotas.note_payer

    def note_slowly(video_id: str, key_id: str | None) -> str | None:
        if not begun.is_set():
            begun.set()
            assert may_go_on.wait(60)
        return note_payer(video_id, key_id)

    monkeypatch.setattr(shop.state.quotas, "note_payer", note_slowly)

    def send(query: str) -> Any:
        headers = shop.writer | {"Idempotency-Key": "1"}
        return shop.client.send("POST", f"/v1/videos{query}", content=FILM, headers=headers)

    async def at_the_same_time() -> list[httpx.Response]:
        first = asyncio.ensure_future(send("?video_id=tea"))
        await asyncio.to_thread(begun.wait, 60)
        others = [await send("?video_id=coffee"), await send("?video_id=tea")]
        may_go_on.set()
        return [await first, *others]

    first, other, equal = shop.client.run(at_the_same_time())
    assert error_of(other) == (422, "idempotency_key_reused")
    assert first.status_code == equal.status_code == 202
    assert first.json() == equal.json()
    shop.bench.work()
    assert shop.bench.states() == {"tea": ("ready", 1)}
    assert len(shop.bench.outcomes) == 1
    # A request that failed has not used its key.
    assert error_of(shop.post("?bank=x&metadata=1", Idempotency_Key="2"))[0] == 400
    assert shop.post("?video_id=coffee", Idempotency_Key="2").status_code == 202


def test_a_key_adds_only_to_its_banks_and_with_the_role_of_a_writer(shop: Shop) -> None:
    shop.post("?video_id=tea")
    shop.writer = key_of(shop.state, Role.WRITER, ["shows"])
    assert error_of(shop.post()) == (403, "forbidden")
    assert error_of(shop.post("?video_id=tea&bank=shows", OTHER)) == (403, "forbidden")
    assert shop.post("?video_id=mine&bank=shows", OTHER).status_code == 202
    shop.writer = key_of(shop.state, Role.REVIEWER)
    assert error_of(shop.post()) == (403, "forbidden")
    assert sorted(path.read_bytes() for path in shop.files()) == sorted([FILM, OTHER])


def test_the_bytes_count_for_the_quota_and_the_request_is_no_query(shop: Shop) -> None:
    key, token = shop.state.keys.create(NewKey("a", Role.WRITER, quota=Quota(1, len(FILM))))
    shop.writer = {"Authorization": f"Bearer {token}"}
    assert shop.post().status_code == 202
    assert shop.state.quotas.spend(key.id, Quota(1, 1), Use()).use == Use(0, len(FILM))
    assert error_of(shop.post("", OTHER)) == (429, "quota_exceeded")


def test_what_a_crash_leaves_of_an_upload_is_deleted(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(FILM)
    with shop.index.uploads.taken_in(file, 1000) as here:
        os.link(here, here.with_name("crashed.new"))
    assert len(shop.files()) == 1
    shop.bench.reopen()
    assert shop.files() == []


def test_a_backup_says_that_it_lacks_the_files(shop: Shop) -> None:
    shop.post("?video_id=tea")
    shop.bench.work()
    admin = key_of(shop.state, Role.ADMIN)
    assert shop.client.post("/v1/snapshots", headers=admin).status_code == 202

    def backup() -> dict[str, Any]:
        (item,) = shop.client.get("/v1/snapshots", headers=admin).json()["items"]
        return cast(dict[str, Any], item)

    wait_until(lambda: backup()["state"] != "running", "the backup ended")
    made = backup()
    assert (made["state"], made["uploads_left_out"]) == ("complete", 1)


def test_only_our_own_files_are_ever_touched(shop: Shop, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(FILM)
    shop.bench.add("tea")
    shop.bench.work()
    shop.index.videos.move("tea", str(film), "", "")
    shop.delete("tea")
    shop.index.finish_deletions()
    assert film.read_bytes() == FILM


def test_the_key_that_posts_a_video_pays_for_its_seconds(shop: Shop) -> None:
    key, token = shop.state.keys.create(NewKey("a", Role.WRITER, quota=Quota(None, None, 12)))
    shop.writer = {"Authorization": f"Bearer {token}"}
    reviews = Reviews(lambda: shop.state)
    answering = shop.catalogue.current()
    indexed = IndexedVideos(answering, reviews, shop.bench.metrics, None, match=False)
    shop.post("?video_id=tea")
    shop.bench.work()
    for outcome in shop.bench.outcomes:
        indexed.tell(outcome)
    assert shop.state.quotas.spend(key.id, Quota(), Use()).use == Use(0, len(FILM), 12)
    assert error_of(shop.post("?video_id=b", OTHER)) == (429, "quota_exceeded")
    assert error_of(shop.client.post("/v1/match", content=FILM, headers=shop.writer)) == (
        *(429, "quota_exceeded"),
    )


def test_a_file_that_is_deleted_while_all_are_counted_has_no_bytes(shop: Shop) -> None:
    folder = shop.bench.folder / "uploads" / "another"
    folder.mkdir(parents=True)
    # It is listed, and is gone when its size is read.
    (folder / "film.mp4").symlink_to("nowhere")
    assert shop.post("?video_id=tea").status_code == 202


def test_the_key_whose_video_is_refused_pays_nothing(shop: Shop) -> None:
    quota = Quota(video_seconds_per_day=100)
    first, _ = shop.state.keys.create(NewKey("first", Role.WRITER, quota=quota))
    key, token = shop.state.keys.create(NewKey("a", Role.WRITER, quota=quota))
    shop.writer = {"Authorization": f"Bearer {token}"}
    # It is posted again while it waits, with an address that is not allowed.
    shop.state.quotas.note_payer("tea", first.id)
    answer = shop.client.post(
        "/v1/videos", json={"uri": "http://127.0.0.1/tea", "video_id": "tea"}, headers=shop.writer
    )
    assert answer.status_code >= 400
    shop.state.quotas.charge_video("tea", 12.0)
    used = [shop.state.quotas.spend(one.id, quota, Use()).use for one in (first, key)]
    assert [one.video_seconds for one in used] == [12, 0]
