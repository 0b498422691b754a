"""`redraw --blur` with logs that lack lines or boxes: no frame may show in clear what the log says or does not know."""

from __future__ import annotations

import os
import random
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.torture.attacks import Runs
from benchmarks.torture.fork_server import Job
from benchmarks.torture.outcomes import Outcome
from benchmarks.torture.stage import FRAMES
from benchmarks.torture.verbs import unsound
from detector.logs.log_lines import json_line, run_fields
from detector.logs.records import RunRecord

SIDE = 48
LARGEST_LIKENESS = 0.5
"""Of the hidden object with the original, as a correlation; an object in clear has 0.99."""

Pictures = list[NDArray[np.uint8]]


class Privacy:
    """A textured object that moves, its log with accidents, and the pictures that `redraw --blur` makes of them."""

    name = "privacy"

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self.asked = {"lines missing": 100, "log cut short": 50, "boxes missing for a moment": 50}
        self._folder = runs.stage.folder / "privacy"
        self._folder.mkdir()
        self._clip = self._folder / "clip.mp4"
        self._places = [(8 + number, 8 + 2 * (number % 20)) for number in range(FRAMES)]
        _write_clip(self._clip, self._places)
        self._shown = _pictures(self._clip)

    def run(self, kind: str, number: int) -> Outcome:
        """Hide the object of one log."""
        rng = random.Random(f"{self._runs.seed} privacy {kind} {number}")
        out = self._runs.fresh("privacy")
        log = out / "log.jsonl"
        log.write_text("".join(self._log(kind, rng)))
        words = ["redraw", str(self._clip), str(log), f"{out}/r.mp4", "--blur", "person", "--quiet"]
        ending = self._runs.server(keras=False).run(Job(words, str(out)))
        found = unsound(out)
        if "Traceback" in ending.err or ending.code not in (0, 1, 2):
            found.append(f"exit code {ending.code}: {ending.err[-300:]}")
        if (out / "r.mp4").exists():
            found += self._in_clear(_pictures(out / "r.mp4"))
            if kind != "boxes missing for a moment" and ending.code != 1:
                found.append(f"exit code {ending.code} although the log lacks frames")
        elif ending.code == 0:
            found.append("no video")
        return Outcome(f"exit {ending.code}", "; ".join(found[:3]), ending.seconds, ending.peak_bytes)

    def _log(self, kind: str, rng: random.Random) -> list[str]:
        run = RunRecord(str(self._clip), 160, 160, Fraction(25), "m.h5", "0" * 64, {}, ("person",))
        lines = []
        gap = rng.randrange(1, FRAMES - 12)
        for number, (left, top) in enumerate(self._places):
            box = {"class_id": 0, "name": "person", "confidence": 0.9, "box": [left, top, left + SIDE, top + SIDE]}
            missed = kind == "boxes missing for a moment" and gap <= number < gap + 10
            fields = {"type": "frame", "frame": number, "time": number / 25, "detections": [] if missed else [box]}
            lines.append(json_line(fields))
        if kind == "lines missing":
            lines = [line for line in lines if rng.random() > 0.3] or lines[:1]
            if len(lines) == FRAMES:
                del lines[rng.randrange(FRAMES)]
        elif kind == "log cut short":
            lines = lines[: rng.randrange(1, FRAMES)]
        end = [] if kind == "log cut short" else [json_line({"type": "end", "frames": FRAMES, "status": "complete"})]
        return [json_line(run_fields(run)), *lines, *end]

    def _in_clear(self, hidden: Pictures) -> list[str]:
        """The frames in which the object can be made out."""
        found = []
        for number, ((left, top), before, after) in enumerate(zip(self._places, self._shown, hidden, strict=False)):
            area = np.s_[top : top + SIDE, left : left + SIDE]
            if (alike := likeness(before[area], after[area])) > LARGEST_LIKENESS:
                found.append(f"frame {number} shows the object (correlation {alike:.2f})")
        return found

    def close(self) -> None:
        """Nothing to end."""


def likeness(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """The correlation of what two pictures show in detail."""
    return float(np.corrcoef(_detail(before, 0), _detail(after, 1))[0, 1])


def _detail(picture: NDArray[np.uint8], seed: int) -> NDArray[np.float64]:
    """What is left of a picture's brightness without the average of each row and column; a little noise."""
    grey = picture.astype(np.float64).mean(axis=2)
    grey = grey - grey.mean(axis=0) - grey.mean(axis=1)[:, None] + grey.mean()
    detail: NDArray[np.float64] = grey + np.random.default_rng(seed).normal(0, 0.5, grey.shape)
    return detail.ravel()


def _write_clip(path: Path, places: list[tuple[int, int]]) -> None:
    texture = np.random.default_rng(1).integers(0, 255, (SIDE // 4, SIDE // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    with av.open(os.fspath(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width = stream.height = 160
        stream.pix_fmt = "yuv420p"
        for left, top in places:
            picture = np.full((160, 160, 3), 90, np.uint8)
            picture[top : top + SIDE, left : left + SIDE] = texture
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        output.mux(stream.encode(None))


def _pictures(path: Path) -> Pictures:
    with av.open(os.fspath(path)) as video:
        return [cast("NDArray[np.uint8]", frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]
