"""The one way a matcher is made, for one process and over Kafka alike."""

from __future__ import annotations

from common.settings import MatchingSettings
from searcher.local_index import LocalIndex
from searcher.matching.calibration import load_calibration
from searcher.matching.matcher import Matcher
from searcher.matching.policy import policies


def matcher_over(index: LocalIndex, visual: str, settings: MatchingSettings) -> Matcher:
    """The matcher of an index whose vectors a visual backend made; a calibration that was not measured is
    noted among the index' notices."""
    calibration = load_calibration(visual, settings.calibration)
    if not calibration.measured:
        index.notices.append(
            f"the calibration {calibration.version} was not measured on real copies: the "
            "order of matches is meaningful, their probabilities are not"
        )
    return Matcher(index, index.manifest.model_id, calibration, policies(calibration, settings))
