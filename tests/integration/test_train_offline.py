"""Training of the small network: a tiny run on the CPU, stopped and resumed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import preloaded
from tests.support.services import ROOT, clean_environment

pytestmark = pytest.mark.skipif(
    find_spec("torch") is None, reason="pip install -e '.[models]' to train the network"
)


def train(out: Path, seconds: float) -> list[dict[str, float]]:
    """The log of a run."""
    options = ("--pool", "24", "--pairs", "4", "--overlays", "2", "--seconds", str(seconds))
    ran = preloaded.run(
        ["scripts.train_offline", str(out), *options],
        env=clean_environment({}),
        cwd=ROOT,
        start=preloaded.start_with_networks,
    )
    assert ran.returncode == 0, ran.stderr
    return list(json.loads((out / "log.json").read_text()))


def test_a_run_goes_on_where_its_last_checkpoint_was(tmp_path: Path) -> None:
    import torch

    from scripts.train_offline.network import CopyNetwork

    (first,) = train(tmp_path, 0.01)
    assert first["steps"] == 1
    before, after = train(tmp_path, first["seconds"] + 0.5)
    assert before == first
    assert after["steps"] > 1
    network = CopyNetwork()
    network.load_state_dict(torch.load(tmp_path / "network.pt", weights_only=True))
    pictures = torch.rand(2, 3, 128, 128)
    norms = network.eval()(pictures).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(2))


def test_an_edit_that_shows_two_pictures_has_two_right_answers() -> None:
    import torch

    from scripts.train_offline.loss import copy_loss

    clean = torch.eye(4, 512)
    none = torch.full((4,), -1)
    of_two = none.clone()
    of_two[0] = 1
    both = clean.clone()
    both[0] = (clean[0] + clean[1]) / 2**0.5
    kept = {"temperature": 0.05, "spreading": 0.0}
    told, _ = copy_loss(clean, both, of_two, none, **kept)
    untold, _ = copy_loss(clean, both, none, none, **kept)
    assert told < untold


def test_two_crops_of_one_photograph_are_no_strangers() -> None:
    import torch

    from scripts.train_offline.loss import copy_loss

    clean = torch.eye(4, 512)
    clean[1] = clean[0]
    none = torch.full((4,), -1)
    photograph = torch.tensor([7, 7, -1, -1])
    kept = {"temperature": 0.05, "spreading": 0.0}
    related, _ = copy_loss(clean, clean, none, photograph, **kept)
    strangers, _ = copy_loss(clean, clean, none, none, **kept)
    assert related < strangers
