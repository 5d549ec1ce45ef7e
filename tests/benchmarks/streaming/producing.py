"""Messages a second of our publisher beside a bare kafka-python loop with the same delivery settings.

Both send the same keys, values and headers to the same topic, acknowledged by all replicas and
idempotent. The bare loop is given the partition with each message and never looks at an answer until it
flushes; it runs once with kafka-python's own batching and once with the publisher's, and the quicker of
the two is the peer. All take turns; rates are medians, and the ratio is the
median of the ratios of each turn.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any
from zlib import crc32

import numpy as np
from kafka import KafkaProducer

from common.kafka.publisher import BATCH_BYTES, LINGER_MS
from common.messaging.transport import Message, Publisher
from common.messaging.wire import Envelope, to_message
from common.types import Segment, SegmentRef
from tests.benchmarks.streaming.broker import Topics
from tests.support.embeddings import embedding, unit_rows

_SEGMENTS_A_VIDEO = 20
_REPETITIONS = 5


def measure(servers: str, messages: int) -> dict[str, Any]:
    """Figures for embeddings (2.2 kB) and for segments (200 kB), a fiftieth as many."""
    return {
        "2.2 kB": _compare(servers, _embeddings(messages)),
        "200 kB": _compare(servers, _segments(max(messages // 50, 100))),
    }


def _embeddings(count: int) -> list[Message]:
    rows = unit_rows(np.random.default_rng(1), count)
    made = (
        embedding(f"video-{number // _SEGMENTS_A_VIDEO:07}", number % _SEGMENTS_A_VIDEO, row)
        for number, row in enumerate(rows)
    )
    return [to_message("", Envelope(one)) for one in made]


def _segments(count: int) -> list[Message]:
    rng = np.random.default_rng(2)
    refs = (
        SegmentRef(f"video-{number // 5:07}", number % 5, number % 5 + 1) for number in range(count)
    )
    return [to_message("", Envelope(Segment(ref, rng.bytes(200_000)))) for ref in refs]


def _compare(servers: str, messages: Sequence[Message]) -> dict[str, Any]:
    with Topics(servers) as topics, contextlib.ExitStack() as opened:
        topic = topics.names.embeddings
        ours = [replace(one, topic=topic) for one in messages]
        placed = [(one, crc32(one.partition_key or b"") % topics.kafka.partitions) for one in ours]
        publisher = topics.transport.publisher()
        opened.callback(publisher.close)
        peers = {
            "bare, its own batching": _bare(servers),
            "bare, the publisher's batching": _bare(
                servers, batch_size=BATCH_BYTES, linger_ms=LINGER_MS
            ),
        }
        for peer in peers.values():
            opened.callback(peer.close)
        ways: dict[str, Callable[[], None]] = {
            "publisher": partial(_publish, publisher, ours),
            **{name: partial(_send, peer, placed) for name, peer in peers.items()},
        }
        for way in ways.values():
            way()
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(_REPETITIONS):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                spent[name].append(time.perf_counter() - began)
    rates = {name: round(len(ours) / median(seconds)) for name, seconds in spent.items()}
    size = sum(len(one.value or b"") for one in ours) / len(ours)
    return {
        "messages": len(ours),
        "bytes_a_value": round(size),
        "messages_per_second": rates,
        "publisher_megabytes_per_second": round(rates["publisher"] * size / 1e6, 1),
        "publisher over the quicker bare loop": round(
            median(
                min(bare) / mine
                for mine, *bare in zip(
                    spent["publisher"], *(spent[name] for name in peers), strict=True
                )
            ),
            2,
        ),
    }


def _bare(servers: str, **batching: int) -> KafkaProducer:
    return KafkaProducer(
        bootstrap_servers=servers.split(","), acks="all", enable_idempotence=True, **batching
    )


def _publish(publisher: Publisher, messages: Sequence[Message]) -> None:
    for message in messages:
        publisher.publish(message)
    publisher.flush()


def _send(producer: KafkaProducer, placed: Sequence[tuple[Message, int]]) -> None:
    for message, partition in placed:
        producer.send(message.topic, message.value, message.key, list(message.headers), partition)
    producer.flush()
