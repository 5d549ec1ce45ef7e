"""Groups videos that are copies of one another, from what each two of them share.

Two videos are copies if their shared ranges cover at least `share` of both, which is more than half. The
groups are the connected components of this relation. Because of the "more than half", a video made from
two unrelated videos cannot join them: two videos that each share more than half of a third one have a
part of it in common. If only the shorter video is covered that much, it is an excerpt: it is listed with
each group that contains it and does not join groups. All other shared content is a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from storyhash.duplicates.overlaps import Overlap

DEFAULT_SHARE = 0.6
"""Minimum coverage: of both videos for copies, of the shorter one for an excerpt."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Copies of one another, with the videos that contain a part of them or lie in them.

    copies: ids, at least one. excerpts: ids of shorter videos that lie in one of the copies. overlaps: of
    each pair among these that shares something. parts: overlaps with or between other videos that share a
    part with a copy.
    """

    copies: tuple[str, ...]
    excerpts: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    parts: tuple[Overlap, ...]

    @property
    def videos(self) -> frozenset[str]:
        """Ids of all videos in the group."""
        ends = {end for one in self.parts for end in (one.first, one.second)}
        return frozenset({*self.copies, *self.excerpts} | ends)


class Components:
    """Union-find over names. At first each name is a component of its own."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def root(self, name: str) -> str:
        """The representative of the component of a name."""
        root = name
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while (parent := self._parents.get(name, name)) != root:
            self._parents[name] = root
            name = parent
        return root

    def join(self, one: str, other: str) -> None:
        """Join two components. The smaller root is kept, so the order of the arguments does not
        matter."""
        low, high = sorted((self.root(one), self.root(other)))
        self._parents[high] = low

    def members(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The names by root, sorted."""
        found: dict[str, list[str]] = {}
        for name in sorted(names):
            found.setdefault(self.root(name), []).append(name)
        return found


def are_copies(overlap: Overlap, share: float = DEFAULT_SHARE) -> bool:
    """Whether two videos are copies: `share` of both is covered. share: above 0.5, at most 1."""
    return min(overlap.first_coverage, overlap.second_coverage) >= share


def grouped(
    overlaps: Iterable[Overlap], durations: Mapping[str, float], share: float = DEFAULT_SHARE
) -> list[DuplicateGroup]:
    """Groups of two or more copies, largest first, then single videos with excerpts or shared parts.
    Every overlap is in at least one group, and a copy is in exactly one.

    overlaps: one per pair of videos. durations: seconds by video id. Raises ValueError if `share` is not
    above 0.5 and at most 1.
    """
    if not 0.5 < share <= 1.0:
        raise ValueError(f"share: expected above 0.5, at most 1, got {share}")
    pairs = sorted(overlaps, key=lambda one: (one.first, one.second))
    components = Components()
    for one in pairs:
        if are_copies(one, share):
            components.join(one.first, one.second)
    members = components.members({end for one in pairs for end in (one.first, one.second)})
    of_video: dict[str, list[Overlap]] = {}
    for one in pairs:
        for end in (one.first, one.second):
            of_video.setdefault(end, []).append(one)

    def length(root: str) -> float:
        return max(durations[name] for name in members[root])

    # Groups first, then single videos by length, so that an excerpt is listed with the video that
    # contains it.
    order = sorted(members, key=lambda root: (-min(2, len(members[root])), -length(root), root))
    given: set[tuple[str, str]] = set()
    groups = []
    for root in order:
        touching = [one for name in members[root] for one in of_video[name]]
        new = any((one.first, one.second) not in given for one in touching)
        if len(members[root]) > 1 or new:
            group = _group(members[root], of_video, durations, share)
            groups.append(group)
            given.update((one.first, one.second) for one in (*group.overlaps, *group.parts))
    return sorted(groups, key=lambda one: (-len(one.copies), -len(one.excerpts), one.copies))


def _group(
    copies: list[str],
    of_video: Mapping[str, list[Overlap]],
    durations: Mapping[str, float],
    share: float,
) -> DuplicateGroup:
    inside = set(copies)
    touching = [one for name in copies for one in of_video[name]]
    excerpts = {
        shorter
        for one in touching
        if (shorter := _excerpt(one, durations, share)) is not None and shorter not in inside
    }
    listed = inside | excerpts
    around = listed | {end for one in touching for end in (one.first, one.second)}
    # Includes what excerpts and other videos share with one another, once each.
    pairs = sorted(
        {
            (one.first, one.second): one
            for name in around
            for one in of_video[name]
            if {one.first, one.second} <= around
        }.items()
    )
    return DuplicateGroup(
        tuple(copies),
        tuple(sorted(excerpts)),
        tuple(one for _, one in pairs if {one.first, one.second} <= listed),
        tuple(one for _, one in pairs if not {one.first, one.second} <= listed),
    )


def _excerpt(one: Overlap, durations: Mapping[str, float], share: float) -> str | None:
    """The shorter video if at least `share` of it is covered and the two are not copies; otherwise
    None."""
    if are_copies(one, share):
        return None
    shorter = min((one.first, one.second), key=lambda name: (durations[name], name))
    return shorter if one.coverage_of(shorter) >= share else None
