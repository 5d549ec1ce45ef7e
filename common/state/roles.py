"""The roles of API keys."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Each role includes the previous ones. A reader matches and lists, a reviewer decides about matches,
    a writer adds and deletes videos, an admin manages keys, generations and the audit log."""

    READER = "reader"
    REVIEWER = "reviewer"
    WRITER = "writer"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role has all rights of `other`."""
        order = list(Role)
        return order.index(self) >= order.index(other)
