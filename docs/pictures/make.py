"""Take the README's picture of the report: `python docs/pictures/make.py results/synthetic/report`.

It needs Chromium (Debian's package `chromium`) and the demo's report. The page is taken in light
colours, 1280 pixels wide, from the top, and written as WebP.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUTPUT = Path(__file__).with_name("report.webp")
WIDTH, HEIGHT = 1280, 1000  # pixels
QUALITY = 85  # of WebP: letters stay clean, and the file below 300 kB


def take(report: Path) -> bytes:
    """Give a PNG of the top of the report in the folder `report`."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("found no chromium, expected Debian's package of that name: apt-get install it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        size = {"width": WIDTH, "height": HEIGHT}
        page = browser.new_page(viewport=size, color_scheme="light")
        page.goto((report / "index.html").resolve().as_uri())
        page.wait_for_load_state("networkidle")
        return page.screenshot()


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="folder of the demo's report")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="default: %(default)s")
    arguments = parser.parse_args()
    picture = Image.open(io.BytesIO(take(arguments.report)))
    picture.convert("RGB").save(arguments.out, quality=QUALITY, method=6)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
