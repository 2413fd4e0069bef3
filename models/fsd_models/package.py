"""A model package: a folder with ``model.toml`` and one weights file.

The manifest says what the weights are and how to feed them::

    format = 1
    name = "nanodet-m-416"
    version = "2022.11"
    kind = "nanodet"                 # which pre- and post-processing
    licence = "Apache-2.0"
    origin = "where the weights come from"
    classes = ["person", ...]        # in the order of the model's scores

    [kinds]                          # classes that the agent wants, and what they are
    person = "pedestrian"

    [weights]
    file = "weights.onnx"            # beside the manifest
    sha256 = "..."
    bytes = 3800954

    [input]
    width = 416
    height = 416
    layout = "nchw"
    colour = "bgr"
    fit = "letterbox"                # or "stretch"
    mean = [103.53, 116.28, 123.675] # in the order of colour, of 0 to 255
    std = [57.375, 57.12, 58.395]
    resizable = true                 # optional: may be given other sizes than this

    [features]                       # optional
    tensor = "690"                   # leaves the backbone's last stage, (1, size, h, w)
    size = 464
    limit = 1.0                      # no pooled feature is larger

    [thresholds]
    score = 0.35
    iou = 0.6

Trust. A flipped weight byte loads into a session without complaint, so size and SHA-256 are checked here, on
the very bytes that the session is then made from: nothing is read twice, and no session exists before.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fsd_models.errors import ModelPackageError
from fsd_models.kinds import KindName, ModelKind, kind_named

MANIFEST_NAME = "model.toml"
MAX_MANIFEST_BYTES = 1 << 20
"""A manifest is a page; more is a mistake or an attack."""
MAX_WEIGHTS_BYTES = 1 << 30
"""Weights are read into memory whole."""

Text = Annotated[str, Meta(min_length=1, max_length=500)]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""A plain name: a manifest can't point outside its folder."""
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Side = Annotated[int, Meta(ge=32, le=4096, multiple_of=16)]
"""Pixels; of the strides a kind has it must be a multiple where its outputs say so."""
Fraction = Annotated[float, Meta(gt=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which file, pinned."""

    file: FileName
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Meta(ge=1, le=MAX_WEIGHTS_BYTES)]


class ModelInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a picture becomes the input tensor: fitted, then ``(value - mean) / std`` per colour."""

    width: Side
    height: Side
    layout: Literal["nchw"]
    colour: Literal["bgr", "rgb"]
    fit: Literal["letterbox", "stretch"]
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    resizable: bool = False
    """Fully convolutional, so that wide pictures can be looked at in a lower input: :mod:`fsd_models.fitted`."""


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where trigger heads find features; see :mod:`fsd_models.features`."""

    tensor: Text
    size: Annotated[int, Meta(ge=1, le=4096)]
    limit: Annotated[float, Meta(gt=0, le=2**15 - 1)]
    """Magnitude that pooled features stay below: heads are quantised for it."""


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the caller has no wish of its own."""

    score: Fraction
    iou: Fraction
    """Of two boxes of a class that overlap more, the one with the lower score is dropped."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``model.toml``."""

    format: Literal[1]
    name: Slug
    version: Slug
    kind: Literal["fastestdet", "lpd-yunet", "nanodet", "yunet"]
    licence: Text
    origin: Text
    classes: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=10_000)]
    kinds: Annotated[dict[str, KindName], Meta(min_length=1)]
    weights: Weights
    input: ModelInput
    thresholds: Thresholds
    features: FeatureSpec | None = None

    @property
    def source(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def kind_of_class(self) -> tuple[ModelKind, ...]:
        """The kind of each class, in the order of ``classes``; ``NONE`` for what ``kinds`` leaves out."""
        return tuple(
            kind_named(self.kinds[name]) if name in self.kinds else ModelKind.NONE for name in self.classes
        )


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A verified package. Only :func:`load_package` makes one."""

    folder: Path
    manifest: Manifest
    weights: bytes
    """The checked bytes themselves."""
    digest: str
    """SHA-256 of the manifest's bytes, 64 hex digits; the weights' is named in them."""


def load_manifest(path: Path) -> Manifest:
    """Read and check one ``model.toml``. Raises :class:`ModelPackageError` naming file and field."""
    return _manifest(path, _read_at_most(path, MAX_MANIFEST_BYTES))


def _manifest(path: Path, data: bytes) -> Manifest:
    try:
        text = data.decode()
        manifest = msgspec.convert(tomllib.loads(text), Manifest, strict=True)
    except UnicodeDecodeError:
        raise ModelPackageError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ModelPackageError(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ModelPackageError(f"{path}: {error}") from None
    _check_whole(path, manifest)
    return manifest


def load_package(folder: Path) -> ModelPackage:
    """Read a package and verify its weights. Raises :class:`ModelPackageError`."""
    about = _read_at_most(folder / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = _manifest(folder / MANIFEST_NAME, about)
    wanted = manifest.weights
    path = folder / wanted.file
    data = _read_at_most(path, wanted.bytes)
    if len(data) != wanted.bytes:
        raise ModelPackageError(
            f"{path}: weights.bytes: {len(data)} bytes found, the manifest says {wanted.bytes}"
        )
    found = hashlib.sha256(data).hexdigest()
    if not hmac.compare_digest(found, wanted.sha256):
        raise ModelPackageError(f"{path}: weights.sha256: {found} found, the manifest says {wanted.sha256}")
    return ModelPackage(folder, manifest, data, hashlib.sha256(about).hexdigest())


def _read_at_most(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelPackageError(f"{path}: can't be read: {error.strerror}") from None
    if len(data) > limit:
        raise ModelPackageError(f"{path}: longer than the {limit} bytes it may have")
    return data


def _check_whole(path: Path, manifest: Manifest) -> None:
    """What the types of single fields can't say."""
    if len(set(manifest.classes)) != len(manifest.classes):
        twice = sorted({name for name in manifest.classes if manifest.classes.count(name) > 1})
        raise ModelPackageError(f"{path}: classes: named more than once: {', '.join(twice)}")
    strange = sorted(set(manifest.kinds) - set(manifest.classes))
    if strange:
        raise ModelPackageError(f"{path}: kinds: not among classes: {', '.join(strange)}")
    numbers = (*manifest.input.mean, *manifest.input.std)
    if not all(math.isfinite(number) for number in numbers):
        raise ModelPackageError(f"{path}: input: mean and std must be finite numbers")
    if manifest.input.resizable and manifest.input.fit != "letterbox":
        raise ModelPackageError(f"{path}: input: what stretches pictures has no other size that fits them")
