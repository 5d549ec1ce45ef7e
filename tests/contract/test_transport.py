"""What every transport promises, tried on the one in memory and on a real broker."""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

import pytest
from kafka import KafkaAdminClient, TopicPartition

import common.kafka.client
from common.errors import MessageTooLargeError, TopicMissingError
from common.kafka.transport import KafkaTransport
from common.messaging.topics import max_message_bytes
from common.messaging.transport import Consumer, LogConsumer, Message, ReceivedMessage, Transport
from common.settings import KafkaSettings, VideoSettings
from tests.support.memory_transport import MemoryTransport

PARTITIONS = 4
# How long anything may take before a test gives up; nothing is asserted about how long it took.
PATIENCE_SECONDS = 300.0


class Stage:
    """A transport, and topics that exist on it."""

    def __init__(
        self,
        transport: Transport,
        make_topic: Callable[[str], None],
        remake_topic: Callable[[str], None],
        expire: Callable[[str, int, int], None],
        another: Callable[[], Transport],
        moment_seconds: float = 0.0,
    ) -> None:
        """expire: delete what lies before an offset of a partition, as retention does. another: a
        transport of another process over the same topics. moment_seconds: so long between two steps, what
        a group has to agree on happens during the steps."""
        self.transport = transport
        self.moment_seconds = moment_seconds
        self.recreate = remake_topic
        self.expire = expire
        self.another = another
        self._make_topic = make_topic
        self._opened: list[Consumer] = []

    def topic(self) -> str:
        name = f"t-{uuid.uuid4().hex}"
        self._make_topic(name)
        return name

    def publish(self, messages: Iterable[Message]) -> None:
        publisher = self.transport.publisher()
        try:
            for message in messages:
                publisher.publish(message)
            publisher.flush()
        finally:
            publisher.close()

    def member(self, topics: Sequence[str], group: str) -> Consumer:
        return self._kept(self.transport.group_consumer(topics, group))

    def log(self, topic: str, offsets: dict[int, int], log_id: str = "") -> LogConsumer:
        consumer = self.transport.log_consumer(topic, offsets, f"g-{topic}", log_id)
        self._opened.append(consumer)
        return consumer

    def close(self) -> None:
        for consumer in self._opened:
            consumer.close()
        self.transport.close()

    def _kept(self, consumer: Consumer) -> Consumer:
        self._opened.append(consumer)
        return consumer


@pytest.fixture(params=["memory", "kafka"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "memory":
        memory = MemoryTransport(PARTITIONS)
        made = Stage(memory, lambda name: None, memory.recreate, memory.expire, lambda: memory)
        yield made
        made.close()
        return
    servers = request.getfixturevalue("kafka")
    settings = KafkaSettings(bootstrap_servers=servers, session_timeout_seconds=6)
    admin = KafkaAdminClient(bootstrap_servers=servers)

    def create(name: str) -> None:
        admin.create_topics(
            {
                name: {
                    "num_partitions": PARTITIONS,
                    "replication_factor": 1,
                    "configs": {
                        "max.message.bytes": str(max_message_bytes(VideoSettings())),
                        "message.timestamp.type": "LogAppendTime",
                    },
                }
            },
            wait_for_metadata=True,
        )

    def recreate(name: str) -> None:
        admin.delete_topics([name])
        deadline = time.monotonic() + PATIENCE_SECONDS
        # A broker deletes in the background.
        while name in {one["name"] for one in admin.describe_topics()}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is not deleted")
            time.sleep(0.1)
        create(name)

    def expire(topic: str, partition: int, before: int) -> None:
        admin.delete_records({TopicPartition(topic, partition): before})

    def another() -> Transport:
        return KafkaTransport(settings, VideoSettings())

    made = Stage(another(), create, recreate, expire, another, moment_seconds=0.1)
    try:
        yield made
    finally:
        made.close()
        admin.close()


def read(consumer: Consumer, count: int, *, commit: bool = False) -> list[ReceivedMessage]:
    """Poll until `count` messages came."""
    found: list[ReceivedMessage] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        batch = consumer.poll(100, 0.2)
        found += batch
        if commit:
            consumer.commit(batch)
    return found


def nothing_comes(consumer: Consumer) -> bool:
    """Has it nothing more to give, asked several times?"""
    return not any(consumer.poll(10, 0.2) for _ in range(5))


def numbered(topic: str, count: int, keys: int = 7) -> list[Message]:
    """Messages 0, 1, 2, ..., spread over some keys."""
    return [Message(topic, b"key-%d" % (i % keys), b"%d" % i) for i in range(count)]


def values(messages: Iterable[ReceivedMessage]) -> list[int]:
    return [int(message.value or b"-1") for message in messages]


def test_messages_of_a_key_keep_their_order_and_share_a_partition(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(numbered(topic, 200))
    found = read(stage.member([topic], "g"), 200)
    assert sorted(values(found)) == list(range(200))
    of_key: dict[bytes, list[ReceivedMessage]] = defaultdict(list)
    for message in found:
        of_key[message.key].append(message)
    for messages in of_key.values():
        assert values(messages) == sorted(values(messages))
        assert len({message.partition for message in messages}) == 1
    assert len({message.partition for message in found}) > 1


def test_a_partition_key_joins_what_keys_would_part(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(Message(topic, b"%d" % i, b"%d" % i, partition_key=b"video") for i in range(50))
    found = read(stage.member([topic], "g"), 50)
    assert values(found) == list(range(50))
    assert [message.key for message in found] == [b"%d" % i for i in range(50)]


def test_a_partition_that_is_named_is_taken(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(Message(topic, b"one key", b"%d" % i, partition=i) for i in range(PARTITIONS))
    found = read(stage.member([topic], "g"), PARTITIONS)
    assert {message.partition: int(message.value or b"") for message in found} == {
        i: i for i in range(PARTITIONS)
    }


def test_tombstones_headers_and_offsets_come_back_as_they_went(stage: Stage) -> None:
    topic = stage.topic()
    headers = (("kind", b"a"), ("trace", b"\x00\xff"), ("kind", b"b"), ("empty", b""))
    stage.publish(
        [Message(topic, b"k", b"", headers, partition=2), Message(topic, b"k", None, partition=2)]
    )
    full, tombstone = read(stage.member([topic], "g"), 2)
    assert full == ReceivedMessage(topic, 2, 0, b"k", b"", headers)
    assert full.header("kind") == b"b"
    assert full.header("nothing") is None
    assert tombstone == ReceivedMessage(topic, 2, 1, b"k", None, ())


def test_several_topics_are_read_by_one_member(stage: Stage) -> None:
    first, second = stage.topic(), stage.topic()
    stage.publish([*numbered(first, 10), *numbered(second, 10)])
    found = read(stage.member([first, second], "g"), 20)
    assert sorted((message.topic, int(message.value or b"")) for message in found) == sorted(
        (topic, i) for topic in (first, second) for i in range(10)
    )


def test_what_was_not_committed_comes_again(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(numbered(topic, 30))
    member = stage.member([topic], "g")
    first = read(member, 30)
    member.close()
    assert sorted(values(read(stage.member([topic], "g"), 30))) == sorted(values(first))


def test_what_was_committed_does_not_come_again(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(Message(topic, b"k", b"%d" % i, partition=1) for i in range(30))
    member = stage.member([topic], "g")
    found = read(member, 30)
    member.commit(found[:20])
    member.close()
    again = stage.member([topic], "g")
    assert values(read(again, 10)) == list(range(20, 30))
    assert nothing_comes(again)


def test_another_group_reads_for_itself(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(numbered(topic, 10))
    read(stage.member([topic], "g"), 10, commit=True)
    assert sorted(values(read(stage.member([topic], "other"), 10))) == list(range(10))


def test_two_members_share_and_the_one_that_stays_takes_over(stage: Stage) -> None:
    topic = stage.topic()
    group = f"g-{topic}"
    one, two = stage.member([topic], group), stage.member([topic], group)
    seen: dict[str, set[int]] = {"one": set(), "two": set()}
    places: dict[str, set[int]] = {"one": set(), "two": set()}
    sent = 0

    def turn(name: str, member: Consumer) -> None:
        batch = member.poll(100, 0.1)
        member.commit(batch)
        seen[name] |= set(values(batch))
        places[name] |= {message.partition for message in batch}

    # Until both have had their share, however long the group takes to agree.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (places["one"] and places["two"]) and time.monotonic() < deadline:
        stage.publish(Message(topic, b"k", b"%d" % (sent + i), partition=i) for i in range(4))
        sent += PARTITIONS
        for _ in range(3):
            turn("one", one)
            turn("two", two)
    while len(seen["one"] | seen["two"]) < sent and time.monotonic() < deadline:
        turn("one", one)
        turn("two", two)
    assert seen["one"]
    assert seen["two"]
    assert seen["one"] | seen["two"] == set(range(sent))

    two.close()
    stage.publish(Message(topic, b"k", b"%d" % (sent + i), partition=i % 4) for i in range(40))
    assert set(range(sent, sent + 40)) <= set(values(read(one, 40)))


def test_members_that_poll_shortly_between_long_work_come_to_share(stage: Stage) -> None:
    """Whatever the group has to agree on, it does so while they are at work."""
    topic = stage.topic()
    group = f"g-{topic}"
    members = {"one": stage.member([topic], group)}
    places: dict[str, set[int]] = {"one": set(), "two": set()}
    seen: set[int] = set()
    sent = 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(seen) < sent or not all(places.values()):
        assert time.monotonic() < deadline, (places, sorted(set(range(sent)) - seen))
        if not all(places.values()):
            stage.publish(Message(topic, b"k", b"%d" % (sent + i), partition=i) for i in range(4))
            sent += PARTITIONS
        for name, member in members.items():
            batch = member.poll(100, 0.02)
            time.sleep(3 * stage.moment_seconds)
            member.commit(batch)
            seen |= set(values(batch))
            places[name] |= {message.partition for message in batch}
        if "two" not in members and places["one"] == set(range(PARTITIONS)):
            members["two"] = stage.member([topic], group)
    assert seen == set(range(sent))


def test_the_next_owner_gets_what_a_member_left_uncommitted(stage: Stage) -> None:
    topic = stage.topic()
    group = f"g-{topic}"
    stage.publish(Message(topic, b"k", b"%d" % i, partition=0) for i in range(20))
    first = stage.member([topic], group)
    found = read(first, 20)
    first.commit(found[:5])
    second = stage.member([topic], group)
    first.close()
    assert values(read(second, 15)) == list(range(5, 20))


def test_a_log_consumer_reads_all_partitions_from_the_offsets_given(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(Message(topic, b"k", b"%d" % i, partition=i % 4) for i in range(40))
    log = stage.log(topic, {0: 3, 1: 10, 2: 0})
    found = read(log, 7 + 0 + 10 + 10)
    starts = {p: min((m.offset for m in found if m.partition == p), default=None) for p in range(4)}
    assert starts == {0: 3, 1: None, 2: 0, 3: 0}
    assert nothing_comes(log)
    stage.publish([Message(topic, b"k", b"40", partition=1)])
    (last,) = read(log, 1)
    assert (last.partition, last.offset) == (1, 10)


def test_a_log_consumer_has_caught_up_once_it_has_polled_what_lay_there_when_it_began(
    stage: Stage,
) -> None:
    topic = stage.topic()
    assert stage.log(topic, {}).caught_up()
    stage.publish(Message(topic, b"k", b"%d" % i, partition=i % 4) for i in range(20))
    log = stage.log(topic, {0: 5, 1: 4})
    stage.publish(Message(topic, b"k", b"%d" % i, partition=i % 4) for i in range(20, 28))
    left = 20 - 5 - 4 + 8
    while not log.caught_up():
        found = log.poll(1, 1.0)
        left -= len(found)
    # What came since need not have been polled; nothing may be left of what was there.
    assert 0 <= left <= 8
    assert min(values(read(log, left)), default=20) >= 20
    assert stage.log(topic, dict.fromkeys(range(4), 7)).caught_up()


def test_log_consumers_of_one_group_each_read_all(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(numbered(topic, 20))
    one, two = stage.log(topic, {}), stage.log(topic, {})
    first = read(one, 20)
    one.commit(first)
    assert len(first) == len(read(two, 20)) == 20


def test_a_log_consumer_whose_log_was_made_anew_reads_all_of_it(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(Message(topic, b"k", b"%d" % i, partition=0) for i in range(5))
    assert values(read(stage.log(topic, {0: 900}), 5)) == list(range(5))


def test_offsets_of_a_topic_that_was_created_again_with_more_messages_count_for_nothing(
    stage: Stage,
) -> None:
    topic = stage.topic()
    stage.publish(numbered(topic, 40))
    before = stage.log(topic, {})
    assert len(read(before, 40)) == 40
    assert before.log_id
    before.close()
    stage.recreate(topic)
    stage.publish(numbered(topic, 200))
    offsets = dict.fromkeys(range(PARTITIONS), 10)
    again = stage.log(topic, offsets, before.log_id)
    assert sorted(values(read(again, 200))) == list(range(200))
    assert again.log_id not in ("", before.log_id)
    # Of the topic as it is now they count.
    same = stage.log(topic, offsets, again.log_id)
    assert same.log_id == again.log_id
    assert 0 < len(read(same, 200 - 10 * PARTITIONS)) < 200


def test_a_topic_that_is_created_again_while_it_is_read_is_read_from_its_beginning(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common.kafka.client, "_METADATA_SECONDS", 1.0)
    topic = stage.topic()
    stage.publish(numbered(topic, 40))
    log = stage.log(topic, {})
    assert len(read(log, 40)) == 40
    before = log.log_id
    stage.recreate(topic)
    stage.publish(numbered(topic, 200))
    found: set[int] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < 200 and time.monotonic() < deadline:
        # For as long as a broker says that there is no such topic, a reader is told so.
        with suppress(TopicMissingError):
            found |= {*values(log.poll(100, 0.2))}
    assert found == set(range(200))
    assert log.log_id != before


def test_a_scan_ends_with_the_last_message_there_is(stage: Stage) -> None:
    topic = stage.topic()
    assert list(stage.transport.scan(topic)) == []
    stage.publish(numbered(topic, 100))
    scanned = list(stage.transport.scan(topic))
    assert sorted(values(scanned)) == list(range(100))
    partitions = [message.partition for message in scanned]
    assert partitions == sorted(partitions)


def test_keep_alive_takes_nothing_and_loses_nothing(stage: Stage) -> None:
    topic = stage.topic()
    member = stage.member([topic], "g")
    stage.publish(numbered(topic, 50))
    found = member.poll(10, 1.0)
    for round_ in range(10):
        member.keep_alive()
        if round_ == 5:
            stage.publish(Message(topic, b"later", b"%d" % i) for i in range(50, 100))
        time.sleep(stage.moment_seconds)
    found += read(member, 100 - len(found))
    assert sorted(values(found)) == list(range(100))
    of_partition: dict[int, list[int]] = defaultdict(list)
    for message in found:
        of_partition[message.partition].append(message.offset)
    for offsets in of_partition.values():
        assert offsets == list(range(len(offsets)))


def test_partitions_that_come_during_keep_alive_lose_nothing(stage: Stage) -> None:
    topic = stage.topic()
    group = f"g-{topic}"
    one, two = stage.member([topic], group), stage.member([topic], group)
    for _ in range(20):
        one.poll(10, stage.moment_seconds)
        two.poll(10, stage.moment_seconds)
    stage.publish(Message(topic, b"k", b"%d" % i, partition=i % 4) for i in range(40))
    two.close()
    for _ in range(30):
        one.keep_alive()
        time.sleep(stage.moment_seconds)
    assert sorted(values(read(one, 40))) == list(range(40))


def test_lag_counts_what_lies_behind_the_last_message_polled(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(Message(topic, b"k", b"%d" % i, partition=0) for i in range(25))
    log = stage.log(topic, {})
    found: list[ReceivedMessage] = []
    while not found:
        found = log.poll(5, 0.5)
    assert log.lag() == 25 - len(found)
    read(log, 25 - len(found))
    assert log.lag() == 0


def test_a_poll_gives_no_more_than_asked_for(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(numbered(topic, 30))
    member = stage.member([topic], "g")
    sizes: list[int] = []
    while sum(sizes) < 30:
        sizes.append(len(member.poll(7, 0.2)))
    assert max(sizes) <= 7


@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_what_is_too_large_is_refused_and_publishes_nothing(stage: Stage, part: str) -> None:
    topic = stage.topic()
    size = max_message_bytes(VideoSettings())
    content = b"x" * size
    large = {
        "key": Message(topic, content, b"v"),
        "value": Message(topic, b"k", content),
        "headers": Message(topic, b"k", b"v", (("h", content),)),
    }[part]
    publisher = stage.transport.publisher()
    try:
        for refuse in (publisher.check, publisher.publish):
            with pytest.raises(MessageTooLargeError, match=f"the limit is {size}"):
                refuse(large)
        fits = Message(topic, b"k", content[:-1000])
        publisher.check(fits)
        publisher.publish(fits)
        publisher.flush()
    finally:
        publisher.close()
    assert [len(one.value or b"") for one in stage.transport.scan(topic)] == [size - 1000]


def test_publishing_from_one_thread_while_another_reads(stage: Stage) -> None:
    topic = stage.topic()
    log = stage.log(topic, {})
    writer = threading.Thread(target=stage.publish, args=(numbered(topic, 2000),))
    writer.start()
    found = read(log, 2000)
    writer.join()
    assert sorted(values(found)) == list(range(2000))


def in_partition(topic: str, numbers: Iterable[int], partition: int = 0) -> list[Message]:
    return [Message(topic, b"key", b"%d" % number, partition=partition) for number in numbers]


def all_told(consumer: Consumer, count: int) -> int:
    """How many messages are told to have expired, polled until they are `count` or it takes too long."""
    told, deadline = consumer.expired(), time.monotonic() + PATIENCE_SECONDS
    while told < count and time.monotonic() < deadline:
        consumer.poll(100, 0.2)
        told += consumer.expired()
    return told


@pytest.mark.parametrize("left", [0, 3])
def test_what_expired_before_a_member_came_back_is_told_once(stage: Stage, left: int) -> None:
    topic = stage.topic()
    stage.publish(in_partition(topic, range(5)))
    first = stage.member([topic], "group")
    read(first, 5, commit=True)
    assert first.expired() == 0
    first.close()
    stage.publish(in_partition(topic, range(5, 15)))
    stage.expire(topic, 0, 15 - left)
    second = stage.member([topic], "group")
    assert all_told(second, 10 - left) == 10 - left
    # Nothing is told twice.
    second.poll(100, 0.2)
    assert second.expired() == 0
    second.keep_alive()
    second.poll(10, 0.2)
    second.close()
    third = stage.member([topic], "group")
    third.poll(10, 0.5)
    third.poll(10, 0.5)
    if not left:
        assert third.expired() == 0


def test_what_expires_under_a_member_that_stands_still_is_told(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(in_partition(topic, range(3)))
    member = stage.member([topic], "group")
    assert values(read(member, 3, commit=True)) == [0, 1, 2]
    held = threading.Event()

    def stand_still() -> None:
        while not held.is_set():
            member.keep_alive()
            time.sleep(0.05)

    thread = threading.Thread(target=stand_still)
    member.keep_alive()
    thread.start()
    stage.publish(in_partition(topic, range(3, 10)))
    stage.expire(topic, 0, 8)
    held.set()
    thread.join()
    found = read(member, 2)
    told = member.expired()
    # What was fetched before it expired was not lost.
    assert told + len(found) == 7
    assert values(found)[-2:] == [8, 9]


def test_what_expired_before_any_member_came_is_told(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(in_partition(topic, range(4)))
    stage.expire(topic, 0, 3)
    member = stage.member([topic], "group")
    assert values(read(member, 1)) == [3]
    assert member.expired() == 3


def test_a_member_that_was_given_all_is_told_of_no_loss(stage: Stage) -> None:
    topic = stage.topic()
    stage.publish(numbered(topic, 40))
    first, second = stage.member([topic], "group"), None
    read(first, 40, commit=True)
    stage.publish(numbered(topic, 40))
    second = stage.member([topic], "group")
    found: list[ReceivedMessage] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < 40 and time.monotonic() < deadline:
        for member in (first, second):
            batch = member.poll(3, 0.1)
            member.commit(batch)
            found += batch
            member.keep_alive()
    assert first.expired() == second.expired() == 0


def test_moments_grow_for_everybody_who_asks(stage: Stage) -> None:
    topic = stage.topic()
    other = stage.another()
    moments = [each.moment(topic) for each in (stage.transport, other) for _ in range(3)]
    moments.append(stage.transport.moment(topic))
    assert moments == sorted(set(moments))
    if other is not stage.transport:
        other.close()


def test_a_message_tells_when_it_was_appended_by_the_clock_of_the_log(stage: Stage) -> None:
    topic, marks = stage.topic(), stage.topic()
    before = stage.transport.moment(marks)
    stage.publish(numbered(topic, 3))
    after = stage.transport.moment(marks)
    for message in stage.transport.scan(topic):
        assert message.appended_ms is not None
        assert message.by_log
        assert before <= message.appended_ms <= after


def test_what_a_group_has_not_committed_for_long_is_overdue(stage: Stage) -> None:
    topic, marks = stage.topic(), stage.topic()
    stage.publish(in_partition(topic, range(3)))
    stage.publish(in_partition(topic, range(2), partition=1))
    time.sleep(0.01)
    between = stage.transport.moment(marks)
    time.sleep(0.01)
    stage.publish(in_partition(topic, range(4)))
    later = stage.transport.moment(marks) + 1
    transport = stage.transport
    assert transport.committed(topic, "group") == {}
    assert {number: end for number, end in transport.ends(topic).items() if end} == {0: 7, 1: 2}
    assert transport.overdue(topic, "group", between) == 5
    assert transport.overdue(topic, "group", later) == 9
    assert transport.overdue(topic, "group", 0) == 0
    member = stage.member([topic], "group")
    found = read(member, 9)
    member.commit([one for one in found if (one.partition, one.offset) in {(0, 1), (1, 1)}])
    assert transport.committed(topic, "group") == {0: 2, 1: 2}
    assert transport.overdue(topic, "group", between) == 1
    assert transport.overdue(topic, "group", later) == 5
    stage.expire(topic, 0, 3)
    assert transport.overdue(topic, "group", between) == 0
