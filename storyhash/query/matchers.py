"""Builds matchers, for one process and over Kafka."""

from __future__ import annotations

from common.errors import SettingsError
from common.settings import MatchingSettings
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.calibration import load_calibration
from searcher.matching.scoring.policy import policies
from searcher.video_index import VideoIndex


def check_banks(index: VideoIndex, settings: MatchingSettings) -> None:
    """Raises SettingsError where the settings name a bank that the catalogue does not have; an empty
    catalogue may get any bank."""
    if message := _unknown_bank(index, settings):
        raise SettingsError(
            f"STORYHASH_MATCHING__BANKS: {message}; correct the name, or index its videos first"
        )


def _unknown_bank(index: VideoIndex, settings: MatchingSettings) -> str:
    if not settings.banks or not index.videos.banks():
        return ""
    unknown = [bank for bank in settings.banks if not index.videos.has_bank(bank)]
    return index.videos.without_bank(unknown[0]) if unknown else ""


def matcher_over(index: VideoIndex, visual: str, settings: MatchingSettings) -> Matcher:
    """The matcher of an index whose vectors a visual backend made; a calibration that was not measured is
    noted among the index' notices, and so is a bank of the settings that the catalogue does not have."""
    if message := _unknown_bank(index, settings):
        index.notices.append(f"STORYHASH_MATCHING__BANKS: {message}")
    calibration = load_calibration(visual, settings.calibration)
    if not calibration.measured:
        index.notices.append(
            f"the calibration {calibration.version} was not measured on real copies: the "
            "order of matches is meaningful, their probabilities are not"
        )
    return Matcher(index, index.manifest.model_id, calibration, policies(calibration, settings))
