"""The picture of the web page in README and docs/service.md (scripts/show_page). Needs Chromium and playwright."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from convert import convert
from convert.names import configs_folder
from detector.images.reading import write_picture
from scripts.street.render import draw_shot
from scripts.street.stage import random_street

STREET_SEED = 11
SIZE = (1240, 700)

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def main() -> None:
    """Serve the embedded network, show it a street, and write what the page looks like."""
    parser = argparse.ArgumentParser(prog="scripts/show_page", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/service.png"), help="picture to write")
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("error: chromium is not installed; type: apt-get install chromium")
    with TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "models").mkdir()
        cfg = configs_folder() / "street.cfg"
        weights = configs_folder().parent / "model_data" / "street.weights"
        convert(cfg, weights, folder / "models" / "street.h5", names=cfg.with_suffix(".names"))
        write_picture(folder / "street.png", draw_shot(random_street(STREET_SEED)).picture)
        with _served(folder) as address:
            _photograph(address, folder, options.theme, chromium)
        with Image.open(folder / "page.png") as page:
            page.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(options.out, optimize=True)
    print(f"Wrote {options.out}")


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "detector", "serve", "--port", "0"]
    command += ["--models", str(folder / "models"), "--data", str(folder / "data")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        process.terminate()
        process.communicate()


def _photograph(address: str, folder: Path, theme: str, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch_persistent_context(
            str(folder / "profile"),
            executable_path=chromium,
            args=ARGUMENTS,
            color_scheme="dark" if theme == "dark" else "light",
            viewport={"width": SIZE[0], "height": SIZE[1]},
        )
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        page.set_input_files("#picture-file", folder / "street.png")
        page.wait_for_selector("#picture-found button", timeout=120_000)
        page.screenshot(path=folder / "page.png")
        browser.close()


if __name__ == "__main__":
    main()
