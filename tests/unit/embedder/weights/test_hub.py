"""Weights that are missing, cut short, changed or of another kind are told before torch is imported."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import zipfile
from pathlib import Path

import pytest

from common.errors import StoryHashError, WeightsDamagedError, WeightsMissingError, WrongModelError
from common.settings import ClipSettings, Settings, SscdSettings
from embedder.models import list_models, verify_models
from embedder.weights.hub import CLIP, SAM2, HubModel, damage, find_weights, is_path
from embedder.weights.pinned import RECORD, note_pull, noted_commit, published_checksum
from tests.conftest import skip_or_fail


def safetensors(payload: bytes = b"\0" * 12) -> bytes:
    """A file of one tensor."""
    header = {"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, len(payload)]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CLIP that is whole in form."""
    (tmp_path / "config.json").write_text('{"model_type": "clip_vision_model"}')
    (tmp_path / "model.safetensors").write_bytes(safetensors())
    return tmp_path


def test_a_folder_that_is_whole_is_found(folder: Path) -> None:
    found = find_weights(CLIP, str(folder))
    assert found.file == folder / "model.safetensors"
    assert found.config["model_type"] == "clip_vision_model"


def test_weights_of_torch_are_taken_where_there_are_no_others(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert find_weights(CLIP, str(folder)).file.name == "pytorch_model.bin"


def _remove(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])


def _scribble(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _bad_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def _other_kind(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')


@pytest.mark.parametrize(
    ("harm", "error", "exit_code", "words"),
    [
        (_remove, WeightsMissingError, 3, "no weights"),
        (_cut, WeightsDamagedError, 3, "expected"),
        (_scribble, WeightsDamagedError, 3, "no safetensors header"),
        (_empty, WeightsDamagedError, 3, "no safetensors header"),
        (_no_config, WeightsMissingError, 3, "has no config.json"),
        (_bad_config, WeightsDamagedError, 3, "config.json is damaged"),
        (_other_kind, WrongModelError, 2, "'bert', expected clip or clip_vision_model"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(
    folder: Path, harm: object, error: type[StoryHashError], exit_code: int, words: str
) -> None:
    harm(folder)  # type: ignore[operator]
    with pytest.raises(error, match=words) as raised:
        find_weights(CLIP, str(folder))
    message = str(raised.value)
    assert raised.value.exit_code == exit_code
    assert "\n" not in message
    assert "STORYHASH_CLIP__MODEL" in message or "use" in message


@pytest.mark.parametrize(("model", "way"), [(CLIP, "offline"), (SAM2, "-motion")])
def test_a_model_that_is_not_in_the_cache_names_command_cache_and_profile(
    model: HubModel, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        skip_or_fail("models", "pip install -e '.[models]'")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissingError) as raised:
        find_weights(model, model.default)
    message = str(raised.value)
    assert str(tmp_path) in message
    assert f"storyhash models pull {model.name}" in message
    assert way in message


def test_folders_and_ids_of_the_hub_are_told_apart(tmp_path: Path) -> None:
    assert not is_path("openai/clip-vit-base-patch32")
    assert all(is_path(one) for one in ("./clip", "/models/clip", "~/clip", "clip", str(tmp_path)))


def test_an_archive_that_was_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x" * 1000)
    assert damage(path) == ""
    path.write_bytes(path.read_bytes()[:-40])
    assert damage(path)


def test_the_hubs_cache_names_files_by_their_checksum(tmp_path: Path) -> None:
    content = safetensors()
    name = hashlib.sha256(content).hexdigest()
    (tmp_path / name).write_bytes(content)
    link = tmp_path / "model.safetensors"
    os.symlink(tmp_path / name, link)
    assert published_checksum(link) == name
    (tmp_path / "own.safetensors").write_bytes(content)
    assert published_checksum(tmp_path / "own.safetensors") is None


def test_verify_finds_a_changed_byte_in_the_cache(folder: Path) -> None:
    content = bytearray(safetensors())
    blob = folder / hashlib.sha256(content).hexdigest()
    (folder / "model.safetensors").unlink()
    os.symlink(blob, folder / "model.safetensors")
    settings = Settings(clip=ClipSettings(model=str(folder)))
    for change, ok in ((0x00, True), (0x10, False)):
        content[-1] ^= change
        blob.write_bytes(content)
        verdicts = {one.name: one for one in verify_models(settings)}
        assert (verdicts["clip"].installed, verdicts["clip"].ok) == (True, ok)
    assert "expected" in verdicts["clip"].message
    assert verdicts["offline"].ok


def test_verify_says_of_a_folder_that_nothing_was_published_for_it(folder: Path) -> None:
    settings = Settings(clip=ClipSettings(model=str(folder)))
    verdict = next(iter(verify_models(settings)))
    assert verdict.ok
    assert "no published checksum" in verdict.message
    _cut(folder)
    assert not next(iter(verify_models(settings))).ok


def test_the_list_names_every_model_with_licence_and_place(folder: Path, tmp_path: Path) -> None:
    settings = Settings(
        clip=ClipSettings(model=str(folder)), sscd=SscdSettings(path=tmp_path / "none.onnx")
    )
    models = {one.name: one for one in list_models(settings)}
    assert list(models) == ["clip", "sam2", "sscd", "sscd_distilled", "sscd (yours)", "offline"]
    assert models["clip"].path == str(folder / "model.safetensors")
    assert models["clip"].checksum
    assert models["sscd (yours)"].path is None
    assert "none.onnx" in models["sscd (yours)"].note


COMMIT = "0123456789abcdef" * 2 + "01234567"


def test_what_was_pulled_is_compared_with_its_checksums_whenever_it_is_loaded(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"size": 224}')
    names = ["config.json", "preprocessor_config.json", "model.safetensors"]
    note_pull(folder, CLIP.default, COMMIT, names)
    assert find_weights(CLIP, str(folder), COMMIT).folder == folder
    assert noted_commit(folder) == COMMIT
    # As long as before, and still in form.
    (folder / "preprocessor_config.json").write_text('{"size": 225}')
    with pytest.raises(WeightsDamagedError, match=r"preprocessor_config\.json: its sha256 is"):
        find_weights(CLIP, str(folder))
    (folder / "preprocessor_config.json").write_text('{"size": 224}')
    content = bytearray(safetensors())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsDamagedError, match="differs from what was downloaded"):
        find_weights(CLIP, str(folder))


def test_a_file_of_weights_that_was_put_beside_what_was_pulled_is_not_loaded(folder: Path) -> None:
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    note_pull(folder, CLIP.default, COMMIT, ["config.json", "pytorch_model.bin"])
    with pytest.raises(WeightsDamagedError, match=r"model\.safetensors is not one of"):
        find_weights(CLIP, str(folder))


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"files": {"config.json": 1}}'])
def test_a_note_that_cannot_be_read_is_no_note_of_anything(folder: Path, note: str) -> None:
    (folder / RECORD).write_text(note)
    with pytest.raises(WeightsDamagedError, match="differs from what was downloaded"):
        find_weights(CLIP, str(folder))


def test_another_commit_than_the_one_wanted_is_refused(folder: Path) -> None:
    other = COMMIT[::-1]
    with pytest.raises(WrongModelError, match=f"unknown commit, expected {COMMIT}"):
        find_weights(CLIP, str(folder), COMMIT)
    note_pull(folder, CLIP.default, other, ["config.json", "model.safetensors"])
    with pytest.raises(WrongModelError, match=f"is of {other}, expected {COMMIT}"):
        find_weights(CLIP, str(folder), COMMIT)
