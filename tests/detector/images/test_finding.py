import os
from pathlib import Path

import pytest

from detector.errors import PictureError
from detector.images.finding import find_pictures, output_name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        *("photos/img10.jpg", "photos/img2.JPG", "photos/Img1.png", "photos/notes.txt", "photos/._img2.jpg"),
        *("photos/deeper/cat.webp", "photos/deeper/more/bird.tiff", "photos/deeper.png/inside.txt"),
        *("cat[1].jpg", "cat1.jpg", "texts/a.txt", "noextension"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["cat1.jpg"], ["cat1.jpg"], id="a file"),
        pytest.param(["noextension"], ["noextension"], id="any file that is named"),
        pytest.param(["missing.jpg", "cat1.jpg"], ["missing.jpg", "cat1.jpg"], id="a missing file stays"),
        pytest.param(
            ["photos"],
            ["photos/Img1.png", "photos/img2.JPG", "photos/img10.jpg"],
            id="a folder, in natural order",
        ),
        pytest.param(["photos/*g"], ["photos/Img1.png", "photos/img10.jpg"], id="a glob"),
        pytest.param(["photos/*/*"], ["photos/deeper/cat.webp"], id="a glob over folders"),
        pytest.param(
            ["photos/deep*/**"],
            ["photos/deeper/cat.webp", "photos/deeper/more/bird.tiff"],
            id="a glob all the way down",
        ),
        pytest.param(["cat[1].jpg"], ["cat[1].jpg"], id="a file named like a glob"),
        pytest.param(["[c]at1.jpg"], ["cat1.jpg"], id="a glob with brackets"),
        pytest.param(["cat1.jpg", "./cat1.jpg", "cat?.jpg"], ["cat1.jpg"], id="no duplicates"),
        pytest.param(["HTTPS://x.org/*.jpg?a=[1]"], ["HTTPS://x.org/*.jpg?a=[1]"], id="an address is no glob"),
        pytest.param(["http://x.org/a", "http://x.org/a"], ["http://x.org/a"], id="an address once"),
        pytest.param([Path("photos/deeper")], ["photos/deeper/cat.webp"], id="a Path"),
        pytest.param(["x" * 5000, "a\0b"], ["x" * 5000, "a\0b"], id="what no file system takes"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_find_pictures(folder: Path, arguments: list[str], expected: list[str]) -> None:
    assert [path.replace("\\", "/") for path in find_pictures(arguments)] == expected


def test_find_pictures_in_an_absolute_folder(folder: Path) -> None:
    assert find_pictures([folder / "photos" / "deeper"]) == [str(folder / "photos" / "deeper" / "cat.webp")]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("empty", "empty: the folder holds no pictures; pictures end in .jpg"),
        ("texts", "texts: the folder holds no pictures (only 1 other)"),
        ("*.webp", "*.webp: no file of this name, and no picture matches it as a pattern; "),
        ("texts/*", "texts/*: no file of this name, and no picture matches it as a pattern (only 1 other); "),
        ("dog[2].jpg", "dog[2].jpg: no file of this name, and no picture matches"),
    ],
)
def test_no_pictures_at_the_given_names(folder: Path, argument: str, message: str) -> None:
    with pytest.raises(PictureError) as caught:
        find_pictures(["cat1.jpg", argument])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("source", "taken", "name"),
    [
        ("dog.jpg", [], "dog.jpg"),
        ("photos/dog.jpg", [], "dog.jpg"),
        (Path("photos/DOG.JPEG"), [], "DOG.JPEG"),
        ("dog.png", [], "dog.png"),
        ("dog.webp", [], "dog.png"),
        ("dog.gif", [], "dog.png"),
        ("a.b.tiff", [], "a.b.png"),
        ("noextension", [], "noextension.png"),
        ("https://x.org/photos/dog.jpg?size=9#top", [], "dog.jpg"),
        ("https://x.org/photos/my%20dog.PNG", [], "my dog.PNG"),
        ("https://x.org/photos/dog.webp", [], "dog.png"),
        ("https://x.org/photo.php?id=5", [], "photo.jpg"),
        ("https://x.org/200", [], "200.jpg"),
        ("https://x.org/", [], "picture.jpg"),
        ("https://x.org", [], "picture.jpg"),
        ("https://x.org?a=/b.jpg", [], "picture.jpg"),
        ("http://[::1/dog.png", [], "dog.png"),
        ("https://x.org/a/..%2f..%2fetc%2fpasswd", [], "passwd.jpg"),
        ("https://x.org/a/..%5C..%5Cdog.png", [], "dog.png"),
        ("https://x.org/a/%2e%2e", [], "picture.jpg"),
        ("https://x.org/a%00b%3Ac%0A.png", [], "a_b_c_.png"),
        ("https://x.org/" + "x" * 999 + ".png", [], "x" * 196 + ".png"),
        ("https://x.org/" + "🐕" * 99 + ".png", [], "🐕" * 49 + ".png"),
        ("x" * 251 + ".jpg", ["x" * 251 + ".jpg"], "x" * 249 + "-2.jpg"),
        ("b/dog.jpg", ["dog.jpg"], "dog-2.jpg"),
        ("b/Dog.jpg", ["dog.jpg", "DOG-2.jpg"], "Dog-3.jpg"),
        ("dog.webp", {"dog.jpg", "dog.png"}, "dog-2.png"),
    ],
)
def test_output_name(source: str | Path, taken: list[str], name: str) -> None:
    assert output_name(source, taken=taken) == name


@pytest.mark.parametrize(
    "source", ["https://x.org/" + "🐕" * 300, "https://x.org/%ff" * 200, "ü" * 125 + ".webp", "x" * 255]
)
def test_names_are_never_too_long_for_a_file_system(source: str) -> None:
    taken: list[str] = []
    for _ in range(12):
        taken.append(output_name(source, taken=taken))
    assert len(set(taken)) == 12
    assert all(len(os.fsencode(name)) <= 255 for name in taken)
