"""How a network does on held-out pictures: never trained on, a reference and some edits of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from scripts.train_offline.network import INPUT_SIDE

_AT_ONCE = 256
_FALSE_POSITIVES = 0.01


@dataclass(frozen=True)
class HeldOutSet:
    """references: uint8 (R, 3, 128, 128); queries: uint8 (Q, 3, 128, 128); label: int64 (Q,), which
    reference a query is an edit of; other: int64 (Q,), a second one that it shows as well, or -1;
    edits: the name of each query's edit."""

    references: Tensor
    queries: Tensor
    label: Tensor
    other: Tensor
    edits: list[str]

    @classmethod
    def load(cls, folder: Path) -> HeldOutSet:
        """From references/NAME.jpg and EDIT/NAME.jpg, or EDIT/NAME+OTHER.jpg where both are shown."""
        references = sorted((folder / "references").glob("*.jpg"))
        numbers = {path.stem: number for number, path in enumerate(references)} | {"": -1}
        queries = sorted(path for path in folder.glob("*/*.jpg") if path not in references)
        names = [path.stem.partition("+") for path in queries]
        return cls(
            _pictures(references),
            _pictures(queries),
            torch.tensor([numbers[name] for name, _, _ in names]),
            torch.tensor([numbers[other] for _, _, other in names]),
            [path.parent.name for path in queries],
        )


def _pictures(paths: list[Path]) -> Tensor:
    size = (INPUT_SIDE, INPUT_SIDE)
    opened = [Image.open(path).convert("RGB").resize(size) for path in paths]
    return torch.from_numpy(np.stack([np.array(picture) for picture in opened])).permute(0, 3, 1, 2)


@torch.no_grad()
def check(network: nn.Module, held_out: HeldOutSet) -> dict[str, Any]:
    """Recall@1 and recall at 1 % false positives, over all and by edit.

    A false positive: a query whose best wrong reference passes the threshold. The other picture that it
    shows is not wrong.
    """
    network.eval()
    similarity = _described(network, held_out.queries) @ _described(network, held_out.references).T
    network.train()
    rows = torch.arange(len(held_out.label))
    own_similarity = similarity[rows, held_out.label]
    first = similarity.argmax(1) == held_out.label
    similarity[rows, held_out.label] = -2
    both = held_out.other >= 0
    similarity[rows[both], held_out.other[both]] = -2
    is_found = own_similarity > similarity.amax(1).quantile(1 - _FALSE_POSITIVES)
    by_edit = {
        edit: (_mean(first[_where(held_out, edit)]), _mean(is_found[_where(held_out, edit)]))
        for edit in dict.fromkeys(held_out.edits)
    }
    return {"recall_at_1": _mean(first), "recall_at_fpr_1e-2": _mean(is_found), "by_edit": by_edit}


def _where(held_out: HeldOutSet, edit: str) -> list[int]:
    return [row for row, name in enumerate(held_out.edits) if name == edit]


def _mean(right: Tensor) -> float:
    return round(float(right.float().mean()), 4)


def _described(network: nn.Module, pictures: Tensor) -> Tensor:
    device = next(network.parameters()).device
    parts = [network(part.to(device).float() / 255).cpu() for part in pictures.split(_AT_ONCE)]
    return torch.cat(parts)
