"""Batches for the training loop, made by threads while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.datasets.dataset import Example
from detector.images.modes import Resize
from detector.images.reading import read_picture
from detector.training.augment import Sample, augment, mosaic
from detector.training.settings import TrainSettings
from detector.training.targets import HeadRules, HeadTarget, make_targets, pad_truths

_AHEAD = 4
_CACHE_BYTES = 2 << 30


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step takes."""

    pictures: NDArray[np.float32]
    targets: list[HeadTarget]
    truths: NDArray[np.float32]


class DataLoader:
    """The pictures of a training, in an order and with variations that only the seed and the epoch decide."""

    def __init__(
        self,
        examples: Sequence[Example],
        rules: Sequence[HeadRules],
        settings: TrainSettings,
        *,
        width: int,
        height: int,
        resize: Resize,
    ) -> None:
        self._examples, self._rules, self._settings = examples, rules, settings
        self._width, self._height, self._resize = width, height, resize
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._kept_bytes = 0

    @property
    def steps(self) -> int:
        """Batches in an epoch; the last may be smaller, and is left out unless it is the only one."""
        return max(1, len(self._examples) // self._settings.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0."""
        order = np.random.default_rng([self._settings.seed, number]).permutation(len(self._examples))
        size = self._settings.batch
        chunks = [order[start : start + size] for start in range(0, self.steps * size, size)]
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(2, "feed") as pool:
            try:
                for chunk in chunks:
                    waiting.append(pool.submit(self._batch, number, chunk))
                    if len(waiting) >= _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _batch(self, epoch: int, chosen: NDArray[np.intp]) -> Batch:
        samples = [self._sample(epoch, int(index)) for index in chosen]
        boxes, class_ids = [sample.boxes for sample in samples], [sample.class_id for sample in samples]
        pictures = np.stack([sample.picture for sample in samples]).astype(np.float32)
        pictures *= np.float32(1 / 255)
        targets = make_targets(boxes, class_ids, self._rules, width=self._width, height=self._height)
        return Batch(pictures, targets, pad_truths(boxes))

    def _sample(self, epoch: int, index: int) -> Sample:
        rng = np.random.default_rng([self._settings.seed, epoch, index])
        if rng.random() < self._settings.mosaic:
            others = rng.integers(len(self._examples), size=3).tolist()
            return mosaic([self._vary(number, rng) for number in (index, *others)], rng)
        return self._vary(index, rng)

    def _vary(self, index: int, rng: np.random.Generator) -> Sample:
        example = self._examples[index]
        alone = ~example.crowd
        sample = Sample(self._picture(index), example.boxes[alone], example.class_id[alone])
        return augment(sample, rng, self._settings, width=self._width, height=self._height, resize=self._resize)

    def _picture(self, index: int) -> NDArray[np.uint8]:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        picture = read_picture(self._examples[index].path)
        if self._kept_bytes + picture.nbytes <= _CACHE_BYTES:
            self._kept[index] = picture
            self._kept_bytes += picture.nbytes
        return picture
