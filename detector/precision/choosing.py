"""Choose a network's precision, floats, bfloat16 or 8-bit integers, by a comparison whose result is cached.

A network of lower precision is made once for a model and its calibration pictures. It is then compared with floats on
those images: how well the boxes agree, and how much faster it is on this machine. Later runs read the result.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from mmap import ACCESS_COPY, ALLOCATIONGRANULARITY, mmap
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from convert.opened_model import OpenedModel
from detector.detections import Detections
from detector.engines.base import Engine, available_cores
from detector.engines.cache import compiled
from detector.engines.opening import OnNote, ignore_note, open_engine
from detector.engines.quantising import Network, can_quantise, quantise, toolkit
from detector.errors import EngineError
from detector.images.letterbox import Fit
from detector.images.planes import Planes
from detector.precision.agreement import agreement
from detector.precision.calibration import PICTURES, Calibration
from detector.settings import Settings

LEAST_AGREEMENT = 0.8
"""Minimum agreement (see `Agreement.f1`) of boxes with those of floats for `auto` to use a lower precision."""

LEAST_SPEEDUP = 1.1
"""Minimum speed relative to floats for `auto` to use a lower precision."""

ENOUGH_SPEEDUP = 2.0
"""With so much, `auto` does not try to make an int8 network, which agrees less well with floats than bfloat16."""

FEWEST_TO_COMPARE = 64
"""Minimum images or frames for which a comparison pays off."""

FEWEST_PICTURES = 8
FEWEST_BOXES = 10
"""Minimum boxes for a meaningful comparison."""

_CONFIDENCE = 0.25
_TIMED_RUNS = 20
_TIMED_SECONDS = 5.0

Kind = Literal["openvino_int8", "openvino_bf16", "litert_int8"]


class Interpreter(Protocol):
    """What a comparison needs of a detector; implemented by `Detector`."""

    engine: Engine
    settings: Settings

    def fit(self, picture_width: int, picture_height: int, *, pixel_aspect: float = 1.0) -> Fit:
        """Return how an image is fitted into the network's input."""
        ...

    def interpret(self, outputs: list[NDArray[np.float32]], fit: Fit) -> Detections:
        """Return the boxes decoded from raw heads."""
        ...


@dataclass(frozen=True)
class Comparison:
    """A network of lower precision compared with floats, on the calibration images and on one machine."""

    agreement: float
    boxes: int
    pictures: int
    speedup: float
    """Speed as a multiple of that of floats."""

    def objection(self) -> str:
        """Why `auto` does not use it; empty if it does."""
        if self.boxes < FEWEST_BOXES:
            return f"the pictures hold {self.boxes} boxes to compare by, and {FEWEST_BOXES} are needed"
        if self.agreement < LEAST_AGREEMENT:
            return f"its boxes agree with those of floats by {self.agreement:.2f}, less than {LEAST_AGREEMENT}"
        if self.speedup < LEAST_SPEEDUP:
            return f"it is {self.speedup:.1f} times as fast as floats here, less than {LEAST_SPEEDUP}"
        return ""


class Unsuitable(Exception):  # noqa: N818 - the run goes on in floats
    """Why a precision is unsuitable for this run."""


@dataclass(frozen=True)
class Choice:
    """A model, the settings to run it with, and the function that makes a detector of an engine."""

    model: OpenedModel
    settings: Settings
    detector: Callable[[Engine, Settings], Interpreter]
    workers: int = 1
    on_note: OnNote = ignore_note

    def open(self) -> Engine:
        """Open the engine in the precision that the settings request, or else in floats with a note that says why.

        Raise `EngineError` and `ModelFileError` as `open_engine` does.
        """
        if self.settings.precision == "auto" and (why := self._no_use()):
            self.on_note(f"precision: float ({why})")
            return self._floats(self.on_note)
        objections: list[str] = []
        best: tuple[Kind, str, float, Network | None] | None = None
        for kind in self._kinds():
            try:
                why, speedup, network = self._verdict(kind)
            except (Unsuitable, EngineError) as error:
                objections.append(f"{_NAMES[kind]}: {error}")
                continue
            if best is None or speedup > best[2]:
                best = kind, why, speedup, network
            if self.settings.precision != "auto" or speedup >= ENOUGH_SPEEDUP:
                break
        if best:
            kind, why, _, network = best
            self.on_note(f"precision: {_NAMES[kind]} ({why})")
            return self._open(kind, network)
        reasons = "; ".join(objections) or f"engine {self.settings.engine} has no other"
        self.on_note(f"precision: float ({reasons})")
        return self._floats(self.on_note)

    def int8(self) -> tuple[str, Network]:
        """Return how an int8 network compares with floats, and the network; raise `Unsuitable` or `EngineError`."""
        why, _, network = self._verdict("openvino_int8")
        assert network is not None
        return why, network

    def _no_use(self) -> str:
        """Return why `auto` uses floats without any comparison; empty if it need not."""
        if self.settings.interpolation == "darknet":
            return "--interpolation darknet asks for Darknet's own boxes"
        if self._calibration is None:
            return "there are no pictures to calibrate and compare on; name some with --calibrate"
        if self._calibration.expected() < FEWEST_TO_COMPARE:
            return f"fewer than {FEWEST_TO_COMPARE} pictures"
        return ""

    def _kinds(self) -> list[Kind]:
        """Return the candidates, best first."""
        engines = {"auto": ("openvino", "litert"), "openvino": ("openvino",), "litert": ("litert",)}
        usable = engines.get(self.settings.engine, ())
        kinds: list[Kind] = []
        if "openvino" in usable:
            kinds += ["openvino_bf16", "openvino_int8"]
        if "litert" in usable:
            kinds.append("litert_int8")
        wanted = self.settings.precision
        return [kind for kind in kinds if wanted == "auto" or kind.endswith(wanted)]

    @cached_property
    def _calibration(self) -> Calibration | None:
        return Calibration.of(self.settings.calibrate)

    @cached_property
    def _fits(self) -> list[tuple[NDArray[np.float32], Fit]]:
        """Network inputs made of the calibration images, and how each was fitted."""
        if self._calibration is None:
            return []
        detector = self._floating
        fits = []
        for picture, aspect in self._calibration.read():
            fit = detector.fit(picture.shape[1], picture.shape[0], pixel_aspect=aspect)
            pixels = picture if isinstance(picture, Planes) else np.ascontiguousarray(picture)
            fits.append((fit.network_input(pixels, self.settings.interpolation)[None], fit))
        return fits

    @cached_property
    def _floating(self) -> Interpreter:
        plain = replace(self.settings, confidence=_CONFIDENCE, classes=None, tiles=None, precision="float")
        return self.detector(self._floats(ignore_note), plain)

    def _floats(self, on_note: OnNote) -> Engine:
        return open_engine(
            self.settings.engine, self.model, threads=self.settings.threads, workers=self.workers, on_note=on_note
        )

    def _verdict(self, kind: Kind) -> tuple[str, float, Network | None]:
        """Return why a precision is used, its speed over floats and its network; raise `Unsuitable` if it is not."""
        _check_installed(kind)
        if self.settings.precision != "auto" and kind != "openvino_int8":
            return "as asked for", 1.0, None
        if self._calibration is None:
            raise Unsuitable("there are no pictures to calibrate and compare on; name some with --calibrate")
        comparison, network = _unpack(self._file(kind))
        objection = comparison.objection()
        if objection and self.settings.precision == "auto":
            raise Unsuitable(objection)
        why = (
            f"{comparison.speedup:.1f} times as fast as floats here; boxes agree by {comparison.agreement:.2f} on "
            f"{comparison.pictures} pictures of {self._calibration.name}"
        )
        return why, comparison.speedup, network

    def _file(self, kind: Kind) -> Path:
        assert self._calibration is not None
        return compiled(
            self.model.path,
            "quantised",
            sha256=self.model.sha256,
            variant=_variant(kind, self._calibration, self.settings),
            on_note=self.on_note,
            build=lambda model, _, out: self._make(kind, out),
        )

    def _make(self, kind: Kind, out: Path) -> None:
        """Make a network of lower precision, compare it, and write both."""
        self._check_worth_it(kind)
        network = None
        if kind == "openvino_int8":
            assert self._calibration is not None
            self.on_note(
                f"making an int8 network of {self.model.path.name}, calibrated on {len(self._fits)} pictures of "
                f"{self._calibration.name}, once ..."
            )
            network = quantise(self._litert(), [batch for batch, _ in self._fits])
        _pack(out, self._compare(self._open(kind, network)), network)

    def _check_worth_it(self, kind: Kind) -> None:
        """Raise `Unsuitable` if the run is shorter than the preparation, or the images are too few or empty."""
        if self.settings.precision == "auto" and self._run_seconds < self._making_seconds(kind):
            raise Unsuitable("the run is too short for it to pay")
        inputs = [batch for batch, _ in self._fits]
        if len(inputs) < FEWEST_PICTURES:
            raise Unsuitable(f"{len(inputs)} pictures are too few to compare on; expected {FEWEST_PICTURES} or more")
        if all(batch.shape == inputs[0].shape and np.array_equal(batch, inputs[0]) for batch in inputs):
            raise Unsuitable("the pictures to compare on are all the same")

    @cached_property
    def _run_seconds(self) -> float:
        """Seconds that floats will take for the remaining images or video."""
        return self._picture_seconds * (self._calibration.expected() if self._calibration else 0)

    @cached_property
    def _picture_seconds(self) -> float:
        engine, description = self._floating.engine, self.model.description
        batch = np.zeros((1, description.height, description.width, description.channels), np.float32)
        return min(_seconds(engine, batch) for _ in range(3))  # the first takes longer

    def _making_seconds(self, kind: Kind) -> float:
        """Return twice the seconds for making and comparing, by measurements of networks of 0.1 to 65 GFLOP."""
        runs = PICTURES * self._picture_seconds
        return 2 * (20 + 3 * runs if kind == "openvino_int8" else 3 + 2 * runs)

    def _litert(self) -> Path:
        return compiled(self.model.path, "litert", sha256=self.model.sha256, on_note=self.on_note)

    def _open(self, kind: Kind, network: Network | None) -> Engine:
        threads = self.settings.threads or available_cores()
        if kind == "litert_int8":
            from detector.engines.litert import LitertEngine

            file = compiled(self.model.path, kind, sha256=self.model.sha256, on_note=self.on_note)
            return LitertEngine(file, threads=max(1, threads // self.workers), workers=self.workers)
        from detector.engines.openvino import OpenVinoEngine

        made = network or self._litert()
        precision: Literal["bf16", "int8"] = "int8" if network else "bf16"
        return OpenVinoEngine(made, threads=threads, workers=self.workers, precision=precision)

    def _compare(self, engine: Engine) -> Comparison:
        floats = self._floating
        ours = self.detector(engine, floats.settings)
        expected, found = (_detect(detector, self._fits) for detector in (floats, ours))
        agreed = agreement(found, expected)
        speedup = _speedup(floats.engine, engine, self._fits[0][0])
        return Comparison(round(agreed.f1, 4), agreed.boxes, len(self._fits), round(speedup, 2))


_NAMES: dict[Kind, str] = {
    "openvino_int8": "int8 by openvino",
    "openvino_bf16": "bf16 by openvino",
    "litert_int8": "int8 weights by litert",
}


def _detect(detector: Interpreter, fits: Sequence[tuple[NDArray[np.float32], Fit]]) -> list[Detections]:
    return [detector.interpret([head[0] for head in detector.engine.run(batch)], fit) for batch, fit in fits]


def _speedup(floats: Engine, engine: Engine, batch: NDArray[np.float32]) -> float:
    """Return an engine's speed as a multiple of that of floats: the best of many runs, alternating."""
    begin = time.perf_counter()
    ours: list[float] = []
    theirs: list[float] = []
    while len(ours) < 3 or (len(ours) < _TIMED_RUNS and time.perf_counter() - begin < _TIMED_SECONDS):
        theirs.append(_seconds(floats, batch))
        ours.append(_seconds(engine, batch))
    return min(theirs) / min(ours)


def _seconds(engine: Engine, batch: NDArray[np.float32]) -> float:
    begin = time.perf_counter()
    engine.run(batch)
    return time.perf_counter() - begin


def _check_installed(kind: Kind) -> None:
    """Raise `Unsuitable` unless the packages are installed and the processor supports it."""
    package = "ai_edge_litert" if kind == "litert_int8" else "openvino"
    if find_spec(package) is None:
        raise Unsuitable(f"{package} is not installed")
    if kind == "openvino_int8" and not can_quantise():
        raise Unsuitable("nncf is not installed; pip install -e '.[int8]'")
    if kind == "litert_int8":
        return
    from detector.engines.openvino import capabilities

    needed = "INT8" if kind == "openvino_int8" else "BF16"
    if needed not in capabilities():
        raise Unsuitable(f"this processor has no {needed} arithmetic")


def _variant(kind: Kind, calibration: Calibration, settings: Settings) -> str:
    """Return what a comparison depends on besides the model: images, resizing, processor, threads, versions."""
    how = (settings.size, settings.resize, settings.shape, settings.interpolation, settings.threads)
    machine = (platform.processor(), available_cores())
    digest = hashlib.sha256(f"{calibration.digest} {how} {machine}".encode()).hexdigest()[:16]
    return f"{kind}_{digest}_{toolkit()}"


def _pack(out: Path, comparison: Comparison, network: Network | None) -> None:
    """Write a comparison as a line of JSON, and the network after it, its weights at the start of a page."""
    xml, weights = (network.xml, network.weights) if network else (b"", np.zeros(0, np.uint8))
    about = json.dumps({"comparison": asdict(comparison), "xml_bytes": len(xml), "weights_bytes": len(weights)})
    with out.open("wb") as file:
        file.write(about.encode() + b"\n" + xml)
        file.write(bytes(-file.tell() % ALLOCATIONGRANULARITY))
        weights.tofile(file)


def _unpack(path: Path) -> tuple[Comparison, Network | None]:
    """Read a file of `_pack`; the weights stay in the file, mapped into memory."""
    with path.open("rb") as file:
        about = json.loads(file.readline())
        comparison = Comparison(**about["comparison"])
        if not about["xml_bytes"]:
            return comparison, None
        xml = file.read(about["xml_bytes"])
        start = file.tell() + -file.tell() % ALLOCATIONGRANULARITY
        mapping = mmap(file.fileno(), about["weights_bytes"], access=ACCESS_COPY, offset=start)
    return comparison, Network(xml, np.frombuffer(mapping, np.uint8), mapping)
