import gc
import signal
import threading
import weakref
from fractions import Fraction
from time import monotonic, sleep

import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import StreamError, VideoError
from detector.pipeline.loop import LoopOptions, known_or, run
from detector.video.frames import Frame, Gap, Source
from detector.video.status import RunStatus, Stopped


class Numbers(Source):
    """A source of tiny frames that ends, or fails, at a given frame."""

    def __init__(self, count=None, *, error=None):
        self.count, self.error = count, error
        self.yielded = 0

    def __iter__(self):
        while self.count is None or self.yielded < self.count:
            index = self.yielded
            self.yielded += 1
            yield Frame(index, index, Fraction(1, 25), np.full((2, 2, 3), index % 256, np.uint8))
        if self.error:
            raise self.error


class Bar:
    def __init__(self):
        self.count = 0

    def update(self, n=1):
        self.count += n


@pytest.fixture
def detect(boxes_of):
    """Detect one box per brightness level of the picture, up to two."""
    return lambda frame: boxes_of(*[(0, 0, 1, 1)] * (int(frame.image[0, 0, 0]) % 3))


def no_boxes(frame):
    return Detections.empty()


def test_every_frame_in_order_with_its_own_detections(record, detect):
    sinks, bar = [record(), record()], Bar()
    summary = run(Numbers(50), detect, sinks, LoopOptions(progress=bar))
    for sink in sinks:
        assert sink.frames == [(index, index % 3) for index in range(50)]
        assert sink.left_with == [None]
    assert (summary.frames, summary.boxes, summary.status) == (50, sum(index % 3 for index in range(50)), "complete")
    assert summary.frames_per_second == pytest.approx(50 / summary.seconds)
    assert bar.count == 50


def test_boxes_are_drawn_after_detection_and_before_any_sink(record):
    seen = []

    def detect(frame):
        seen.append(frame.image.max())
        return Detections.empty()

    def annotate(frame, detections):
        frame.image[:] = 255

    sink = record()
    run(Numbers(20), detect, [sink], LoopOptions(annotate=annotate))
    assert seen == list(range(20))
    assert all(picture.min() == 255 for picture in sink.pictures)


def test_no_sinks_and_no_frames(record):
    assert run(Numbers(3), no_boxes).frames == 3
    sink = record()
    summary = run(Numbers(0), no_boxes, [sink])
    assert (summary.frames, summary.frames_per_second) == (0, 0.0)
    assert sink.left_with == [None]


def test_stages_overlap(record):
    class Slow(record):
        def write(self, frame, detections):
            sleep(0.02)

    class SlowNumbers(Numbers):
        def __iter__(self):
            for frame in super().__iter__():
                sleep(0.02)
                yield frame

    def detect(frame):
        sleep(0.02)
        return Detections.empty()

    summary = run(SlowNumbers(20), detect, [Slow()])
    assert summary.seconds < 20 * 0.06 * 0.7


def test_source_is_never_far_ahead(record):
    source, ahead = Numbers(100), []

    class Counting(record):
        def write(self, frame, detections):
            sleep(0.001)
            ahead.append(source.yielded - frame.index)

    run(source, no_boxes, [Counting()])
    assert max(ahead) <= 10


def test_frames_are_released(record):
    alive = weakref.WeakSet()

    class Watched(Numbers):
        def __iter__(self):
            for frame in super().__iter__():
                alive.add(frame)
                yield frame

    class Counting(record):
        most = 0

        def write(self, frame, detections):
            self.most = max(self.most, len(alive))

    sink = Counting()
    run(Watched(300), no_boxes, [sink])
    assert sink.most <= 12
    gc.collect()
    assert len(alive) == 0


@pytest.mark.parametrize("at", [0, 1, 30])
def test_error_in_the_detector(record, at):
    sink, count = record(), 0

    def detect(frame):
        nonlocal count
        count += 1
        if count > at:
            raise ZeroDivisionError("detector")
        return Detections.empty()

    with pytest.raises(ZeroDivisionError, match="detector"):
        run(Numbers(), detect, [sink])
    assert [index for index, _ in sink.frames] == list(range(at))
    assert isinstance(sink.left_with[0], ZeroDivisionError)


@pytest.mark.parametrize("at", [0, 1, 30])
def test_error_in_a_sink(record, at):
    sinks = [record(), record(fail_at=at)]
    with pytest.raises(RuntimeError, match="sink failed"):
        run(Numbers(), no_boxes, sinks)
    assert [index for index, _ in sinks[1].frames] == list(range(at))
    assert all("sink failed" in str(sink.left_with[0]) for sink in sinks)


@pytest.mark.parametrize("at", [0, 1, 30])
def test_error_in_the_source(record, at):
    sink = record()
    with pytest.raises(VideoError, match="source"):
        run(Numbers(at, error=VideoError("source")), no_boxes, [sink])
    assert len(sink.frames) == at
    assert isinstance(sink.left_with[0], VideoError)


def test_error_in_annotate(record):
    sink = record()
    with pytest.raises(KeyError):
        run(Numbers(), no_boxes, [sink], LoopOptions(annotate=lambda picture, detections: {}["missing"]))
    assert sink.frames == []


def test_sink_that_does_not_open(record):
    sinks = [record(), record(fail_enter=True), record()]
    with pytest.raises(RuntimeError, match="does not open"):
        run(Numbers(), no_boxes, sinks)
    assert len(sinks[0].left_with) == 1
    assert sinks[1].left_with == sinks[2].left_with == []


def test_sink_that_fails_to_finish(record):
    first, failing = record(), record(fail_exit=True)
    with pytest.raises(RuntimeError, match="does not finish"):
        run(Numbers(5), no_boxes, [first, failing])
    assert "does not finish" in str(first.left_with[0])  # left after the other, so it can record the failure


def test_first_error_is_not_masked_by_those_that_follow_from_it(record):
    def detect(frame):
        raise ZeroDivisionError("first")

    with pytest.raises(ZeroDivisionError, match="first") as raised:
        run(Numbers(), detect, [record(fail_exit=True), record(fail_exit=True)])
    assert len(raised.value.__notes__) == 2


def test_failure_to_finish_overrides_an_earlier_interrupt(record):
    with pytest.raises(RuntimeError, match="does not finish"):
        run(Numbers(3, error=StreamError("broke off")), no_boxes, [record(fail_exit=True)])


def test_source_that_breaks_off_keeps_what_came_before(record):
    sink = record()
    sink.notes.append("a note")
    summary = run(Numbers(7, error=StreamError("camera: gone")), no_boxes, [sink])
    assert (summary.frames, summary.status) == (7, RunStatus.TRUNCATED)
    assert summary.notes == ("a note", "camera: gone")
    assert len(sink.frames) == 7
    assert isinstance(sink.left_with[0], StreamError)


def test_interrupt_finishes_what_was_detected(record):
    sink, count = record(), 0

    def detect(frame):
        nonlocal count
        count += 1
        if count > 12:
            raise KeyboardInterrupt
        return Detections.empty()

    summary = run(Numbers(), detect, [sink])
    assert (summary.frames, summary.status) == (12, RunStatus.INTERRUPTED)
    assert [index for index, _ in sink.frames] == list(range(12))
    assert isinstance(sink.left_with[0], KeyboardInterrupt)


def test_further_interrupts_do_not_disturb_the_finishing(record):
    class Finishing(record):
        finished = False

        def __exit__(self, kind, error, trace):
            for _ in range(5):
                signal.raise_signal(signal.SIGINT)
                sleep(0.02)
            self.finished = True

    def detect(frame):
        if frame.image[0, 0, 0] == 3:
            raise KeyboardInterrupt
        return Detections.empty()

    sinks = [Finishing(), Finishing()]
    summary = run(Numbers(), detect, sinks)
    assert (summary.frames, summary.status) == (3, RunStatus.INTERRUPTED)
    assert all(sink.finished for sink in sinks)


def test_stop_is_called_before_each_frame(record):
    sink, asked = record(), []

    def stop():
        asked.append(1)
        return len(asked) > 5

    summary = run(Numbers(), no_boxes, [sink], LoopOptions(stop=stop))
    assert (summary.frames, summary.status) == (5, RunStatus.STOPPED)
    assert isinstance(sink.left_with[0], Stopped)


def test_windows_are_fed_from_the_main_thread_and_files_are_not(record, shown, detect):
    window, file = shown(), record()
    run(Numbers(20), detect, [file, window], LoopOptions(annotate=lambda frame, detections: frame.image.fill(9)))
    assert window.frames == file.frames == [(index, index % 3) for index in range(20)]
    assert window.threads == {threading.main_thread().name}
    assert file.threads == {"frame-writer"}
    assert all((picture == 9).all() for picture in window.pictures + file.pictures)


def test_latest_drops_frames_that_come_too_fast(record):
    class Live(Numbers):
        def __iter__(self):
            for frame in super().__iter__():
                sleep(0.004)
                yield frame

    def slow(frame):
        sleep(0.03)
        return Detections.empty()

    sink = record()
    summary = run(Live(60), slow, [sink], LoopOptions(buffer="latest"))
    indices = [index for index, _ in sink.frames]
    assert indices == sorted(set(indices))
    assert indices[-1] == 59
    assert summary.dropped > 20
    assert summary.frames + summary.dropped == 60


@pytest.mark.real_time
def test_source_that_is_slow_to_notice_does_not_delay_the_files(record):
    closed_at = []

    class Closing(record):
        def __exit__(self, kind, error, trace):
            closed_at.append(monotonic())

    class Slow(Numbers):
        def __iter__(self):
            yield from super().__iter__()
            sleep(0.5)
            yield Frame(99, 99, Fraction(1, 25), np.zeros((2, 2, 3), np.uint8))

    calls = []

    def stop():
        calls.append(1)
        return len(calls) > 2

    started = monotonic()
    run(Slow(3), no_boxes, [Closing()], LoopOptions(stop=stop))
    assert closed_at[0] - started < 0.4
    assert monotonic() - started >= 0.4


def test_several_workers_keep_the_order_and_run_concurrently(record, boxes_of):
    busy, most, lock = 0, 0, threading.Lock()

    def detect(frame):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        sleep(0.002 * (frame.image[0, 0, 0] % 4))
        with lock:
            busy -= 1
        return boxes_of(*[(0, 0, 1, 1)] * (int(frame.image[0, 0, 0]) % 3))

    sink = record()
    summary = run(Numbers(60), detect, [sink], LoopOptions(workers=3))
    assert sink.frames == [(index, index % 3) for index in range(60)]
    assert (summary.frames, summary.status, summary.workers) == (60, "complete", 3)
    assert 2 <= most <= 3


@pytest.mark.real_time
def test_a_silent_server_does_not_hold_up_the_end(record):
    """A read that nothing can interrupt is left to its thread."""
    answered = threading.Event()

    class Silent(Numbers):
        def __iter__(self):
            yield from super().__iter__()
            answered.wait(30)

    def detect(frame):
        if frame.index == 4:
            raise KeyboardInterrupt
        return Detections.empty()

    sink, started = record(), monotonic()
    try:
        summary = run(Silent(5), detect, [sink])
    finally:
        answered.set()

    assert monotonic() - started < 5
    assert (summary.frames, summary.status) == (4, RunStatus.INTERRUPTED)
    assert len(sink.left_with) == 1


@pytest.mark.parametrize("count", [0, 1, 2, 5, 40])
def test_workers_finish_the_frames_before_the_source_broke_off(record, count):
    sink = record()
    summary = run(Numbers(count, error=StreamError("gone")), no_boxes, [sink], LoopOptions(workers=4))
    assert (summary.frames, summary.status) == (count, "truncated")
    assert [index for index, _ in sink.frames] == list(range(count))


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_error_in_a_worker_ends_the_run_after_the_frames_before(record, error):
    def detect(frame):
        if frame.image[0, 0, 0] == 7:
            raise error
        return Detections.empty()

    sink = record()
    if isinstance(error, KeyboardInterrupt):
        assert run(Numbers(), detect, [sink], LoopOptions(workers=2)).status is RunStatus.INTERRUPTED
    else:
        with pytest.raises(ValueError, match="broken"):
            run(Numbers(), detect, [sink], LoopOptions(workers=2))
    assert [index for index, _ in sink.frames] == list(range(len(sink.frames)))
    assert len(sink.frames) <= 7


def test_workers_can_be_stopped(record):
    asked = []
    sink = record()
    summary = run(Numbers(), no_boxes, [sink], LoopOptions(workers=3, stop=lambda: len(asked) >= 20 or asked.append(1)))
    assert summary.status is RunStatus.STOPPED
    assert [index for index, _ in sink.frames] == list(range(len(sink.frames)))
    assert len(sink.frames) <= 20


def test_an_error_of_a_sink_ends_the_workers_too(record):
    with pytest.raises(RuntimeError):
        run(Numbers(), no_boxes, [record(fail_at=3)], LoopOptions(workers=2))


def test_frames_that_come_with_detections_are_not_detected_in(boxes_of):
    known, found, asked = boxes_of((0, 0, 1, 1)), boxes_of((1, 1, 2, 2)), []
    detect = known_or(lambda frame: asked.append(frame.index) or found)
    one, two = list(Numbers(2))
    one.detections = known
    assert (detect(one), detect(two)) == (known, found)
    assert asked == [1]


class Interrupted(Numbers):
    """Lost after frame 4, and at the end."""

    def __init__(self):
        super().__init__(10)
        self.gaps, self.stopped = [], False

    def __iter__(self):
        for frame in super().__iter__():
            yield frame
            if frame.index == 4:
                self.gaps.append(Gap(4, 0.16, 1.5, "it ended"))
        while not self.stopped:
            sleep(0.01)

    def take_gaps(self):
        taken, self.gaps = self.gaps, []
        return taken

    def stop(self):
        self.stopped = True
        self.gaps.append(Gap(9, 0.36, 0.2, "silent"))


def test_gaps_reach_every_sink_in_their_place(record, shown):
    file, window = record(), shown()

    def interrupted():
        return len(file.frames) == 10

    options = LoopOptions(interrupted=interrupted)
    assert run(Interrupted(), no_boxes, [file, window], options).status is RunStatus.INTERRUPTED
    for sink in (file, window):
        assert [(count, gap.after_frame) for count, gap in sink.gaps] == [(5, 4), (10, 9)]
