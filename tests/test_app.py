"""The page in a real browser: headless Chromium, driven by Playwright, with a WAV file for a microphone."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import soundfile as sf
from playwright.sync_api import Page, sync_playwright

from accent.audio.waveform import read_recording
from accent.corpus.prompts import Prompts
from accent.page import phrases
from accent.page.align import align
from accent.scoring import refusal
from accent.scoring.scorer import Scorer
from tests.helpers import ROOT, run, sample_clips

RATE = 16000
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream"),
    *("--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"),
)


def test_both_languages_say_everything():
    for english, french in ((phrases.ENGLISH, phrases.FRENCH), (refusal.ENGLISH, refusal.FRENCH)):
        assert english.keys() == french.keys()
        for key, text in english.items():
            if isinstance(text, str):
                assert set(re.findall(r"{(\w+)", text)) == set(re.findall(r"{(\w+)", french[key])), key
                assert text != french[key]


def test_a_stretched_copy_is_aligned_frame_by_frame():
    native = np.random.default_rng(0).integers(0, 256, (60, 64)).astype(np.uint8)
    path = np.repeat(np.arange(60), np.random.default_rng(1).integers(1, 4, 60))
    assert np.abs(align(native[path], native) - path).max() <= 1


def test_prompts_are_sentences_of_the_class_with_its_recordings(trained):
    prompts = Prompts(trained / "data" / "clips", "french")
    sentence = prompts.draw(np.random.default_rng(0))
    assert sentence in prompts.sentences
    (clip_id, audio), *_ = prompts.recordings(sentence)
    assert audio == next(path for path in sample_clips("fr") if path.stem == clip_id).read_bytes()
    assert prompts.recordings("nothing of the kind") == []


# --- in the browser


@contextmanager
def serving(trained: Path, folder: Path) -> Iterator[str]:
    """The page's address, while its own command serves it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "accent.app", "--model", trained / "models", "--clips", trained / "data" / "clips"]
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")  # as in many companies
    environment = {**os.environ, **proxies, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    log = open(folder / "log", "w+")  # noqa: SIM115
    server = subprocess.Popen(
        [*map(str, command), "--port", str(port)], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture(scope="module")
def served(trained, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("served")
    with serving(trained, folder) as address:
        yield address, folder


@pytest.fixture(scope="module")
def microphone(tmp_path_factory) -> Path:
    """Real speech of the sample, 4 s of it with a little silence around, as a WAV file."""
    pieces = [read_recording(path, 30).waveform for path in sample_clips("fr")[:3]]
    speech = np.concatenate([np.zeros(RATE // 2), *pieces])[: 5 * RATE]
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    sf.write(path, np.concatenate([speech, np.zeros(20 * RATE)]), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def browser(microphone):
    if CHROMIUM is None:
        pytest.fail("no Chromium on this machine, which the page is tested with: apt-get install chromium")
    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@contextmanager
def opened(browser, address: str, **options) -> Iterator[Page]:
    context = browser.new_context(permissions=["microphone"], **options)
    page = context.new_page()
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname or ""))
    page.goto(address)
    page.wait_for_selector("#sentence textarea", timeout=60_000)
    page.wait_for_function("document.querySelector('#sentence textarea').value != ''")
    yield page
    assert hosts <= {"127.0.0.1", ""}, hosts  # nothing is asked of any other machine
    context.close()


def upload(page: Page, file: Path) -> None:
    if (
        page.locator("#take button[aria-label=Clear]").count()
        and page.locator("#take audio, #take .waveform-container").count()
    ):
        page.locator("#take button[aria-label=Clear]").click()
    if not page.locator("#take input[type=file]").count():
        page.locator("#take [data-testid=source-select] button").first.click()
    page.wait_for_selector("#take input[type=file]", state="attached")
    page.set_input_files("#take input[type=file]", file)


def percent(text: str) -> float:
    return float(re.search(r"(\d+)\s*%", text)[1]) / 100


def test_a_take_is_recorded_by_the_page_s_own_button_and_scored(browser, served, trained, microphone):
    address, folder = served
    with opened(browser, address) as page:
        page.get_by_role("button", name="Record", exact=True).click()
        page.wait_for_timeout(6500)
        page.locator("#take .stop-button").click()
        page.wait_for_selector("#verdict .verdict", timeout=60_000)
        verdict = page.inner_text("#verdict")
        page.wait_for_selector("#picture img", timeout=60_000)
        recorded = max((path for path in folder.glob("accent-*/**/*.wav")), key=lambda path: path.stat().st_mtime)
        score = Scorer.load(trained / "models").score(recorded)
        assert score.speech_s > 2  # the microphone's file was heard
        expected = {"unsure": "Can't tell", "french": "It sounds like french"}
        assert expected.get(score.verdict, "It does not sound like french") in verdict
        if score.refused:
            assert score.reason in verdict
        else:
            assert percent(verdict) == pytest.approx(score.probability, abs=0.01)
        assert f"{score.speech_s:.1f} s of speech" in verdict
        page.wait_for_selector("#session td", state="attached")
        assert page.locator("#session tbody tr").count() >= 1


def test_a_file_is_scored_and_its_stretches_can_be_heard(browser, served, trained, microphone):
    address, folder = served
    file = sample_clips("fr")[2]
    score = Scorer.load(trained / "models").score(file)
    with opened(browser, address) as page:
        upload(page, file)
        page.wait_for_selector("#verdict .verdict", timeout=60_000)
        assert f"{score.speech_s:.1f} s of speech" in page.inner_text("#verdict")
        page.wait_for_selector("#moments input", timeout=60_000)
        page.locator("#moments input").first.focus()
        page.keyboard.press("Space")  # chosen from the keyboard
        page.wait_for_selector("#stretch", timeout=30_000)  # it is hidden until then
        lowest = min(window.probability for window in score.windows)
        assert any(
            abs(percent(text) - lowest) < 0.011 for text in re.findall(r"s: (\d+%)", page.inner_text("#moments"))
        )

        upload(page, microphone)
        page.wait_for_selector("#trend img", timeout=60_000)
        assert not (folder / "takes").exists()  # nothing is kept unless one asks
        page.get_by_role("button", name=phrases.ENGLISH["save"]).click()
        page.wait_for_function("document.querySelector('#saved').innerText.includes('session-001')")
        saved = sorted(path.name for path in (folder / "takes" / "session-001").iterdir())
        assert saved == ["take-001.mp3", "take-002.wav", "takes.csv"]
        assert (folder / "takes" / "session-001" / "take-001.mp3").read_bytes() == file.read_bytes()


def test_a_click_into_the_picture_plays_what_is_there(browser, served, trained, microphone):
    address, _ = served
    with opened(browser, address) as page:
        upload(page, microphone)
        page.wait_for_selector("#picture img", timeout=60_000)
        page.wait_for_timeout(1000)
        image = page.locator("#picture img")
        box = image.bounding_box()
        image.click(position={"x": box["width"] * 0.6, "y": box["height"] * 0.75})
        page.wait_for_selector("#stretch", timeout=30_000)
        page.wait_for_function("document.querySelector('#stretch').innerText.includes('0:0')")


def test_a_bad_file_shows_a_sentence_and_no_stack_trace(browser, served, tmp_path):
    address, folder = served
    bad = tmp_path / "renamed.mp3"
    bad.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 40)
    with opened(browser, address) as page:
        upload(page, bad)
        page.wait_for_selector("#verdict [role=alert]", timeout=60_000)
        assert phrases.ENGLISH["not audio"] in page.inner_text("#verdict")
        assert "Traceback" not in page.content()
    assert "Traceback" not in (folder / "log").read_text()


def test_it_speaks_french_and_fits_a_phone(browser, served, microphone):
    address, _ = served
    with opened(browser, f"{address}/fr", viewport={"width": 390, "height": 844}) as page:
        assert phrases.FRENCH["title"] in page.inner_text("h1")
        upload(page, microphone)
        page.wait_for_selector("#verdict .verdict", timeout=60_000)
        assert "s de parole" in page.inner_text("#verdict")
        page.wait_for_selector("#picture img", timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_it_listens_on_this_machine_only_and_leaves_nothing_behind(trained, tmp_path):
    with serving(trained, tmp_path) as address:
        port = urlparse(address).port
        others = (
            [line.split()[3] for line in run("ss", "-ltn", cwd=tmp_path).stdout.splitlines()[1:]]
            if shutil.which("ss")
            else []
        )
        assert {other for other in others if other.endswith(f":{port}")} <= {f"127.0.0.1:{port}"}
        with socket.socket() as probe:  # all of 127.0.0.0/8 is this machine, but only one address of it is listened on
            assert probe.connect_ex(("127.0.0.2", port)) != 0
        assert list(tmp_path.glob("accent-*"))
    assert not list(tmp_path.glob("accent-*"))


def test_a_port_in_use_is_one_line(trained, served, tmp_path):
    address, _ = served
    port = str(urlparse(address).port)
    command = [sys.executable, "-m", "accent.app", "--model", str(trained / "models"), "--port", port]
    done = run(*command, cwd=tmp_path, ok=False, PYTHONPATH=str(ROOT))
    assert f"error: --port: {port} is in use" in done.stderr
    assert "Traceback" not in done.stderr
