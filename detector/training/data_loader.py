"""Prepare batches for the training loop in threads, while the network computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.datasets.examples import Example
from detector.images.modes import Resize
from detector.images.reading import read_picture
from detector.training.augment import Sample, augment, mosaic
from detector.training.copy_paste import paste_objects
from detector.training.settings import TrainSettings
from detector.training.targets import HeadRules, HeadTarget, make_targets, pad_classes, pad_truths

_AHEAD = 4
_CACHE_BYTES = 2 << 30
_THREADS = max(2, min(8, (os.cpu_count() or 2) // 2))

SMALLEST_SCALE, LARGEST_SCALE = 0.7, 1.4
"""Bounds of the input's size in multi-scale training, relative to the cfg's (`random=1.4` in AlexeyAB's)."""

BATCHES_PER_SIZE = 10
"""Number of batches after which multi-scale training changes the size, as Darknet does."""


@dataclass(frozen=True)
class InputShape:
    """The network's input: its size in pixels, and its resize mode."""

    width: int
    height: int
    resize: Resize


@dataclass(frozen=True, eq=False)
class Batch:
    """The input of one step."""

    pictures: NDArray[np.float32]
    """(batch, height, width, 3) RGB, 0 to 1."""

    targets: list[HeadTarget]
    truths: NDArray[np.float32]
    """(batch, most, 4), see `pad_truths`."""

    truth_classes: NDArray[np.int32]


class DataLoader:
    """Yields the batches of a training run; their order and augmentation depend only on the seed and the epoch."""

    def __init__(
        self,
        examples: Sequence[Example],
        rules: Sequence[HeadRules],
        settings: TrainSettings,
        shape: InputShape,
    ) -> None:
        self._examples, self._rules, self._shape = examples, rules, shape
        self._settings = settings.for_run(len(examples))
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._kept_bytes = 0

    @property
    def steps(self) -> int:
        """Number of batches in an epoch; the last may be smaller, and is left out unless it is the only one."""
        return max(1, len(self._examples) // self._settings.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Return the batches of an epoch, counted from 0."""
        return self._batches(number, self.steps, multi_scale=self._settings.multi_scale)

    def pictures(self, epoch: int, count: int) -> Iterator[NDArray[np.float32]]:
        """Yield the images of this many batches at the cfg's size, from this epoch on."""
        while count > 0:
            for batch in self._batches(epoch, min(count, self.steps), multi_scale=False):
                yield batch.pictures
            count, epoch = count - self.steps, epoch + 1

    def size(self, epoch: int, step: int) -> tuple[int, int]:
        """Return width and height of the input at a step of an epoch of multi-scale training."""
        group = (epoch * self.steps + step) // BATCHES_PER_SIZE
        factor = np.random.default_rng([self._settings.seed, 2**32, group]).uniform(SMALLEST_SCALE, LARGEST_SCALE)
        stride = max(rule.head.stride for rule in self._rules)
        width, height = (
            max(1, round(side * factor / stride)) * stride for side in (self._shape.width, self._shape.height)
        )
        return width, height

    def _batches(self, number: int, count: int, *, multi_scale: bool) -> Iterator[Batch]:
        order = np.random.default_rng([self._settings.seed, number]).permutation(len(self._examples))
        batch = self._settings.batch
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(_THREADS, "data-loader") as pool:
            try:
                for step in range(count):
                    size = self.size(number, step) if multi_scale else (self._shape.width, self._shape.height)
                    chosen = order[step * batch : (step + 1) * batch]
                    waiting.append(pool.submit(self._batch, number, chosen, size))
                    if len(waiting) >= max(_AHEAD, _THREADS):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _batch(self, epoch: int, chosen: NDArray[np.intp], size: tuple[int, int]) -> Batch:
        width, height = size
        shape = InputShape(width, height, self._shape.resize)
        samples = [self._sample(epoch, int(index), shape) for index in chosen]
        boxes, class_ids = [sample.boxes for sample in samples], [sample.class_id for sample in samples]
        pictures = np.stack([sample.picture for sample in samples]).astype(np.float32)
        pictures *= np.float32(1 / 255)
        targets = make_targets(boxes, class_ids, self._rules, width=width, height=height)
        return Batch(pictures, targets, pad_truths(boxes), pad_classes(class_ids))

    def _sample(self, epoch: int, index: int, shape: InputShape) -> Sample:
        rng = np.random.default_rng([self._settings.seed, epoch, index])
        if rng.random() < self._settings.mosaic_fraction(epoch):
            others = rng.integers(len(self._examples), size=3).tolist()
            return mosaic([self._augmented(number, rng, shape) for number in (index, *others)], rng)
        return self._augmented(index, rng, shape)

    def _augmented(self, index: int, rng: np.random.Generator, shape: InputShape) -> Sample:
        sample = self._labelled(index)
        if self._settings.copy_paste and rng.random() < self._settings.copy_paste:
            sample = paste_objects(sample, self._labelled(int(rng.integers(len(self._examples)))), rng)
        return augment(sample, rng, self._settings, width=shape.width, height=shape.height, resize=shape.resize)

    def _labelled(self, index: int) -> Sample:
        example = self._examples[index]
        single = ~example.crowd
        return Sample(self._picture(index), example.boxes[single], example.class_id[single])

    def _picture(self, index: int) -> NDArray[np.uint8]:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        picture = read_picture(self._examples[index].path)
        if self._kept_bytes + picture.nbytes <= _CACHE_BYTES:
            self._kept[index] = picture
            self._kept_bytes += picture.nbytes
        return picture
