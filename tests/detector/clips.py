"""Videos made in code: every frame shows its own number, so that frames cannot be confused."""

import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from convert.opened_model import OpenedModel
from detector.detections import Detections
from detector.settings import Settings
from detector.video.frames import Frame, Gap, Image, Sink, VideoInfo

BITS = 8
BLOCK = 24
RATE = 44100


class Clips:
    """Makes and reads numbered videos; big black and white blocks survive any codec."""

    width, height = 224, 160

    def picture(self, number: int, *, width: int = width, height: int = height) -> np.ndarray:
        picture = np.full((height, width, 3), 96, np.uint8)
        picture[:, :, 2] = np.linspace(40, 200, width, dtype=np.uint8)
        for bit in range(BITS):
            picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
        return picture

    def number(self, image: Image) -> int:
        picture = np.asarray(image)
        middles = picture[BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK].mean(axis=1)
        return sum(1 << bit for bit, middle in enumerate(middles) if middle > 128)

    def frames(self, count: int, *, time_base: Fraction = Fraction(1, 25)) -> Iterator[Frame]:
        for index in range(count):
            yield Frame(index=index, pts=index, time_base=time_base, image=self.picture(index), duration=1)

    def make(
        self,
        path: Path,
        pts: Iterable[int] = range(20),
        *,
        time_base: Fraction = Fraction(1, 25),
        size: tuple[int, int] = (width, height),
        codec: str = "libx264",
        sound: str | None = None,
        rotate: int = 0,
        kind: str | None = None,
        options: dict[str, str] | None = None,
        sound_start: int = 0,
        rate: Fraction = Fraction(25),
        key_every: int | None = None,
        encoding: dict[str, str] | None = None,
        tune: Callable[[Any], None] | None = None,
        sound_rate: int = RATE,
    ) -> Path:
        """A video of numbered frames at these timestamps, with a tone of the same length in the codec `sound`.

        `key_every` so many frames can be decoded by itself; `tune` may change the encoder before it starts.
        """
        pts = list(pts)
        with av.open(str(path), "w", format=kind, container_options=options or {}) as output:
            stream = output.add_stream(codec, rate=rate, time_base=time_base)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            if codec == "libx264":
                stream.options = {"preset": "ultrafast", "crf": "15"}
            stream.options = {**stream.options, **(encoding or {})}
            if key_every:
                stream.gop_size = key_every
            if tune:
                tune(stream.codec_context)
            if rotate:
                stream.set_display_rotation(rotate)
            tone = output.add_stream(sound, rate=sound_rate, bit_rate=128_000) if sound else None
            for number, tick in enumerate(pts):
                frame = av.VideoFrame.from_ndarray(self.picture(number, width=size[0], height=size[1]))
                frame.pts, frame.time_base = tick, time_base
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
            if tone is not None:
                for start in range(0, round((pts[-1] + 1) * time_base * sound_rate), 4410):
                    wave = np.sin(np.arange(start, start + 4410) * 0.06) * 9000
                    samples = av.AudioFrame.from_ndarray(
                        np.repeat(wave.astype(np.int16), 2)[None], format="s16", layout="stereo"
                    )
                    samples.sample_rate = sound_rate
                    samples.pts, samples.time_base = start + sound_start, Fraction(1, sound_rate)
                    output.mux(tone.encode(samples))
                output.mux(tone.encode(None))
        return path

    def decoded(self, path: Path) -> list[tuple[Fraction, np.ndarray]]:
        """Time and RGB picture of every frame, read by PyAV alone."""
        with av.open(str(path)) as video:
            return [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]

    def times(self, path: Path) -> list[Fraction]:
        with av.open(str(path)) as video:
            return [frame.pts * frame.time_base for frame in video.decode(video=0)]

    def sound_packets(self, path: Path, track: int = 0) -> list[tuple[Fraction, bytes]]:
        with av.open(str(path)) as video:
            return [
                (packet.pts * packet.time_base, bytes(packet)) for packet in video.demux(audio=track) if packet.size
            ]

    def samples(self, path: Path) -> np.ndarray:
        with av.open(str(path)) as video:
            return np.concatenate([frame.to_ndarray() for frame in video.decode(audio=0)], axis=1)


class FakeDetector:
    """A detector without a network: derived classes define what `detect` finds in an image."""

    workers = 1

    def __init__(self) -> None:
        self.prepared: list[VideoInfo] = []

    def prepare(self, info: VideoInfo) -> None:
        self.prepared.append(info)

    def detect_frame(self, frame: Frame) -> Detections:
        return self.detect(frame.image)

    def detect(self, image: Image) -> Detections:
        return Detections.empty()

    def opened(self, model: OpenedModel, settings: Settings, **how: Any) -> "FakeDetector":
        """A replacement for `Detector.open`."""
        return self


class Record(Sink):
    """A sink that records what it gets."""

    def __init__(self, *, fail_at: int | None = None, fail_enter: bool = False, fail_exit: bool = False) -> None:
        super().__init__()
        self.fail_at, self.fail_enter, self.fail_exit = fail_at, fail_enter, fail_exit
        self.frames: list[tuple[int, int]] = []
        self.pictures: list[np.ndarray] = []
        self.threads: set[str] = set()
        self.left_with: list[BaseException | None] = []
        self.gaps: list[tuple[int, Gap]] = []

    def __enter__(self) -> "Record":
        if self.fail_enter:
            raise RuntimeError("sink does not open")
        return self

    def write(self, frame: Frame, detections: Detections) -> None:
        if frame.index == self.fail_at:
            raise RuntimeError("sink failed")
        self.threads.add(threading.current_thread().name)
        self.frames.append((frame.index, len(detections)))
        self.pictures.append(frame.picture)

    def on_gap(self, gap: Gap) -> None:
        self.gaps.append((len(self.frames), gap))

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.left_with.append(error)
        if self.fail_exit:
            raise RuntimeError("sink does not finish")


class Shown(Record):
    main_thread = True


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


@pytest.fixture
def record() -> type[Record]:
    return Record


@pytest.fixture
def shown() -> type[Shown]:
    return Shown


@pytest.fixture(scope="session")
def videos(shared: Path) -> Path:
    return shared / "assets" / "videos"


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    frame_threads = [thread for thread in threading.enumerate() if thread.name.startswith("frame-")]
    for thread in frame_threads:
        thread.join(5)  # one that was just released is about to end
    assert not [thread.name for thread in frame_threads if thread.is_alive()]


@pytest.fixture
def boxes_of() -> Any:
    """Detections of one box per (left, top, right, bottom)."""

    def make(*boxes: tuple[float, float, float, float], names: tuple[str, ...] = ("car",)) -> Detections:
        count = len(boxes)
        return Detections(
            np.array(boxes, np.float32).reshape(count, 4),
            np.full(count, 0.9, np.float32),
            np.zeros(count, np.int64),
            names,
        )

    return make
