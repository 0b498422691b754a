"""The page in a real browser: each thing that it offers, in both themes, on a phone's width and a desk's."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detector.tracking.zone_file import read_zones

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SIZES = {"phone": 390, "desk": 1280}

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")


@pytest.fixture(scope="module")
def browser_kind():
    with playwright.sync_playwright() as started:
        yield started.chromium


@pytest.fixture
def open_page(browser_kind, tmp_path):
    """Open a page in a browser of its own; fails where the page writes errors to the console."""
    opened, errors = [], []

    def start(url, *, theme="light", width=1280, expected=()):
        context = browser_kind.launch_persistent_context(
            str(tmp_path / f"profile {len(opened)}"),
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            color_scheme=theme,
            viewport={"width": width, "height": 860},
            accept_downloads=True,
        )
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)

        def note(message):
            if message.type in ("error", "warning") and not any(word in message.text for word in expected):
                errors.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        home = url.removesuffix("docs")
        page.on("request", lambda sent: sent.url.startswith((home, "blob:")) or errors.append(sent.url))
        page.goto(url)
        return page

    yield start
    for context in opened:
        context.close()
    assert errors == []


def ready(page):
    page.wait_for_selector("body[data-ready]")
    return page


def no_wider_than_its_window(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture
def flag_file(tmp_path, flag):
    path = tmp_path / "flag ∞.png"
    Image.fromarray(flag).save(path)
    return path


def downloaded(page, selector):
    with page.expect_download() as waiting:
        page.click(selector)
    return Path(waiting.value.path()), waiting.value.suggested_filename


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_picture(service, open_page, flag_file, theme, size):
    page = ready(open_page(service.url + "/", theme=theme, width=SIZES[size]))
    assert no_wider_than_its_window(page)
    page.set_input_files("#picture-file", flag_file)
    page.wait_for_selector("#picture-found button >> nth=1")
    requests = len(service.access)

    assert page.inner_text("#picture-count") == "2 objects"
    assert page.locator("#picture-top .item").count() == 2
    page.fill("#picture-confidence", "95")
    assert page.locator("#picture-found button").count() == 2  # both are certain
    page.click("#picture-classes button:has-text('red')")
    assert page.locator("#picture-found button").count() == 1
    assert len(service.access) == requests  # neither needed the server

    found, name = downloaded(page, "#picture-json")
    assert name == "flag ∞.json"
    assert [one["name"] for one in json.loads(found.read_text())["detections"]] == ["blue"]
    drawn, _ = downloaded(page, "#picture-save")
    with Image.open(drawn) as picture:
        assert picture.size == (96, 96)
    assert no_wider_than_its_window(page)


def test_a_box_is_chosen_by_keys_and_explained(service, open_page, flag_file):
    page = ready(open_page(service.url + "/"))
    page.set_input_files("#picture-file", flag_file)
    page.wait_for_selector("#picture-found button")
    page.focus("#picture-canvas")
    page.keyboard.press("ArrowRight")
    assert page.locator("#picture-found button[aria-pressed=true]").count() == 1
    page.hover("#picture-canvas", position={"x": 5, "y": 5})
    page.click("#picture-heat")
    page.wait_for_selector("#picture-heat[aria-pressed=true]")
    page.click("#picture-heat")
    assert page.get_attribute("#picture-heat", "aria-pressed") == "false"


def test_a_classifier_shows_bars_and_a_paste_is_taken(service, open_page, flag_file):
    page = ready(open_page(service.url + "/"))
    page.select_option("#picture-model", "hues")
    page.evaluate(
        """async (bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }""",
        list(flag_file.read_bytes()),
    )
    page.wait_for_selector("#picture-top .item >> nth=2")
    assert "red" in page.inner_text("#picture-top")


def test_a_file_that_is_refused_is_explained(service, open_page, tmp_path):
    page = ready(open_page(service.url + "/", expected=("422",)))
    (tmp_path / "no picture.png").write_bytes(b"no picture")
    page.set_input_files("#picture-file", tmp_path / "no picture.png")
    page.wait_for_selector("#message:not([hidden])")
    assert page.inner_text("#message p").startswith("The picture: ")
    page.click("#message button")
    page.click("#tab-video")
    page.set_input_files("#video-file", tmp_path / "no picture.png")
    page.wait_for_selector("#message:has-text('is no video')")
    assert page.is_visible("#video-drop")


def test_an_address_is_offered_where_it_is_allowed(serve, open_page):
    page = ready(open_page(serve(allow_urls=True).url + "/", expected=("403",)))
    page.fill("#picture-url input", "http://127.0.0.1/a.png")
    page.click("#picture-url button")
    page.wait_for_selector("#message:has-text('public hosts only')")


@pytest.mark.parametrize(("theme", "size"), [("light", "desk"), ("dark", "phone")])
def test_a_video_with_lines_and_zones(service, open_page, clips, tmp_path, theme, size):
    clip = clips.make(tmp_path / "clip.mp4", range(50))
    page = ready(open_page(service.url + "/", theme=theme, width=SIZES[size]))
    page.keyboard.press("Tab")
    page.focus("#tab-picture")
    page.keyboard.press("ArrowRight")
    page.set_input_files("#video-file", clip)
    page.wait_for_selector("#video-view:not([hidden])")
    page.wait_for_timeout(500)
    page.click("#video-line")
    box = page.locator("#video-overlay").bounding_box()
    for x in (0.2, 0.8):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + 0.5 * box["height"])
    page.click("#video-zone")
    for keys in ("Shift+ArrowLeft", "Shift+ArrowDown", "Shift+ArrowRight"):
        page.keyboard.press(keys)
        page.keyboard.press(keys)
        page.keyboard.press("Enter")
    page.click("#video-finish")
    page.fill("[aria-label='name of zone 1']", 'the "door"')

    saved, name = downloaded(page, "#places-save")
    zones = read_zones(saved)
    page.click("#places-count")
    page.wait_for_selector("#video-counts tr")

    assert name == "zones.toml"
    assert zones.names == ('the "door"', "line 1")
    assert zones.lines[0].start == pytest.approx((0.2, 0.5), abs=0.02)
    assert no_wider_than_its_window(page)
    page.reload()  # the address leads back to the job, with its zones
    ready(page)
    page.wait_for_selector("#video-counts tr")
    assert page.locator("#video-places li").count() == 2
    page.click("#video-delete")
    page.wait_for_selector("#video-drop:not([hidden])")


def test_a_camera(serve, open_page, tmp_path, colour_clip):
    path = tmp_path / "cameras.toml"
    path.write_text(f'[[camera]]\nname = "yard"\nsource = "{colour_clip}"\n')
    page = ready(open_page(serve(cameras=path).url + "/", width=390))
    page.click("#tab-cameras")
    page.wait_for_selector("#camera-state:has-text('Live, 96 × 96')")
    page.wait_for_selector("#camera-image")
    page.click("#tab-picture")  # leaves the camera


def test_a_token_is_asked_for_once(serve, open_page, flag_file):
    service = serve(token="correct horse battery")
    page = open_page(service.url + "/", expected=("401",))
    page.fill("#token input[name=token]", "wrong")
    page.click("#token button")
    page.wait_for_selector("#token-wrong:not([hidden])")
    page.fill("#token input[name=token]", "correct horse battery")
    page.click("#token button")
    ready(page)
    page.set_input_files("#picture-file", flag_file)
    page.wait_for_selector("#picture-found button")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read(service, open_page, theme):
    """The contrast of texts and buttons by WCAG 2: at least 4.5 to 1."""
    page = ready(open_page(service.url + "/", theme=theme))
    pairs = {
        "h": (".tabs [aria-selected=false]", ".tabs"),
        "drop": (".drop", ".drop"),
        "small": (".drop .small", ".drop"),
        "primary": (".button.primary", ".button.primary"),
        "field": (".field", ".card"),
    }
    for text, ground in pairs.values():
        colour = page.evaluate("(one) => getComputedStyle(document.querySelector(one)).color", text)
        behind = page.evaluate("(one) => getComputedStyle(document.querySelector(one)).backgroundColor", ground)
        assert contrast(colour, behind) >= 4.5, (theme, text, colour, behind)


def contrast(one, other):
    def luminance(colour):
        parts = np.array([float(part) for part in colour.strip("rgba()").split(",")[:3]]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_description_of_the_api(service, open_page):
    page = open_page(service.url + "/docs")
    page.wait_for_selector("#operations details >> nth=10")
    page.click("summary:has-text('/v1/detect')")
    assert "curl -F picture=@photo.jpg" in page.inner_text("details[open] pre")
