"""The page compared with Python: a take of 5 s scored by both, the time from stop to verdict, and file sizes.

    make web && python -m benchmarks.page

Python scores on one thread, the page in WebAssembly in headless Chromium, on one thread too. Ratios hold on a busy
machine, milliseconds do not.
"""

import gzip
import shutil
import tempfile
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright

from accent.page.serve import HOST, Handler
from accent.scoring.scorer import Scorer
from benchmarks.score import make_take, milliseconds

PAGE, CHROMIUM = Path("web/dist"), "chromium"
REPEATS = 10
MEASURES = "name => performance.getEntriesByName(name).map((measure) => measure.duration)"
READY = "body[data-ready=yes]"


def ready_ms(page: Page) -> float:
    """Milliseconds from the start of a visit until the page can score."""
    page.wait_for_selector(READY)
    return page.evaluate("performance.now()")


def score_on_page(page: Page, take: Path) -> dict[str, float]:
    """Median milliseconds of the engine alone, and from the sound to the verdict on the screen."""
    for count in range(1, REPEATS + 2):  # the first warms up
        page.set_input_files("#file", take)
        while len(page.evaluate(MEASURES, "verdict")) < count:
            page.wait_for_timeout(50)
    return {name: float(np.median(page.evaluate(MEASURES, name)[1:])) for name in ("score", "verdict")}


def main() -> None:
    torch.set_num_threads(1)
    server = ThreadingHTTPServer((HOST, 0), partial(Handler, directory=str(PAGE), natives=None))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        take = make_take(Path(folder))
        scorer = Scorer.load("models")
        browser = playwright.chromium.launch(executable_path=shutil.which(CHROMIUM))
        page = browser.new_context().new_page()
        page.goto(f"http://{HOST}:{server.server_port}")
        first = ready_ms(page)
        page.evaluate("navigator.serviceWorker.ready")
        page.reload()
        later = ready_ms(page)
        python, found = milliseconds(lambda: scorer.score(take)), score_on_page(page, take)
        browser.close()
    ratio = found["score"] / python
    print(f"Python: {python:.0f} ms; the page's engine: {found['score']:.0f} ms, {ratio:.1f} times that")
    print(f"from the sound to the verdict: {found['verdict']:.0f} ms")
    print(f"ready after {first:.0f} ms at the first visit, {later:.0f} ms at the second")
    total = 0
    for path in sorted(PAGE.iterdir()):
        packed = len(gzip.compress(path.read_bytes()))
        total += packed
        print(f"{path.name:32} {path.stat().st_size / 2**20:6.2f} MB, compressed {packed / 2**20:6.2f}")
    print(f"{'over the wire':32} {total / 2**20:28.2f} MB")


if __name__ == "__main__":
    main()
