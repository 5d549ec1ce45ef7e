"""Runs a SAM 2 video model over a part of a video, picture by picture, in bounded memory.

transformers keeps every picture and output of a session. This module keeps only what later pictures need.
The results are the same as those of transformers' `propagate_in_video_iterator` over all pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.types import Float64Array, UInt8Array
from embedder.tracking.mask_segmenter import NOTHING, Masks
from embedder.tracking.sam2.network import Sam2Network

# Parts of an output that only the next few pictures need. The object pointer is needed for longer.
_HEAVY = ("maskmem_features", "maskmem_pos_enc", "pred_masks")


class Sam2Session:
    """See `MaskSession`."""

    def __init__(self, network: Sam2Network, moments: int) -> None:
        self._network = network
        self._state: Any = network.new_state(moments)
        self._moment = -1

    def look(self, picture: UInt8Array) -> Masks:
        """See `MaskSession.look`."""
        self._moment += 1
        self._state.processed_frames = {self._moment: self._network.prepare(picture)}
        return self._propagate() if self._state.get_obj_num() else NOTHING

    def propose(self, points: Float64Array) -> Masks:
        """See `MaskSession.propose`."""
        embeddings = self._network.embeddings(self._state, self._moment)
        return Masks(*self._network.decode_points(embeddings, points))

    def follow(self, numbers: Sequence[int], points: Float64Array) -> Masks:
        """See `MaskSession.follow`."""
        for object_id, point in zip(numbers, points, strict=True):
            column = self._state.obj_id_to_idx(object_id)
            self._state.add_point_inputs(column, self._moment, self._network.prompt(point))
        self._state.obj_with_new_inputs = list(numbers)
        return self._propagate()

    @property
    def cached_bytes(self) -> int:
        """Bytes of the tensors in this session. They must not grow with the length of the video."""
        tensors = list(self._state.processed_frames.values())
        for outputs in self._state.output_dict_per_obj.values():
            for kind in outputs.values():
                tensors += [value for output in kind.values() for value in output.values()]
        return sum(
            int(tensor.numel() * tensor.element_size()) for tensor in tensors if tensor is not None
        )

    def _propagate(self) -> Masks:
        logits, presence = self._network.propagate(self._state, self._moment)
        self._prune()
        return Masks(logits, presence)

    def _prune(self) -> None:
        """Delete what no later picture needs: masks and memories after `memory_reach` pictures, pointers
        after `pointer_reach`. Outputs of pictures with a prompt stay."""
        for column, outputs in self._state.output_dict_per_obj.items():
            for kind in outputs.values():
                for output in kind.values():
                    output["high_res_masks"] = None
            recent = outputs["non_cond_frame_outputs"]
            for moment in list(recent):
                age = self._moment - moment
                if age >= self._network.pointer_reach:
                    del recent[moment]
                elif age >= self._network.memory_reach:
                    for name in _HEAVY:
                        recent[moment][name] = None
            tracked = self._state.frames_tracked_per_obj[column]
            for moment in [number for number in tracked if number < self._moment]:
                del tracked[moment]
            prompts = self._state.point_inputs_per_obj[column]
            for moment in [number for number in prompts if number < self._moment]:
                del prompts[moment]
