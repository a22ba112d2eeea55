"""The page compared with Python: a take of 5 s scored by both, the time from stop to verdict, and file sizes.

    make web && python -m benchmarks.page
    make web && python -m benchmarks.page --processing ../shared/common-voice/cv-corpus-6.1-2020-12-11/fr/clips

Python scores on one thread, the page in WebAssembly in headless Chromium, on one thread too. Ratios hold on a busy
machine, milliseconds do not.

With `--processing`, recordings are played to Chromium as a microphone, with the browser's echo cancellation, noise
suppression and gain control on (as they are by default) and off, and Python grades what was recorded.
"""

import argparse
import base64
import gzip
import itertools
import random
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from accent.core.errors import run
from accent.page.serve import HOST, Handler
from accent.scoring.scorer import Score, Scorer
from benchmarks.score import make_take, milliseconds

PAGE, CHROMIUM = Path("web/dist"), "chromium"
FLAGS = ("--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
REPEATS = 10
MEASURES = "name => performance.getEntriesByName(name).map((measure) => measure.duration)"
READY, AWAKE = "body[data-ready=yes]", "body[data-awake=yes]"
CLIPS, LEAD_SECONDS, TAIL_SECONDS = 20, 0.5, 2.5
RECORD = """async ({ processing, seconds }) => {
  const constraints = { echoCancellation: processing, noiseSuppression: processing, autoGainControl: processing };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...constraints } });
  const context = new AudioContext();
  await context.audioWorklet.addModule("recorder-worklet.js");
  const tap = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0, channelCount: 1 });
  const blocks = [];
  tap.port.onmessage = ({ data }) => blocks.push(data);
  context.createMediaStreamSource(stream).connect(tap);
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  stream.getTracks().forEach((track) => track.stop());
  await context.close();
  const bytes = new Uint8Array(await new Blob(blocks).arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return { rate: context.sampleRate, samples: btoa(text) };
}"""


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer((HOST, 0), partial(Handler, directory=str(PAGE), natives=None))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()


def browser_that_hears(playwright: Playwright, microphone: Path) -> Browser:
    """Chromium whose microphone is a WAV file, once from its beginning each time that it is opened."""
    hears = f"--use-file-for-fake-audio-capture={microphone}%noloop"
    return playwright.chromium.launch(executable_path=shutil.which(CHROMIUM), args=[*FLAGS, hears])


def as_microphone(sound: Path, target: Path) -> Path:
    """A recording in a room that is never quite silent, as a WAV file with some seconds around it."""
    samples, rate = sf.read(sound)
    padded = np.pad(samples, (round(LEAD_SECONDS * rate), round(TAIL_SECONDS * rate)))
    room = np.random.default_rng(0).normal(0, 1e-3, len(padded))
    sf.write(target, padded + room, rate, subtype="PCM_16")
    return target


def ready_ms(page: Page, waited_for: str) -> float:
    """Milliseconds from the start of a visit until then."""
    page.wait_for_selector(waited_for)
    return page.evaluate("performance.now()")


def verdict_ms(page: Page, make_takes: Callable[[], None]) -> float:
    """The median way from the end of a take to the verdict on the screen."""
    page.evaluate("performance.clearMeasures()")
    for count in range(1, REPEATS + 2):  # the first warms up
        make_takes()
        while len(page.evaluate(MEASURES, "verdict")) < count:
            page.wait_for_timeout(50)
    return float(np.median(page.evaluate(MEASURES, "verdict")[1:]))


def speed() -> None:
    with served() as address, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        take = make_take(Path(folder))
        takes = [take, as_microphone(take, Path(folder) / "microphone.wav")]
        scorer = Scorer.load("models")
        browser = browser_that_hears(playwright, takes[1])
        page = browser.new_context(permissions=["microphone"]).new_page()
        for visit in ("first", "second"):
            page.goto(address)
            print(f"{visit} visit: ready after {ready_ms(page, READY):.0f} ms, awake after {ready_ms(page, AWAKE):.0f}")
            page.evaluate("navigator.serviceWorker.ready")
        both = itertools.cycle(takes)  # what was heard last is remembered
        python = milliseconds(lambda: scorer.score(take))
        ears = verdict_ms(page, lambda: page.set_input_files("#file", next(both)))
        by_itself = verdict_ms(page, lambda: page.click("#record"))

        def by_hand() -> None:
            page.click("#record")
            page.wait_for_selector(".record.on")
            page.wait_for_timeout(1000 * (LEAD_SECONDS + 5 + 0.3))
            page.click("#record")

        print(f"Python: {python:.0f} ms; the page: {ears:.0f} ms, {ears / python:.1f} times that")
        print(f"from the end to the verdict: {by_itself:.0f} ms of a take that ends by itself, ", end="")
        print(f"{verdict_ms(page, by_hand):.0f} ms of one stopped by hand at once")
        browser.close()


def sizes() -> None:
    total = 0
    for path in sorted(PAGE.iterdir()):
        packed = len(gzip.compress(path.read_bytes()))
        total += packed
        print(f"{path.name:32} {path.stat().st_size / 2**20:6.2f} MB, compressed {packed / 2**20:6.2f}")
    print(f"{'over the wire':32} {total / 2**20:28.2f} MB")


def processing(clips: Path) -> None:
    """What the browser's own processing of a microphone does to grades and verdicts."""
    scorer = Scorer.load("models")
    chosen = random.Random(0).sample(sorted(clips.glob("*.mp3")), CLIPS)
    shifts: dict[str, list[float]] = {"on": [], "off": []}
    pairs: list[tuple[Score, Score]] = []
    with served() as address, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for clip in chosen:
            microphone = as_microphone(clip, Path(folder) / "microphone.wav")
            seconds = sf.info(microphone).duration - 0.5
            browser = browser_that_hears(playwright, microphone)
            page = browser.new_context(permissions=["microphone"]).new_page()
            page.goto(f"{address}/licences.txt")  # a page of that address which does nothing
            scores = {"file": scorer.score(microphone)}
            for name in ("on", "off"):
                found = page.evaluate(RECORD, {"processing": name == "on", "seconds": seconds})
                samples = np.frombuffer(base64.b64decode(found["samples"]), np.float32)
                recorded = Path(folder) / f"{name}.wav"
                sf.write(recorded, samples, found["rate"], subtype="PCM_16")
                scores[name] = scorer.score(recorded)
            browser.close()
            graded = {name: score.graded.whole for name, score in scores.items() if score.graded}
            for name in shifts.keys() & graded.keys():
                if "file" in graded:
                    sd = (graded["file"].native_high - graded["file"].native_low) / (2 * 1.645)
                    shifts[name].append((graded[name].grade - graded["file"].grade) / sd)
            pairs.append((scores["on"], scores["off"]))
    for name, values in shifts.items():
        print(f"{name}: {len(values)} graded, ", end="")
        print(f"mean shift {np.mean(values):+.2f} SD of natives, SD of the shifts {np.std(values, ddof=1):.2f}")
    verdicts = Counter((verdict(on), verdict(off)) for on, off in pairs)
    print("verdicts with processing on and off:")
    for (on, off), count in verdicts.most_common():
        print(f"{count:3} {on} / {off}")


def verdict(score: Score) -> str:
    if score.refused:
        return f"can't tell ({score.refused.kind})"
    return score.graded.whole.verdict(score.probability >= 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the page beside Python.")
    parser.add_argument("--processing", type=Path, metavar="CLIPS", help="folder of MP3s to play as a microphone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.processing:
        processing(args.processing)
    else:
        speed()
        sizes()


if __name__ == "__main__":
    run(main)
