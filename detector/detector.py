"""Detect objects in images with a model file that is opened once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack, cast, overload

import numpy as np
from numpy.typing import NDArray

from convert.model_file import Description
from convert.opened_model import OpenedModel
from detector.detections import Detections
from detector.engines.base import Engine
from detector.engines.opening import open_engine
from detector.errors import ModelFileError
from detector.heads.boxes import to_edges
from detector.heads.decode import decode
from detector.heads.nms import suppress
from detector.images.addresses import is_url
from detector.images.letterbox import Fit, fit_picture
from detector.images.modes import Resize
from detector.images.planes import Planes
from detector.images.reading import PictureSource, read_picture
from detector.images.tiles import Tiles, View
from detector.picture_detections import PictureDetections
from detector.profiling import Stopwatch
from detector.settings import Options, Settings
from detector.tiling import merge
from detector.video.frames import Frame, VideoInfo

Picture = PictureSource | Planes
"""Anything that `Detector.detect` accepts as an image."""

_LARGEST_BATCH = 64
"""Number of tiles that go through the engine at once; more take memory without being faster."""


class Detector:
    """Detects objects in images with one network; keeps no state from one image to the next.

    `Detector.open("yolov3.h5")` opens a model file; the constructor takes the parts, for tests and other engines. A
    detector that was opened from a file can be pickled: the copy opens the file again.
    """

    def __init__(
        self,
        description: Description,
        engine: Engine,
        settings: Settings | None = None,
        *,
        stopwatch: Stopwatch | None = None,
        model: OpenedModel | None = None,
    ) -> None:
        self.description = description
        self.engine = engine
        self.settings = settings or Settings()
        self.stopwatch = stopwatch or Stopwatch()
        """Seconds that resizing, the network and decoding its output have taken so far."""
        self.model = model
        """The file of the network; None if it was not opened from a file."""
        self._width, self._height = self.settings.input_size(description)
        self._resize: Resize = self.settings.resize or cast(Resize, description.resize)
        self._class_ids = self.settings.class_ids(description)
        # Darknet uses the kind of suppression of the last layer of the cfg.
        self._last_head = max(description.heads, key=lambda head: head.layer)

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str] | OpenedModel,
        settings: Settings | None = None,
        *,
        on_note: Callable[[str], object] = lambda note: None,
        stopwatch: Stopwatch | None = None,
        workers: int = 1,
        **options: Unpack[Options],
    ) -> Detector:
        """Open a model file made by `convert`; the options are the fields of `Settings`.

            Detector.open("yolov3.h5", classes=["person"], size=(608, 352), confidence=0.5)

        `on_note` is called with the chosen engine and before anything slow. `workers` is the number of threads that
        will detect at a time (see `open_engine`). Raises `ModelFileError` for a file that is not a model with boxes,
        `SettingsError` for an option out of range, and `EngineError` for an engine that is not installed or cannot run
        the network.
        """
        if settings is not None and options:
            raise TypeError("give settings or single options, not both")
        settings = settings or Settings(**options)
        opened = model if isinstance(model, OpenedModel) else OpenedModel.read(os.fspath(model))
        _check_detects(opened)
        # Settings are checked against the network before the engine takes its seconds to start.
        settings.input_size(opened.description)
        settings.class_ids(opened.description)
        if settings.precision == "float":
            engine = open_engine(settings.engine, opened, threads=settings.threads, workers=workers, on_note=on_note)
        else:
            from detector.precision.choosing import Choice

            engine = Choice(opened, settings, partial(cls, opened.description), workers, on_note).open()
        return cls(opened.description, engine, settings, stopwatch=stopwatch, model=opened)

    def __reduce__(self) -> tuple[Callable[..., Detector], tuple[str, Settings, int]]:
        if self.model is None:
            raise TypeError("only a Detector that was opened from a model file can be pickled")
        return _reopen, (str(self.model.path.absolute()), self.settings, self.workers)

    def __repr__(self) -> str:
        name = self.model.path.name if self.model else self.engine.name
        return f"Detector({name}, {len(self.names)} classes, {self._width}x{self._height}, {self.engine.name})"

    def prepare(self, info: VideoInfo) -> None:
        """Prepare for the frames of a video before memory fills with them."""
        fit = self.fit(info.width, info.height, pixel_aspect=float(info.pixel_aspect))
        self.engine.prepare(fit.height, fit.width, self.description.channels)

    @property
    def workers(self) -> int:
        """How many threads can usefully detect at a time; the engine decides."""
        return self.engine.workers

    @property
    def names(self) -> tuple[str, ...]:
        """The network's class names."""
        return self.description.names

    @overload
    def detect(
        self, picture: Picture, *, bgr: bool = False, pixel_aspect: float = 1.0, tiles: Tiles | None = None
    ) -> PictureDetections: ...

    @overload
    def detect(
        self,
        picture: list[Any] | tuple[Any, ...],
        *,
        bgr: bool = False,
        pixel_aspect: float = 1.0,
        tiles: Tiles | None = None,
    ) -> list[PictureDetections]: ...

    def detect(
        self,
        picture: Picture | list[Any] | tuple[Any, ...],
        *,
        bgr: bool = False,
        pixel_aspect: float = 1.0,
        tiles: Tiles | None = None,
    ) -> PictureDetections | list[PictureDetections]:
        """Detect objects in an image, or in each of a list of images.

        An image is a path, an http(s) address, a file's bytes, an open binary file, a Pillow image, a video's planes,
        or an array: uint8 (height, width, 3), RGB. OpenCV's arrays (`cv2.imread`, `VideoCapture.read`) are BGR: pass
        `bgr=True` for them. `pixel_aspect` is a pixel's width over its height as displayed; boxes are in the image's
        own pixels. `tiles` finds smaller objects with one more run of the network for each tile; by default, the
        settings decide. Raise `PictureError` for a source that cannot be read as an image.
        """
        if isinstance(picture, list | tuple):
            return [self.detect(one, bgr=bgr, pixel_aspect=pixel_aspect, tiles=tiles) for one in picture]
        if isinstance(picture, Planes):
            return self._with_source(self._detect(picture, pixel_aspect, tiles), picture, bgr=False)
        if bgr and not isinstance(picture, np.ndarray):
            raise TypeError("bgr=True is for arrays; the channel order of files and Pillow images is known")
        pixels = self.read(picture)
        found = self._detect(np.ascontiguousarray(pixels[..., ::-1]) if bgr else pixels, pixel_aspect, tiles)
        # A source that can be read only once, or only over the network, is kept; a file is read again for drawing.
        kept = picture if isinstance(picture, bytes | os.PathLike | np.ndarray) or _is_path(picture) else pixels
        return self._with_source(found, kept, bgr=bgr)

    def detect_frame(self, frame: Frame) -> Detections:
        """Detect objects in a frame of a video; boxes are in its stored pixels."""
        return self._detect(frame.image, float(frame.pixel_aspect))

    def _detect(
        self, pixels: NDArray[np.uint8] | Planes, pixel_aspect: float, tiles: Tiles | None = None
    ) -> Detections:
        views = self._views(pixels.shape[1], pixels.shape[0], tiles or self.settings.tiling)
        with self.stopwatch["resize"]:
            parts = [pixels, *(_part(pixels, view) for view in views[1:])]
            fits = [self.fit(part.shape[1], part.shape[0], pixel_aspect=pixel_aspect) for part in parts]
            inputs = [
                fit.network_input(part, self.settings.interpolation) for fit, part in zip(fits, parts, strict=True)
            ]
        with self.stopwatch["network"]:
            outputs = self._run(inputs)
        with self.stopwatch["boxes"]:
            found = [self.interpret(one, fit) for one, fit in zip(outputs, fits, strict=True)]
            if len(found) == 1:
                return found[0]
            merged = merge(found, views, class_agnostic=self.settings.agnostic)
            return merged[: self.settings.max_detections]

    def _views(self, width: int, height: int, tiles: Tiles | None) -> list[View]:
        """Return the whole image, and its tiles unless there is only one."""
        whole = (0, 0, width, height)
        if tiles is None:
            return [whole]
        cut = tiles.views(width, height, input_width=self._width, input_height=self._height)
        return [whole] if len(cut) == 1 else [whole, *cut]

    def _run(self, inputs: Sequence[NDArray[np.float32]]) -> list[list[NDArray[np.float32]]]:
        """Return the raw heads for each input; inputs of one shape go through the engine as one batch."""
        outputs: list[list[NDArray[np.float32]]] = [[] for _ in inputs]
        shapes: dict[tuple[int, ...], list[int]] = {}
        for index, one in enumerate(inputs):
            shapes.setdefault(one.shape, []).append(index)
        for indices in shapes.values():
            for begin in range(0, len(indices), _LARGEST_BATCH):
                batch = indices[begin : begin + _LARGEST_BATCH]
                heads = self.engine.run(np.stack([inputs[index] for index in batch]))
                for place, index in enumerate(batch):
                    outputs[index] = [head[place] for head in heads]
        return outputs

    @staticmethod
    def _with_source(found: Detections, source: Picture, *, bgr: bool) -> PictureDetections:
        return PictureDetections(
            found.xyxy, found.confidence, found.class_id, found.names, found.tracker_id, source=source, bgr=bgr
        )

    def read(self, picture: PictureSource) -> NDArray[np.uint8]:
        """Return an image as RGB uint8 (height, width, 3), decoded as the settings say; arrays are unchanged."""
        return read_picture(picture, as_darknet=self.settings.interpolation == "darknet")

    def fit(self, picture_width: int, picture_height: int, *, pixel_aspect: float = 1.0) -> Fit:
        """Return how an image of this size is fitted into the network's input, at its displayed aspect ratio."""
        fit = fit_picture(
            max(1, round(picture_width * pixel_aspect)),
            picture_height,
            width=self._width,
            height=self._height,
            resize=self._resize,
            shape=self.settings.shape,
            stride=self.description.stride,
        )
        return replace(fit, picture_width=picture_width)

    def interpret(self, outputs: list[NDArray[np.float32]], fit: Fit) -> Detections:
        """Return the boxes decoded from one image's raw heads, each (rows, columns, channels)."""
        candidates = decode(
            outputs,
            self.description.heads,
            confidence=self.settings.confidence,
            width=fit.width,
            height=fit.height,
            classes=self._class_ids,
        )
        boxes = fit.to_picture(candidates.boxes)
        kept = suppress(
            boxes,
            candidates.score,
            candidates.class_id,
            threshold=self.settings.nms,
            kind=self._last_head.nms_kind,
            beta=self._last_head.beta_nms,
            class_agnostic=self.settings.agnostic,
        )[: self.settings.max_detections]
        size = np.array([fit.picture_width, fit.picture_height] * 2, np.float32)
        return Detections(
            np.clip(to_edges(boxes[kept]) * size, 0, size),
            candidates.score[kept],
            candidates.class_id[kept],
            self.names,
        )


def _check_detects(opened: OpenedModel) -> None:
    """Raise `ModelFileError` unless the model detects boxes in RGB images."""
    model, description = opened.path, opened.description
    if not description.heads:
        raise ModelFileError(
            f"{model}: is a classifier, which classifies whole pictures and detects no objects. Use `yolo3 classify "
            f"PICTURE --model {model}`, or give a network with [yolo] heads"
        )
    for head in description.heads:
        if head.tree_file and not head.tree:
            raise ModelFileError(
                f"{model}: its classes are a hierarchy, but {head.tree_file} was missing when it was converted; put "
                "that file beside the cfg and convert again"
            )
    if description.channels != 3:
        raise ModelFileError(f"{model}: accepts pictures of {description.channels} channels; expected 3 (RGB)")


def _reopen(path: str, settings: Settings, workers: int) -> Detector:
    return Detector.open(path, settings, workers=workers)


def _is_path(picture: PictureSource) -> bool:
    return isinstance(picture, str) and not is_url(picture)


def _part(picture: NDArray[np.uint8] | Planes, view: View) -> NDArray[np.uint8] | Planes:
    left, top, right, bottom = view
    return picture.cropped(left, top, right, bottom) if isinstance(picture, Planes) else picture[top:bottom, left:right]
