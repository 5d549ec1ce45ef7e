"""The loop: a rate that falls over the time given, averaged weights, checkpoints to resume from."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scripts.train_offline.checking import HeldOutSet, check
from scripts.train_offline.edits import Strength, clean_view, edited_view
from scripts.train_offline.loss import copy_loss
from scripts.train_offline.network import CopyNetwork, follow, parameter_groups
from scripts.train_offline.pool import PicturePool

_WARM_UP_STEPS = 200
_MOST_KEPT = 0.998
_CHECKPOINT, _WEIGHTS, _LOG = "checkpoint.pt", "network.pt", "log.json"


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. seconds: of training, checkpoints before a resume counted in; pairs: a step."""

    seconds: float
    pairs: int
    rate: float = 2e-3
    temperature: float = 0.05
    spreading: float = 0.7
    weight_decay: float = 0.05
    save_seconds: float = 60.0


class Training:
    """One run in a folder; made again over the same folder it goes on where the last checkpoint was."""

    def __init__(self, plan: TrainingConfig, folder: Path, device: torch.device) -> None:
        self._plan = plan
        self._folder = folder
        self._device = device
        self.network = CopyNetwork().to(device).to(memory_format=torch.channels_last)
        self.average = CopyNetwork().to(device)
        self.average.load_state_dict(self.network.state_dict())
        self._optimiser = torch.optim.AdamW(
            parameter_groups(self.network, plan.weight_decay), lr=plan.rate, betas=(0.9, 0.98)
        )
        self.steps = 0
        self._spent = 0.0
        self._log: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(
        self,
        pool: PicturePool,
        overlays: Tensor,
        held_out: HeldOutSet | None,
        log: Callable[[str], None],
    ) -> None:
        """Train until the time is spent; whatever happens, the last checkpoint stays."""
        before, began = self._spent, time.monotonic()
        save_at = self._spent + self._plan.save_seconds
        while self._spent < self._plan.seconds:
            loss, spread = self._step(pool, overlays)
            self._spent = before + time.monotonic() - began
            if self._spent >= save_at:
                save_at += self._plan.save_seconds
                self._note(float(loss), float(spread), held_out, log)
        self._note(float("nan"), float("nan"), held_out, log)

    def _step(self, pool: PicturePool, overlays: Tensor) -> tuple[Tensor, Tensor]:
        plan = self._plan
        falling = 0.5 + 0.5 * math.cos(math.pi * min(1.0, self._spent / plan.seconds))
        rate = plan.rate * min(1.0, (self.steps + 1) / _WARM_UP_STEPS) * falling
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        chosen = torch.randint(len(pool.pictures), (plan.pairs,), device=self._device)
        pictures = pool.pictures[chosen].float() / 255
        with torch.no_grad():
            clean = clean_view(pictures)
            edited, second = edited_view(pictures, overlays, Strength())
        both = torch.cat([clean, edited]).contiguous(memory_format=torch.channels_last)
        cuda = self._device.type == "cuda"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=cuda):
            described = self.network(both)
        described = described.float()
        loss, spread = copy_loss(
            described[: plan.pairs],
            described[plan.pairs :],
            second,
            pool.photograph[chosen],
            temperature=plan.temperature,
            spreading=plan.spreading,
        )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        self._optimiser.step()
        self.steps += 1
        follow(self.average, self.network, min(_MOST_KEPT, self.steps / (self.steps + 20)))
        return loss.detach(), spread.detach()

    def _note(
        self, loss: float, spread: float, held_out: HeldOutSet | None, log: Callable[[str], None]
    ) -> None:
        scores = check(self.average, held_out) if held_out is not None else {}
        row = {"seconds": round(self._spent), "steps": self.steps, "loss": loss, "apart": spread}
        self._log.append({**row, **scores})
        log(json.dumps(self._log[-1]))
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "steps": self.steps,
            "spent": self._spent,
            "log": self._log,
        }
        self._write(_CHECKPOINT, state)
        self._write(_WEIGHTS, {k: v.half() for k, v in self.average.state_dict().items()})
        (self._folder / _LOG).write_text(json.dumps(self._log, indent=1) + "\n", encoding="utf-8")

    def _write(self, name: str, state: Any) -> None:
        """There whole or not at all."""
        fresh = self._folder / f"{name}.new"
        torch.save(state, fresh)
        fresh.replace(self._folder / name)

    def _resume(self) -> None:
        path = self._folder / _CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, map_location=self._device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.steps, self._spent, self._log = state["steps"], state["spent"], state["log"]
