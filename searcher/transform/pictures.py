"""Which pictures are compared: how large, and at which times."""

from __future__ import annotations

QUERY_SIDE = 360
"""Pixels of the short side. A picture in a picture may be a quarter of it."""
REFERENCE_SIDE = 240
