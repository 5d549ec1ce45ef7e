"""The same tests over both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.settings import Settings, StateSettings
from common.state.database import StateDatabase
from common.state.state import State


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an empty state database."""
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data")
    url = SecretStr(request.getfixturevalue("postgres_url"))
    return Settings(data_dir=tmp_path / "data", state=StateSettings(url=url))


@pytest.fixture
def database(settings: Settings) -> Iterator[StateDatabase]:
    opened = StateDatabase(settings)
    yield opened
    opened.close()


@pytest.fixture
def state(settings: Settings) -> Iterator[State]:
    with State(settings) as opened:
        yield opened
