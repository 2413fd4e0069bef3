"""Limits of a session, with a real model in the real runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fsd_models.errors import ModelPackageError, ModelRunError, ModelTimeoutError
from fsd_models.onnx_wire import node, value
from fsd_models.package import ModelPackage, load_package
from fsd_models.session import Session, SessionLimits
from fsd_models.testing.marker_model import write_marker_package
from fsd_models.testing.onnx_writer import model, tensor


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return load_package(write_marker_package(tmp_path / "marker"))


def test_it_runs_and_names_its_tensors(package: ModelPackage) -> None:
    session = Session(package, SessionLimits())
    assert [(one.name, one.shape) for one in session.inputs] == [("image", (1, 3, 64, 64))]
    outputs = session.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
    assert [one.shape for one in outputs] == [one.shape for one in session.outputs]


@pytest.mark.filterwarnings(
    "ignore:Specified provider"
)  # the runtime's own way of saying it, and all it does
def test_a_provider_that_the_runtime_has_not_is_refused(package: ModelPackage) -> None:
    with pytest.raises(
        ModelPackageError, match=r"provider: asked for CUDAExecutionProvider, the runtime has"
    ):
        Session(package, SessionLimits(provider="CUDAExecutionProvider"))


def test_weights_that_are_no_model_are_refused_by_file(package: ModelPackage) -> None:
    with pytest.raises(ModelPackageError, match=r"weights\.onnx: the ONNX runtime can't load it"):
        Session(replace(package, weights=b"not a model"), SessionLimits())


@pytest.mark.parametrize(
    "feed",
    [
        {"image": np.zeros((1, 3, 32, 32), np.float32)},
        {"picture": np.zeros((1, 3, 64, 64), np.float32)},
        {"image": np.zeros((1, 3, 64, 64), np.float64)},
    ],
)
def test_a_wrong_input_is_our_error_and_the_session_goes_on(
    package: ModelPackage, feed: dict[str, np.ndarray]
) -> None:
    session = Session(package, SessionLimits())
    with pytest.raises(ModelRunError, match="marker@1: the ONNX runtime failed"):
        session.run(feed)
    assert len(session.run({"image": np.zeros((1, 3, 64, 64), np.float32)})) == 6


def test_a_run_past_its_limit_is_stopped_and_the_session_goes_on(package: ModelPackage) -> None:
    """Four hundred convolutions of 64 channels take far longer than the limit of 20 ms."""
    kernel = np.zeros((64, 64, 3, 3), np.float32)
    kernel[:, :, 1, 1] = 1 / 64
    nodes = [node("Conv", ["x0", "w"], "x1", pads=[1, 1, 1, 1])]
    nodes += [node("Conv", [f"x{i}", "w"], f"x{i + 1}", pads=[1, 1, 1, 1]) for i in range(1, 400)]
    shape = [1, 64, 128, 128]
    slow = model(nodes, [tensor("w", kernel)], [value("x0", shape)], [value("x400", shape)])
    session = Session(replace(package, weights=slow), SessionLimits(run_limit_s=0.02))
    for _ in range(2):
        with pytest.raises(ModelTimeoutError, match=r"marker@1: stopped after 0\.02 s"):
            session.run({"x0": np.zeros(shape, np.float32)})


def test_a_run_within_its_limit_is_not_stopped(package: ModelPackage) -> None:
    session = Session(package, SessionLimits(run_limit_s=60.0))
    for _ in range(3):
        assert len(session.run({"image": np.zeros((1, 3, 64, 64), np.float32)})) == 6


def test_memory_of_all_sessions_ends_at_the_arena(package: ModelPackage) -> None:
    """One tensor of 256 MiB doesn't fit the arena of 128 MiB; a session beside it is not harmed."""
    side = 8192
    nodes = [node("Sigmoid", ["x"], "y"), node("MatMul", ["row", "y"], "z")]
    big = model(
        nodes,
        [tensor("row", np.zeros((1, side), np.float32))],
        [value("x", [side, side])],
        [value("z", [1, side])],
    )
    session = Session(replace(package, weights=big), SessionLimits())
    with pytest.raises(ModelRunError, match="the ONNX runtime failed"):
        session.run({"x": np.zeros((side, side), np.float32)})
    assert len(Session(package, SessionLimits()).run({"image": np.zeros((1, 3, 64, 64), np.float32)})) == 6
