"""Which models a configuration opens, and that none is left out in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsd_agent.daemon.config import CheckConfig, PerceptionConfig
from fsd_agent.daemon.detectors import open_detectors
from fsd_agent.ports.detector import DetectorError
from fsd_firmware.samples import Frame
from fsd_models.testing.marker_model import write_marker_package
from fsd_models.testing.one_output_model import write_one_output_package


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_marker_package(tmp_path / "first")
    write_one_output_package(tmp_path / "second")
    return tmp_path


def test_without_perception_there_are_none(base: Path) -> None:
    opened = open_detectors(None, base)
    assert (opened.sensing, opened.redaction, opened.sources) == (None, (), ())


def test_one_package_is_opened_for_either_use(base: Path) -> None:
    opened = open_detectors(PerceptionConfig("first"), base)
    assert opened.sensing is not None
    assert opened.sensing is not opened.redaction[0]
    assert opened.sources == ("marker@1",)
    assert len(opened.redaction) == 1


def test_a_second_package_looks_at_clips_only(base: Path) -> None:
    opened = open_detectors(PerceptionConfig("first", second_package="second"), base)
    assert opened.sensing is not None
    assert opened.sensing.source == "marker@1"
    assert [one.source for one in opened.redaction] == ["marker@1", "marker-one@1"]
    assert opened.sources == ("marker-one@1", "marker@1")


def test_a_second_package_that_can_t_run_is_no_agent_with_one(base: Path) -> None:
    (base / "second" / "weights.onnx").write_bytes(b"other")
    with pytest.raises(DetectorError, match=r"second/weights\.onnx: weights\.bytes"):
        open_detectors(PerceptionConfig("first", second_package="second"), base)


def test_checkers_are_opened_with_and_without_perception(base: Path) -> None:
    write_marker_package(base / "other")
    check = CheckConfig(("other",))
    alone = open_detectors(None, base, check)
    assert (alone.sensing, alone.redaction) == (None, ())
    assert [one.source for one in alone.checkers] == ["marker@1"]
    beside = open_detectors(PerceptionConfig("second"), base, check)
    assert beside.sources == ("marker-one@1", "marker@1")
    assert open_detectors(PerceptionConfig("second"), base).checkers == ()


def test_a_checker_that_can_t_run_is_no_agent_without_one(base: Path) -> None:
    with pytest.raises(DetectorError, match="missing"):
        open_detectors(None, base, CheckConfig(("first", "missing")))


def test_looks_at_clips_fit_the_pictures_and_features_are_those_of_sensing(base: Path) -> None:
    """Heads and limits of novelty were set on features of the package's own input: they must stay as they are."""
    opened = open_detectors(PerceptionConfig("first"), base)
    assert opened.sensing is not None
    frame = Frame("front", 0, np.zeros((64, 64, 3), np.uint8))
    assert opened.sensing.detect(frame, min_score=0.5).features is not None
    assert opened.redaction[0].detect(frame, min_score=0.5).features is None
    theirs, ours = opened.redaction[0].features(frame), opened.sensing.features(frame)
    assert theirs is not None
    assert ours is not None
    assert (theirs.source, theirs.value.tolist()) == (ours.source, ours.value.tolist())
