import json

import pytest
from PIL import Image


@pytest.fixture
def photo(tmp_path, thirds):
    path = tmp_path / "drei Farben 旗.png"
    Image.fromarray(thirds).save(path)
    return path


def test_classify(yolo3, photo, colour_classifier):
    code, out, _ = yolo3("classify", photo, "--model", colour_classifier, "--top", 1)

    title, line = out.splitlines()
    assert code == 0
    assert title == f"{photo}:"
    assert line.split()[0] == "green"


def test_classify_json_of_each_tile(yolo3, photo, colour_classifier):
    code, out, _ = yolo3("classify", photo, "--model", colour_classifier, "--tiles", "3x1", "--json", "--quiet")

    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["box"] for record in records] == [[0, 0, 32, 48], [32, 0, 64, 48], [64, 0, 96, 48]]
    assert [record["models"]["colours"][0]["name"] for record in records] == ["red", "green", "blue"]


def test_classify_goes_on_after_a_bad_picture(yolo3, photo, colour_classifier, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")

    code, out, err = yolo3("classify", tmp_path / "bad.png", photo, "--model", colour_classifier, "--quiet")

    assert code == 1
    assert "bad.png" in err
    assert "green" in out


def test_plot_is_not_replaced_unasked(yolo3, photo, colour_classifier, tmp_path):
    plot = tmp_path / "bars.png"

    assert yolo3("classify", photo, "--model", colour_classifier, "--plot", plot)[0] == 0
    assert yolo3("classify", photo, "--model", colour_classifier, "--plot", plot)[0] == 2
    assert yolo3("classify", photo, "--model", colour_classifier, "--plot", plot, "--overwrite")[0] == 0


def test_wrong_commands(yolo3, photo, colour_classifier, colour_model, tmp_path):
    code, _, err = yolo3("classify", photo, "--model", colour_model)
    assert (code, "yolo3 image" in err) == (2, True)

    code, _, err = yolo3("image", photo, "--model", colour_classifier)
    assert (code, "yolo3 classify" in err) == (2, True)

    code, _, err = yolo3("classify", photo, "--model", f"{colour_classifier},{colour_classifier}")
    assert (code, "named twice" in err) == (2, True)

    code, _, err = yolo3("classify", photo, "--model", colour_classifier, "--weights", tmp_path / "w.h5")
    assert (code, "--weights once for each" in err) == (2, True)

    code, _, err = yolo3("classify", tmp_path / "missing.png", "--model", colour_classifier)
    assert (code, "no such file" in err) == (2, True)


def test_explain_a_detection(yolo3, flag, colour_model, tmp_path):
    Image.fromarray(flag).save(tmp_path / "flag.png")
    out = tmp_path / "heat.png"

    code, lines, _ = yolo3("explain", tmp_path / "flag.png", "--model", colour_model, "--out", out, "--class", "blue")

    assert code == 0
    assert lines.startswith("blue 1.00 (32, 64) (64, 96): ")
    with Image.open(out) as picture:
        assert picture.size == (2 * 96 + 4, 96)
    assert yolo3("explain", tmp_path / "flag.png", "--model", colour_model, "--out", out)[0] == 2


def test_explain_the_best_classes(yolo3, photo, colour_classifier, tmp_path):
    out = tmp_path / "heat.png"

    code, lines, _ = yolo3("explain", photo, "--model", colour_classifier, "--out", out, "--top", 2)

    assert code == 0
    assert lines.startswith("green ")
    with Image.open(out) as picture:
        assert picture.size == (2 * 96 + 4, 2 * 48 + 4)


def test_explain_a_frame_of_a_video(yolo3, colour_clip, colour_model, tmp_path):
    out = tmp_path / "heat.png"

    code, lines, _ = yolo3("explain", colour_clip, "--model", colour_model, "--at", "0.32", "--out", out)
    # The red cell is in the middle in the fifth frame, 0.32 s from the start.
    assert (code, "(32, 32) (64, 64)" in lines) == (0, True)

    code, _, err = yolo3("explain", colour_clip, "--model", colour_model, "--out", tmp_path / "other.png")
    assert (code, "--at TIME" in err) == (2, True)


def test_explain_nothing(yolo3, colour_model, tmp_path):
    Image.new("RGB", (96, 96)).save(tmp_path / "black.png")

    code, lines, _ = yolo3("explain", tmp_path / "black.png", "--model", colour_model, "--out", tmp_path / "heat.png")

    assert (code, lines.startswith("Found no boxes")) == (0, True)
    assert not (tmp_path / "heat.png").exists()


def test_tiles_of_an_image(yolo3, flag, colour_model, tmp_path):
    Image.fromarray(flag).save(tmp_path / "flag.png")

    assert yolo3("image", tmp_path / "flag.png", "--model", colour_model, "--tiles", "2x2")[0] == 0
    code, _, err = yolo3("image", tmp_path / "flag.png", "--model", colour_model, "--tiles", "many")
    assert (code, "2x2, or auto" in err) == (2, True)
