"""SSCD, Meta's network made for copy detection (Pizzi et al., CVPR 2022)."""

from embedder.visual.sscd.backend import SscdBackend
from embedder.visual.sscd.weights import available, weights_path

__all__ = ["SscdBackend", "available", "weights_path"]
