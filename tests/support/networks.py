"""Networks with random weights, in the file formats of their publishers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any


def sscd_network() -> Any:
    """A small network like SSCD: convolutions, generalised mean, a linear layer, unit norm."""
    import torch
    from torch import nn

    class GeM(nn.Module):  # type: ignore[misc]
        def forward(self, maps: Any) -> Any:
            return maps.clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)

    class Unit(nn.Module):  # type: ignore[misc]
        def forward(self, rows: Any) -> Any:
            return nn.functional.normalize(rows)

    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=4),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        GeM(),
        nn.Linear(32, 512),
        Unit(),
    ).eval()


def torchscript_sscd(path: Path, width: int = 512) -> Path:
    """Write the network as TorchScript, as Meta publishes SSCD. width: another output size makes it
    unusable."""
    import torch

    network = sscd_network()
    if width != 512:
        network[5] = torch.nn.Linear(32, width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network.eval(), torch.zeros(1, 3, 64, 64)).save(str(path))
    return path


def onnx_sscd(path: Path) -> Path:
    """Write the network as ONNX. Its input is floats that the caller normalises, as in exports of Meta's
    network."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            sscd_network(),
            (torch.zeros(1, 3, 64, 64),),
            str(path),
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
        )
    return path
