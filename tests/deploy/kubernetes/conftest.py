"""deploy/kubernetes as kubectl makes it, once per process."""

from __future__ import annotations

import pytest

from tests.deploy.kubernetes.objects import Objects, Pod, all_variants, pods_of


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Objects]:
    """The objects of every variant."""
    return all_variants(tmp_path_factory.mktemp("kubernetes") / "kubernetes")


@pytest.fixture(scope="session")
def pods(variants: dict[str, Objects]) -> list[Pod]:
    """The pod of every workload of every variant."""
    found = pods_of(variants)
    assert len(found) > 15
    return found
