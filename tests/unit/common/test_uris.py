"""A query or a password in an address is used to fetch, and is seen by nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError, VideoError
from common.ids import check_chosen_id
from common.messaging.events import VideoEnd
from common.messaging.wire import Envelope, to_message
from common.types import NO_FRAMES, CatalogEntry, SegmentRef
from common.uris import is_remote, public_uri
from ingest.catalogue import read_catalog
from ingest.fingerprint import entry_fingerprint
from searcher.api.videos.new_videos import _entry
from searcher.api.videos.schemas import NewVideo
from searcher.matching.report.match_json import error_to_json
from searcher.qdrant.payload import to_payload
from searcher.storage.database import Database
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore

PRESIGNED = "https://me:hunter2@bucket.example.org/films/one.mp4?X-Amz-Signature=hunter2#hunter2"
SHOWN = "https://bucket.example.org/films/one.mp4"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (PRESIGNED, SHOWN),
        ("http://a:b@c@host:8080/x?y=http://u:p@z/#f", "http://host:8080/x"),
        ("http://host?token=1", "http://host"),
        ("http://host#token", "http://host"),
        ("http://user:pass@[fe80::1]:80/x", "http://[fe80::1]:80/x"),
        ("http://u:p@host\\@other/x?q", "http://host\\@other/x"),
        ("http://user:hunter/2@host/x", "http://user"),
        ("s3://key@bucket/x", "s3://bucket/x"),
        ("HTTPS://Host.Example/Films/A.mp4?Key=1", "https://host.example/Films/A.mp4"),
        ("/films/what?.mp4", "/films/what?.mp4"),
        ("a@b.mp4", "a@b.mp4"),
    ],
)
def test_the_public_form_has_no_query_and_no_credentials(uri: str, shown: str) -> None:
    assert public_uri(uri) == shown


part = st.text(st.characters(blacklist_characters="/?#\\", codec="utf-8"), max_size=8)


@given(part, part, st.text(max_size=20))
def test_a_secret_is_in_no_public_form(user: str, path: str, query: str) -> None:
    uri = f"https://{user}:S3CRET@host/{path}?{query}S3CRET"
    shown = public_uri(uri)
    assert "S3CRET" not in shown
    assert is_remote(shown)
    assert public_uri(shown) == shown


def test_ids_and_titles_of_addresses_hold_no_secret(tmp_path: Path) -> None:
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(json.dumps({"uri": PRESIGNED}))
    for argument in (PRESIGNED, str(manifest)):
        (one,) = read_catalog([argument])
        assert one.entry.video_id == SHOWN
        assert one.entry.uri == PRESIGNED, "it is fetched with its query"
        assert "hunter2" not in one.entry.title + one.root
    posted = _entry(NewVideo(uri=PRESIGNED))
    assert (posted.video_id, posted.uri) == (SHOWN, PRESIGNED)


def test_two_presigned_addresses_of_one_path_are_one_video() -> None:
    again = PRESIGNED.replace("hunter2", "another")
    (one,), (other,) = read_catalog([PRESIGNED]), read_catalog([again])
    assert one.entry.video_id == other.entry.video_id
    assert entry_fingerprint(one.entry) == entry_fingerprint(other.entry)
    with pytest.raises(UsageError, match="differ only in the part after") as told:
        read_catalog([PRESIGNED, again])
    assert "hunter2" not in str(told.value)


def test_an_id_that_holds_a_query_or_a_password_is_refused() -> None:
    for video_id in (PRESIGNED, f"{SHOWN}?token=hunter2", "http://a:hunter2@b/c"):
        with pytest.raises(UsageError, match="remove them") as told:
            check_chosen_id(video_id)
        assert "hunter2" not in str(told.value)
    check_chosen_id(SHOWN)
    check_chosen_id("what?.mp4")


def test_answers_and_messages_show_the_public_form_alone(tmp_path: Path) -> None:
    database = Database(tmp_path / "catalogue.sqlite")
    videos = VideoStore(database)
    videos.begin(Video(SHOWN, PRESIGNED))
    pending = videos.get(SHOWN)
    assert pending is not None
    assert pending.uri == PRESIGNED, "it is still to be fetched"
    assert videos.uri_of(SHOWN) == SHOWN
    told = [pending.to_json(), error_to_json(PRESIGNED, VideoError("x"))]
    payload = to_payload(SegmentRef(SHOWN, 0.0, 4.0), True, "model", NO_FRAMES, pending)
    told.append(payload)
    videos.commit(pending)
    whole = videos.get(SHOWN)
    assert whole is not None
    assert whole.uri == SHOWN, "nothing needs the query any more"
    database.close()
    end = VideoEnd(CatalogEntry(SHOWN, PRESIGNED), 1, "complete", 4.0, 1)
    assert "hunter2" not in json.dumps(told)
    assert b"hunter2" not in (to_message("topic", Envelope(end)).value or b"")
