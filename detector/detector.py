"""The detector: a model file opened once, then a picture in, boxes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

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
from detector.images.letterbox import Fit, fit_picture
from detector.images.modes import Resize
from detector.images.planes import Planes
from detector.images.reading import read_picture
from detector.profiling import Stopwatch
from detector.settings import Settings
from detector.video.frames import Frame, VideoInfo


class Detector:
    """Finds objects in pictures with one network; holds no state from one picture to the next.

    `Detector.open("yolov3.h5")` for a model file; the constructor takes the parts, for tests and other engines.
    """

    def __init__(
        self,
        description: Description,
        engine: Engine,
        settings: Settings | None = None,
        *,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.description = description
        self.engine = engine
        self.settings = settings or Settings()
        self.stopwatch = stopwatch or Stopwatch()
        """How long resizing, the network and making boxes of its output took so far."""
        self._width, self._height = self.settings.input_size(description)
        self._resize: Resize = self.settings.resize or cast(Resize, description.resize)
        self._class_ids = self.settings.class_ids(description)
        # Darknet takes the suppression's kind from the cfg's last layer.
        self._last_head = max(description.heads, key=lambda head: head.layer)

    @classmethod
    def open(
        cls,
        model: Path | str | OpenedModel,
        settings: Settings | None = None,
        *,
        on_note: Callable[[str], object] = lambda note: None,
        stopwatch: Stopwatch | None = None,
        workers: int = 1,
        **options: Any,
    ) -> Detector:
        """Open a model file made by `convert`; options are those of `Settings`, by name.

        `on_note` gets a line about the engine picked and about anything slow. `workers` is for callers that
        detect from so many threads (see `open_engine`).
        Raises `ModelFileError` for a file that is not one, `SettingsError` for an option out of range, `EngineError`
        for an engine that is not installed or cannot run the network.
        """
        if settings is not None and options:
            raise TypeError("give settings or single options, not both")
        settings = settings or Settings(**options)
        opened = model if isinstance(model, OpenedModel) else OpenedModel.read(model)
        model, description = opened.path, opened.description
        if not description.heads:
            raise ModelFileError(
                f"{model}: a classifier; it names whole pictures and finds no objects in them. "
                "Expected a network with [yolo] heads"
            )
        for head in description.heads:
            if head.tree_file and not head.tree:
                raise ModelFileError(
                    f"{model}: its classes are a hierarchy, and {head.tree_file} was not there when it was converted; "
                    "put that file beside the cfg and convert again"
                )
        if description.channels != 3:
            raise ModelFileError(f"{model}: takes pictures of {description.channels} channels; expected 3 (RGB)")
        # What the settings ask of the network is checked before the engine takes its seconds to start.
        settings.input_size(description)
        settings.class_ids(description)
        engine = open_engine(settings.engine, opened, threads=settings.threads, workers=workers, on_note=on_note)
        return cls(description, engine, settings, stopwatch=stopwatch)

    def prepare(self, info: VideoInfo) -> None:
        """Get ready for the frames of a video before memory fills with them."""
        fit = self.fit(info.width, info.height, pixel_aspect=float(info.pixel_aspect))
        self.engine.prepare(fit.height, fit.width, self.description.channels)

    @property
    def workers(self) -> int:
        """How many threads may detect at a time and gain from it; the engine decides."""
        return self.engine.workers

    @property
    def names(self) -> tuple[str, ...]:
        """The network's class names."""
        return self.description.names

    def detect(self, picture: Any, *, pixel_aspect: float = 1.0) -> Detections:
        """Find objects in a picture: an RGB uint8 array (height, width, 3), a path or URL, a Pillow image, or planes.

        `pixel_aspect` is a pixel's width over its height as displayed; boxes are in the picture's own pixels whatever
        their shape. Raises `PictureError` when it cannot be opened.
        """
        pixels = picture if isinstance(picture, Planes) else self.read(picture)
        with self.stopwatch["resize"]:
            fit = self.fit(pixels.shape[1], pixels.shape[0], pixel_aspect=pixel_aspect)
            batch = fit.network_input(pixels, self.settings.interpolation)[None]
        with self.stopwatch["network"]:
            outputs = [output[0] for output in self.engine.run(batch)]
        with self.stopwatch["boxes"]:
            return self.interpret(outputs, fit)

    def detect_frame(self, frame: Frame) -> Detections:
        """Find objects in a frame of a video; boxes are in its stored pixels."""
        return self.detect(frame.image, pixel_aspect=float(frame.pixel_aspect))

    def read(self, picture: Any) -> NDArray[np.uint8]:
        """A picture as RGB uint8 (height, width, 3), decoded as the settings ask; arrays come back as they are."""
        return read_picture(picture, as_darknet=self.settings.interpolation == "darknet")

    def fit(self, picture_width: int, picture_height: int, *, pixel_aspect: float = 1.0) -> Fit:
        """How a picture of this size is laid into the network's input, in the shape in which it is displayed."""
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
        """The boxes that one picture's raw heads, each (rows, columns, channels), mean."""
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
