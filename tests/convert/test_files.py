import os

import pytest

from convert.files import check_output, create
from detector.errors import OutputError
from detector.video.writing.parts import part_path


def test_new_file_in_new_folders_is_fine(tmp_path):
    check_output(tmp_path / "a" / "b" / "out.mp4", overwrite=False)
    create(tmp_path / "a" / "b" / "out.mp4")
    assert (tmp_path / "a" / "b" / "out.mp4").exists()


def test_existing_file_needs_overwrite(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_text("precious")
    with pytest.raises(OutputError, match=r"out\.mp4: exists already; .*--overwrite"):
        check_output(path, overwrite=False)
    check_output(path, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_input_is_never_the_output(tmp_path, overwrite):
    path = tmp_path / "video.mp4"
    path.write_text("precious")
    (tmp_path / "sub").mkdir()
    with pytest.raises(OutputError, match="is the input"):
        check_output(tmp_path / "sub" / ".." / "video.mp4", overwrite=overwrite, inputs=["rtsp://x/y", path])


def test_folder_and_file_in_the_way(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is not a folder"):
        check_output(tmp_path / "file" / "out.mp4", overwrite=True)
    with pytest.raises(OutputError, match="cannot be written"):
        create(tmp_path / "file" / "out.mp4")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="may not be written"):
            check_output(tmp_path / "out.mp4", overwrite=False)
    finally:
        tmp_path.chmod(0o700)


def test_part_keeps_the_ending(tmp_path):
    assert part_path(tmp_path / "out.mp4") == tmp_path / "out.mp4.yolo3-part1.mp4"
