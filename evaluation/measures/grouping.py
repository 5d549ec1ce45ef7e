"""The shortest labels that distinguish the configurations of a set of rows or summaries."""

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


def label_of(result: Configured) -> str:
    """Profile and configuration."""
    return f"{result.profile}, {result.configuration}"


def by_label(results: Iterable[_C]) -> dict[str, list[_C]]:
    """Results by label, in the order of their first appearance. The label is the profile if all have one
    configuration, the configuration if all have one profile, else both."""
    parts: dict[tuple[str, str], list[_C]] = {}
    for result in results:
        parts.setdefault((result.profile, result.configuration), []).append(result)
    profiles = {profile for profile, _ in parts}
    configurations = {configuration for _, configuration in parts}

    def name(profile: str, configuration: str) -> str:
        if len(configurations) == 1:
            return profile
        return configuration if len(profiles) == 1 else f"{profile}, {configuration}"

    return {name(*key): part for key, part in parts.items()}
