"""Dead letters: messages that cannot be used, stored with the reason, and their replay."""

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
# The headers of a letter that are always kept, even if the original was very large.
_ENVELOPE_HEADERS = tuple(
    f"{_MARK}{name}"
    for name in (
        *("stage", "reason", "explanation", "traceback-hash"),
        *("topic", "partition", "offset", "failed-at", "value"),
    )
)
_ADDRESS = re.compile(r"^(.+)/(\d+)/(\d+)$")
_MOST_CHARACTERS = 2000
# The year 5138; later times are not valid.
_LAST_SECONDS = 1e11
# Number of replayed letters per flush.
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter without its value, because a clip may have megabytes.

    letter_id: topic/partition/offset of the original. key, headers: of the original. value_kept: false if
    the value was too large to be stored. traceback_hash: equal for equal failures; the traceback is in
    the service's log.
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
    """The dead letter of a message: its value and headers, and the reason."""
    is_ours = isinstance(error, StoryHashError)
    details = {
        "stage": stage,
        "reason": reason_of(error),
        "explanation": str(error) if is_ours else f"{type(error).__name__}: {error}",
        "traceback-hash": traceback_hash(error),
        "topic": received.topic,
        "partition": str(received.partition),
        "offset": str(received.offset),
        "failed-at": repr(time.time()),
    }
    # An error's message may not be valid Unicode, for example with a file name in another encoding.
    marks = (
        (f"{_MARK}{name}", text[:_MOST_CHARACTERS].encode("utf-8", "backslashreplace"))
        for name, text in details.items()
    )
    headers = (*received.headers, *marks, (f"{_MARK}key", received.key))
    return Message(topic, _letter_id(received).encode(), received.value, headers)


def without_value(letter: Message) -> Message:
    """The letter without its value, if it is too large with it. The original topic still has the value
    until it expires."""
    return replace(letter, value=b"", headers=(*letter.headers, (f"{_MARK}value", _LEFT_OUT)))


def without_original(letter: Message) -> Message:
    """The letter without value and original headers, if it is too large even without its value."""
    headers = dict(letter.headers)
    marks = tuple((name, headers[name]) for name in _ENVELOPE_HEADERS if name in headers)
    return replace(letter, headers=marks)


def reason_of(error: Exception) -> str:
    """An error's code, or `internal` for an unexpected error."""
    return error.code if isinstance(error, StoryHashError) else "internal"


def traceback_hash(error: Exception) -> str:
    """Hash of an error's origin, 12 hexadecimal digits: its type, and the file name and function of each
    frame."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [type(error).__name__]
    places += [f"{Path(frame.filename).name}:{frame.name}" for frame in frames]
    return hashlib.blake2b("\n".join(places).encode(), digest_size=6).hexdigest()


def read_dead_letters(transport: Transport, topic: str) -> list[DeadLetter]:
    """Every dead letter that has not expired, oldest first, without duplicates."""
    letters: dict[str, DeadLetter] = {}
    replayed: set[str] = set()
    for received in transport.scan(topic):
        letter = _to_dead_letter(received)
        if letter is not None:
            letters.setdefault(letter.letter_id, letter)
        elif received.header(f"{_MARK}state") == _REPLAYED:
            replayed.add(received.key.decode("utf-8", "replace"))
    marked = (replace(letter, replayed=letter.letter_id in replayed) for letter in letters.values())
    return sorted(marked, key=lambda letter: letter.failed_at)


def replay(
    transport: Transport,
    publisher: Publisher,
    topic: str,
    letters: Sequence[DeadLetter],
    allowed: Callable[[str], bool],
) -> Iterator[DeadLetter]:
    """Send each letter back to its topic and mark it as replayed; yields each once this is durable.

    A message that still cannot be used becomes a new dead letter. The letter itself names its topic;
    `allowed` says whether this topic is allowed. Raises UsageError for another topic or a letter without
    its value, BrokerError.
    """
    foreign = [letter for letter in letters if not allowed(letter.source[0])]
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
    unsent = {letter.letter_id for letter in letters}
    sent: list[DeadLetter] = []
    for received in transport.scan(topic):
        letter = _to_dead_letter(received)
        if letter is None or letter.letter_id not in unsent:
            continue
        unsent.remove(letter.letter_id)
        source, partition, _ = letter.source
        publisher.publish(
            Message(source, letter.key, received.value, letter.headers, partition=partition)
        )
        sent.append(letter)
        if len(sent) == _AT_ONCE:
            yield from _noted(publisher, topic, sent)
            sent = []
    yield from _noted(publisher, topic, sent)
    if unsent:
        raise UsageError(
            f"dead letter {min(unsent)!r} has expired; send its video again (storyhash ingest "
            "--again)"
        )


def find_letters(letters: Iterable[DeadLetter], letter_ids: Iterable[str]) -> list[DeadLetter]:
    """The letters with these ids. Raises UsageError for a missing one."""
    by_id = {letter.letter_id: letter for letter in letters}
    missing = [letter_id for letter_id in letter_ids if letter_id not in by_id]
    if missing:
        raise UsageError(f"no dead letter {missing[0]!r}; `storyhash dead-letters list` shows them")
    return [by_id[letter_id] for letter_id in letter_ids]


def _noted(publisher: Publisher, topic: str, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Flush the sent messages, then publish and flush their marks."""
    publisher.flush()
    for letter in letters:
        mark = ((f"{_MARK}state", _REPLAYED),)
        publisher.publish(Message(topic, letter.letter_id.encode(), b"", mark))
    publisher.flush()
    return letters


def _to_dead_letter(received: ReceivedMessage) -> DeadLetter | None:
    """The dead letter in a message, or None."""
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
        headers=tuple(header for header in received.headers if not header[0].startswith(_MARK)),
        value_bytes=len(received.value or b""),
        value_kept=received.header(f"{_MARK}value") != _LEFT_OUT,
    )


def _header(received: ReceivedMessage, name: str) -> str:
    return (received.header(f"{_MARK}{name}") or b"").decode("utf-8", "replace")


def _seconds(text: str) -> float | None:
    """Unix seconds, or None if it is no valid time."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < _LAST_SECONDS else None


def _letter_id(received: ReceivedMessage) -> str:
    return f"{received.topic}/{received.partition}/{received.offset}"


def _parse(letter_id: str) -> tuple[str, int, int]:
    match = _ADDRESS.match(letter_id)
    if match is None:
        raise UsageError(f"{letter_id!r}: expected TOPIC/PARTITION/OFFSET")
    return match[1], int(match[2]), int(match[3])
