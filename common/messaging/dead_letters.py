"""Messages that cannot be used, set aside with the reason, and sent again once it is gone."""

from __future__ import annotations

import hashlib
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import StoryHashError, UsageError
from common.messaging.transport import Headers, Message, Publisher, ReceivedMessage, Transport

_MARK = "dead-letter-"
_REPLAYED = b"replayed"
_LEFT_OUT = b"left-out"
# What stays of a letter however large its original was.
_TOLD = tuple(
    f"{_MARK}{name}"
    for name in (
        *("stage", "reason", "explanation", "traceback-hash"),
        *("topic", "partition", "offset", "failed-at", "value"),
    )
)
_ADDRESS = re.compile(r"^(.+)/(\d+)/(\d+)$")
_MOST_CHARACTERS = 2000
# The year 5138: what claims to be from later is no time of ours.
_LAST_SECONDS = 1e11
# Replayed letters are acknowledged and noted so many together.
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message set aside, without its value: a clip may have megabytes. `letter_id` is where it lay:
    topic/partition/offset.

    key, headers: the original's. value_kept: false when it was too large to be set aside.
    traceback_hash: the same for all that failed in the same way; the traceback is in the service's log.
    """

    letter_id: str
    stage: str
    reason: str
    explanation: str
    traceback_hash: str
    failed_at: float
    replayed: bool
    key: bytes
    headers: Headers
    value_bytes: int
    value_kept: bool

    @property
    def source(self) -> tuple[str, int, int]:
        """Topic, partition and offset of the original."""
        return _parse(self.letter_id)


def dead_letter(topic: str, received: ReceivedMessage, stage: str, error: Exception) -> Message:
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
    }
    # What an error says may hold what is no text, such as a file's name in another encoding.
    marks = (
        (f"{_MARK}{name}", text[:_MOST_CHARACTERS].encode("utf-8", "backslashreplace"))
        for name, text in about.items()
    )
    headers = (*received.headers, *marks, (f"{_MARK}key", received.key))
    return Message(topic, _letter_id(received).encode(), received.value, headers)


def without_value(letter: Message) -> Message:
    """A dead letter that would be too large with its value, which stays where it lay while it is kept."""
    return replace(letter, value=b"", headers=(*letter.headers, (f"{_MARK}value", _LEFT_OUT)))


def without_original(letter: Message) -> Message:
    """One that would be too large without its value too: where the message lay, and why, alone."""
    told = dict(letter.headers)
    marks = tuple((name, told[name]) for name in _TOLD if name in told)
    return replace(letter, headers=marks)


def reason_of(error: Exception) -> str:
    """An error's code, or `internal` for one nobody foresaw."""
    return error.code if isinstance(error, StoryHashError) else "internal"


def traceback_hash(error: Exception) -> str:
    """Twelve hex digits of where an error came from: its type, and file and function of each frame,
    wherever the files lie."""
    frames = traceback.extract_tb(error.__traceback__)
    told = [type(error).__name__]
    told += [f"{Path(frame.filename).name}:{frame.name}" for frame in frames]
    return hashlib.blake2b("\n".join(told).encode(), digest_size=6).hexdigest()


def read_dead_letters(transport: Transport, topic: str) -> list[DeadLetter]:
    """Every dead letter that is still kept, oldest first; one set aside twice is told once."""
    letters: dict[str, DeadLetter] = {}
    replayed: set[str] = set()
    for received in transport.scan(topic):
        letter = _told(received)
        if letter is not None:
            letters.setdefault(letter.letter_id, letter)
        elif received.header(f"{_MARK}state") == _REPLAYED:
            replayed.add(received.key.decode("utf-8", "replace"))
    told = (replace(one, replayed=one.letter_id in replayed) for one in letters.values())
    return sorted(told, key=lambda one: one.failed_at)


def replay(
    transport: Transport,
    publisher: Publisher,
    topic: str,
    letters: Sequence[DeadLetter],
    allowed: Callable[[str], bool],
) -> Iterator[DeadLetter]:
    """Send each back to where it came from and note that it was; yields each once that is durable.

    One that cannot be used still comes back as a new dead letter. A letter says itself where it came
    from; `allowed` tells which topics it may go to. Raises UsageError for one that came from elsewhere
    or whose value is not kept, BrokerError.
    """
    foreign = [one for one in letters if not allowed(one.source[0])]
    if foreign:
        raise UsageError(
            f"{foreign[0].letter_id}: topic {foreign[0].source[0]!r} is not a StoryHash "
            "topic, so nothing is sent to it; name the other dead letters to replay them"
        )
    too_large = [letter.letter_id for letter in letters if not letter.value_kept]
    if too_large:
        raise UsageError(
            f"{too_large[0]} was too large to be stored; send its video again (storyhash "
            "ingest --again)"
        )
    wanted = {letter.letter_id for letter in letters}
    sent: list[DeadLetter] = []
    for received in transport.scan(topic):
        letter = _told(received)
        if letter is None or letter.letter_id not in wanted:
            continue
        wanted.remove(letter.letter_id)
        source, partition, _ = letter.source
        publisher.publish(
            Message(source, letter.key, received.value, letter.headers, partition=partition)
        )
        sent.append(letter)
        if len(sent) == _AT_ONCE:
            yield from _noted(publisher, topic, sent)
            sent = []
    yield from _noted(publisher, topic, sent)
    if wanted:
        raise UsageError(
            f"dead letter {min(wanted)!r} has expired; send its video again (storyhash ingest "
            "--again)"
        )


def find_letters(letters: Iterable[DeadLetter], wanted: Iterable[str]) -> list[DeadLetter]:
    """Those with these ids. Raises UsageError for one that is not there."""
    known = {letter.letter_id: letter for letter in letters}
    missing = [letter_id for letter_id in wanted if letter_id not in known]
    if missing:
        raise UsageError(f"no dead letter {missing[0]!r}; `storyhash dead-letters list` shows them")
    return [known[letter_id] for letter_id in wanted]


def _noted(publisher: Publisher, topic: str, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Have what was sent acknowledged, then that it was sent."""
    publisher.flush()
    for letter in letters:
        mark = ((f"{_MARK}state", _REPLAYED),)
        publisher.publish(Message(topic, letter.letter_id.encode(), b"", mark))
    publisher.flush()
    return letters


def _told(received: ReceivedMessage) -> DeadLetter | None:
    """The dead letter in a message of their topic, if it is one."""
    letter_id = received.key.decode("utf-8", "replace")
    failed_at = _seconds(_header(received, "failed-at"))
    if (
        received.header(f"{_MARK}topic") is None
        or _ADDRESS.match(letter_id) is None
        or failed_at is None
    ):
        return None
    return DeadLetter(
        letter_id=letter_id,
        stage=_header(received, "stage"),
        reason=_header(received, "reason"),
        explanation=_header(received, "explanation"),
        traceback_hash=_header(received, "traceback-hash"),
        failed_at=failed_at,
        replayed=False,
        key=received.header(f"{_MARK}key") or b"",
        headers=tuple(one for one in received.headers if not one[0].startswith(_MARK)),
        value_bytes=len(received.value or b""),
        value_kept=received.header(f"{_MARK}value") != _LEFT_OUT,
    )


def _header(received: ReceivedMessage, name: str) -> str:
    return (received.header(f"{_MARK}{name}") or b"").decode("utf-8", "replace")


def _seconds(told: str) -> float | None:
    """Unix seconds, or None for what is none."""
    try:
        seconds = float(told)
    except ValueError:
        return None
    return seconds if 0 <= seconds < _LAST_SECONDS else None


def _letter_id(received: ReceivedMessage) -> str:
    return f"{received.topic}/{received.partition}/{received.offset}"


def _parse(letter_id: str) -> tuple[str, int, int]:
    found = _ADDRESS.match(letter_id)
    if found is None:
        raise UsageError(f"{letter_id!r}: expected TOPIC/PARTITION/OFFSET")
    return found[1], int(found[2]), int(found[3])
