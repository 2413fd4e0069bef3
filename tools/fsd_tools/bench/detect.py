"""``fsdctl bench detect``: pictures to boxes against the model zoo's own pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_firmware.samples import Frame, Kind
from fsd_models.boxes import RawBoxes, iou, suppress
from fsd_models.nanodet import Nanodet, decode, find_levels
from fsd_models.package import load_package
from fsd_models.picture import Preprocessor
from fsd_models.session import SessionLimits, Tensor
from fsd_tools.bench import zoo_pipeline as zoo
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.bench.heads import bench_features, linear_heads
from fsd_tools.data import data_dir
from fsd_tools.errors import ToolError
from fsd_tools.model.assemble import assemble_package

FLOAT, INT8 = "nanodet-m-416", "nanodet-m-416-int8"
MIN_SCORE = 0.35
SAME_BOX = 0.9
"""Intersection over union from which two pipelines' boxes are the same."""
TIMED_PICTURES = 6

Picture = NDArray[np.uint8]


def bench_detect(rounds: int, progress: Progress) -> BenchResult:
    """NanoDet-m 416 on pictures of 1280x720 from a street scene (63 pictures, a pedestrian and a cyclist).

    The peer is the OpenCV model zoo's pipeline (NumPy normalising, softmax over every cell, OpenCV's
    suppression), with the same float weights on ONNX Runtime's defaults, and on OpenCV's DNN module. All run
    on one thread, in turns on the same six pictures, decoded beforehand. Before anything is timed the boxes
    of ours and the peer's are compared. Ours includes the pooled features; one figure adds 16 linear heads on them,
    against the same model without either. "Cyclist seen" and "pedestrian seen" count pictures of all 63, score
    at least 0.35, whole picture against two overlapping halves.
    """
    pictures = read_pictures(data_dir() / "video" / "pedestrian_cyclist_1.mp4")
    with tempfile.TemporaryDirectory(prefix="fsd-bench-") as folder:
        progress("assembling packages")
        packages = {name: _assemble(name, Path(folder) / name) for name in (FLOAT, INT8)}
        shared = _shared_boxes(packages[FLOAT], pictures)
        progress(f"{rounds} rounds in turns")
        timed = _time(rounds, packages, pictures[:: len(pictures) // TIMED_PICTURES][:TIMED_PICTURES])
        progress("what is seen in all pictures")
        seen = _seen(packages[INT8], pictures)
    return BenchResult("detect", this_machine(), (*timed, shared, *seen))


def read_pictures(path: Path) -> list[Picture]:
    """All pictures of a video. Raises :class:`ToolError` when there are none."""
    video = cv2.VideoCapture(str(path)) if path.is_file() else None
    pictures: list[Picture] = []
    while video is not None:
        more, bgr = video.read()
        if not more:
            break
        pictures.append(np.asarray(bgr, np.uint8))
    if len(pictures) < TIMED_PICTURES:
        raise ToolError(
            f"{path}: not found or too short. This benchmark needs it; FSD_DATA names the data's folder"
        )
    return pictures


def _assemble(name: str, folder: Path) -> Path:
    return assemble_package(name, data_dir() / "models", folder)


def _time(rounds: int, packages: dict[str, Path], pictures: list[Picture]) -> list[Figure]:
    cv2.setNumThreads(1)
    limits = SessionLimits(threads=1)
    ours, small = (Nanodet(load_package(packages[name]), limits) for name in (FLOAT, INT8))
    bare = _without_features(packages[INT8], limits)
    weights = packages[FLOAT] / ours.manifest.weights.file
    runtime, opencv = zoo.onnxruntime_engine(weights, 1), zoo.opencv_engine(weights)
    outputs = runtime(zoo.preprocess(pictures[0])[0])
    contenders: dict[str, Callable[[Picture], object]] = {
        "ours": lambda bgr: ours.detect(bgr, MIN_SCORE),
        "int8": lambda bgr: small.detect(bgr, MIN_SCORE),
        "halves": lambda bgr: small.detect(bgr, MIN_SCORE, halves=True),
        "heads": _with_heads(small),
        "bare": lambda bgr: bare.detect(bgr, MIN_SCORE),
        "zoo": lambda bgr: zoo.detect(runtime, bgr, MIN_SCORE),
        "opencv": lambda bgr: zoo.detect(opencv, bgr, MIN_SCORE),
        "around": _around(ours, outputs),
        "zoo around": lambda bgr: zoo.postprocess(outputs, MIN_SCORE, *zoo.preprocess(bgr)[1:]),
    }
    seconds = interleaved(rounds, {name: _over(call, pictures) for name, call in contenders.items()})
    ms = {name: 1e3 * spent / len(pictures) for name, spent in seconds.items()}
    plain, dnn = "zoo pipeline, float, ONNX Runtime defaults", "zoo pipeline, float, OpenCV DNN"
    return [
        figure("float, whole picture, against ONNX Runtime", 1e3 / ms["ours"], "pictures/s",
               peer=plain, peer_value=1e3 / ms["zoo"], goal=Goal(">=", 1.0)),
        figure("float, whole picture, against OpenCV DNN", 1e3 / ms["ours"], "pictures/s",
               peer=dnn, peer_value=1e3 / ms["opencv"], goal=Goal(">=", 1.0)),
        figure("int8, whole picture", 1e3 / ms["int8"], "pictures/s",
               peer=plain, peer_value=1e3 / ms["zoo"], goal=Goal(">=", 1.4)),
        figure("int8, whole picture, with 16 heads on its features", 1e3 / ms["heads"], "pictures/s",
               peer="ours without features", peer_value=1e3 / ms["bare"], goal=Goal(">=", 0.97)),
        figure("int8, two halves", 1e3 / ms["halves"], "pictures/s", peer=plain, peer_value=1e3 / ms["zoo"]),
        figure("around the network: to the tensor, and to boxes", ms["around"], "ms/picture",
               peer="zoo pipeline", peer_value=ms["zoo around"], goal=Goal("<=", 0.5)),
        figure("int8, two halves at 5 pictures/s", 100 * ms["halves"] * 5 / 1e3, "% of a core"),
    ]  # fmt: skip


def _without_features(folder: Path, limits: SessionLimits) -> Nanodet:
    package = load_package(folder)
    manifest = msgspec.structs.replace(package.manifest, features=None)
    return Nanodet(replace(package, manifest=manifest), limits)


def _with_heads(model: Nanodet) -> Callable[[Picture], object]:
    bank = linear_heads(16)

    def run(bgr: Picture) -> object:
        found = model.look(bgr, MIN_SCORE)
        return found, bank.samples([bench_features(found.features)]) if found.features is not None else None

    return run


def _around(model: Nanodet, outputs: Sequence[NDArray[np.float32]]) -> Callable[[Picture], object]:
    """Everything of ours but the network, on fixed outputs of it."""
    manifest = model.manifest
    picture = Preprocessor(manifest.input, threads=1)
    levels = find_levels("outputs", manifest, [Tensor("", out.shape) for out in outputs])
    wanted = np.flatnonzero(np.array(manifest.kind_of_class())).astype(np.int32)

    def run(bgr: Picture) -> object:
        fit = picture.fit(bgr)[1]
        found = suppress(decode(outputs, levels, wanted, MIN_SCORE), manifest.thresholds.iou)
        return fit.back(found.box)

    return run


def _over(call: Callable[[Picture], object], pictures: list[Picture]) -> Callable[[], None]:
    def run() -> None:
        for bgr in pictures:
            call(bgr)

    return run


def _shared_boxes(package: Path, pictures: list[Picture]) -> Figure:
    """Of the peer's boxes with a class that we report, the share that we have as well."""
    ours = Nanodet(load_package(package), SessionLimits())
    wanted = [i for i, kind in enumerate(ours.manifest.kind_of_class()) if kind]
    engine = zoo.onnxruntime_engine(package / ours.manifest.weights.file, 1)
    total = shared = 0
    for bgr in pictures[::3]:
        theirs = zoo.detect(engine, bgr, MIN_SCORE)
        theirs = theirs.take(np.isin(theirs.cls, wanted))
        total += len(theirs)
        shared += _same(theirs, ours.detect(bgr, MIN_SCORE))
    return figure(
        "the peer's boxes that ours has too",
        100 * shared / max(total, 1),
        f"% of {total} boxes",
        goal=Goal(">=", 98, "value"),
    )


def _same(a: RawBoxes, b: RawBoxes) -> int:
    same = (iou(a.box, b.box) >= SAME_BOX) & (a.cls[:, None] == b.cls[None, :])
    return int(same.any(axis=1).sum())


def _seen(package: Path, pictures: list[Picture]) -> list[Figure]:
    counts = {}
    for halves in (False, True):
        detector = OnnxDetector(package, halves=halves, threads=1)
        frames = (Frame("front", index, bgr) for index, bgr in enumerate(pictures))
        kinds = [
            set(detector.detect(frame, min_score=MIN_SCORE).detections.kind.tolist()) for frame in frames
        ]
        for kind in (Kind.PEDESTRIAN, Kind.CYCLIST):
            counts[kind, halves] = sum(kind in seen for seen in kinds)
    return [
        figure(
            f"{kind.name.lower()} seen, int8, two halves",
            counts[kind, True],
            f"of {len(pictures)} pictures",
            peer="ours, whole picture",
            peer_value=counts[kind, False],
        )
        for kind in (Kind.PEDESTRIAN, Kind.CYCLIST)
    ]
