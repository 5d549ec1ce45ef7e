"""Tracks objects with any segmenter, without prompts by a user: proposes, numbers and measures them.

At the first picture of every scene, objects are proposed where something moves and then on a grid. Once
per second, moving regions that no object covers are proposed too. An object that was lost keeps its
number if it is proposed again; it is recognised by its colours and size.
"""

from __future__ import annotations

import numpy as np

from common.resize import shrink
from common.types import BoolArray, Float32Array, Float64Array, FrameBatch, Tracks, UInt8Array
from embedder.tracking.appearance import Appearance, colours_of
from embedder.tracking.flow import FlowFinder, is_cut, moving_points, small_grey
from embedder.tracking.mask_segmenter import NOTHING, Masks, MaskSegmenter, MaskSession
from embedder.tracking.proposals import Proposal, Proposer, pairwise_iou

MAX_THINGS = 8
# The grid leaves places for objects that move or appear later.
_MAX_FROM_GRID = 6
_PROPOSE_EVERY_SECONDS = 1.0
_MIN_PRESENCE = 0.5
_MIN_AREA_SHARE = 0.0005
# Two followed objects whose masks overlap more than this are treated as one.
_MERGED_IOU = 0.8
# A track of fewer moments does not describe motion.
_MIN_MOMENTS = 2


class ObjectTracker:
    """Follows at most 8 objects through a part of a video with a segmenter. See `Tracker`."""

    def __init__(
        self, name: str, segmenter: MaskSegmenter, proposer: Proposer, frames_per_second: float
    ) -> None:
        self.name = name
        self.frames_per_second = frames_per_second
        self._segmenter = segmenter
        self._proposer = proposer
        self.fingerprint = (
            f"objects-1 {segmenter.fingerprint} {frames_per_second} fps "
            f"iou {proposer.min_predicted_iou} stability {proposer.min_stability}"
        )

    def track(self, batch: FrameBatch) -> Tracks:
        """See `Tracker.track`. A cut starts new proposals; an object that returns after it keeps its
        number."""
        frames, times = batch.frames, batch.pts_seconds
        record = _Record(len(frames), frames.shape[1:3])
        if len(frames) < 2:
            return record.tracks(times)
        objects = _TrackedObjects(self._segmenter.start(len(frames)), self._proposer)
        greys = [small_grey(frame) for frame in frames]
        # Whether a scene begins at each moment. The last value stands for the end.
        begins = [True, *map(is_cut, greys, greys[1:]), True]
        finder = FlowFinder()
        proposed_at = -np.inf
        for moment, frame in enumerate(frames):
            objects.look(frame)
            if begins[moment] or times[moment] - proposed_at >= _PROPOSE_EVERY_SECONDS - 1e-6:
                # Moving points of this picture come from the flow to the next one.
                points = (
                    np.zeros((0, 2))
                    if begins[moment + 1]
                    else moving_points(greys[moment], greys[moment + 1], finder)
                )
                objects.propose(points, with_grid=begins[moment])
                proposed_at = times[moment]
            record.add(moment, objects)
        return record.tracks(times)


class _TrackedObjects:
    """The followed objects and their state in the current picture."""

    def __init__(self, session: MaskSession, proposer: Proposer) -> None:
        self._session = session
        self._proposer = proposer
        self._appearances: list[Appearance] = []
        self._picture: UInt8Array = np.zeros((1, 1, 3), np.uint8)
        self.masks: Masks = NOTHING
        self.present: BoolArray = np.zeros(0, dtype=bool)

    def look(self, picture: UInt8Array) -> None:
        self._picture = picture
        self._take(self._session.look(picture))

    def propose(self, points: Float64Array, *, with_grid: bool) -> None:
        """Start to follow new objects at moving points and on the grid, up to MAX_THINGS in total."""
        masks = list(self.masks.inside[self.present])
        absent = np.flatnonzero(~self.present)
        # A lost object may return under its number, so it uses no place.
        limit = MAX_THINGS - len(masks)
        proposals = self._proposer.moving(self._session, points, masks, limit)
        if with_grid:
            covered = [*masks, *(proposal.mask for proposal in proposals)]
            proposals += self._proposer.still(self._session, covered, _MAX_FROM_GRID - len(covered))
        numbers, chosen = self._number(proposals, absent.tolist())
        if numbers:
            places = np.stack([proposal.point for proposal in chosen])
            self._take(self._session.follow(numbers, places))

    def _number(
        self, proposals: list[Proposal], absent: list[int]
    ) -> tuple[list[int], list[Proposal]]:
        """The number of each proposal: that of a lost object that looks like it, otherwise the next free
        number. Returns the numbers, and the proposals that got one."""
        numbers: list[int] = []
        chosen: list[Proposal] = []
        following = len(self._appearances)
        small = self._shrunk(proposals[0].mask) if proposals else self._picture
        for proposal in proposals:
            colours = colours_of(small, proposal.mask)
            share = float(proposal.mask.mean())
            likeness = {
                number: self._appearances[number].likeness(colours, share) for number in absent
            }
            best = max(likeness, key=lambda number: likeness[number], default=None)
            if best is not None and likeness[best] > 0:
                absent.remove(best)
                numbers.append(best)
            elif following < MAX_THINGS:
                numbers.append(following)
                following += 1
            else:
                continue
            chosen.append(proposal)
        return numbers, chosen

    def _take(self, masks: Masks) -> None:
        self.masks = masks
        inside = masks.inside
        share = inside.mean(axis=(1, 2))
        self.present = (masks.trust >= _MIN_PRESENCE) & (share >= _MIN_AREA_SHARE)
        self._part_merged(inside)
        while len(self._appearances) < len(self.present):
            self._appearances.append(Appearance())
        present = np.flatnonzero(self.present)
        small = self._shrunk(inside[0]) if len(present) else self._picture
        for number in present:
            colours = colours_of(small, inside[number])
            self._appearances[number].update(colours, float(share[number]))

    def _part_merged(self, inside: BoolArray) -> None:
        """If two objects have nearly the same mask, mark the younger one as not present."""
        overlap = pairwise_iou(inside)
        for younger in range(1, len(overlap)):
            older = self.present[:younger] & (overlap[younger, :younger] > _MERGED_IOU)
            self.present[younger] &= not older.any()

    def _shrunk(self, mask: BoolArray) -> UInt8Array:
        """The picture, scaled to the size of a mask; all masks of a picture have the same size."""
        return shrink(self._picture, mask.shape[1], mask.shape[0])


class _Record:
    """Collects centroids (in fractions of the diagonal) and areas (in fractions of its square)."""

    def __init__(self, moments: int, size: tuple[int, ...]) -> None:
        self._height, self._width = size
        self._diagonal = float(np.hypot(self._height, self._width))
        self._centroids = np.zeros((moments, MAX_THINGS, 2), dtype=np.float32)
        self._areas = np.zeros((moments, MAX_THINGS), dtype=np.float32)
        self._visible = np.zeros((moments, MAX_THINGS), dtype=bool)
        self._sureness: list[Float32Array] = []

    def add(self, moment: int, objects: _TrackedObjects) -> None:
        masks = objects.masks
        rows, columns = masks.logits.shape[1:]
        for number in np.flatnonzero(objects.present):
            y, x = np.nonzero(masks.inside[number])
            centre = np.array(
                [(x.mean() + 0.5) / columns * self._width, (y.mean() + 0.5) / rows * self._height]
            )
            self._centroids[moment, number] = centre / self._diagonal
            pixels = len(x) / (rows * columns) * self._width * self._height
            self._areas[moment, number] = pixels / self._diagonal**2
            self._visible[moment, number] = True
        self._sureness.append((masks.trust * masks.stability)[objects.present])

    def tracks(self, times: Float64Array) -> Tracks:
        """The tracks with enough moments. `quality`: the mean of presence times stability over all
        objects at all moments; 0 if there were none."""
        is_long = self._visible.sum(axis=0) >= _MIN_MOMENTS
        sureness = np.concatenate(self._sureness) if self._sureness else np.zeros(0)
        return Tracks(
            self._centroids[:, is_long],
            self._areas[:, is_long],
            self._visible[:, is_long],
            times,
            float(sureness.mean()) if len(sureness) else 0.0,
        )
