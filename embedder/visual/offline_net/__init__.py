"""A 512-d picture descriptor without a download: our own small convolutional network, trained on drawn
pictures and free photographs (scripts/train_offline; docs/offline_network.md)."""

from embedder.visual.offline_net.backend import OfflineNetBackend

__all__ = ["OfflineNetBackend"]
