"""Every list is complete page by page, also while rows are added and deleted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Table, delete, insert, select

from common.state import tables
from common.state.audit import Change
from common.state.roles import Role
from common.state.verdicts import NewVerdict
from common.state.webhooks import NewWebhook
from searcher.storage.video import Video
from tests.support.keys import key_of
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]
ROWS, LIMIT = 1_100, 97


class Rows:
    """The rows of one list. path: of the list. name: the field of an item that tells it apart. ascending:
    the order of the list."""

    def __init__(self, path: str, name: str, *, ascending: bool) -> None:
        self.path, self.name, self.ascending = path, name, ascending

    def add(self, count: int) -> None:
        raise NotImplementedError

    def delete(self, keys: Collection[Any]) -> None:
        raise NotImplementedError


class TableRows(Rows):
    """Copies of the first row of a table. unique: columns that differ in each copy."""

    def __init__(
        self, keyed: Keyed, path: str, column: Column[Any], *unique: str, name: str = ""
    ) -> None:
        key = name or column.name
        super().__init__(path, key, ascending=path in ("/v1/keys", "/v1/feedback"))
        self._database, self._column, self._unique = keyed.state.database, column, unique
        self._numbers = itertools.count(10_000)

    def add(self, count: int) -> None:
        table: Table = self._column.table
        with self._database.change() as connection:
            first = dict(connection.execute(select(table).limit(1)).one()._mapping)
            if self._column.autoincrement is True:
                first.pop(self._column.name)
            rows = [
                first | dict.fromkeys(self._unique, f"{next(self._numbers)}") for _ in range(count)
            ]
            connection.execute(insert(table), rows)

    def delete(self, keys: Collection[Any]) -> None:
        table, column = self._column.table, self._column.table.c[self.name]
        with self._database.change() as connection:
            connection.execute(delete(table).where(column.in_(keys)))


class VideoRows(Rows):
    """Videos of the catalogue, each in a bank of its own."""

    def __init__(self, keyed: Keyed, path: str, name: str) -> None:
        super().__init__(path, name, ascending=True)
        self._videos = keyed.api.index.videos
        self._videos.delete_all({video.video_id: 0 for video in list(self._videos.all())})
        # Some sort before those that are there, and some after them.
        self._numbers = itertools.count()

    def add(self, count: int) -> None:
        names = [
            f"{(number * 7919) % 9973:04}" for number in itertools.islice(self._numbers, count)
        ]
        self._videos.commit_all(
            Video(f"v{name}", "/films/x", f"b{name}", version=1, state="ready") for name in names
        )

    def delete(self, keys: Collection[Any]) -> None:
        self._videos.delete_all({f"v{str(key)[1:]}": 0 for key in keys})


def match_of(keyed: Keyed) -> int:
    """A stored match of a.mp4, with a verdict."""
    answer = keyed.ask("POST", "/v1/match", keyed.all, content=b"a.mp4").json()
    item = next(one for one in answer["matches"] if one["video_id"] == "a.mp4")
    judged = NewVerdict("copy", "", "", None, None)
    keyed.state.verdicts.add(item["match_id"], judged, None)
    return int(item["match_id"])


def _jobs(keyed: Keyed) -> Rows:
    keyed.ask("POST", "/v1/jobs", keyed.all, content=b"a.mp4")
    return TableRows(keyed, "/v1/jobs", tables.JOBS.c.number, "id", name="id")


def _matches(keyed: Keyed) -> Rows:
    match_of(keyed)
    return TableRows(keyed, "/v1/matches", tables.MATCHES.c.id, "query_hash")


def _matches_of_video(keyed: Keyed) -> Rows:
    match_of(keyed)
    path = "/v1/videos/a.mp4/matches"
    return TableRows(keyed, path, tables.MATCHES.c.id, "query_hash")


def _feedback(keyed: Keyed) -> Rows:
    match_of(keyed)
    return TableRows(keyed, "/v1/feedback", tables.MATCHES.c.id, "query_hash", "bank", name="bank")


def _verdicts(keyed: Keyed) -> Rows:
    path = f"/v1/matches/{match_of(keyed)}/verdicts"
    return TableRows(keyed, path, tables.VERDICTS.c.id)


def _exceptions(keyed: Keyed) -> Rows:
    body = {"kind": "pair", "ref_video_id": "a.mp4", "query_fingerprint": "video:x", "reason": "x"}
    keyed.ask("POST", "/v1/exceptions", keyed.all, json=body)
    return TableRows(keyed, "/v1/exceptions", tables.EXCEPTIONS.c.id)


def _audit(keyed: Keyed) -> Rows:
    keyed.state.audit.record(Change("videos.delete", "DELETE /v1/videos/x", "x", 204))
    return TableRows(keyed, "/v1/audit", tables.AUDIT_LOG.c.id)


def _keys(keyed: Keyed) -> Rows:
    return TableRows(keyed, "/v1/keys", tables.API_KEYS.c.id, "id")


def _webhooks(keyed: Keyed) -> Rows:
    keyed.state.webhooks.create(NewWebhook("https://example.org/hook"))
    return TableRows(keyed, "/v1/webhooks", tables.WEBHOOKS.c.number, "id", name="id")


def _deliveries(keyed: Keyed) -> Rows:
    webhook, _ = keyed.state.webhooks.create(NewWebhook("https://example.org/hook"))
    match_of(keyed)
    path = f"/v1/webhooks/{webhook.id}/deliveries"
    return TableRows(keyed, path, tables.WEBHOOK_DELIVERIES.c.id)


LISTS: dict[str, Callable[[Keyed], Rows]] = {
    "/v1/jobs": _jobs,
    "/v1/matches": _matches,
    "/v1/videos/{video_id}/matches": _matches_of_video,
    "/v1/feedback": _feedback,
    "/v1/matches/{match_id}/verdicts": _verdicts,
    "/v1/exceptions": _exceptions,
    "/v1/audit": _audit,
    "/v1/keys": _keys,
    "/v1/webhooks": _webhooks,
    "/v1/webhooks/{webhook_id}/deliveries": _deliveries,
    "/v1/videos": lambda keyed: VideoRows(keyed, "/v1/videos", "video_id"),
    "/v1/banks": lambda keyed: VideoRows(keyed, "/v1/banks", "bank"),
}


def pages(keyed: Keyed, admin: dict[str, str], rows: Rows, limit: int) -> Iterator[list[Any]]:
    """The keys of the items, page by page."""
    cursor = ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        answer = keyed.ask("GET", f"{rows.path}?limit={limit}{more}", admin)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield [item[rows.name] for item in page["items"]]
        if page["next_cursor"] is None:
            return
        cursor = page["next_cursor"]


def test_every_list_with_a_cursor_is_tested(keyed: Keyed) -> None:
    found = {
        path
        for path, ways in keyed.document["paths"].items()
        for parameter in ways.get("get", {}).get("parameters", ())
        if parameter["name"] == "cursor"
    }
    # Videos that wait for segments are those of a service over Kafka.
    assert found - {"/v1/staged"} == set(LISTS)


@pytest.mark.parametrize("path", LISTS)
def test_pages_are_the_list_while_rows_are_added_and_deleted(keyed: Keyed, path: str) -> None:
    rows = LISTS[path](keyed)
    admin = key_of(keyed.state, Role.ADMIN)
    rows.add(ROWS)
    (whole, *rest) = pages(keyed, admin, rows, 1000)
    before = [*whole, *itertools.chain(*rest)]
    assert len(before) == len(set(before)) > 1000
    assert list(itertools.chain(*pages(keyed, admin, rows, LIMIT))) == before

    seen: list[Any] = []
    deleted: set[Any] = set()
    unseen: set[Any] = set()
    for page in pages(keyed, admin, rows, LIMIT):
        assert not unseen & set(page)
        seen += page
        ahead = before[len(before) // 2 :]
        # The last one that was sent, which the cursor names, two behind it and some before it.
        behind = [seen[-1], *seen[-9:-7]]
        coming = [one for one in ahead if one not in set(seen) | deleted][5:8]
        rows.delete([*behind, *coming])
        deleted.update(behind, coming)
        unseen.update(coming)
        rows.add(5)
    assert len(seen) == len(set(seen))
    assert set(before) - deleted <= set(seen)
    assert unseen
    order = [one for one in seen if one in set(before)]
    assert order == [one for one in before if one in set(order)]
