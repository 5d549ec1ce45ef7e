#!/usr/bin/env python3
"""Write a trained network as the file that the `offline` backend reads.

    python -m scripts.train_offline.export WEIGHTS [--out FILE] [--check]

WEIGHTS is network.pt of a training run. The file is ONNX; its weights are kept in half precision, 5 MB,
and are made floats when it is loaded. --check compares FILE with WEIGHTS and writes nothing: exit code 1
where some picture is described differently.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from common.types import Float32Array
from embedder.golden_image import sample_pictures
from embedder.normalise import unit
from embedder.visual.offline.backend import INPUT_SIDE, WEIGHTS_PATH, OfflineBackend, prepared
from embedder.weights.checksum import weights_checksum
from scripts.train_offline.network import CopyNetwork

# Half precision of the weights moves a descriptor by less.
LEAST_COSINE = 0.9999
# Smaller arrays stay floats: biases and constants.
_HALVED_FROM = 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.train_offline.export", description=__doc__)
    parser.add_argument("weights", type=Path, help="network.pt of a training run")
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH, help="(default: the backend's)")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    network = load(options.weights)
    if not options.check:
        export(network, options.out)
    cosine = agreement(network, options.out)
    megabytes, checksum = options.out.stat().st_size / 1e6, weights_checksum(options.out)
    print(f"{options.out}: {megabytes:.2f} MB, checksum {checksum}, least cosine {cosine:.6f}")
    return 0 if cosine >= LEAST_COSINE else 1


def load(path: Path) -> CopyNetwork:
    """A trained network, ready to describe. Parts are taken in order: their names do not matter."""
    parameters = torch.load(path, map_location="cpu", weights_only=True)
    network = CopyNetwork()
    names = network.state_dict().keys()
    network.load_state_dict(dict(zip(names, parameters.values(), strict=True)))
    return network.eval()


def export(network: CopyNetwork, out: Path) -> None:
    """Write it; the descriptor is not scaled to unit norm, as the backend does that."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        with warnings.catch_warnings():
            # torch calls this exporter old on every use; the new one needs packages of its own.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Plain(network).eval(),
                (torch.zeros(2, 3, INPUT_SIDE, INPUT_SIDE),),
                str(path),
                dynamo=False,
                opset_version=17,
                input_names=["pictures"],
                output_names=["descriptors"],
                dynamic_axes={"pictures": {0: "batch"}, "descriptors": {0: "batch"}},
            )
        model = onnx.load(path)
    _halve(model.graph)
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString())


class _Plain(torch.nn.Module):
    """The network in operations that every runtime has."""

    def __init__(self, network: CopyNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """float32 (n, 512) of any length."""
        return self._network.described(pictures)


def _halve(graph: onnx.GraphProto) -> None:
    """Keep large weights in half precision, each with a cast to floats behind it, which a runtime does
    once, as it loads."""
    casts = []
    for number, weights in enumerate(graph.initializer):
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < _HALVED_FROM:
            continue
        name = weights.name
        graph.initializer[number].CopyFrom(
            numpy_helper.from_array(values.astype(np.float16), f"{name}/half")
        )
        casts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def agreement(network: CopyNetwork, path: Path) -> float:
    """The least cosine between what the network and the file say of a few pictures."""
    pictures = sample_pictures()
    with torch.no_grad():
        expected: Float32Array = network(torch.from_numpy(prepared(pictures))).numpy()
    vectors = OfflineBackend(path=path, threads=1).encode(pictures)
    return float((unit(expected) * vectors).sum(axis=1).min())


if __name__ == "__main__":
    sys.exit(main())
