import pytest

from convert.errors import OutputError, WriteError
from convert.folders import check_folder, replacing_folder


def ours(name):
    return name.endswith(".txt")


def test_a_folder_appears_when_it_is_whole(tmp_path):
    out = tmp_path / "a" / "out"
    with replacing_folder(out, overwrite=False, is_ours=ours) as folder:
        (folder / "1.txt").write_text("one")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["1.txt"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_old_one_stays_until_then_and_after_a_failure(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "1.txt").write_text("old")
    with (
        pytest.raises(WriteError, match="out: could not be written: no room"),
        replacing_folder(out, overwrite=True, is_ours=ours) as folder,
    ):
        (folder / "1.txt").write_text("new")
        raise OSError(28, "no room")
    assert (out / "1.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("name", "overwrite", "message"),
    [("1.txt", False, "is not empty"), ("thesis.doc", True, r"holds thesis\.doc, which no export wrote")],
)
def test_what_it_refuses(tmp_path, name, overwrite, message):
    (tmp_path / name).write_text("precious")
    with pytest.raises(OutputError, match=message):
        check_folder(tmp_path, overwrite=overwrite, is_ours=ours)
    with pytest.raises(OutputError, match="is a file"):
        check_folder(tmp_path / name, overwrite=True, is_ours=ours)
    assert (tmp_path / name).read_text() == "precious"
