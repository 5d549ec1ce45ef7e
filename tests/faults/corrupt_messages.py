"""Messages spoiled on their way: clips damaged, schemas of a later release, and what is no message."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from common.messaging.events import Deletion
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.wire import Envelope, from_message, to_message
from common.types import Segment
from tests.faults.command_variants import is_flawed
from tests.faults.harness import Trial
from tests.faults.stream import Topics
from tests.support.services import Deployment

_NEWER = 5

Damage = Callable[[bytes, random.Random], bytes]
_DAMAGES: dict[str, Damage] = {
    "cut": lambda clip, chance: clip[: chance.randrange(1, len(clip) // 2)],
    "noise": lambda clip, chance: chance.randbytes(len(clip)),
    "no beginning": lambda clip, chance: bytes(64) + clip[64:],
    "another file": lambda clip, chance: b"%PDF-1.7\n" + clip,
}
NO_MESSAGES: dict[str, bytes] = {
    "noise": bytes(range(256)) * 16,
    "no bytes": b"",
    "text": b"segment",
    "no map": msgpack.packb([1, 2, 3]),
    "no schema": msgpack.packb({"video_id": "x"}),
    "unknown schema": msgpack.packb({"schema": "poem", "schema_version": 1}),
    "a field missing": msgpack.packb({"schema": "segment", "schema_version": 1, "video_id": "x"}),
}


@dataclass
class Sent:
    """What was sent, by where it lies: (topic, partition, offset) is known once it is scanned.

    corrupt, newer, flawed: ids of the segments. strange: keys of what is no segment at all.
    """

    parts: dict[str, set[str]] = field(default_factory=dict)
    corrupt: dict[str, str] = field(default_factory=dict)
    newer: set[str] = field(default_factory=set)
    flawed: set[str] = field(default_factory=set)
    strange: set[str] = field(default_factory=set)

    def expected(self, video_id: str, *, fixed: bool) -> int:
        """Segments a video has when it is as whole as it can be."""
        gone = self.corrupt.keys() | (set() if fixed else self.flawed)
        return len(self.parts[video_id] - gone)

    def unfinished(self) -> set[str]:
        """Videos of which a segment cannot be told before a later release: they wait for it."""
        return {name for name, parts in self.parts.items() if parts & self.newer}


def send_spoiled(trial: Trial, deployment: Deployment, messages: list[ReceivedMessage]) -> Sent:
    """The producer's messages on another topic, some of them spoiled on the way."""
    chance = trial.random
    sent = Sent()
    topics = Topics(deployment)
    segments = [one for one in messages if isinstance(from_message(one).event, Segment)]
    chosen = chance.sample(segments, max(len(_DAMAGES), len(segments) // 100) + _NEWER)
    later, victims = chosen[:_NEWER], chosen[_NEWER:]
    publisher = topics.transport.publisher()
    for received in messages:
        event = from_message(received).event
        value = received.value
        if isinstance(event, Segment):
            name = event.ref.segment_id
            sent.parts.setdefault(event.ref.video_id, set()).add(name)
            if received in victims:
                kind = list(_DAMAGES)[len(sent.corrupt) % len(_DAMAGES)]
                spoiled = replace(event, clip=_DAMAGES[kind](event.clip, chance))
                value = to_message("", Envelope(spoiled)).value
                sent.corrupt[name] = kind
            elif received in later:
                told = msgpack.unpackb(received.value) | {"schema_version": 2}
                value = msgpack.packb(told)
                sent.newer.add(name)
            elif is_flawed(event.ref):
                sent.flawed.add(name)
        publisher.publish(
            Message(
                topics.names.segments,
                received.key,
                value,
                received.headers,
                partition=received.partition,
            )
        )
        if chance.random() < 0.01:
            _publish_strange(publisher, topics, sent, chance)
    while len(sent.strange) <= len(NO_MESSAGES):
        _publish_strange(publisher, topics, sent, chance)
    publisher.flush()
    publisher.close()
    trial.figures |= {
        "segments": len(segments),
        "corrupt": dict(Counter(sent.corrupt.values())),
        "newer": len(sent.newer),
        "flawed": len(sent.flawed),
        "no messages": len(sent.strange),
    }
    return sent


def _publish_strange(publisher: Any, topics: Topics, sent: Sent, chance: random.Random) -> None:
    """Something that is no segment: no message at all, or an event that belongs elsewhere."""
    name = f"strange-{len(sent.strange):03d}"
    kinds = [*NO_MESSAGES, "an event out of place"]
    kind = kinds[len(sent.strange) % len(kinds)]
    sent.strange.add(name)
    value = NO_MESSAGES.get(kind) if kind in NO_MESSAGES else None
    if value is None:
        value = to_message("", Envelope(Deletion(name, 1))).value
    publisher.publish(
        Message(topics.names.segments, name.encode(), value, partition=chance.randrange(4))
    )
