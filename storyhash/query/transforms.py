"""Builds what compares pictures, for every process that answers queries."""

from __future__ import annotations

from common.settings import MatchingSettings
from searcher.transform.finder import TransformFinder
from storyhash.query.pictures import PictureReader


def transform_finder(reader: PictureReader, settings: MatchingSettings) -> TransformFinder:
    """Compares pictures of files, and of thumbnails where a reference has no file here."""
    return TransformFinder(reader, settings.transform_seconds, thumbnails=reader)
