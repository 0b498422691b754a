"""The models of a folder, by name, opened when they are first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convert.errors import ModelFileError, Yolo3Error
from convert.model_file import Description, read_description
from convert.opened_model import OpenedModel
from detector.detector import Detector
from detector.drawing.boxes import class_colour
from detector.engines.base import available_cores
from detector.pipeline.annotate_video import workers_for
from detector.recognition.classifier import Classifier
from detector.service.model_queue import ModelQueue
from detector.service.request_errors import RequestError, unknown
from detector.settings import Settings

OnNote = Callable[[str], None]


@dataclass
class Model:
    """One file of the folder."""

    name: str
    path: Path
    description: Description
    opened: asyncio.Task[OpenNetwork] | None = None

    @property
    def detects(self) -> bool:
        """Whether it finds objects, as against naming whole pictures."""
        return bool(self.description.heads)

    def as_json(self) -> dict[str, object]:
        """What clients are told of it."""
        return {
            "name": self.name,
            "task": "detect" if self.detects else "classify",
            "width": self.description.width,
            "height": self.description.height,
            "classes": list(self.description.names),
            "colours": [f"#{bytes(class_colour(number)).hex()}" for number in range(len(self.description.names))],
            "open": self.opened is not None and self.opened.done(),
        }


@dataclass
class OpenNetwork:
    """A model that is open, with the queue before it."""

    network: Detector | Classifier
    queue: ModelQueue
    notes: list[str] = field(default_factory=list)

    def detector(self, settings: Settings) -> Detector:
        """A detector with settings of its own on the same network; takes microseconds."""
        network = self.network
        assert isinstance(network, Detector)
        return Detector(network.description, network.engine, settings, model=network.model)


class Models:
    """The models that are served. Raises `ModelFileError` where the folder has none."""

    def __init__(self, folder: Path, *, queue: int, on_done: Callable[[str, float, float], object], on_note: OnNote):
        self._folder = folder
        self._queue = queue
        self._on_done = on_done
        self._on_note = on_note
        self._models: dict[str, Model] = {}
        self._left_out: set[Path] = set()
        self.refresh()
        if not self._models:
            raise ModelFileError(
                f"{folder}: holds no model; expected .h5 files made by yolo3 convert. Type: yolo3 convert --help"
            )

    def refresh(self) -> None:
        """Look for models that were added; those that are known stay."""
        for path in sorted(self._folder.glob("*.h5")):
            if path.stem in self._models or path in self._left_out:
                continue
            try:
                description = read_description(path)
                if description.channels != 3:
                    raise ModelFileError(f"{path}: takes pictures of {description.channels} channels; expected 3 (RGB)")
            except Yolo3Error as error:
                self._left_out.add(path)
                self._on_note(f"left out: {error}")
                continue
            self._models[path.stem] = Model(path.stem, path, description)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    @property
    def default(self) -> Model:
        """The model that is asked where none is named: the first that detects."""
        return next((model for model in self if model.detects), next(iter(self)))

    @property
    def default_classifier(self) -> Model | None:
        """The classifier that is asked where none is named."""
        return next((model for model in self if not model.detects), None)

    def named(self, name: str | None) -> Model:
        """The model of this name. Raises `RequestError` where there is none."""
        if not name:
            return self.default
        try:
            return self._models[name]
        except KeyError:
            raise unknown(f"there is no model of this name; GET /v1/models lists {len(self._models)}") from None

    def detecting(self, name: str | None) -> Model:
        """A model that finds objects. Raises `RequestError` for others."""
        model = self.named(name)
        if not model.detects:
            raise RequestError(409, f"{model.name} names whole pictures and finds no objects", kind="wrong_model")
        return model

    def classifying(self, name: str | None) -> Model:
        """A model that names whole pictures. Raises `RequestError` for others."""
        model = self.named(name) if name else self.default_classifier
        if model is None:
            raise unknown("there is no classifier among the models")
        if model.detects:
            raise RequestError(409, f"{model.name} finds objects and does not name whole pictures", kind="wrong_model")
        return model

    async def open(self, model: Model) -> OpenNetwork:
        """The model, opened the first time it is asked for. Raises the errors of opening it."""
        if model.opened is None or (model.opened.done() and model.opened.exception() is not None):
            model.opened = asyncio.create_task(asyncio.to_thread(self._open, model))
        return await asyncio.shield(model.opened)

    def _open(self, model: Model) -> OpenNetwork:
        notes: list[str] = []
        network, workers = open_network(model, on_note=notes.append)
        for note in notes:
            self._on_note(f"{model.name}: {note}")
        queue = ModelQueue(
            model.name,
            workers=workers,
            limit=self._queue,
            on_done=lambda waited, ran: self._on_done(model.name, waited, ran),
        )
        return OpenNetwork(network, queue, notes)

    def close(self) -> None:
        """Finish what waits for the models."""
        for model in self:
            if model.opened is not None and model.opened.done() and not model.opened.exception():
                model.opened.result().queue.close()

    def waiting(self) -> dict[str, int]:
        """How many pictures wait for each open model."""
        return {
            model.name: model.opened.result().queue.waiting
            for model in self
            if model.opened is not None and model.opened.done() and not model.opened.exception()
        }


def open_network(model: Model, *, on_note: OnNote) -> tuple[Detector | Classifier, int]:
    """A network and how many threads may run it at a time."""
    if not model.detects:
        return Classifier.open(model.path, on_note=on_note, threads=available_cores()), 1
    settings = Settings()
    workers = workers_for(model.path, settings)
    opened = OpenedModel.read(model.path)
    detector = Detector.open(opened, settings, on_note=on_note, workers=workers)
    return detector, max(1, detector.workers)
