"""What configurations are called beside each other: no longer than they need to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Configured(Protocol):
    """A row or a summary."""

    @property
    def profile(self) -> str: ...

    @property
    def configuration(self) -> str: ...


_C = TypeVar("_C", bound=Configured)


def label_of(one: Configured) -> str:
    """Profile and configuration."""
    return f"{one.profile}, {one.configuration}"


def by_label(things: Iterable[_C]) -> dict[str, list[_C]]:
    """Things by their names, in the order of the first of each: the profile alone where all share one
    configuration, the configuration alone where several of one profile are compared, else both."""
    parts: dict[tuple[str, str], list[_C]] = {}
    for one in things:
        parts.setdefault((one.profile, one.configuration), []).append(one)
    profiles = {profile for profile, _ in parts}
    configurations = {configuration for _, configuration in parts}

    def name(profile: str, configuration: str) -> str:
        if len(configurations) == 1:
            return profile
        return configuration if len(profiles) == 1 else f"{profile}, {configuration}"

    return {name(*key): part for key, part in parts.items()}
