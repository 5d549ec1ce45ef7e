#!/usr/bin/env python3
"""Write CLIP and SAM 2.1 with random weights into folders: to try the models' code without a download.

    python -m scripts.random_weights FOLDER [--tiny]

Makes FOLDER/clip and FOLDER/sam2, of the published sizes, or with --tiny of a few thousand weights. Speed
and memory are those of the real models; what the vectors say is noise. One bias of SAM 2 is raised, so
that things are found present: without it a random network sees none, and nothing would be followed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch
import transformers

_SEED = 7


def clip_config(tiny: bool) -> transformers.CLIPVisionConfig:
    """ViT-B/32, or a vision tower of two thin layers; 512 numbers a picture either way."""
    thin = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    return transformers.CLIPVisionConfig(
        projection_dim=512, **(thin | {"num_attention_heads": 2} if tiny else {})
    )


def sam2_config(tiny: bool) -> transformers.Sam2VideoConfig:
    """Hiera tiny at 1024 pixels, or its smallest like at 128."""
    if not tiny:
        return transformers.Sam2VideoConfig()
    side, hidden = 128, 128
    return transformers.Sam2VideoConfig(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "image_size": [side, side],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "global_attention_blocks": [3],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[side // 4] * 2, [side // 8] * 2, [side // 16] * 2],
            "fpn_hidden_size": hidden,
        },
        memory_attention_feed_forward_hidden_size=64,
        **small_parts(side, hidden),
    )


def small_parts(side: int, hidden: int) -> dict[str, Any]:
    """Small sizes of what SAM 2 and EdgeTAM share: all but the vision encoder."""
    return {
        "prompt_encoder_config": {"hidden_size": hidden, "image_size": side},
        "mask_decoder_config": {
            "hidden_size": hidden,
            "mlp_dim": 128,
            "iou_head_hidden_dim": hidden,
            "num_attention_heads": 4,
        },
        "image_size": side,
        "memory_attention_hidden_size": hidden,
        "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [side // 16, side // 16],
        "memory_encoder_hidden_size": hidden,
        "mask_downsampler_embed_dim": hidden,
        "memory_fuser_embed_dim": hidden,
        "memory_fuser_intermediate_dim": hidden,
    }


def write(folder: Path, *, tiny: bool) -> None:
    """Both models, the same in every run."""
    torch.manual_seed(_SEED)
    clip = transformers.CLIPVisionModelWithProjection(clip_config(tiny))
    clip.save_pretrained(folder / "clip")
    transformers.CLIPImageProcessor().save_pretrained(folder / "clip")
    sam2 = transformers.Sam2VideoModel(sam2_config(tiny))
    with torch.no_grad():
        sam2.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(2.0)
        # One projection under two names, as in the published files.
        shared = sam2.shared_image_embedding.positional_embedding
        sam2.prompt_encoder.shared_embedding.positional_embedding.copy_(shared)
    sam2.save_pretrained(folder / "sam2")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true", help="a few thousand weights, for tests")
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    write(options.folder, tiny=options.tiny)
    folder = options.folder.absolute()
    print(f"export STORYHASH_CLIP__MODEL={folder / 'clip'} STORYHASH_SAM2__MODEL={folder / 'sam2'}")
    print("export STORYHASH_SAM2__MIN_PREDICTED_IOU=0 STORYHASH_SAM2__MIN_STABILITY=0")
    # What a random network proposes has no outline to speak of.
    print(f"# {sum(os.path.getsize(file) for file in folder.rglob('*.safetensors')) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
