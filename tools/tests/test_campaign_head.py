"""Trigger heads from their author's files to whole numbers; everything that is no head is refused by name."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from fsd_agent.records.head import MAX_INPUTS
from fsd_agent.rules.triggers.heads import HeadBank
from fsd_firmware.samples import Features
from fsd_tools.campaign.head import MAX_LOSS, compile_head, compile_heads
from fsd_tools.campaign.head_fixed import loss, to_fixed
from fsd_tools.campaign.head_layers import FloatLayer
from fsd_tools.campaign.schema import FieldError

SOURCE = {"source": "firmware:vision", "camera": "front"}
Layers = Sequence[tuple[np.ndarray, np.ndarray]]


def network(*sizes: int, seed: int = 1) -> Layers:
    """Weights (out, in) and biases of a random network."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(after, before)).astype(np.float32), rng.normal(size=after).astype(np.float32))
        for before, after in pairwise(sizes)
    ]


def save_onnx(
    path: Path,
    nodes: Sequence[Any],
    constants: dict[str, np.ndarray],
    inputs: Sequence[str] = ("x",),
    output: str = "y",
) -> Path:
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "head",
        [helper.make_tensor_value_info(name, kind, None) for name in inputs],
        [helper.make_tensor_value_info(output, kind, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    onnx.save_model(helper.make_model(graph), path)
    return path


def gemm_onnx(path: Path, layers: Layers) -> Path:
    """As an export of a sequential network."""
    nodes, constants, value = [], {}, "x"
    for at, (weights, biases) in enumerate(layers):
        constants |= {f"w{at}": weights, f"b{at}": biases}
        last = at == len(layers) - 1
        nodes.append(
            helper.make_node("Gemm", [value, f"w{at}", f"b{at}"], ["y" if last else f"a{at}"], transB=1)
        )
        if not last:
            nodes.append(helper.make_node("Relu", [f"a{at}"], [f"h{at}"]))
            value = f"h{at}"
    return save_onnx(path, nodes, constants)


def matmul_onnx(path: Path, layers: Layers) -> Path:
    """The same with the matrix the other way round, and the sum on its own."""
    nodes, constants, value = [], {}, "x"
    for at, (weights, biases) in enumerate(layers):
        constants |= {f"w{at}": np.ascontiguousarray(weights.T), f"b{at}": biases[None]}
        last = at == len(layers) - 1
        nodes.append(helper.make_node("MatMul", [value, f"w{at}"], [f"m{at}"]))
        nodes.append(helper.make_node("Add", [f"b{at}", f"m{at}"], ["y" if last else f"a{at}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"a{at}"], [f"h{at}"]))
            value = f"h{at}"
    return save_onnx(path, nodes, constants)


def npz(path: Path, layers: Layers) -> Path:
    named = {
        f"{kind}_{at}": one[i]
        for at, one in enumerate(layers)
        for i, kind in enumerate(("weights", "biases"))
    }
    np.savez(path, **named)
    return path


def in_decimals(layers: Layers, x: np.ndarray) -> np.ndarray:
    for at, (weights, biases) in enumerate(layers):
        x = (np.maximum(x, 0) if at else x) @ weights.T.astype(np.float64) + biases
    return x[:, 0]


@pytest.mark.parametrize("sizes", [(464, 1), (20, 8, 1), (20, 16, 8, 1)])
@pytest.mark.parametrize("form", ["gemm", "matmul", "npz", "inline"])
def test_every_form_gives_the_same_head_and_its_scores(
    tmp_path: Path, sizes: tuple[int, ...], form: str
) -> None:
    layers = network(*sizes)
    spec: dict[str, Any] = {
        "gemm": lambda: {"file": gemm_onnx(tmp_path / "head.onnx", layers).name},
        "matmul": lambda: {"file": matmul_onnx(tmp_path / "head.onnx", layers).name},
        "npz": lambda: {"weights": npz(tmp_path / "head.npz", layers).name},
        "inline": lambda: {"weights": [{"weights": w.tolist(), "biases": b.tolist()} for w, b in layers]},
    }[form]()
    (head,) = compile_heads({"crossing": SOURCE | spec}, tmp_path)
    assert (head.name, head.source, head.camera, head.inputs) == (
        "crossing",
        "firmware:vision",
        "front",
        sizes[0],
    )
    x = np.random.default_rng(2).uniform(-4, 4, (50, sizes[0])).astype(np.float32)
    (found,) = HeadBank([(0, head)]).samples([Features("front", "firmware:vision", np.arange(50), x)])
    wanted = in_decimals(layers, x.astype(np.float64))
    assert found.known.all()
    assert np.abs(found.value - wanted).max() < 0.005 * np.ptp(wanted)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.lists(st.integers(1, 20), max_size=2),
       st.floats(-3, 3), st.floats(0.01, 1000), st.booleans())  # fmt: skip
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_networks_of_any_size_lose_less_than_a_hundredth(
    seed: int, inputs: int, hidden: list[int], magnitude: float, limit: float, with_sample: bool
) -> None:
    """Biases of the size of what they are added to: a large one alone would only shrink the range of scores."""
    rng = np.random.default_rng(seed)
    layers, size = [], limit
    for weights, biases in network(inputs, *hidden, 1, seed=seed):
        size *= 10.0**magnitude * np.sqrt(weights.shape[1])
        layers.append(FloatLayer(weights * 10.0**magnitude, biases * size))
    sample = rng.uniform(-limit, limit, (100, inputs)) if with_sample else None
    lost = loss(to_fixed("h", "firmware:a", "front", layers, limit, sample), layers, limit, sample)
    assert lost.tried == (100 if with_sample else 256)
    assert lost.from_sample is with_sample
    assert lost.error <= MAX_LOSS * max(lost.spread, size)


def test_a_sample_says_how_large_features_get(tmp_path: Path) -> None:
    sample = np.random.default_rng(3).normal(scale=100, size=(200, 6))
    np.save(tmp_path / "typical.npy", sample)
    spec = SOURCE | {"weights": npz(tmp_path / "h.npz", network(6, 4, 1)).name}
    without = compile_head("h", spec, tmp_path)
    done = compile_head("h", spec | {"sample": "typical.npy"}, tmp_path)
    assert without.head.input_bits == 11
    assert 2 ** (15 - done.head.input_bits) >= np.abs(sample).max()
    assert done.loss.from_sample
    assert done.loss.tried == 200
    assert done.loss.error < 0.005 * done.loss.spread


def test_a_shipped_package_says_it_by_itself(tmp_path: Path) -> None:
    for source in ("nanodet-m-416@2022.11", "nanodet-m-416-int8@2022.11+halves"):
        spec = {"source": source, "camera": "front", "weights": npz(tmp_path / "h.npz", network(464, 1)).name}
        assert compile_head("h", spec, tmp_path).head.input_bits == 15
        wrong = spec | {"weights": npz(tmp_path / "w.npz", network(463, 1)).name}
        with pytest.raises(FieldError, match=r"heads\.h: takes 463 features, .* gives 464"):
            compile_head("h", wrong, tmp_path)


def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), [output], **attributes)


W = np.ones((3, 1), np.float32)
B = np.ones(1, np.float32)
ONNX_REFUSED = {
    "another operator": ([node("Gemm", ["x", "w"], "a"), node("Sigmoid", ["a"], "y")], {"w": W},
                         r"Sigmoid y: a head is made of Gemm, MatMul, Add and Relu alone"),
    "another domain": ([node("Gemm", ["x", "w"], "y", domain="com.microsoft")], {"w": W}, "a head is made of"),
    "a branch": ([node("Gemm", ["x", "w"], "a"), node("Add", ["x", "b"], "y")], {"w": W, "b": B},
                 "Add y: does not take a, what the node before gave"),
    "the features twice": ([node("Gemm", ["x", "w"], "a"), node("Add", ["a", "a"], "y")], {"w": W}, "once"),
    "two layers without Relu": ([node("Gemm", ["x", "w"], "a"), node("Gemm", ["a", "v"], "y")], {"w": W, "v": B[None]},
                                "Gemm y: between two layers there must be a Relu"),
    "Relu at the end": ([node("Gemm", ["x", "w"], "a"), node("Relu", ["a"], "y")], {"w": W}, "ends in a Relu"),
    "Relu at the start": ([node("Relu", ["x"], "a"), node("Gemm", ["a", "w"], "y")], {"w": W}, "stands before a layer"),
    "a sum at the start": ([node("Add", ["x", "b"], "a"), node("Gemm", ["a", "w"], "y")], {"w": W, "b": B},
                           "stands before a layer's matrix"),
    "transposed features": ([node("Gemm", ["x", "w"], "y", transA=1)], {"w": W}, "not transposed"),
    "features second": ([node("MatMul", ["w", "x"], "y")], {"w": W}, "must be its first operand"),
    "no constant": ([node("MatMul", ["x", "q"], "y")], {}, "q is not a constant"),
    "a stack of matrices": ([node("MatMul", ["x", "w"], "y")], {"w": W[None]}, r"its matrix has the shape"),
    "a bias of another size": ([node("MatMul", ["x", "w"], "a"), node("Add", ["a", "b"], "y")],
                               {"w": W, "b": np.ones(2, np.float32)}, r"\(2,\) can't be added to 1 outputs"),
    "two scores": ([node("MatMul", ["x", "w"], "y")], {"w": np.ones((3, 2), np.float32)}, "the last layer gives 2 values"),
    "an infinity": ([node("MatMul", ["x", "w"], "y")], {"w": W * np.inf}, "layer 0: holds a number that is not finite"),
    "words": ([node("MatMul", ["x", "w"], "y")], {"w": np.array([["a"]], object)}, "w: not numbers"),
    "no node": ([], {}, "output y is not what the last node gives"),
    "too wide": ([node("MatMul", ["x", "w"], "y")], {"w": np.ones((MAX_INPUTS + 1, 1), np.float32)}, "1 x 4097; at most"),
    "too deep": ([step for at in range(4) for step in (
                    node("MatMul", ["x" if not at else f"h{at}", "w"], f"m{at}" if at < 3 else "y"),
                    node("Relu", [f"m{at}"], f"h{at + 1}"))][:-1], {"w": B[None]}, "4 layers; 1 to 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONNX_REFUSED)
def test_a_model_that_is_no_head_is_refused_by_name(tmp_path: Path, case: str) -> None:
    nodes, constants, reason = ONNX_REFUSED[case]
    save_onnx(tmp_path / "head.onnx", nodes, constants)
    with pytest.raises(FieldError, match=reason) as caught:
        compile_head("crossing", SOURCE | {"file": "head.onnx"}, tmp_path)
    assert caught.value.field == "heads.crossing"


def test_models_with_more_inputs_or_numbers_elsewhere_are_refused(tmp_path: Path) -> None:
    spec = SOURCE | {"file": "head.onnx"}
    save_onnx(tmp_path / "head.onnx", [node("MatMul", ["x", "w"], "y")], {"w": W}, inputs=("x", "z"))
    with pytest.raises(FieldError, match="2 inputs and 1 outputs"):
        compile_head("h", spec, tmp_path)
    model = onnx.load_model(save_onnx(tmp_path / "head.onnx", [node("MatMul", ["x", "w"], "y")], {"w": W}))
    onnx.save_model(
        model, tmp_path / "head.onnx", save_as_external_data=True, location="far.bin", size_threshold=0
    )
    with pytest.raises(FieldError, match="w: its numbers lie in another file"):
        compile_head("h", spec, tmp_path)


def broken_npz(folder: Path) -> str:
    (folder / "w.npz").write_bytes(b"PK\x03\x04 not a zip")
    return "w.npz"


def pickled_npz(folder: Path) -> str:
    np.savez(folder / "w.npz", weights_0=np.array([{"a": 1}], object), biases_0=np.zeros(1))
    return "w.npz"


def other_names(folder: Path) -> str:
    np.savez(folder / "w.npz", weights_0=np.ones((1, 2)), biases_1=np.zeros(1))
    return "w.npz"


def bomb(folder: Path) -> str:
    with zipfile.ZipFile(folder / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights_0.npy", bytes(5 << 20))
    return "w.npz"


def unfit(folder: Path) -> str:
    np.savez(folder / "w.npz", weights_0=np.ones((2, 2)), biases_0=np.zeros(3))
    return "w.npz"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _folder: "missing.npz", r"missing\.npz: can't be read"),
        (broken_npz, "can't be read"),
        (pickled_npz, "can't be read"),
        (other_names, "holds biases_1, weights_0; weights_0, biases_0"),
        (bomb, "unpacks to 5242880 bytes"),
        (unfit, r"layer 0: weights \(2, 2\) and biases \(3,\) don't fit"),
        (lambda _folder: [], "0 layers"),
        (lambda _folder: [{"weights": [[1, 2], [3]], "biases": [0, 0]}], "rows of one length"),
        (lambda _folder: [{"weights": [["a"]], "biases": [0]}], "Expected `float`, got `str`"),
        (lambda _folder: [{"weights": [[1]], "biases": [0]}, {"weights": [[1, 2]], "biases": [0]}],
         "layer 1: takes 2 values, the layer before gives 1"),
        (lambda _folder: [{"weights": [[0.0, 0.0]], "biases": [1.0]}], "the same score whatever"),
        (lambda _folder: [{"weights": [[1e13]], "biases": [0]}], "layer 0: holds a number that is not finite, or beyond"),
        (lambda _folder: [{"weights": [[1e12, 1e-6]], "biases": [1e-9]}], None),
        (lambda _folder: [{"weights": [[1.0]] * 300, "biases": [0] * 300}], "300 x 1; at most 256"),
    ],
)  # fmt: skip
def test_weights_that_are_no_head_are_refused(
    tmp_path: Path, make: Callable[[Path], Any], reason: str | None
) -> None:
    spec = SOURCE | {"weights": make(tmp_path)}
    if reason is None:
        assert compile_head("h", spec, tmp_path).head.inputs == 2
        return
    with pytest.raises(FieldError, match=reason):
        compile_head("h", spec, tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": None}, "needs either file"),
        ({"file": "a.onnx"}, "needs either file"),
        ({"file": "missing.onnx", "weights": None}, r"missing\.onnx: can't be read as an ONNX model"),
        ({"source": "somebody"}, r"Expected `str` matching regex .* - at `\$\.source`"),
        ({"camera": ""}, "camera"),
        ({"limit": 0.0}, "limit"),
        ({"more": 1}, "unknown field `more`"),
        ({"sample": "missing.npy"}, r"sample: .*missing\.npy: can't be read"),
        ({"sample": "other.npy"}, r"sample: .* has shape \(2, 3\); \(n, 1\) is expected"),
        ({"sample": "nan.npy"}, "sample: .* not finite"),
        ({"sample": "text.npy"}, "sample: .* no array of numbers"),
        ({"sample": "outside.npy", "limit": 0.001}, "are off by up to .* more than 1%"),
    ],
)
def test_a_head_file_that_is_wrong_is_refused_by_field(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\xff")
    np.save(tmp_path / "other.npy", np.ones((2, 3)))
    np.save(tmp_path / "nan.npy", np.full((2, 1), np.nan))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "outside.npy", np.array([[-1000.0], [1000.0]]))
    spec = SOURCE | {"weights": [{"weights": [[1.0]], "biases": [0.0]}]} | change
    with pytest.raises(FieldError, match=reason):
        compile_head("h", {name: value for name, value in spec.items() if value is not None}, tmp_path)


def test_names_and_their_number_are_bounded(tmp_path: Path) -> None:
    spec = SOURCE | {"weights": [{"weights": [[1.0]], "biases": [0.0]}]}
    with pytest.raises(FieldError, match="'A B': a name is"):
        compile_head("A B", spec, tmp_path)
    with pytest.raises(FieldError, match="5 heads; at most 4"):
        compile_heads({f"h{at}": spec for at in range(5)}, tmp_path)
