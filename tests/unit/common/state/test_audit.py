"""The audit log keeps every change, newest first, for as long as it is told to."""

from __future__ import annotations

from common.state.audit import AuditLog, Change
from common.state.database import StateDatabase

DAY = 86_400.0


def test_entries_are_told_newest_first_and_each_once(database: StateDatabase) -> None:
    log = AuditLog(database, 90, lambda: 1_800_000_000.0)
    for number in range(5):
        log.record(Change("videos.delete", "DELETE /v1/videos", f"{number}.mp4", 204, "", "k", "r"))
    seen: list[str] = []
    cursor: int | None = None
    while True:
        items, cursor = log.page(cursor, 2)
        seen += [item["object"] for item in items]
        if cursor is None:
            break
    assert seen == ["4.mp4", "3.mp4", "2.mp4", "1.mp4", "0.mp4"]
    assert items[0] == {
        "id": items[0]["id"],
        "at": "2027-01-15T08:00:00+00:00",
        "key_id": "k",
        "action": "videos.delete",
        "route": "DELETE /v1/videos",
        "object": "0.mp4",
        "status": 204,
        "code": "",
        "request_id": "r",
    }


def test_old_entries_are_deleted_and_younger_ones_are_not(database: StateDatabase) -> None:
    now = [1_800_000_000.0]
    log = AuditLog(database, 2, lambda: now[0])
    log.record(Change("a", "", "old", 200))
    now[0] += DAY
    log.record(Change("a", "", "young", 200))
    now[0] += 1.5 * DAY
    log.record(Change("a", "", "new", 200))
    assert [item["object"] for item in log.page()[0]] == ["new", "young"]


def test_any_id_can_be_an_object(database: StateDatabase) -> None:
    log = AuditLog(database, 90)
    for name in ("film\udcff.mp4", "a\0b", "x" * 5000, "фильм", "'; DROP TABLE audit_log; --"):
        log.record(Change("a", "", name, 200))
    found = [item["object"] for item in log.page()[0]]
    assert found == ["'; DROP TABLE audit_log; --", "фильм", "x" * 1024, "a\ufffdb", "film?.mp4"]


def test_old_entries_are_deleted_after_a_clock_that_was_ahead_is_set_back(
    database: StateDatabase,
) -> None:
    now = [1_800_000_000.0 + 1000 * DAY]
    log = AuditLog(database, 2, lambda: now[0])
    log.record(Change("a", "", "ahead", 200))
    now[0] = 1_800_000_000.0
    log.record(Change("a", "", "old", 200))
    now[0] += 3 * DAY
    log.record(Change("a", "", "new", 200))
    assert [item["object"] for item in log.page()[0]] == ["new", "ahead"]
