"""What a caller may do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Each role may do what the roles before it may: reader matches and lists, reviewer decides about
    matches, writer adds and deletes videos, admin has keys, generations and the audit log."""

    READER = "reader"
    REVIEWER = "reviewer"
    WRITER = "writer"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)
