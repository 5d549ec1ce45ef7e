"""SAM 2 as a mask segmenter."""

from __future__ import annotations

from common.settings import DeviceSettings, Sam2Settings
from embedder.device import check_device
from embedder.tracking.objects import ObjectTracker
from embedder.tracking.proposals import Proposer
from embedder.tracking.sam2.network import open_network
from embedder.tracking.sam2.session import Sam2Session
from embedder.weights.checksum import weights_checksum
from embedder.weights.hub import SAM2, Weights, find_weights


class Sam2Segmenter:
    """Creates sessions over one SAM 2 network. See `MaskSegmenter`."""

    def __init__(self, settings: Sam2Settings, device: DeviceSettings) -> None:
        """Load the weights. Raises the errors of `check_sam2` and `open_network`."""
        weights = check_sam2(settings, device)
        self.network = open_network(weights, settings.image_size, device)
        self.fingerprint = f"sam2 {weights_checksum(weights.file)} {self.network.image_size} px"

    def start(self, moments: int) -> Sam2Session:
        """See `MaskSegmenter.start`."""
        return Sam2Session(self.network, moments)


def check_sam2(settings: Sam2Settings, device: DeviceSettings) -> Weights:
    """Check weights and device without importing torch.

    Raises WeightsMissingError, WeightsDamagedError, WrongModelError or DeviceError.
    """
    weights = find_weights(SAM2, settings.model, settings.revision)
    check_device(device)
    return weights


def sam2_tracker(settings: Sam2Settings, device: DeviceSettings) -> ObjectTracker:
    """The tracker of the paper. Raises the errors of `Sam2Segmenter`."""
    proposer = Proposer(settings.min_predicted_iou, settings.min_stability)
    return ObjectTracker(
        "sam2", Sam2Segmenter(settings, device), proposer, settings.frames_per_second
    )
