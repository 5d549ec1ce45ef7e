"""A row of the catalogue: one video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from common.types import DEFAULT_BANK, CatalogEntry
from searcher.storage.uploads import shown_uri

VideoState: TypeAlias = Literal["pending", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Video:
    """One row. version: the newest complete one, 0 before the first; the numbers of segments are of this
    version.

    uri: it may have a query or credentials until the video is complete, because they are needed to fetch
    it; see `shown_uri`. root: the path given to `index` under which it was found. fingerprint: changes if
    the source changes. The error fields say why a video failed.
    """

    video_id: str
    uri: str
    bank: str = DEFAULT_BANK
    title: str = ""
    version: int = 0
    duration_seconds: float = 0.0
    segments: int = 0
    uninformative_segments: int = 0
    state: VideoState = "pending"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    indexed_at: str = ""
    root: str = ""
    fingerprint: str = ""
    error_code: str = ""
    error_message: str = ""

    @property
    def description(self) -> Description:
        """Bank, title and metadata."""
        return Description(self.bank, self.title, dict(self.metadata))

    @property
    def entry(self) -> CatalogEntry:
        """The video as a catalogue lists it."""
        return CatalogEntry(self.video_id, self.uri, self.bank, self.title, self.metadata)

    def to_json(self) -> dict[str, Any]:
        """The public form, as the API and the command line print it."""
        hidden = {"root", "fingerprint", "error_code", "error_message"}
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in hidden}
        shown["uri"] = shown_uri(self.video_id, self.uri)
        shown["indexed_at"] = self.indexed_at or None
        if self.error_code:
            shown["error"] = {"code": self.error_code, "message": self.error_message}
        return shown


@dataclass(frozen=True, slots=True)
class Description:
    """The description of a video."""

    bank: str
    title: str
    metadata: Mapping[str, Any]


def now(timespec: str = "milliseconds") -> str:
    """The present time in the form of the rows: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
