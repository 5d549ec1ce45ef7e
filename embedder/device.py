"""The device of a network, its precision and its batch size.

`check_device` needs no torch, so a missing device is reported before an import of several seconds.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from common.errors import DependencyError, DeviceError, DeviceMemoryError
from common.extras import install_command
from common.runtime_tuning import usable_cores
from common.settings import DeviceSettings
from common.types import Float32Array, UInt8Array
from embedder.normalise import unit

# With at least this cosine to full precision, vectors lead to the same decisions.
MIN_COSINE = 0.999

Forward: TypeAlias = Callable[[Sequence[UInt8Array]], Any]


def check_device(settings: DeviceSettings) -> None:
    """Raises DeviceError for a missing device, DependencyError without torch."""
    if importlib.util.find_spec("torch") is None:
        raise DependencyError(
            f"torch is not installed: {install_command('models')}, or use --profile sscd-motion or "
            "offline, which need no torch"
        )
    kind, _, number = settings.name.partition(":")
    if kind == "cuda":
        count = _cuda_devices()
        if count <= int(number or 0):
            raise DeviceError(
                f"STORYHASH_DEVICE__NAME={settings.name}: this machine has {count} CUDA "
                "devices; set it to cpu or auto"
            )
    if kind == "mps" and not _may_have_mps():
        raise DeviceError(
            "STORYHASH_DEVICE__NAME=mps: only a Mac with Apple silicon has it; set it to cpu or auto"
        )


def _cuda_devices() -> int:
    """Number of CUDA devices according to the driver; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has bfloat16 instructions; without them it is slower than full precision."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _may_have_mps() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


@cache
def _turn_of(target: str) -> AbstractContextManager[Any]:
    """A lock for one batch at a time on a GPU, for all threads and networks: the memory is sized for one,
    and Metal is not thread-safe. On a CPU several batches may run at once."""
    return nullcontext() if target == "cpu" else threading.RLock()


class Device:
    """A torch device with a batch size that shrinks when memory runs out."""

    def __init__(self, settings: DeviceSettings) -> None:
        """Choose the device. Raises DeviceError or DependencyError."""
        check_device(settings)
        import torch

        self._torch = torch
        self._precision = settings.precision
        self.batch_size = settings.batch_size
        self.target = torch.device(self._choose(settings.name))
        self._turn = _turn_of(str(self.target))
        # PyTorch itself obeys OMP_NUM_THREADS if it is set.
        if self.target.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(usable_cores())

    def _choose(self, name: str) -> str:
        torch = self._torch
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if name == "auto":
            return next((kind for kind, is_available in available.items() if is_available), "cpu")
        kind = name.partition(":")[0]
        if not available.get(kind, True):
            raise DeviceError(
                f"STORYHASH_DEVICE__NAME={name}: the torch installed here ({torch.__version__}) cannot "
                "use it; install a build that can, or set it to cpu or auto"
            )
        return name

    def place(self, model: Any) -> Any:
        """Move a network to the device. Raises DeviceMemoryError."""
        with self.memory_told():
            return model.to(self.target)

    @property
    def description(self) -> str:
        """Its name and type."""
        if self.target.type == "cuda":
            return f"{self.target} ({self._torch.cuda.get_device_name(self.target)})"
        return str(self.target)

    @cached_property
    def _half(self) -> Any:
        """bfloat16 has the range of full precision, which SAM 2 was trained with; where a device cannot
        multiply it, float16."""
        torch = self._torch
        if self.target.type == "cpu":
            return torch.bfloat16
        if self.target.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.bfloat16
        return torch.float16

    def precision(self, mixed: bool) -> AbstractContextManager[Any]:
        """The context for running a network in mixed or full precision."""
        if not mixed:
            return nullcontext()
        return self._torch.autocast(self.target.type, dtype=self._half)

    def trusts_mixed(self, encode: Callable[[bool], Float32Array]) -> bool:
        """Whether mixed precision is faster on this device and keeps the vectors.

        encode: called with False for full and True for mixed precision; returns float32 (B, D) of the
        same pictures; every row must keep a cosine of MIN_COSINE. False if the device lacks a step in
        half precision.
        """
        if self._precision == "fp32" or not self._mixes_fast():
            return False
        full = encode(False)
        try:
            cosines = (unit(full) * unit(encode(True))).sum(axis=-1)
        except RuntimeError:
            return False
        return bool(np.all(cosines >= MIN_COSINE))

    def _mixes_fast(self) -> bool:
        return self.target.type != "cpu" or cpu_multiplies_bfloat16()

    def encode(self, forward: Forward, pictures: Sequence[UInt8Array]) -> list[Any]:
        """`forward` over `pictures` in batches; one numpy array per batch. See `batched`."""

        def work(batch: Sequence[UInt8Array]) -> Any:
            with self._torch.inference_mode():
                return forward(batch).float().cpu().numpy()

        results, self.batch_size = self.batched(work, pictures, self.batch_size)
        return results

    def batched(self, work: Callable[[Any], Any], items: Any, size: int) -> tuple[list[Any], int]:
        """`work` over `items` in batches of `size`; also returns the size that fitted.

        If memory runs out, the size is halved for the rest. Raises DeviceMemoryError if a single item
        does not fit.
        """
        results: list[Any] = []
        done = 0
        while done < len(items):
            batch = items[done : done + size]
            try:
                with self._turn:
                    results.append(work(batch))
            except RuntimeError as error:
                if not self.is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise self._memory_error() from None
                size = len(batch) // 2
                self._release()
                continue
            done += len(batch)
        return results, size

    @contextmanager
    def memory_told(self) -> Iterator[None]:
        """Turn torch's out-of-memory error into DeviceMemoryError, for work that cannot be split."""
        try:
            with self._turn:
                yield
        except RuntimeError as error:
            if self.is_out_of_memory(error):
                raise self._memory_error() from None
            raise

    def _memory_error(self) -> DeviceMemoryError:
        return DeviceMemoryError(
            f"the memory of {self.target} is full, even for a batch of one frame; free "
            "some, set STORYHASH_SAM2__IMAGE_SIZE lower, or STORYHASH_DEVICE__NAME=cpu"
        )

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether an error of torch means out of memory: CUDA has a class for it, other devices a
        message."""
        if isinstance(error, self._torch.OutOfMemoryError):
            return True
        words = ("out of memory", "not enough memory", "can't allocate memory")
        return isinstance(error, RuntimeError) and any(word in str(error) for word in words)

    def _release(self) -> None:
        if self.target.type == "cuda":
            self._torch.cuda.empty_cache()
