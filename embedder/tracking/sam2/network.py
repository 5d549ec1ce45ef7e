"""A loaded SAM 2 or EdgeTAM video model: one instance per process, shared by all sessions."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DependencyError, WrongModelError
from common.settings import DeviceSettings
from common.types import Float32Array, Float64Array, UInt8Array
from embedder.device import Device
from embedder.golden_image import sample_pictures
from embedder.weights.hub import SAM2, Weights
from embedder.weights.loader import load_pretrained, loading

# Points decoded at once. Each has three masks.
_POINTS_AT_ONCE = 16
# `model_type` in config.json to the prefix of transformers' class names.
_FAMILIES = {"sam2_video": "Sam2Video", "edgetam_video": "EdgeTamVideo"}

# The same random projection of positions for prompts and pictures. Older files contain it once.
_TWINS = {
    "prompt_encoder.shared_embedding.positional_embedding": (
        "shared_image_embedding.positional_embedding"
    )
}


class Sam2Network:
    """The model, with the steps that a session needs."""

    def __init__(self, folder: Path, kind: str, size: int | None, settings: DeviceSettings) -> None:
        import torch
        import transformers

        self._torch = torch
        self.device = Device(settings)
        family = _FAMILIES[kind]
        model_class = getattr(transformers, f"{family}Model")
        config = model_class.config_class.from_pretrained(folder, local_files_only=True)
        if size is not None and size != config.image_size:
            _resize(config, kind, size)
        model = load_pretrained(model_class, folder, twins=_TWINS, config=config)
        self.model = self.device.place(model)
        self._session_class = getattr(transformers, f"{family}InferenceSession")
        self.image_size: int = config.image_size
        self._processor = transformers.Sam2VideoVideoProcessor(
            size={"height": self.image_size, "width": self.image_size}
        )
        # Each picture uses the memories of this many earlier pictures, and the object pointers of more.
        self.memory_reach: int = config.num_maskmem
        self.pointer_reach: int = max(config.num_maskmem, config.max_object_pointers_in_encoder)
        self._points_at_once = _POINTS_AT_ONCE
        self.mixed = False
        self.mixed = self.device.trusts_mixed(self._encode_with)

    def new_state(self, moments: int) -> Any:
        """A session of transformers that knows the number of pictures without holding them."""
        state = _known_length(self._session_class)(
            video=None,
            # Masks stay on the model's grid, so the size of the video is not needed.
            video_height=self.image_size,
            video_width=self.image_size,
            inference_device=self.device.target,
            inference_state_device=self.device.target,
            video_storage_device=self.device.target,
            dtype=self._torch.float32,
        )
        state.moments = moments
        return state

    def prepare(self, picture: UInt8Array) -> Any:
        """A picture uint8 (H, W, 3) as float32 (3, S, S) on the device, prepared by
        Sam2VideoVideoProcessor."""
        frame = self._torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
        prepared = self._processor(frame[None], return_tensors="pt", device=self.device.target)
        return prepared["pixel_values_videos"][0, 0]

    def prompt(self, point: Float64Array) -> dict[str, Any]:
        """One click inside an object, in the form of transformers' sessions. point: float64 (2,),
        fractions."""
        coordinates = self._torch.tensor(point * self.image_size, dtype=self._torch.float32)
        return {
            "point_coords": coordinates.reshape(1, 1, 1, 2),
            "point_labels": self._torch.ones(1, 1, 1, dtype=self._torch.int32),
        }

    def propagate(self, state: Any, moment: int) -> tuple[Float32Array, Float32Array]:
        """Logits, float32 (N, h, w), and presence probability, float32 (N,), of all objects at a
        moment."""
        with self.device.memory_told(), self._running():
            output = self.model(state, frame_idx=moment)
            logits = output.pred_masks.flatten(0, -3).float().cpu().numpy()
            presence = output.object_score_logits.float().sigmoid().flatten().cpu().numpy()
        return logits, presence

    def embeddings(self, state: Any, moment: int) -> list[Any]:
        """Feature maps of a picture for the mask decoder, fine to coarse. They are computed once per
        picture."""
        with self.device.memory_told(), self._running():
            cached = state.cache.get_vision_features(moment)
            if cached is None:
                image = state.get_frame(moment).unsqueeze(0)
                features = self.model.get_image_features(image, return_dict=True)
                cached = {
                    "vision_feats": features.fpn_hidden_states,
                    "vision_pos_embeds": features.fpn_position_encoding,
                }
                state.cache.cache_vision_features(moment, cached)
            maps = [
                feature.permute(1, 2, 0).view(1, -1, *size)
                for feature, size in zip(
                    cached["vision_feats"], self.model.backbone_feature_sizes, strict=True
                )
            ]
            # A newly proposed object has no memory yet.
            nothing = self.model.no_memory_embedding.reshape(1, -1, 1, 1)
            return [*maps[:-1], maps[-1] + nothing]

    def decode_points(
        self, embeddings: list[Any], points: Float64Array
    ) -> tuple[Float32Array, Float32Array]:
        """The mask with the highest predicted IoU at each point: logits, float32 (P, h, w), and that IoU,
        float32 (P,).

        points: float64 (P, 2), xy as fractions. Following a point starts from the same mask.
        """
        decoded, self._points_at_once = self.device.batched(
            lambda some: self._decode(embeddings, some), points, self._points_at_once
        )
        masks, trust = zip(*decoded, strict=True)
        return np.concatenate(masks), np.concatenate(trust)

    def _decode(
        self, embeddings: list[Any], points: Float64Array
    ) -> tuple[Float32Array, Float32Array]:
        torch, model = self._torch, self.model
        with self._running():
            coordinates = torch.tensor(points * self.image_size, dtype=torch.float32)[None, :, None]
            coordinates = coordinates.to(self.device.target)
            labels = torch.ones(
                coordinates.shape[:-1], dtype=torch.int32, device=self.device.target
            )
            sparse, dense = model.get_prompt_embeddings(
                input_points=coordinates, input_labels=labels
            )
            logits, predicted, _, appears = model.mask_decoder(
                image_embeddings=embeddings[-1],
                image_positional_embeddings=model.get_image_wide_positional_embeddings(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
                high_resolution_features=embeddings[:-1],
            )
            best = predicted[0].argmax(dim=-1)
            rows = torch.arange(len(best), device=best.device)
            masks = logits[0, rows, best].float().cpu().numpy()
            trust = predicted[0, rows, best].float().clamp(0, 1)
            is_present = appears.reshape(len(best)) > 0
            return masks, (trust * is_present).cpu().numpy()

    def _encode_with(self, mixed: bool) -> Float32Array:
        """The coarsest feature map of sample pictures, float32 (B, D), to compare precisions."""
        self.mixed = mixed
        rows = []
        for picture in sample_pictures()[:2]:
            with self.device.memory_told(), self._running():
                features = self.model.get_image_features(
                    self.prepare(picture)[None], return_dict=True
                )
                rows.append(features.fpn_hidden_states[-1].float().flatten().cpu().numpy())
        return np.stack(rows)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Run without gradients and in the chosen precision."""
        with self._torch.inference_mode(), self.device.precision(self.mixed):
            yield


def _resize(config: Any, kind: str, size: int) -> None:
    """Set another input size for SAM 2; position embeddings are interpolated. Raises WrongModelError for
    EdgeTAM."""
    if kind != "sam2_video":
        raise WrongModelError(
            f"STORYHASH_SAM2__IMAGE_SIZE: EdgeTAM has a fixed size of {config.image_size} "
            "pixels; unset it"
        )
    config.image_size = size
    config.prompt_encoder_config.image_size = size
    config.vision_config.backbone_config.image_size = [size, size]
    config.vision_config.backbone_feature_sizes = [[size // cell] * 2 for cell in (4, 8, 16)]
    config.memory_attention_rope_feat_sizes = [size // 16] * 2


@cache
def _known_length(session_class: Any) -> Any:
    """A session class whose number of pictures can be set.

    transformers scales the ages of object pointers by the number of pictures that the session holds. Here
    it holds only one.
    """
    return type(
        "KnownLengthSession",
        (session_class,),
        {"moments": 0, "num_frames": property(lambda self: self.moments)},
    )


@cache
def _load_once(folder: Path, kind: str, size: int | None, settings: DeviceSettings) -> Sam2Network:
    return Sam2Network(folder, kind, size, settings)


def open_network(weights: Weights, size: int | None, settings: DeviceSettings) -> Sam2Network:
    """The network of a folder, loaded once per process.

    Raises WeightsDamagedError, WrongModelError, DeviceError, or DependencyError if the package timm,
    which EdgeTAM needs, is missing.
    """
    kind = str(weights.config["model_type"])
    if kind == "edgetam_video" and importlib.util.find_spec("timm") is None:
        raise DependencyError(
            f"{weights.folder} is an EdgeTAM, whose backbone needs timm: pip install timm, "
            f"or unset {SAM2.variable} to use SAM 2.1"
        )
    with loading(SAM2, weights):
        return _load_once(weights.folder.resolve(), kind, size, settings)
