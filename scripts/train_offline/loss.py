"""What training asks for: an edited picture is nearest to its own original; originals lie far apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_HIDDEN = -1e4


def copy_loss(
    clean: Tensor,
    edited: Tensor,
    second: Tensor,
    photograph: Tensor,
    *,
    temperature: float,
    spreading: float,
) -> tuple[Tensor, Tensor]:
    """Contrastive loss with the spreading term of SSCD (Pizzi et al. 2022, eq. 4), and that term alone.

    clean, edited: float32 (B, 512), unit rows, of the same pictures. second: int64 (B,), the other
    picture that an edited one shows as well, or -1: it is a second right answer. photograph: int32 (B,),
    from which picture a crop is, or -1: two crops of one photograph are neither copies nor non-matches.
    """
    count = len(clean)
    rows = torch.arange(count, device=clean.device)
    same_row = torch.eye(count, dtype=torch.bool, device=clean.device)
    related = (photograph[:, None] == photograph[None]) & (photograph >= 0)[:, None] & ~same_row
    mixed = (second >= 0).nonzero()[:, 0]
    is_mixed = torch.zeros_like(same_row)
    is_mixed[mixed, second[mixed]] = True
    # Relatives of what is shown besides are not non-matches either.
    unknown = related.clone()
    unknown[mixed] |= related[second[mixed]]
    unknown &= ~same_row & ~is_mixed

    across = edited @ clean.T / temperature
    queries = torch.cat(
        [
            across.masked_fill(unknown, _HIDDEN),
            _negatives(
                edited @ edited.T / temperature, same_row | _either(is_mixed) | _either(unknown)
            ),
        ],
        1,
    )
    right = functional.one_hot(rows, 2 * count).to(across.dtype)
    right[mixed] *= 0.5
    right[mixed, second[mixed]] = 0.5
    references = torch.cat(
        [
            across.T.masked_fill((unknown | is_mixed).T, _HIDDEN),
            _negatives(clean @ clean.T / temperature, same_row | related),
        ],
        1,
    )
    contrast = functional.cross_entropy(queries, right) + functional.cross_entropy(references, rows)
    nearest = torch.cdist(clean, clean).masked_fill(same_row | related, 9.0).amin(1)
    spread = -(nearest + 1e-4).log().mean()
    return contrast / 2 + spreading * spread, spread


def _either(pairs: Tensor) -> Tensor:
    return pairs | pairs.T


def _negatives(similarity: Tensor, hidden: Tensor) -> Tensor:
    return similarity.masked_fill(hidden, _HIDDEN)
