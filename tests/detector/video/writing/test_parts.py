from detector.video.writing.parts import part_path


def test_a_part_keeps_the_suffix(tmp_path):
    assert part_path(tmp_path / "out.mp4") == tmp_path / "out.mp4.yolo3-part1.mp4"
