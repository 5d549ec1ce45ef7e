"""A made-up catalogue as large as asked for, any video of which can be made at any time.

Vectors lie much as those of real films do under the offline profile: they share a mean, about 50
directions hold nearly all of what differs, videos are of topics, and of one video some segments are all
but the same and others hardly alike. Neighbours are still more even than real ones, which makes the graph
work harder.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np

from common.messaging.events import VideoEnd
from common.messaging.transport import Message, Publisher
from common.messaging.wire import Envelope, to_message
from common.types import (
    GRAPH_DIMENSION,
    VECTOR_DIMENSION,
    CatalogEntry,
    Embedding,
    Float32Array,
    SegmentRef,
)

MODEL_ID = "offline-0123456789ab"
_DIRECTIONS, _DECAY = 96, 0.25
_TOPICS, _TOPIC_SPREAD = 500, 0.6
_SEGMENT, _SEGMENT_SPREAD = 0.8, 0.7
_MEAN, _NOISE = 0.3, 0.005
_SHORTEST, _LONGEST = 10, 40
# Videos whose segments come mixed, as from several embedders.
_AT_ONCE = 8


class Catalogue:
    """Videos of 10 to 40 segments of 4 s, `embeddings` in all."""

    def __init__(self, embeddings: int) -> None:
        rng = np.random.default_rng(11)
        axes, _ = np.linalg.qr(rng.normal(size=(VECTOR_DIMENSION, _DIRECTIONS)))
        strength = np.arange(1, _DIRECTIONS + 1) ** -_DECAY
        self._axes: Float32Array = (axes * strength).astype(np.float32)
        self._mean = (_MEAN * axes[:, 0]).astype(np.float32)
        self._topics = rng.standard_normal((_TOPICS, _DIRECTIONS))
        lengths = rng.integers(_SHORTEST, _LONGEST + 1, embeddings // _SHORTEST + 1)
        ends = np.cumsum(lengths)
        videos = int(np.searchsorted(ends, embeddings)) + 1
        self.embeddings = embeddings
        self._lengths = lengths[:videos].tolist()
        self._lengths[-1] -= int(ends[videos - 1]) - embeddings

    def __len__(self) -> int:
        """Videos."""
        return len(self._lengths)

    def segments(self, numbers: range) -> int:
        """How many embeddings some videos have."""
        return sum(self._lengths[numbers.start : numbers.stop])

    def vectors(self, number: int) -> Float32Array:
        """float32 (S, 527), unit norm: the segments of a video."""
        rng = np.random.default_rng((13, number))
        count = self._lengths[number]
        topic = self._topics[rng.integers(_TOPICS)] * rng.lognormal(0, _TOPIC_SPREAD)
        video = topic + rng.standard_normal(_DIRECTIONS)
        apart = _SEGMENT * rng.lognormal(0, _SEGMENT_SPREAD, (count, 1))
        points = video + apart * rng.standard_normal((count, _DIRECTIONS))
        rows: Float32Array = points.astype(np.float32) @ self._axes.T
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) + self._mean
        rows += np.float32(_NOISE) * rng.standard_normal(rows.shape, dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    def video(self, number: int, name: str = "") -> list[Embedding]:
        """Its embeddings, under its own name or another."""
        graph = np.zeros(GRAPH_DIMENSION, dtype=np.float32)
        return [
            Embedding(_ref(name or _name(number), part), row, graph, True, MODEL_ID)
            for part, row in enumerate(self.vectors(number))
        ]

    def segment_id(self, number: int, part: int) -> str:
        """What a segment is called."""
        return _ref(_name(number), part).segment_id

    def messages(self, topic: str, numbers: range) -> Iterator[Message]:
        """Videos as embedders publish them: a few at once, each with its end."""
        for start in range(numbers.start, numbers.stop, _AT_ONCE):
            beside = range(start, min(start + _AT_ONCE, numbers.stop))
            for turn in zip_longest(*(self._events(number) for number in beside)):
                for event in turn:
                    if event is not None:
                        yield to_message(topic, Envelope(event))

    def messages_of(self, topic: str, number: int, name: str) -> Iterator[Message]:
        """One video under another name."""
        for event in self._events(number, name):
            yield to_message(topic, Envelope(event))

    def publish(self, publisher: Publisher, topic: str, numbers: range) -> None:
        """Some videos."""
        for message in self.messages(topic, numbers):
            publisher.publish(message)
        publisher.flush()

    def _events(self, number: int, name: str = "") -> Iterator[Embedding | VideoEnd]:
        name = name or _name(number)
        yield from self.video(number, name)
        count = self._lengths[number]
        entry = CatalogEntry(name, f"/films/{name}.mp4")
        yield VideoEnd(entry, 1, "complete", 4.0 * count, count)


def _name(number: int) -> str:
    return f"video-{number:07}"


def _ref(name: str, part: int) -> SegmentRef:
    return SegmentRef(name, 4.0 * part, 4.0 * part + 4.0)
