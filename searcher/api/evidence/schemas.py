"""The JSON of an evidence pack, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.http.schema import Schema
from searcher.api.curation.exception_schemas import ExceptionItem
from searcher.api.review.stored_match_schemas import StoredMatchItem

Side = Literal["query", "reference"]


class EvidenceFile(Schema):
    """The file of one side. `sha256` is null if it is not known, and `note` says why. `read`: whether the
    hash was computed now, from a file on this machine; that of an upload was computed when it came in."""

    side: Side
    uri: str
    sha256: str | None
    bytes: int | None
    read: bool
    note: str


class EvidencePicture(Schema):
    """A moment of a pair of query window and segment that decided. `picture` is WebP in base64, `sha256`
    the hash of its bytes; both are null without a thumbnail, which lies at `picture_seconds`."""

    side: Side
    seconds: float
    picture_seconds: float | None
    sha256: str | None
    picture: str | None = Field(json_schema_extra={"contentEncoding": "base64"})


class EvidencePair(Schema):
    """A pair that decided; `range` is the number of its range, from 0."""

    range: int
    similarity: float
    pictures: list[EvidencePicture]


class EvidenceModel(Schema):
    """What made the vectors, and what made probabilities of their similarity."""

    model_id: str
    calibration: str


class EvidencePack(Schema):
    """All that is known of one match. `words` says the same for people."""

    made_at: str
    made_by: str
    words: list[str]
    model: EvidenceModel
    files: list[EvidenceFile]
    pairs: list[EvidencePair]
    exceptions: list[ExceptionItem]
    match: StoredMatchItem
