"""``heads`` in a campaign file: small networks over a camera's pooled features, by name.

``{crossing: {source: nanodet-m-416@2022.11, camera: front, file: crossing.onnx}}``. In place of ``file`` there may be
``weights``: the name of an ``.npz``, or the layers themselves as ``[{weights: [[...]], biases: [...]}]``. ``sample``
names an ``.npy`` of features (n, inputs) that are typical; ``limit`` says how large features get. Paths begin at the
campaign file's folder.

The network becomes whole numbers (:mod:`head_fixed`). One whose scores would move by more than ``MAX_LOSS`` of their
range is refused: it would not fire where its author saw it fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from fsd_agent.records.campaign import LIMITS
from fsd_agent.records.head import FEATURE_MAX, Head, HeadError
from fsd_models.features import HALVES_SUFFIX
from fsd_models.package import FeatureSpec
from fsd_models.shipped import shipped_manifest, shipped_names
from fsd_tools.campaign.head_fixed import Loss, loss, to_fixed
from fsd_tools.campaign.head_layers import (
    Decimals,
    FloatLayer,
    LayersError,
    check_layers,
    make_layer,
    read_npz,
)
from fsd_tools.campaign.head_onnx import read_onnx
from fsd_tools.campaign.schema import FieldError
from fsd_tools.campaign.zones import check_name

DEFAULT_LIMIT: Final = 8.0
"""Where neither a sample, nor the file, nor a shipped package says how large features get: pooled outputs of a
network that normalises its layers stay well below it, and there remain 4,096 steps to one."""
MAX_LOSS: Final = 0.01
"""Of the range of scores. A sound head loses a few thousandths at most."""
MAX_SAMPLE_BYTES: Final = 64 << 20


class LayerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layer, written out."""

    weights: list[list[float]]
    biases: list[float]


class HeadFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One head of ``heads``."""

    source: Annotated[
        str, Meta(pattern=r"^(firmware:[^\s:]{1,100}|[a-z0-9][a-z0-9._-]*@[a-z0-9][a-z0-9._-]*(\+halves)?)\Z")
    ]
    camera: Annotated[str, Meta(min_length=1, max_length=64)]
    file: Annotated[str, Meta(min_length=1)] | None = None
    weights: str | list[LayerFile] | None = None
    sample: Annotated[str, Meta(min_length=1)] | None = None
    limit: Annotated[float, Meta(gt=0, le=FEATURE_MAX)] | None = None


@dataclass(frozen=True, slots=True)
class CompiledHead:
    """A head, and what it lost on its way into whole numbers."""

    head: Head
    loss: Loss


def compile_heads(parsed: dict[str, Any], folder: Path) -> tuple[Head, ...]:
    """The heads of a file that lies in ``folder``. Raises :class:`FieldError`."""
    if len(parsed) > LIMITS.heads:
        raise FieldError("heads", f"{len(parsed)} heads; at most {LIMITS.heads}")
    return tuple(compile_head(name, spec, folder).head for name, spec in parsed.items())


def compile_head(name: Any, spec: Any, folder: Path) -> CompiledHead:
    """One of them. Raises :class:`FieldError`."""
    check_name("heads", name)
    field = f"heads.{name}"
    try:
        found = msgspec.convert(spec, HeadFile, strict=True)
        layers = check_layers(_layers(found, folder))
    except (msgspec.ValidationError, LayersError) as error:
        raise FieldError(field, str(error)) from None
    known = _shipped(found.source)
    inputs = layers[0].weights.shape[1]
    if known is not None and known.size != inputs:
        raise FieldError(field, f"takes {inputs} features, {found.source} gives {known.size}")
    sample = _sample(field, folder / found.sample, inputs) if found.sample is not None else None
    limit = found.limit or _limit(known, sample)
    try:
        head = to_fixed(str(name), found.source, found.camera, layers, limit, sample)
    except HeadError as error:
        raise FieldError(field, f"can't be held in whole numbers: {error}") from None
    lost = loss(head, layers, limit, sample)
    if not lost.spread:
        raise FieldError(field, "gives the same score whatever the features are")
    if lost.error > MAX_LOSS * lost.spread:
        reason = (
            f"scores in whole numbers are off by up to {lost.error:.3g}, and they range over {lost.spread:.3g}:"
            f" more than {MAX_LOSS:.0%}; scale the features or their weights, or give a sample"
        )
        raise FieldError(field, reason)
    return CompiledHead(head, lost)


def _layers(found: HeadFile, folder: Path) -> list[FloatLayer]:
    if (found.file is None) == (found.weights is None):
        raise LayersError("needs either file (an ONNX model) or weights (an .npz, or layers)")
    if found.file is not None:
        return read_onnx(folder / found.file)
    if isinstance(found.weights, str):
        return read_npz(folder / found.weights)
    return [make_layer(at, one.weights, one.biases) for at, one in enumerate(found.weights or [])]


def _shipped(source: str) -> FeatureSpec | None:
    """What a shipped package gives under this name; None for other sources."""
    wanted = source.removesuffix(HALVES_SUFFIX)
    manifests = (shipped_manifest(name) for name in shipped_names())
    return next((one.features for one in manifests if one.source == wanted), None)


def _limit(known: FeatureSpec | None, sample: Decimals | None) -> float:
    if known is not None:
        return known.limit
    if sample is not None:
        return max(2 * float(np.abs(sample).max()), 1e-3)
    return DEFAULT_LIMIT


def _sample(field: str, path: Path, inputs: int) -> Decimals:
    try:
        if path.stat().st_size > MAX_SAMPLE_BYTES:
            raise FieldError(field, f"sample: {path}: more than {MAX_SAMPLE_BYTES} bytes")
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FieldError(field, f"sample: {path}: can't be read as .npy: {error}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise FieldError(field, f"sample: {path}: holds no array of numbers")
    if found.ndim != 2 or not len(found) or found.shape[1] != inputs:
        raise FieldError(field, f"sample: {path}: has shape {found.shape}; (n, {inputs}) is expected")
    if not np.isfinite(found).all():
        raise FieldError(field, f"sample: {path}: holds a number that is not finite")
    return found.astype(np.float64)
