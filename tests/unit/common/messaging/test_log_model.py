"""Whose vectors a log holds: the first word in it decides, however many speak at once."""

from __future__ import annotations

import threading
from functools import partial
from itertools import compress

import numpy as np
import pytest

from common.errors import ModelMismatchError
from common.messaging.events import Deletion, LogModel
from common.messaging.log_model import claim_log_model, log_model
from common.messaging.transport import Message
from common.messaging.wire import Envelope, to_message
from tests.support.background import together
from tests.support.embeddings import MODEL_ID, video
from tests.support.memory_transport import MemoryPublisher, MemoryTransport

LOG = "embeddings"


def hold(transport: MemoryTransport, model_id: str) -> None:
    claim_log_model(transport, transport.publisher(), LOG, model_id)


def messages(transport: MemoryTransport) -> int:
    return len(list(transport.scan(LOG)))


def test_an_empty_log_is_nobodys_until_it_is_claimed() -> None:
    transport = MemoryTransport()
    assert log_model(transport, LOG) is None
    hold(transport, "clip-1")
    assert log_model(transport, LOG) == "clip-1"


def test_who_claims_again_what_is_theirs_writes_nothing() -> None:
    transport = MemoryTransport()
    for _ in range(3):
        hold(transport, "clip-1")
    assert messages(transport) == 1


def test_another_model_is_refused_and_told_where_to_go() -> None:
    transport = MemoryTransport()
    hold(transport, "clip-1")
    with pytest.raises(
        ModelMismatchError,
        match=r"has vectors of clip-1, not of sscd-2; .*STORYHASH_KAFKA__GENERATION",
    ):
        hold(transport, "sscd-2")
    assert messages(transport) == 1


@pytest.mark.parametrize("first", ["clip-1", "sscd-2"])
def test_of_two_claims_the_first_in_the_log_decides(first: str) -> None:
    transport = MemoryTransport()
    second = {"clip-1": "sscd-2", "sscd-2": "clip-1"}[first]
    publisher = transport.publisher()
    for model_id in (first, second):
        publisher.publish(to_message(LOG, Envelope(LogModel(model_id))))
    hold(transport, first)
    with pytest.raises(ModelMismatchError):
        hold(transport, second)


class Overtaken(MemoryPublisher):
    """A publisher whose first message comes second: another model's claim is quicker."""

    def __init__(self, transport: MemoryTransport, model_id: str) -> None:
        super().__init__(transport)
        self._claims = [to_message(LOG, Envelope(LogModel(model_id)))]

    def publish(self, message: Message) -> None:
        for claim in (*self._claims, message):
            super().publish(claim)
        self._claims = []


def test_who_is_overtaken_between_looking_and_claiming_is_refused() -> None:
    transport = MemoryTransport()
    with pytest.raises(ModelMismatchError, match="has vectors of sscd-2, not of clip-1"):
        claim_log_model(transport, Overtaken(transport, "sscd-2"), LOG, "clip-1")
    # Of the same model two may begin at once.
    other = MemoryTransport()
    claim_log_model(other, Overtaken(other, "clip-1"), LOG, "clip-1")
    assert log_model(other, LOG) == "clip-1"


def test_claims_lie_where_every_reader_begins_and_compaction_keeps_them_all() -> None:
    claims = [to_message(LOG, Envelope(LogModel("clip-1"))) for _ in range(2)]
    assert [claim.partition for claim in claims] == [0, 0]
    assert claims[0].key != claims[1].key


def test_of_many_that_begin_at_once_one_model_stays() -> None:
    transport = MemoryTransport()
    models = [f"model-{number}" for number in range(8)]
    begun = threading.Barrier(len(models))

    def begin(model_id: str) -> bool:
        begun.wait(300)
        try:
            hold(transport, model_id)
        except ModelMismatchError:
            return False
        return True

    held = together(partial(begin, model_id) for model_id in models)
    assert [log_model(transport, LOG)] == [*compress(models, held)]


def test_vectors_tell_whose_log_it_is_where_nobody_claimed_it(rng: np.random.Generator) -> None:
    transport = MemoryTransport()
    transport.publisher().publish(to_message(LOG, Envelope(video(rng, "a", 1)[0])))
    assert log_model(transport, LOG) == MODEL_ID


def test_what_is_none_of_ours_and_what_tells_of_no_model_is_passed_over() -> None:
    transport = MemoryTransport(partitions=1)
    publisher = transport.publisher()
    publisher.publish(Message(LOG, b"x", b"\xc1 damaged"))
    publisher.publish(Message(LOG, b"y", None))
    publisher.publish(to_message(LOG, Envelope(Deletion("a", 5))))
    assert log_model(transport, LOG) is None
    hold(transport, "clip-1")
    assert log_model(transport, LOG) == "clip-1"
