"""Which process of pytest-xdist runs which test: the tests of one file stay in one."""

from __future__ import annotations

from xdist.scheduler.loadfile import LoadFileScheduling

# Files whose tests import torch or start commands that do, which takes each process many seconds.
NETWORKS = frozenset(
    f"tests/{path}.py"
    for path in (
        "contract/test_tracker",
        "contract/test_visual",
        "e2e/test_evaluate_networks",
        "e2e/test_features",
        "e2e/test_models",
        "integration/test_clip",
        "integration/test_device",
        "integration/test_gpu",
        "integration/test_sam2",
        "integration/test_sscd_files",
        "integration/test_train_offline",
    )
)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, but all of `NETWORKS` are in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "networks" if file in NETWORKS else file
