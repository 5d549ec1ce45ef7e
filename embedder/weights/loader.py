"""Loads weights through transformers. A missing weight is an error, never a random number."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import WeightsDamagedError
from embedder.weights.hub import HubModel, Weights


@contextmanager
def loading(model: HubModel, weights: Weights) -> Iterator[None]:
    """Turn the errors of torch and transformers about a wrong file into WeightsDamagedError."""
    try:
        yield
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise WeightsDamagedError(
            f"{weights.folder} cannot be loaded as {model.title} ({reason}); download it "
            f"again, or use {model.instead}"
        ) from None


def load_pretrained(
    kind: Any, folder: Path, *, twins: Mapping[str, str] | None = None, **options: Any
) -> Any:
    """A model in evaluation mode, full precision, on the CPU. Prints nothing.

    kind: the class of transformers. twins: buffers that a file may leave out, by the name of the one
    they are equal to. Raises WeightsDamagedError when another tensor is missing, which transformers
    would only warn of and fill with random numbers.
    """
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, info = kind.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True, **options
        )
    missing = set(info["missing_keys"])
    for name, twin in (twins or {}).items():
        if name in missing and twin not in missing:
            model.get_buffer(name).copy_(model.get_buffer(twin))
            missing.discard(name)
    if missing:
        raise WeightsDamagedError(
            f"{folder} lacks {len(missing)} tensors of {kind.__name__} ({min(missing)}, "
            "...); download the model again, or use another folder"
        )
    return model.eval()
