"""`python -m tests.support.without_networks ARGUMENT ...`: `storyhash`, ended by an import of torch or
transformers, which it finds installed."""

from __future__ import annotations

import importlib.abc
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_NETWORKS = ("torch", "transformers")


class _Forbidden(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the packages, and breaks when one is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in _NETWORKS else None

    def exec_module(self, module: ModuleType) -> None:
        raise SystemExit(f"{module.__name__} was imported")


def main() -> None:
    if imported := {*_NETWORKS} & {*sys.modules}:
        raise SystemExit(f"{imported} was imported before the command ran")
    sys.meta_path.insert(0, _Forbidden())
    sys.argv[0] = "storyhash"
    runpy.run_module("storyhash", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
