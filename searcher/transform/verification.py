"""Geometric verification: what compared pictures say about a doubtful match.

Descriptors tell which videos look alike, and keypoints whether one picture was made from the other: in
unrelated pictures hardly a point fits one map, and in copies dozens do, also where the copy is small in
the picture or mixed with another one (J. Sivic and A. Zisserman, "Video Google: A Text Retrieval
Approach to Object Matching in Videos", ICCV 2003, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from common.types import Match
from searcher.matching.scoring.boilerplate import boilerplate_weight
from searcher.matching.scoring.calibration import probability_of
from searcher.matching.scoring.policy import Policy
from searcher.transform.estimate import PictureComparison
from searcher.transform.pictures import PictureKind

Outcome: TypeAlias = Literal["confirmed", "partly_confirmed", "not_confirmed"]

LEAST_PROBABILITY, SURE_PROBABILITY = 2e-4, 0.99
"""A match with a probability from the first to below the second is doubtful. The pictures of less
probable ones are not compared, and those of more probable ones change nothing."""
IMPROBABLE = 0.01
"""Below it, most doubtful matches are non-matches."""
# Log likelihood ratios of a copy against a non-match, from the 210 doubtful matches of edited videos
# (`sscd-motion`, three videos per edit). A map was certain for 62 of 91 copies and for none of 119
# non-matches, counted as half a one. Of the others, _LEAST_FITTING points or more fitted for 12 copies
# and for no non-match (at most 9 did), which is rounded down because look-alikes are rare there; fewer
# fitted for 17 copies.
_LOG_RATIO: dict[Outcome, float] = {
    "confirmed": 5.0,
    "partly_confirmed": 2.0,
    "not_confirmed": -1.7,
}
_LEAST_FITTING = 12
# In a static scene, the background of another video of the same scene fits too. There nearly every part
# of the picture must agree. With thumbnails of both sides, 99.0 % of a terminal agreed with the same with
# one other line of text, and 100 % with a copy (five static scenes, sharp and coded coarsely).
_STATIC_AGREEMENT: dict[PictureKind, float] = {"file": 0.99, "thumbnails": 0.995}
# The reference's thumbnails (160 pixels) instead of pictures of its file, for 108 edited copies and 138
# non-matches (31 look-alikes): of the 102 copies that the file confirmed they confirmed 94, partly 6, and
# 2 not, which is at most 7 % (95 %). No point fitted in a non-match. So a certain map counts the same,
# and of the 91 doubtful copies above at most 17 + 0.07 * 74 are not confirmed.
# Thumbnails of both sides count the same: of 48 copies, most with hard edits, they confirmed 39, partly 4
# and 5 not, and the reference's alone 40, 4 and 4. Of 86 non-matches, three pairs of static scenes had
# more than 4 fitting points; their agreement was at most 0.92.
_THUMBNAILS_DIFFER_LOG_RATIO = -1.4

# A copy of the whole picture may be too dark or too small for any keypoint. Through another view a match
# must be confirmed, because a query has some thirty views, and each may resemble one of many videos by
# chance: so did the two of 312 non-matches that were accepted beside 100,000 further segments
# (`sscd-motion`). None of the 275 copies that were accepted there went to review for this.
_WHOLE_PICTURE = "identity"

# A map that many points fit, and in which nearly all of both pictures agrees: so it was for 75 of 98
# doubtful copies (hard edits, five videos per edit) and for none of 1,005 non-matches, 60 of them
# look-alikes, of which none had more than 7 fitting points.
_AGREEING_LOG_RATIO = 7.3
_AGREEING_POINTS, _AGREEING_SHARE = 24, 0.8


def is_doubtful(match: Match) -> bool:
    """Whether the pictures of a match decide."""
    return LEAST_PROBABILITY <= match.probability < SURE_PROBABILITY


def verified(
    match: Match, comparison: PictureComparison, policy: Policy, pictures: PictureKind = "file"
) -> Match:
    """The match with the probability that it has after its pictures were compared. policy: of its bank.
    pictures: "thumbnails" if those of one side are."""
    limited_by = match.evidence.get("limited_by")
    static = limited_by == "static_scene"
    outcome = _outcome(comparison, pictures, static=static)
    probability = match.probability
    if is_doubtful(match):
        # The pictures of boilerplate are the same: they do not make it less frequent.
        weight = boilerplate_weight(int(match.evidence.get("document_frequency", 1)))
        own = min(probability / weight, SURE_PROBABILITY)
        ratio = _log_ratio(outcome, comparison, pictures, static=static)
        logit = math.log(own / (1.0 - own)) + ratio
        probability = weight * probability_of(logit)
        must_confirm = outcome == "not_confirmed" and match.view != _WHOLE_PICTURE
        if must_confirm and probability > policy.review_limit:
            probability, limited_by = policy.review_limit, "not_confirmed"
    evidence: Mapping[str, Any] = {
        **match.evidence,
        "limited_by": limited_by,
        "verification": {
            "outcome": outcome,
            "pictures": pictures,
            "fitting_points": comparison.fitting,
            "shared_points": comparison.points,
            "agreement": round(comparison.agreement, 3),
            "probability_before": round(match.probability, 4),
        },
    }
    return replace(match, probability=probability, evidence=evidence)


def _log_ratio(
    outcome: Outcome, comparison: PictureComparison, pictures: PictureKind, *, static: bool
) -> float:
    if outcome == "not_confirmed" and pictures == "thumbnails":
        return _THUMBNAILS_DIFFER_LOG_RATIO
    agrees = comparison.fitting >= _AGREEING_POINTS and comparison.agreement >= _AGREEING_SHARE
    if outcome == "confirmed" and agrees and not static:
        return _AGREEING_LOG_RATIO
    return _LOG_RATIO[outcome]


def _outcome(comparison: PictureComparison, pictures: PictureKind, *, static: bool) -> Outcome:
    """static: the match is limited because nothing moves."""
    if comparison.transform is not None:
        if not static or comparison.agreement >= _STATIC_AGREEMENT[pictures]:
            return "confirmed"
        return "not_confirmed"
    if not static and comparison.fitting >= _LEAST_FITTING:
        return "partly_confirmed"
    return "not_confirmed"
