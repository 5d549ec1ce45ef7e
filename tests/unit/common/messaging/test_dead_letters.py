"""Messages set aside can be read, found and sent back as they were, and nothing of them is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BrokerError, UsageError, VideoError, WireError
from common.messaging.dead_letters import (
    DeadLetter,
    dead_letter,
    find_letters,
    read_dead_letters,
    reason_of,
    replay,
    traceback_hash,
    without_original,
    without_value,
)
from common.messaging.topics import takes_replays
from common.messaging.transport import Message, ReceivedMessage
from tests.support.memory_transport import FailingPublisher, MemoryTransport

TOPIC = "dead-letters"
SEGMENT_TOPICS = "segments".__eq__
HEADERS = (("schema", b"segment/1"), ("trace-id", b"\x00\xff"), ("schema", b"twice"))


def raised(error: Exception) -> Exception:
    """The error with a traceback, as a service has it."""
    try:
        raise error
    except Exception as caught:
        return caught


def original(offset: int, partition: int = 0, value: bytes = b"clip") -> ReceivedMessage:
    return ReceivedMessage("segments", partition, offset, b"film.mp4", value, HEADERS)


def letter_of(received: ReceivedMessage, error: Exception | None = None) -> Message:
    return dead_letter(TOPIC, received, "embed", error or raised(VideoError("it does not decode")))


class Post:
    """A transport with dead letters in it, and a publisher."""

    def __init__(self, *letters: Message, partitions: int = 4) -> None:
        self.transport = MemoryTransport(partitions)
        self.publisher = self.transport.publisher()
        for letter in letters:
            self.publisher.publish(letter)

    def read(self) -> list[DeadLetter]:
        return read_dead_letters(self.transport, TOPIC)

    def ids(self) -> list[str]:
        return [letter.letter_id for letter in self.read()]

    def replay(self, *letters: DeadLetter) -> list[str]:
        sent = replay(self.transport, self.publisher, TOPIC, letters or self.read(), SEGMENT_TOPICS)
        return [letter.letter_id for letter in sent]

    def returned(self) -> list[ReceivedMessage]:
        """What lies in the topic it came from."""
        return list(self.transport.scan("segments"))


def test_a_letter_tells_all_that_is_known_of_the_original() -> None:
    error = raised(VideoError("it does not decode"))
    (letter,) = Post(letter_of(original(7, 2), error)).read()
    assert letter == DeadLetter(
        letter_id="segments/2/7",
        stage="embed",
        reason="unreadable",
        explanation="it does not decode",
        traceback_hash=traceback_hash(error),
        failed_at=letter.failed_at,
        replayed=False,
        key=b"film.mp4",
        headers=HEADERS,
        value_bytes=4,
        value_kept=True,
    )
    assert letter.source == ("segments", 2, 7)


def test_a_letter_carries_the_value_as_it_was() -> None:
    assert letter_of(original(0, value=b"\x00clip")).value == b"\x00clip"


def test_a_name_that_is_no_text_does_not_keep_a_letter_from_being_written() -> None:
    error = raised(VideoError("film\udcff.mp4 does not decode"))
    (letter,) = Post(letter_of(original(0), error)).read()
    assert letter.explanation == "film\\udcff.mp4 does not decode"


def test_a_long_story_is_cut() -> None:
    (letter,) = Post(letter_of(original(0), raised(VideoError("long " * 10_000)))).read()
    assert len(letter.explanation) == 2000


def test_an_error_nobody_foresaw_tells_its_type() -> None:
    (letter,) = Post(letter_of(original(0), raised(KeyError("codec")))).read()
    assert (letter.reason, letter.explanation) == ("internal", "KeyError: 'codec'")


def test_the_reason_is_the_errors_code() -> None:
    special = VideoError("too long")
    special.code = "over_limit"
    assert [reason_of(error) for error in (special, WireError(""), OSError())] == [
        *("over_limit", "wire", "internal")
    ]


def test_what_failed_in_the_same_way_has_the_same_hash() -> None:
    def here(error: Exception) -> Exception:
        try:
            raise error
        except Exception as caught:
            return caught

    first, second = raised(VideoError("one film")), raised(VideoError("another"))
    assert traceback_hash(first) == traceback_hash(second)
    assert traceback_hash(first) != traceback_hash(raised(WireError("one film")))
    assert traceback_hash(first) != traceback_hash(here(VideoError("one film")))


def test_letters_are_told_oldest_first() -> None:
    letters = [letter_of(original(offset, offset % 3)) for offset in range(6)]
    assert Post(*letters).ids() == [f"segments/{offset % 3}/{offset}" for offset in range(6)]


def test_a_message_set_aside_twice_is_told_once() -> None:
    assert Post(letter_of(original(1)), letter_of(original(2)), letter_of(original(1))).ids() == [
        *("segments/0/1", "segments/0/2")
    ]


@pytest.mark.parametrize(
    "stranger",
    [
        Message(TOPIC, b"segments/0/1", b"no header of ours"),
        Message(TOPIC, b"a key of somebody else", b"", (("dead-letter-topic", b"segments"),)),
        Message(TOPIC, b"", None),
        replace(
            letter_of(original(1)),
            headers=(*letter_of(original(1)).headers, ("dead-letter-failed-at", b"yesterday")),
        ),
        replace(
            letter_of(original(1)),
            headers=(*letter_of(original(1)).headers, ("dead-letter-failed-at", b"nan")),
        ),
    ],
    ids=["no-header", "no-address", "tombstone", "no-time", "nan"],
)
def test_what_is_no_letter_hides_none_that_is(stranger: Message) -> None:
    assert Post(letter_of(original(5)), stranger, letter_of(original(6))).ids() == [
        *("segments/0/5", "segments/0/6")
    ]


def test_letters_are_found_by_their_ids_in_the_order_asked_for() -> None:
    letters = Post(*(letter_of(original(offset)) for offset in range(3))).read()
    found = find_letters(letters, ["segments/0/2", "segments/0/0"])
    assert [letter.source[2] for letter in found] == [2, 0]


def test_an_id_that_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"no dead letter 'segments/0/9'; .* list` shows them"):
        find_letters(Post(letter_of(original(0))).read(), ["segments/0/0", "segments/0/9"])


def test_a_replayed_message_goes_back_as_it_was_to_where_it_came_from() -> None:
    post = Post(letter_of(original(7, 2)))
    assert post.replay() == ["segments/2/7"]
    (returned,) = post.returned()
    assert returned == ReceivedMessage("segments", 2, 0, b"film.mp4", b"clip", HEADERS)


def test_a_partition_gets_its_messages_back_in_the_order_they_were_set_aside() -> None:
    # The topic of dead letters has one partition, so that there is an order.
    post = Post(*(letter_of(original(n, value=b"%d" % n)) for n in range(200)), partitions=1)
    assert len(post.replay(*reversed(post.read()))) == 200
    assert [one.value for one in post.returned()] == [b"%d" % n for n in range(200)]


def test_only_what_is_asked_for_is_replayed() -> None:
    post = Post(*(letter_of(original(n, value=b"%d" % n)) for n in range(4)))
    post.replay(*find_letters(post.read(), ["segments/0/1", "segments/0/3"]))
    assert [one.value for one in post.returned()] == [b"1", b"3"]
    assert [letter.replayed for letter in post.read()] == [False, True, False, True]


def test_a_message_set_aside_twice_is_sent_back_once() -> None:
    post = Post(letter_of(original(1)), letter_of(original(1)))
    assert post.replay() == ["segments/0/1"]
    assert len(post.returned()) == 1


def test_what_fails_again_is_a_new_letter_and_the_old_one_stays_replayed() -> None:
    post = Post(letter_of(original(7)))
    post.replay()
    (returned,) = post.returned()
    post.publisher.publish(letter_of(returned))
    assert [(letter.letter_id, letter.replayed) for letter in post.read()] == [
        ("segments/0/7", True),
        ("segments/0/0", False),
    ]
    assert post.read()[1].headers == HEADERS


def test_a_letter_can_be_replayed_again_when_asked_for() -> None:
    post = Post(letter_of(original(7)))
    assert post.replay() == post.replay() == ["segments/0/7"]
    assert [one.value for one in post.returned()] == [b"clip", b"clip"]


def test_a_letter_without_its_value_keeps_everything_else() -> None:
    whole = letter_of(original(7))
    (letter,) = Post(without_value(whole)).read()
    (kept,) = Post(whole).read()
    assert letter == replace(kept, value_bytes=0, value_kept=False)


def test_of_a_letter_without_its_original_stays_where_it_lay_and_why() -> None:
    whole = letter_of(replace(original(7, 2), headers=(*HEADERS, ("dead-letter-notes", b"x"))))
    (letter,) = Post(without_original(without_value(whole))).read()
    (kept,) = Post(whole).read()
    assert letter == replace(kept, value_bytes=0, value_kept=False, key=b"", headers=())


def test_an_empty_value_is_a_value() -> None:
    post = Post(letter_of(original(7, value=b"")))
    assert post.replay() == ["segments/0/7"]
    assert [one.value for one in post.returned()] == [b""]


def test_one_without_a_value_is_refused_before_any_other_is_sent() -> None:
    post = Post(letter_of(original(1)), without_value(letter_of(original(2))))
    with pytest.raises(UsageError, match=r"segments/0/2 was too large .* ingest --again"):
        post.replay()
    assert post.returned() == []
    assert not any(letter.replayed for letter in post.read())


def test_one_that_is_not_kept_any_more_is_told_after_the_others_were_sent() -> None:
    post = Post(letter_of(original(1)))
    (letter,) = post.read()
    gone = replace(letter, letter_id="segments/0/0")
    sent: list[DeadLetter] = []
    with pytest.raises(UsageError, match="'segments/0/0' has expired"):
        sent.extend(replay(post.transport, post.publisher, TOPIC, [gone, letter], SEGMENT_TOPICS))
    assert sent == [letter]
    assert [one.replayed for one in post.read()] == [True]


def test_one_that_names_a_topic_of_others_is_refused_before_any_other_is_sent() -> None:
    foreign = ReceivedMessage("__consumer_offsets", 0, 3, b"key", b"value")
    post = Post(letter_of(original(1)), letter_of(foreign))
    with pytest.raises(UsageError, match=r"'__consumer_offsets' is not a StoryHash topic"):
        post.replay()
    assert post.returned() == []
    assert list(post.transport.scan("__consumer_offsets")) == []


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("p.segments", True),
        ("p.segments.backfill", True),
        ("p.segments.backfill.clip", True),
        ("p.embeddings", True),
        ("p.embeddings.clip-2", True),
        ("p.dead-letters", False),
        ("p.matches", False),
        ("p.clock", False),
        ("q.segments", False),
        ("p.segments2", False),
        ("p.embeddings.clip.more", False),
        ("p.embeddings.", False),
        ("__consumer_offsets", False),
    ],
)
def test_only_topics_that_services_read_take_replays(topic: str, allowed: bool) -> None:
    assert takes_replays(topic, "p") is allowed


@pytest.mark.parametrize(
    ("flushes", "returned", "marked"),
    [(0, 0, 0), (1, 64, 0), (2, 64, 64), (3, 70, 64), (4, 70, 70)],
    ids=["before", "sent", "marked", "rest-sent", "rest-marked"],
)
def test_a_replay_that_is_interrupted_marks_nothing_that_was_not_sent_and_can_be_done_again(
    flushes: int, returned: int, marked: int
) -> None:
    post = Post(*(letter_of(original(n, value=b"%d" % n)) for n in range(70)))
    told: list[DeadLetter] = []

    def run() -> None:
        publisher = FailingPublisher(post.transport, flushes)
        told.extend(replay(post.transport, publisher, TOPIC, post.read(), SEGMENT_TOPICS))
        publisher.flush()

    with pytest.raises(BrokerError, match="does not answer"):
        run()
    assert len(post.returned()) == returned
    assert sum(letter.replayed for letter in post.read()) == marked
    post.replay(*(letter for letter in post.read() if not letter.replayed))
    assert {one.value for one in post.returned()} == {b"%d" % n for n in range(70)}
    assert all(letter.replayed for letter in post.read())


def test_each_letter_is_told_once_it_is_durably_sent() -> None:
    post = Post(letter_of(original(1)))
    publisher = FailingPublisher(post.transport, 2)
    sending: Iterator[DeadLetter] = replay(
        post.transport, publisher, TOPIC, post.read(), SEGMENT_TOPICS
    )
    assert next(sending).letter_id == "segments/0/1"
    assert len(post.returned()) == 1
    assert [letter.replayed for letter in post.read()] == [True]


headers = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8)), max_size=4).map(tuple)
errors: list[Callable[[str], Exception]] = [VideoError, WireError, ValueError]


@given(
    st.builds(
        ReceivedMessage,
        topic=st.from_regex(r"\A[A-Za-z0-9._-]{1,20}\Z"),
        partition=st.integers(0, 3),
        offset=st.integers(0, 2**63 - 1),
        key=st.binary(max_size=12),
        value=st.binary(max_size=12),
        headers=headers,
    ),
    st.sampled_from(errors),
    st.text(),
)
def test_any_message_comes_back_exactly_as_it_was(
    received: ReceivedMessage, kind: Callable[[str], Exception], text: str
) -> None:
    post = Post(letter_of(received, raised(kind(text))))
    (letter,) = post.read()
    assert letter.source == (received.topic, received.partition, received.offset)
    list(replay(post.transport, post.publisher, TOPIC, [letter], received.topic.__eq__))
    (returned,) = post.transport.scan(received.topic)
    assert replace(returned, offset=received.offset) == received
