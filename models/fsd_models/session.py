"""One ONNX session under limits, made from bytes that were already verified.

* A missing execution provider only makes the runtime warn and run elsewhere: what the session says it has is
  compared with what was asked, and refused.
* Threads are set and never spin: at five pictures a second two spinning threads burn a third of a core.
* All sessions of a process share one arena that grows by what is asked and ends at ``ARENA_BYTES``. Without it
  and without memory patterns a NanoDet session takes 37 MB, with both choices 30.
* A run can have a time limit: another thread tells the runtime to stop, which it does between two operators.

Exceptions of the runtime have no common base; they are translated here and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native

from fsd_models.errors import ModelPackageError, ModelRunError, ModelTimeoutError
from fsd_models.package import ModelPackage

ARENA_BYTES = 128 << 20
"""Working memory of all sessions of the process together; one NanoDet-m 416 needs under 8 MiB."""
ARENA_GROWS_BY_REQUEST = 1
"""``kSameAsRequested``: the default doubles, which wastes up to half."""
LOG_ERRORS_ONLY = 3
"""The runtime prints a line for each overridable initializer otherwise."""

RuntimeFailure = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NotImplemented,
    native.RuntimeException,
    RuntimeError,
    ValueError,  # its Python layer checks names of inputs itself
)

_arena_lock = threading.Lock()
_arena_ready = False


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What a session may take."""

    threads: int = 1
    """Threads inside one operator, the caller's own included."""
    run_limit_s: float | None = None
    """Longest run before it is stopped; None for no limit (and no timer thread a run)."""
    provider: str = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Tensor:
    """Name and shape; a dimension that the model leaves open is None."""

    name: str
    shape: tuple[int | None, ...]


class Session:
    """Runs one model. One thread at a time.

    ``extension`` stands behind the verified weights and adds to their graph; :mod:`fsd_models.features` makes one.
    Raises :class:`ModelPackageError` when the runtime can't load the weights or hasn't the provider.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits, extension: bytes = b"") -> None:
        self._source = package.manifest.source
        self._limits = limits
        where = f"{package.folder / package.manifest.weights.file}"
        _share_arena()
        try:
            self._session = ort.InferenceSession(
                package.weights + extension, _options(limits), providers=[limits.provider]
            )
        except RuntimeFailure as error:
            raise ModelPackageError(f"{where}: the ONNX runtime can't load it: {error}") from None
        given = self._session.get_providers()
        if not given or given[0] != limits.provider:
            raise ModelPackageError(
                f"{where}: provider: asked for {limits.provider}, the runtime has {given}"
            )
        self.inputs = tuple(_tensor(node) for node in self._session.get_inputs())
        self.outputs = tuple(_tensor(node) for node in self._session.get_outputs())

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Outputs in the order of ``outputs``. Raises :class:`ModelRunError`."""
        options = ort.RunOptions()
        limit_s = self._limits.run_limit_s
        if limit_s is None:
            return self._run(feed, options)
        timer = threading.Timer(limit_s, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            return self._run(feed, options)
        finally:
            timer.cancel()

    def _run(self, feed: Mapping[str, NDArray[Any]], options: Any) -> list[NDArray[np.float32]]:
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, dict(feed), options)
        except RuntimeFailure as error:
            if options.terminate:
                raise ModelTimeoutError(
                    f"{self._source}: stopped after {self._limits.run_limit_s} s"
                ) from None
            raise ModelRunError(f"{self._source}: the ONNX runtime failed: {error}") from None
        return outputs


def _options(limits: SessionLimits) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = LOG_ERRORS_ONLY
    options.intra_op_num_threads = limits.threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    return options


def _share_arena() -> None:
    """Register the process' arena before its first session."""
    global _arena_ready  # noqa: PLW0603  (the runtime's environment is a process-wide thing as well)
    with _arena_lock:
        if _arena_ready:
            return
        place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        bounds = {"max_mem": ARENA_BYTES, "arena_extend_strategy": ARENA_GROWS_BY_REQUEST}
        ort.create_and_register_allocator(place, ort.OrtArenaCfg(bounds))
        _arena_ready = True


def _tensor(node: Any) -> Tensor:
    return Tensor(node.name, tuple(size if isinstance(size, int) else None for size in node.shape))
