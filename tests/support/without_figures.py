"""`python -m tests.support.without_figures ARGUMENT ...`: `storyhash` on a machine without matplotlib.

Figures take most of the time of a small evaluation, and few tests of evaluations are about them.
"""

from __future__ import annotations

import runpy
import sys


def main() -> None:
    # Python's way of saying that a module cannot be imported.
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    sys.argv[0] = "storyhash"
    runpy.run_module("storyhash", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
