"""A 512-d picture descriptor without a download: our own small convolutional network, trained on drawn
pictures and free photographs (scripts/train_offline; docs/offline.md)."""

from embedder.visual.offline.backend import OfflineBackend

__all__ = ["OfflineBackend"]
