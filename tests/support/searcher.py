"""What a searcher answers, to compare it with another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from common.types import Float32Array
from storyhash.client import Client
from storyhash.client.retries import NO_RETRIES
from tests.support.services import Service


@dataclass
class Answers:
    """What a searcher answers about its complete catalogue, to compare two searchers."""

    videos: dict[str, tuple[str, int, int]]
    vectors: int
    hits: list[dict[str, float]]
    matches: dict[str, tuple[str, list[tuple[str, float]]]] = field(default_factory=dict)

    @property
    def segments(self) -> int:
        return sum(count for _, count, _ in self.videos.values())

    def differences(self, other: Answers, tolerance: float = 1e-4) -> list[str]:
        """Descriptions of the differences from another's answers; empty if there are none."""
        found = [
            f"video {video_id}: {self.videos.get(video_id)} and {other.videos.get(video_id)}"
            for video_id in sorted(self.videos.keys() | other.videos.keys())
            if self.videos.get(video_id) != other.videos.get(video_id)
        ]
        if self.vectors != other.vectors:
            found.append(f"vectors: {self.vectors} and {other.vectors}")
        for number, (mine, theirs) in enumerate(zip(self.hits, other.hits, strict=True)):
            # Hits with equal scores at the end of the list are in arbitrary order, so they are not
            # compared.
            least = max(min(mine.values(), default=0), min(theirs.values(), default=0)) + tolerance
            first = {name for name, score in mine.items() if score > least}
            second = {name for name, score in theirs.items() if score > least}
            if first != second:
                found.append(f"query {number}: {sorted(first ^ second)[:3]} in one alone")
            elif any(abs(mine[name] - theirs[name]) > tolerance for name in first):
                found.append(f"query {number}: the same segments with other scores")
        for video_id, (decision, ranked) in self.matches.items():
            others, there = other.matches[video_id]
            mine, theirs = dict(ranked), dict(there)
            # Among many equally similar candidates, it is arbitrary which ones are compared.
            apart = [
                sorted(score for name, score in one.items() if name not in two)
                for one, two in ((mine, theirs), (theirs, mine))
            ]
            shared = [abs(mine[name] - theirs[name]) for name in mine.keys() & theirs.keys()]
            if decision != others or len(apart[0]) != len(apart[1]):
                found.append(f"match {video_id}: {decision} {ranked} and {others} {there}")
                continue
            shared += [abs(one - two) for one, two in zip(*apart, strict=True)]
            if max(shared, default=0.0) > tolerance:
                found.append(f"match {video_id}: scores are up to {max(shared):.2g} apart")
        return found


def client_of(service: Service) -> Client:
    """A client that sends nothing twice. Raises RuntimeError if the service does not listen."""
    return Client(service.url, timeout_seconds=300, retries=NO_RETRIES)


def answers_of(
    service: Service, vectors: Float32Array, matched: Iterable[str] = (), *, k: int = 20
) -> Answers:
    """Everything that is compared: rows, nearest segments, and the matches of the videos `matched`."""
    live = service.metric("storyhash_index_vectors", state="live")
    with client_of(service) as client:
        rows: dict[str, tuple[str, int, int]] = {
            row.video_id: (row.state, row.segments, row.uninformative_segments)
            for row in client.all_videos(limit=500)
        }
        hits = [
            {hit.segment_id: hit.score for hit in found}
            for found in client.search(vectors, k=k).items
        ]
        answers = Answers(rows, int(live), hits)
        for video_id in matched:
            report = client.match(video_id=video_id)
            ranked = [(one.video_id, one.score) for one in report.matches]
            answers.matches[video_id] = report.decision, sorted(ranked)
        return answers
