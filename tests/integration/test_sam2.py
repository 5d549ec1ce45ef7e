"""SAM 2 streamed in bounded memory is SAM 2 as transformers runs it over a whole video."""

from __future__ import annotations

import importlib.util
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import DependencyError, DeviceMemoryError, WeightsDamagedError, WrongModelError
from common.settings import DeviceSettings, Sam2Settings
from common.types import FrameBatch, UInt8Array
from embedder.tracking.sam2.network import open_network
from embedder.tracking.sam2.segmenter import Sam2Segmenter, sam2_tracker
from embedder.weights.hub import SAM2, find_weights
from storyhash.samples import film
from tests.conftest import skip_or_fail

FULL = DeviceSettings(name="cpu", precision="fp32")
POINTS = np.array([[0.3, 0.4], [0.6, 0.5], [0.8, 0.25]])


def frames_of(count: int) -> UInt8Array:
    return np.stack(list(islice(film(3, 5.0), count)))


def processor_of(side: int) -> Any:
    import transformers

    size = {"height": side, "width": side}
    return transformers.Sam2VideoProcessor(
        image_processor=transformers.Sam2ImageProcessor(size=size),
        video_processor=transformers.Sam2VideoVideoProcessor(size=size),
    )


def reference(model: Any, frames: UInt8Array, side: int, prompts: dict[int, list[int]]) -> Any:
    """Logits by frame, from transformers' own iterator over the whole video. prompts: things by the
    frame from which they are followed."""
    import torch

    processor = processor_of(side)
    height, width = frames.shape[1:3]
    session = processor.init_video_session(video=list(frames), dtype=torch.float32)
    logits: dict[int, Any] = {}
    starts = sorted(prompts)
    for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
        things = prompts[start]
        points = [[[[x * width, y * height]] for x, y in POINTS[things]]]
        processor.add_inputs_to_inference_session(
            session,
            frame_idx=start,
            obj_ids=things,
            input_points=points,
            input_labels=[[[1]] * len(things)],
        )
        for output in model.propagate_in_video_iterator(
            session, start_frame_idx=start, max_frame_num_to_track=end - start - 1
        ):
            logits[output.frame_idx] = output.pred_masks[:, 0].numpy()
    return logits


@pytest.mark.parametrize("length", [12, 24])
def test_logits_are_those_of_the_whole_video(random_sam2: Sam2Settings, length: int) -> None:
    segmenter = Sam2Segmenter(random_sam2, FULL)
    frames = frames_of(length)
    session = segmenter.start(length)
    network = segmenter.network
    expected = reference(network.model, frames, network.image_size, {0: [0, 1, 2]})
    for moment, frame in enumerate(frames):
        masks = session.look(frame)
        if moment == 0:
            masks = session.follow([0, 1, 2], POINTS)
        assert np.abs(masks.logits - expected[moment]).max() <= 1e-3
        assert masks.logits.shape == (3, 32, 32)


def test_a_thing_that_joins_later_changes_nothing_of_that(random_sam2: Sam2Settings) -> None:
    segmenter = Sam2Segmenter(random_sam2, FULL)
    frames = frames_of(12)
    network = segmenter.network
    expected = reference(network.model, frames, network.image_size, {0: [0, 1], 5: [2]})
    session = segmenter.start(12)
    for moment, frame in enumerate(frames):
        masks = session.look(frame)
        if moment == 0:
            masks = session.follow([0, 1], POINTS[:2])
        if moment == 5:
            masks = session.follow([2], POINTS[2:])
        assert np.abs(masks.logits - expected[moment]).max() <= 1e-3


def test_what_is_proposed_at_a_point_is_what_following_it_starts_from(
    random_sam2: Sam2Settings,
) -> None:
    session = Sam2Segmenter(random_sam2, FULL).start(2)
    session.look(frames_of(1)[0])
    proposed = session.propose(np.repeat(POINTS, 7, axis=0))
    followed = session.follow([0, 1, 2], POINTS)
    np.testing.assert_allclose(proposed.logits[::7], followed.logits, atol=1e-3)
    assert ((proposed.trust >= 0) & (proposed.trust <= 1)).all()


def test_proposals_are_those_of_the_image_model(models: Path, random_sam2: Sam2Settings) -> None:
    import torch
    import transformers

    segmenter = Sam2Segmenter(random_sam2, FULL)
    frame = frames_of(1)[0]
    session = segmenter.start(2)
    session.look(frame)
    proposed = session.propose(POINTS)
    image_model = transformers.Sam2Model.from_pretrained(models / "sam2").eval()
    side = segmenter.network.image_size
    with torch.inference_mode():
        output = image_model(
            pixel_values=segmenter.network.prepare(frame)[None],
            input_points=torch.tensor(POINTS * side, dtype=torch.float32)[None, :, None],
            input_labels=torch.ones(1, 3, 1, dtype=torch.int32),
            multimask_output=True,
        )
    best = output.iou_scores[0].argmax(dim=-1)
    expected = output.pred_masks[0, torch.arange(3), best].numpy()
    np.testing.assert_allclose(proposed.logits, expected, atol=1e-3)


def test_memory_does_not_grow_with_the_length(random_sam2: Sam2Settings) -> None:
    session = Sam2Segmenter(random_sam2, FULL).start(32)
    held = []
    for moment, frame in enumerate(frames_of(32)):
        session.look(frame)
        if moment == 0:
            session.follow([0, 1, 2], POINTS)
        held.append(session.cached_bytes)
    assert held[24] == held[31]
    assert max(held) == max(held[:24])


def test_another_image_size_is_another_fingerprint(random_sam2: Sam2Settings) -> None:
    smaller = random_sam2.model_copy(update={"image_size": 64})
    one, other = sam2_tracker(random_sam2, FULL), sam2_tracker(smaller, FULL)
    assert one.fingerprint != other.fingerprint
    frames = frames_of(6)
    for tracker in (one, other):
        tracks = tracker.track(FrameBatch(frames, np.arange(6) / 4))
        assert tracks.visible.shape[0] == 6


def test_random_weights_are_followed_by_something(random_sam2: Sam2Settings) -> None:
    frames = frames_of(12)
    tracker = sam2_tracker(random_sam2, FULL)
    tracks = tracker.track(FrameBatch(frames, np.arange(12) / 4))
    again = tracker.track(FrameBatch(frames, np.arange(12) / 4))
    assert tracks.visible.any()
    np.testing.assert_array_equal(tracks.centroids, again.centroids)
    inside = tracks.centroids[tracks.visible]
    assert ((inside >= 0) & (inside <= 1)).all()


@pytest.mark.parametrize(
    ("dropped", "whole"),
    [
        ("prompt_encoder.shared_embedding.positional_embedding", True),
        ("memory_encoder.projection.weight", False),
    ],
)
def test_a_file_may_hold_what_is_shared_once_and_lack_nothing_else(
    random_sam2: Sam2Settings, tmp_path: Path, dropped: str, whole: bool
) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(random_sam2.model, tmp_path / "sam2")
    file = tmp_path / "sam2" / "model.safetensors"
    tensors = load_file(file)
    tensors.pop(dropped)
    save_file(tensors, file, metadata={"format": "pt"})
    settings = random_sam2.model_copy(update={"model": str(tmp_path / "sam2")})
    if not whole:
        with pytest.raises(WeightsDamagedError, match="lacks 1 tensors"):
            Sam2Segmenter(settings, FULL)
        return
    logits = []
    for one in (random_sam2, settings):
        session = Sam2Segmenter(one, FULL).start(2)
        session.look(frames_of(1)[0])
        logits.append(session.propose(POINTS).logits)
    one_file, other_file = logits
    np.testing.assert_allclose(one_file, other_file, atol=1e-5)


def test_memory_that_runs_out_is_told_with_a_way_out(
    random_sam2: Sam2Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    segmenter = Sam2Segmenter(random_sam2, FULL)

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(segmenter.network.model, "get_image_features", full)
    session = segmenter.start(2)
    session.look(frames_of(1)[0])
    with pytest.raises(DeviceMemoryError, match="IMAGE_SIZE"):
        session.propose(POINTS)


def test_points_that_do_not_fit_together_are_decoded_fewer_at_once(
    random_sam2: Sam2Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    segmenter = Sam2Segmenter(random_sam2, DeviceSettings(name="cpu", precision="fp32"))
    session = segmenter.start(2)
    session.look(frames_of(1)[0])
    points = np.repeat(POINTS, 7, axis=0)
    expected = session.propose(points)
    decoder = segmenter.network.model.mask_decoder
    plain = decoder.forward

    def scarce(*args: Any, **kwargs: Any) -> Any:
        if kwargs["sparse_prompt_embeddings"].shape[1] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(*args, **kwargs)

    monkeypatch.setattr(decoder, "forward", scarce)
    np.testing.assert_allclose(session.propose(points).logits, expected.logits, atol=1e-4)


def test_edgetam_runs_where_its_own_package_is(models: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("timm") is None:
        skip_or_fail("edgetam", "pip install timm")
    from tests.support.edgetam import SIDE, write_edgetam

    write_edgetam(tmp_path)
    settings = Sam2Settings(model=str(tmp_path), min_predicted_iou=0, min_stability=0)
    segmenter = Sam2Segmenter(settings, FULL)
    assert type(segmenter.network.model.vision_encoder.backbone).__name__ == "TimmWrapperModel"
    frames = frames_of(4)
    expected = reference(segmenter.network.model, frames, SIDE, {0: [0, 1, 2]})
    # What random weights give is small.
    tolerance = 1e-4 * max(np.abs(one).max() for one in expected.values())
    session = segmenter.start(4)
    for moment, frame in enumerate(frames):
        masks = session.look(frame)
        if moment == 0:
            masks = session.follow([0, 1, 2], POINTS)
        assert np.abs(masks.logits - expected[moment]).max() <= tolerance
    smaller = settings.model_copy(update={"image_size": 64})
    with pytest.raises(WrongModelError, match=str(SIDE)):
        Sam2Segmenter(smaller, FULL)


def test_edgetam_without_its_package_says_what_to_install(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "edgetam_video"}')
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    weights = find_weights(SAM2, str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DependencyError, match="pip install timm"):
        open_network(weights, None, FULL)
