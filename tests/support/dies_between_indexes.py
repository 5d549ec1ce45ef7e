"""`python -m tests.support.dies_between_indexes ARGUMENTS...`: a storyhash command that dies of SIGKILL.

It has made the first index of a data folder then, and is about to make the second one."""

from __future__ import annotations

import sys

from tests.faults.die_at_point import Point, arm
from tests.support.plain_backend import plain_sscd


def main() -> None:
    # The manifest of the second index is what is made next.
    arm(Point("storyhash.wiring", "_manifest", after=False), 2)
    sys.argv = ["storyhash", *sys.argv[1:]]
    from storyhash.cli import main as storyhash

    with plain_sscd():
        storyhash()


if __name__ == "__main__":
    main()
