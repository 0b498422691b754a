"""Run the demo: draw an animated street, detect in it, and compare with the true boxes (scripts/demo)."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from convert import convert
from convert.errors import ModelFileError, Yolo3Error
from convert.files import file_sha256
from convert.model_file import read_description
from convert.names import configs_folder
from detector.detections import Detections
from detector.detector import Detector
from detector.errors import InputError
from detector.evaluation.average_precision import Score, Truth, score
from detector.images.reading import write_picture
from detector.logs.frame_log import EndRecord, FrameLog, FrameRecord, RunRecord, read_log
from detector.pipeline.annotate_video import draw_boxes
from detector.pipeline.loop import LoopOptions, RunResult, run
from detector.settings import Settings
from detector.video.frames import Frame, Sink, VideoInfo
from detector.video.reading.video_file import VideoFile
from detector.video.writing.video_writer import VideoWriter
from scripts.street.clip import Clip
from scripts.street.render import NAMES
from scripts.street.sound import write_sound

SHOWN_CONFIDENCE = 0.3
JUDGED_CONFIDENCE = 0.01
_SHEET = (3, 3)
_SHEET_WIDTH = 426


@dataclass(frozen=True)
class Places:
    """Paths of the demo's files."""

    out: Path = Path("runs/demo")
    weights: Path = field(default_factory=lambda: configs_folder().parent / "model_data" / "street.weights")

    @property
    def model(self) -> Path:
        """The converted network."""
        return self.weights.with_suffix(".h5")

    @property
    def clip(self) -> Path:
        """The clip as drawn."""
        return self.out / "clip.mp4"

    @property
    def truth(self) -> Path:
        """The clip's true boxes, as a frame log."""
        return self.out / "clip-truth.jsonl"


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Places.out, help="folder for the outputs")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the clip")
    given = parser.parse_args()
    try:
        for line in show(Places(given.out), Clip(seconds=given.seconds)):
            print(line, flush=True)
    except Yolo3Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def show(places: Places, clip: Clip) -> Iterator[str]:
    """Run all steps; yield a line for each."""
    places.out.mkdir(parents=True, exist_ok=True)
    if not _converted(places):
        cfg = configs_folder() / "street.cfg"
        yield str(convert(cfg, places.weights, places.model, names=cfg.with_suffix(".names")))
    if not _drawn(places, clip):
        draw_clip(places, clip)
        yield f"Drew {places.clip}: {len(clip)} frames of a cartoon street"
    summary, figures, counts = find(places)
    listed = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    yield f"Found {summary.boxes} boxes in {summary.frames} frames: {listed}"
    kinds = ", ".join(f"{name} {one.ap50:.2f}" for name, one in figures.classes.items() if one.boxes)
    yield f"Against the known truth: AP50 {figures.ap50:.3f}, AP {figures.ap:.3f} (AP50 by class: {kinds})"
    yield f"{summary.seconds:.1f} s, {summary.frames_per_second:.1f} frames/s, drawing and encoding included"
    yield "Look at " + ", ".join(str(places.out / name) for name in ("street.mp4", "street.png", "street.jsonl"))


def draw_clip(places: Places, clip: Clip) -> None:
    """Draw the clip with its sound, and write its true boxes."""
    info = VideoInfo("street", clip.width, clip.height, Fraction(1, clip.rate), frame_rate=Fraction(clip.rate))
    sound = places.out / "clip.wav"
    write_sound(sound, clip)
    record = RunRecord.of(
        info, model="", model_sha256="", settings={"seed": clip.seed, "drawn_by": _code()}, classes=NAMES
    )
    with (
        FrameLog(places.truth, record, overwrite=True) as log,
        VideoWriter(places.clip, info, audio_from=sound, overwrite=True) as video,
    ):
        for number, shot in enumerate(_bar(clip, len(clip), "drawing")):
            frame = Frame(number, number, info.time_base, shot.picture, duration=1)
            truth = Detections(shot.xyxy, np.ones(len(shot.xyxy), np.float32), shot.class_id, NAMES)
            video.write(frame, truth)
            log.write(frame, truth)
    sound.unlink()


def find(places: Places) -> tuple[RunResult, Score, Counter[str]]:
    """Detect in the clip, write the outputs, and evaluate the detections."""
    from tqdm import tqdm

    detector = Detector.open(places.model, Settings(confidence=JUDGED_CONFIDENCE))
    found: list[Detections] = []
    shown = Settings(confidence=SHOWN_CONFIDENCE)

    def detect(frame: Frame) -> Detections:
        # Average precision needs boxes with a low confidence too; the video does not show them.
        everything = detector.detect_frame(frame)
        found.append(everything)
        return everything[everything.confidence >= SHOWN_CONFIDENCE]

    with VideoFile(places.clip) as video:
        record = RunRecord.of(
            video.info,
            model=str(places.model),
            model_sha256=file_sha256(places.model),
            settings=shown.as_json(),
            classes=detector.names,
        )
        sheet = ContactSheet(places.out / "street.png", video.info.frame_count or 1)
        sinks: list[Sink] = [
            FrameLog(places.out / "street.jsonl", record, overwrite=True, inputs=[places.clip]),
            VideoWriter(places.out / "street.mp4", video.info, audio_from=places.clip, overwrite=True),
            sheet,
        ]
        with tqdm(total=video.info.frame_count, desc="finding", unit="frame", leave=False) as bar:
            summary = run(video, detect, sinks, LoopOptions(annotate=draw_boxes, progress=bar))
    truths = [_truth(line) for line in read_log(places.truth) if isinstance(line, FrameRecord)]
    counts = Counter(name for one in found for _, confidence, _, name in one if confidence >= SHOWN_CONFIDENCE)
    return summary, score(truths[: len(found)], found, NAMES), counts


class ContactSheet(Sink):
    """Makes a contact sheet of frames from the whole video."""

    def __init__(self, path: Path, frames: int) -> None:
        super().__init__()
        self._path = path
        count = _SHEET[0] * _SHEET[1]
        # The middle frame of each part: the first and last frames of a video are seldom typical.
        self._wanted = [round((number + 0.5) * frames / count) for number in range(count)]
        self._kept: list[NDArray[np.uint8]] = []

    def write(self, frame: Frame, detections: Detections) -> None:
        """Keep the frame if it is one of the frames to show."""
        if frame.index in self._wanted:
            height, width = frame.picture.shape[:2]
            size = _SHEET_WIDTH, round(height * _SHEET_WIDTH / width)
            self._kept.append(np.asarray(cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA), np.uint8))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        columns, rows = _SHEET
        if error is None and len(self._kept) == columns * rows:
            lines = [np.concatenate(self._kept[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
            write_picture(self._path, np.concatenate(lines))


def _truth(line: FrameRecord) -> Truth:
    boxes = np.array([one.box for one in line.detections], np.float32).reshape(-1, 4)
    return Truth(boxes, np.array([one.class_id for one in line.detections], np.int64))


def _converted(places: Places) -> bool:
    """Return whether the model exists and was converted from these weights and this cfg."""
    with contextlib.suppress(ModelFileError, OSError):
        description = read_description(places.model)
        text = (configs_folder() / "street.cfg").read_text("utf-8")
        return description.weights_sha256 == file_sha256(places.weights) and description.cfg == text
    return False


def _drawn(places: Places, clip: Clip) -> bool:
    """Return whether the clip exists, is complete, and was drawn by the present code."""
    if not places.clip.exists():
        return False
    with contextlib.suppress(InputError):
        lines = list(read_log(places.truth))
        first, last = lines[0], lines[-1]
        same = isinstance(first, RunRecord) and first.settings == {"seed": clip.seed, "drawn_by": _code()}
        return same and isinstance(last, EndRecord) and last.frames == len(clip)
    return False


def _code() -> str:
    """Return a digest of the code that draws the clip."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _bar(things: Any, total: int, what: str) -> Any:
    from tqdm import tqdm

    return tqdm(things, total=total, desc=what, unit="frame", leave=False, dynamic_ncols=True)


if __name__ == "__main__":
    main()
