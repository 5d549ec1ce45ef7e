"""Messages that cannot be used, set aside with the reason, and sent again once it is gone."""

from __future__ import annotations

import hashlib
import re
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from common.errors import StoryHashError, UsageError
from common.transport import Message, Publisher, Received, Transport

_MARK = "dead-letter-"
_REPLAYED = "replayed"
_ADDRESS = re.compile(r"^(.+)/(\d+)/(\d+)$")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message set aside. `letter_id` is where it lay: topic/partition/offset.

    traceback_hash: the same for all that failed in the same way; the traceback is in the service's log.
    """

    letter_id: str
    stage: str
    reason: str
    explanation: str
    traceback_hash: str
    failed_at: float
    replayed: bool
    message: Received

    @property
    def source(self) -> tuple[str, int, int]:
        """Topic, partition and offset of the original."""
        return _parse(self.letter_id)


def dead_letter(topic: str, received: Received, stage: str, error: Exception) -> Message:
    """`received` as it goes to the dead letters: its value and headers as they were, and why."""
    known = isinstance(error, StoryHashError)
    about = {
        "stage": stage,
        "reason": reason_of(error),
        "explanation": str(error) if known else f"{type(error).__name__}: {error}",
        "traceback-hash": traceback_hash(error),
        "topic": received.topic,
        "partition": str(received.partition),
        "offset": str(received.offset),
        "failed-at": repr(time.time()),
        "key": received.key.hex(),
    }
    headers = tuple((f"{_MARK}{name}", text[:2000].encode()) for name, text in about.items())
    return Message(topic, _letter_id(received).encode(), received.value, received.headers + headers)


def reason_of(error: Exception) -> str:
    """An error's code, or `internal` for one nobody foresaw."""
    return error.code if isinstance(error, StoryHashError) else "internal"


def traceback_hash(error: Exception) -> str:
    """Twelve hex digits of where an error came from: its type, and file, function of each frame."""
    frames = traceback.extract_tb(error.__traceback__)
    told = [type(error).__name__, *(f"{frame.filename}:{frame.name}" for frame in frames)]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=6).hexdigest()


def read_dead_letters(transport: Transport, topic: str) -> list[DeadLetter]:
    """Every dead letter that is still kept, oldest first; one set aside twice is told once."""
    letters: dict[str, DeadLetter] = {}
    for received in transport.scan(topic):
        letter_id = received.key.decode("utf-8", "replace")
        replayed = received.header(f"{_MARK}state") == _REPLAYED.encode()
        if replayed:
            if letter_id in letters:
                letters[letter_id] = _told(letter_id, letters[letter_id].message, replayed=True)
        elif received.header(f"{_MARK}topic") is not None:
            was = letters[letter_id].replayed if letter_id in letters else False
            letters[letter_id] = _told(letter_id, received, replayed=was)
    return list(letters.values())


def replay(publisher: Publisher, topic: str, letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
    """Send each back to where it came from and note that it was; yields each once that is durable.

    One that cannot be used still comes back as a new dead letter.
    """
    for letter in letters:
        source, partition, _ = letter.source
        key = bytes.fromhex(_header(letter.message, "key"))
        headers = tuple(one for one in letter.message.headers if not one[0].startswith(_MARK))
        publisher.publish(Message(source, key, letter.message.value, headers, partition=partition))
        publisher.flush()
        noted = ((f"{_MARK}state", _REPLAYED.encode()),)
        publisher.publish(Message(topic, letter.letter_id.encode(), b"", noted))
        publisher.flush()
        yield letter


def find_letters(letters: Iterable[DeadLetter], wanted: Iterable[str]) -> list[DeadLetter]:
    """Those with these ids. Raises UsageError for one that is not there."""
    known = {letter.letter_id: letter for letter in letters}
    missing = [letter_id for letter_id in wanted if letter_id not in known]
    if missing:
        raise UsageError(f"no dead letter {missing[0]!r}; `storyhash dead-letters list` shows them")
    return [known[letter_id] for letter_id in wanted]


def _told(letter_id: str, received: Received, *, replayed: bool) -> DeadLetter:
    return DeadLetter(
        letter_id=letter_id,
        stage=_header(received, "stage"),
        reason=_header(received, "reason"),
        explanation=_header(received, "explanation"),
        traceback_hash=_header(received, "traceback-hash"),
        failed_at=float(_header(received, "failed-at") or 0),
        replayed=replayed,
        message=received,
    )


def _header(received: Received, name: str) -> str:
    return (received.header(f"{_MARK}{name}") or b"").decode("utf-8", "replace")


def _letter_id(received: Received) -> str:
    return f"{received.topic}/{received.partition}/{received.offset}"


def _parse(letter_id: str) -> tuple[str, int, int]:
    found = _ADDRESS.match(letter_id)
    if found is None:
        raise UsageError(f"{letter_id!r}: expected TOPIC/PARTITION/OFFSET")
    return found[1], int(found[2]), int(found[3])
