"""A group of duplicates as people and programs read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from common.probability_text import probability_text
from common.uris import public_uri
from searcher.storage.video import Video
from storyhash.duplicates.duplicate_groups import DuplicateGroup
from storyhash.duplicates.file_reading import FileReader
from storyhash.duplicates.overlaps import Overlap, SharedRange
from storyhash.duplicates.ranking import RankedVideo, looked_at

Role: TypeAlias = Literal["copy", "excerpt"]
# Ranges of one pair that are shown to people; JSON has them all.
_SHOWN_RANGES = 4


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One video of a group. overlap: what it shares with `partner`, the best video above it in the group
    that it was matched with; None for the first."""

    rank: int
    role: Role
    ranked: RankedVideo
    partner: GroupRow | None
    overlap: Overlap | None

    @property
    def video(self) -> Video:
        """Of the catalogue."""
        return self.ranked.video

    @property
    def is_best(self) -> bool:
        """Whether it is the one to keep of several copies."""
        return self.rank == 1 and self.ranked.size is not None

    @property
    def ranges(self) -> list[SharedRange]:
        """What it shares with the partner, its own times first."""
        return [] if self.overlap is None else self.overlap.ranges_from(self.video.video_id)

    @property
    def note(self) -> str:
        """What stands behind its name."""
        return " (excerpt)" if self.role == "excerpt" else ""

    @property
    def shared_text(self) -> tuple[str, str]:
        """What it shares with the partner and how probable that is; empty where it has none."""
        if self.partner is None or self.overlap is None:
            return "", ""
        return (
            f"{ranges_text(self.ranges)} of {self.partner.rank}",
            probability_text(self.overlap.probability),
        )


@dataclass(frozen=True, slots=True)
class GroupReport:
    """A group with its videos in order: copies by their picture, then excerpts, the longest first."""

    number: int
    rows: tuple[GroupRow, ...]
    overlaps: tuple[Overlap, ...]
    parts: tuple[Overlap, ...]

    @property
    def heading(self) -> str:
        """What it holds, in a few words."""
        if len(self.rows) == 1:
            return f"{self.number}. A video that shares parts with others"
        copies = sum(row.role == "copy" for row in self.rows)
        kinds = ["1 video" if copies == 1 else f"{copies} copies"]
        if copies < len(self.rows):
            kinds.append(_counted(len(self.rows) - copies, "excerpt"))
        return f"{self.number}. {' and '.join(kinds)}"

    @property
    def shown_parts(self) -> list[Overlap]:
        """Of each video that shares a part with the group, the part it shares with the best one."""
        inside = [row.video.video_id for row in self.rows]
        parts: dict[str, Overlap] = {}
        for name in inside:
            for part in self.parts:
                if name in (part.first, part.second) and part.other(name) not in inside:
                    parts.setdefault(part.other(name), part)
        return [parts[name] for name in sorted(parts)]

    def to_json(self) -> dict[str, Any]:
        """One line of `storyhash duplicates --json`; docs/usage.md describes it."""
        return {
            "group": self.number,
            "videos": [_video_json(row) for row in self.rows],
            "pairs": [_overlap_json(overlap) for overlap in self.overlaps],
            "parts": [_overlap_json(overlap) for overlap in self.parts],
        }


def reported(
    groups: Iterable[DuplicateGroup], videos: Mapping[str, Video], reader: FileReader
) -> Iterator[GroupReport]:
    """The groups in the given order. The files of a group are read when it is produced."""
    for number, group in enumerate(groups, 1):
        copies = sorted(
            (looked_at(videos[name], reader) for name in group.copies),
            key=lambda ranked: ranked.rank,
        )
        excerpts = sorted(
            (looked_at(videos[name], reader) for name in group.excerpts),
            key=lambda ranked: (-ranked.video.duration_seconds, ranked.video.video_id),
        )
        rows = _rows(copies, excerpts, group.overlaps)
        yield GroupReport(number, tuple(rows), group.overlaps, group.parts)


def _rows(
    copies: list[RankedVideo], excerpts: list[RankedVideo], overlaps: Iterable[Overlap]
) -> list[GroupRow]:
    shared: dict[str, dict[str, Overlap]] = {}
    for shared_range in overlaps:
        shared.setdefault(shared_range.first, {})[shared_range.second] = shared_range
        shared.setdefault(shared_range.second, {})[shared_range.first] = shared_range
    rows: list[GroupRow] = []
    for ranked in (*copies, *excerpts):
        partners = shared.get(ranked.video.video_id, {})
        # A copy may be joined to the group through a video that ranks below it.
        partner = next((row for row in rows if row.video.video_id in partners), None)
        overlap = None if partner is None else partners[partner.video.video_id]
        role: Role = "copy" if len(rows) < len(copies) else "excerpt"
        rows.append(GroupRow(len(rows) + 1, role, ranked, partner, overlap))
    return rows


def _video_json(row: GroupRow) -> dict[str, Any]:
    video, size = row.video, row.ranked.size
    return {
        "rank": row.rank,
        "role": row.role,
        "video_id": video.video_id,
        "uri": public_uri(video.uri),
        "bank": video.bank,
        "title": video.title,
        "duration_seconds": round(video.duration_seconds, 3),
        "width": None if size is None else size.width,
        "height": None if size is None else size.height,
        "bytes": None if size is None else size.bytes,
        "bits_per_second": row.ranked.bits_per_second,
        "problem": row.ranked.problem or None,
    }


def _overlap_json(overlap: Overlap) -> dict[str, Any]:
    return {
        "first": overlap.first,
        "second": overlap.second,
        "decision": overlap.decision,
        "probability": round(overlap.probability, 4),
        "first_coverage": round(overlap.first_coverage, 4),
        "second_coverage": round(overlap.second_coverage, 4),
        "ranges": [
            {name: round(value, 3) for name, value in asdict(shared).items()}
            for shared in overlap.ranges
        ],
    }


def ranges_text(ranges: Iterable[SharedRange]) -> str:
    """Ranges as people read them: `0.0-12.5 s = 3.0-15.5 s`, the first few."""
    texts = [
        f"{shared.first_start_seconds:.1f}-{shared.first_end_seconds:.1f} s = "
        f"{shared.second_start_seconds:.1f}-{shared.second_end_seconds:.1f} s"
        for shared in ranges
    ]
    more = len(texts) - _SHOWN_RANGES
    return ", ".join(texts[:_SHOWN_RANGES]) + (f" and {more} more" if more > 0 else "")


def part_text(part: Overlap) -> str:
    """A shared part in words."""
    probability = probability_text(part.probability)
    return f"{part.first}, {ranges_text(part.ranges)} of {part.second}, {probability}"


def picture_text(ranked: RankedVideo) -> str:
    """Size and rate of a video's picture, or why they are unknown."""
    if ranked.size is None:
        return ranked.problem
    rate = ranked.bits_per_second
    size = f"{ranked.size.width}x{ranked.size.height}"
    return size if rate is None else f"{size}, {rate / 1000:.0f} kbit/s"


def bytes_text(count: int) -> str:
    """A number of bytes as people read it."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Totals:
    """What all groups together hold, counted as they come."""

    def __init__(self) -> None:
        self.groups = self.partial = 0
        self._listed: set[str] = set()
        self._best: set[str] = set()
        self._bytes: dict[str, int] = {}

    def add(self, report: GroupReport) -> None:
        """Count one group."""
        if len(report.rows) == 1:
            self.partial += 1
            return
        self.groups += 1
        self._best.add(report.rows[0].video.video_id)
        for row in report.rows:
            self._listed.add(row.video.video_id)
            if row.ranked.size is not None:
                self._bytes[row.video.video_id] = row.ranked.size.bytes

    def __str__(self) -> str:
        """In one line. Bytes are those of every video that is the best of no group."""
        extra = sum(size for name, size in self._bytes.items() if name not in self._best)
        text = (
            f"{_counted(self.groups, 'group')}, {_counted(len(self._listed), 'video')}; all but the best "
            f"video of each group take {bytes_text(extra)}"
            if self.groups
            else "no duplicates found"
        )
        if self.partial:
            text += f"; videos that share only parts with others: {self.partial}"
        return text


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
