from fractions import Fraction

import av
import numpy as np

from detector.video.reading.video_file import VideoFile
from detector.video.section import Section

WIDTH, HEIGHT, STEP = 320, 96, 6


def scene(moment):
    """A white bar on grey that moves STEP pixels per field."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    left = 40 + STEP * moment
    picture[:, left : left + 24] = 235
    return picture


def woven(number):
    """The lower field of one moment and the upper field of the next."""
    picture = scene(2 * number)
    picture[0::2] = scene(2 * number + 1)[0::2]
    return picture


def make(path, pictures, *, interlaced):
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "crf": "5"} | ({"x264-params": "bff=1"} if interlaced else {})
        stream = output.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def combing(picture):
    """How much each row differs from the mean of its neighbours, beyond what the rows two apart do."""
    rows = picture[:, :, 1].astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


def distance(picture, moment):
    """Mean difference from the scene at a moment."""
    return float(np.abs(picture.astype(int) - scene(moment)).mean())


def read(path, **options):
    with VideoFile(path, **options) as video:
        frames = list(video)
        return frames, [np.asarray(frame.image) for frame in frames], video.notes


def test_interlaced_frames_are_deinterlaced(tmp_path):
    source = make(tmp_path / "a.mp4", [woven(number) for number in range(15)], interlaced=True)
    frames, pictures, notes = read(source)
    assert [frame.time for frame in frames] == [Fraction(number, 25) for number in range(15)]
    assert [frame.index for frame in frames] == list(range(15))
    assert notes == [f"{source}: interlaced; deinterlaced (--deinterlace off turns this off)"]
    _, combed, silent = read(source, deinterlace="off")
    assert silent == []
    assert all(combing(picture) < combing(comb) / 4 for picture, comb in zip(pictures, combed, strict=True))
    # Each picture shows the moment of its frame's first field.
    for number, picture in enumerate(pictures):
        assert distance(picture, 2 * number) < distance(picture, 2 * number + 1)


def test_progressive_frames_are_unchanged(tmp_path):
    source = make(tmp_path / "a.mp4", [scene(2 * number) for number in range(10)], interlaced=False)
    frames, pictures, notes = read(source)
    assert notes == []
    _, expected, _ = read(source, deinterlace="off")
    assert [frame.index for frame in frames] == list(range(10))
    for picture, same in zip(pictures, expected, strict=True):
        np.testing.assert_array_equal(picture, same)


def test_a_section_of_an_interlaced_video(tmp_path):
    source = make(tmp_path / "a.mp4", [woven(number) for number in range(15)], interlaced=True)
    frames, pictures, _ = read(source, section=Section(Fraction(5, 25), Fraction(9, 25)))
    assert [frame.time for frame in frames] == [Fraction(number, 25) for number in range(5, 9)]
    for number, picture in enumerate(pictures, 5):
        assert distance(picture, 2 * number) < distance(picture, 2 * number + 1)


def test_a_real_interlaced_video(shared):
    source = shared / "assets" / "videos_made" / "interlaced264.mp4"
    with av.open(str(source)) as video:
        times = [frame.pts * frame.time_base for frame in video.decode(video=0)]
    frames, pictures, notes = read(source)
    assert [frame.time for frame in frames] == times
    assert len(notes) == 1 and "interlaced" in notes[0]
    _, combed, _ = read(source, deinterlace="off")
    worst = max(range(len(combed)), key=lambda number: combing(combed[number]))  # not every picture moves
    assert combing(pictures[worst]) < 0.75 * combing(combed[worst])
