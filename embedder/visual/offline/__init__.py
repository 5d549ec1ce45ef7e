"""A 512-d picture descriptor that needs no download: hand-made features, projected by a discriminant
analysis that was fitted on procedural pictures alone (scripts/fit_offline.py)."""

from embedder.visual.offline.backend import OfflineBackend

__all__ = ["OfflineBackend"]
