"""Settings come from the environment, and a misspelt one is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SettingsError
from common.settings import data_dir_is_given, load_settings, setting_names


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)


def test_levels_are_parted_by_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYHASH_SEARCHER__EF_SEARCH", "32")
    monkeypatch.setenv("STORYHASH_DATA_DIR", "/somewhere")
    settings = load_settings()
    assert settings.searcher.ef_search == 32
    assert settings.data_dir == Path("/somewhere")


def test_a_flag_wins_over_the_environment_and_none_means_unset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORYHASH_PROFILE", "offline")
    assert load_settings(profile="sscd-motion").profile == "sscd-motion"
    assert load_settings(profile=None).profile == "offline"


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("STORYHASH_DATADIR", "STORYHASH_DATA_DIR"),
        ("STORYHASH_SEARCHER__EF_SERCH", "STORYHASH_SEARCHER__EF_SEARCH"),
        ("STORYHASH_SEARCHER_EF_SEARCH", "STORYHASH_SEARCHER__EF_SEARCH"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_the_right_one(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SettingsError, match=f"{variable}.*{meant}"):
        load_settings()


def test_a_value_that_cannot_be_used_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYHASH_SEARCHER__EF_SEARCH", "many")
    with pytest.raises(SettingsError, match="STORYHASH_SEARCHER__EF_SEARCH"):
        load_settings()


@pytest.mark.parametrize(
    "variable", ["STORYHASH_INGEST__ALLOWED_HOSTS", "STORYHASH_MATCHING__BANKS"]
)
def test_a_list_that_is_not_json_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("STORYHASH_WEBHOOKS__PRIVATE_HOSTS", '["host"]')
    monkeypatch.setenv(variable, "host")
    with pytest.raises(SettingsError, match=f"{variable}: expected JSON"):
        load_settings()


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for name in setting_names():
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert not data_dir_is_given(settings)
    assert settings.data_dir == defaults.data_dir
    # The empty name is that of the first generation.
    first = defaults.second_opinion.model_copy(update={"generation": ""})
    assert settings == defaults.model_copy(update={"second_opinion": first})


def test_a_secret_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYHASH_QDRANT__API_KEY", "hunter2")
    settings = load_settings()
    assert settings.qdrant.api_key is not None
    assert settings.qdrant.api_key.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


def test_switches_of_the_tests_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYHASH_REQUIRE", "qdrant")
    load_settings()
