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
        return _RANKS[self] >= _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}
