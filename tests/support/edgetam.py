"""EdgeTAM with random weights: its real backbone, and small other parts, so that it runs in
milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

from scripts.random_weights import small_parts

SIDE = 128
_HIDDEN = 128


def write_edgetam(folder: Path) -> None:
    """Write the model; it is the same in every run. Needs the package timm."""
    torch.manual_seed(1)
    model = transformers.EdgeTamVideoModel(_config())
    with torch.no_grad():
        # Without this bias, a random network would find no object present, and nothing would be followed.
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(2.0)
    model.save_pretrained(folder)


def _config() -> transformers.EdgeTamVideoConfig:
    side, hidden = SIDE, _HIDDEN
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "num_classes": 2,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    return transformers.EdgeTamVideoConfig(
        vision_config={
            "model_type": "edgetam_vision_model",
            "backbone_config": backbone,
            "backbone_feature_sizes": [[side // 4] * 2, [side // 8] * 2, [side // 16] * 2],
            "fpn_hidden_size": hidden,
        },
        memory_attention_mlp_hidden_size=64,
        # One token per window of 4 x 4.
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
        **small_parts(side, hidden),
    )
