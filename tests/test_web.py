"""The learner's page in a real browser: headless Chromium, driven by Playwright, with a WAV file for a microphone."""

import io
import itertools
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import soundfile as sf
from playwright.sync_api import Page, expect, sync_playwright

from accent.audio.high_pass import high_pass
from accent.audio.waveform import bandwidth_hz, read_recording
from accent.grading.encoder import FRAME_SECONDS
from accent.grading.grade import BELOW, BLOCK_SECONDS, ELSEWHERE, NEAR, WITHIN, judge
from accent.scoring.scorer import Score, Scorer
from tests.browser import CHROMIUM, FLAGS
from tests.helpers import FIRST_STAGES, ROOT, run, sample_clips, set_params, stage, write_release
from tests.web import WEB, build_page

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)
RATE = 16000
MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
TAKES = """async () => {
  const plain = (values) => Array.from(values, (value) => (isNaN(value) ? null : value));
  const open = indexedDB.open("accent");
  await new Promise((done) => (open.onsuccess = done));
  const all = open.result.transaction("takes").objectStore("takes").getAll();
  await new Promise((done) => (all.onsuccess = done));
  open.result.close();
  return all.result.sort((a, b) => a.time - b.time).map(({ result: { picture, ...result }, recording, ...take }) => ({
    ...take,
    bytes: recording.size,
    result: { ...result, frames: result.frames && { ...result.frames, values: plain(result.frames.values) } },
  }));
}"""


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory) -> Path:
    """The small model of the tests, which is never too unsure to judge: of two epochs, it always would be."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(trained / "models", folder, dirs_exist_ok=True)
    reference = json.loads((folder / "reference.json").read_text())
    reference["score"]["min_confidence"] = 0.5
    reference["typicality"]["allowed"] *= 2
    (folder / "reference.json").write_text(json.dumps(reference))
    shutil.copytree(ROOT / "models" / "encoder", folder / "encoder", dirs_exist_ok=True)
    if not (folder / "bank.json").exists():
        data = trained / "data"
        stage("bank", data / "waveforms", data / "splits.parquet", folder / "encoder", folder, cwd=trained)
    return folder


@pytest.fixture(scope="module")
def page_folder(model, trained, tmp_path_factory) -> Path:
    """The built page, with the model."""
    return build_page(model, trained / "metrics" / "evaluation.json", tmp_path_factory.mktemp("page").resolve())


@contextmanager
def serving(page_folder: Path, clips: Path) -> Iterator[str]:
    """The page's address, while its own command serves it."""
    command = [sys.executable, "-m", "accent.page.serve", "--page", page_folder, "--clips", clips, "--port", "0"]
    server = subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        for line in server.stdout:
            if found := re.search(r"http://\S+:\d+", line):
                yield found[0]
                return
        pytest.fail(f"{command}: exit {server.wait()}")
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def address(page_folder, trained) -> Iterator[str]:
    with serving(page_folder, trained / "data" / "clips") as address:
        yield address


def speech(first: int, count: int) -> np.ndarray:
    """Real speech of the sample, in a room that is never quite silent."""
    clips = [read_recording(path, 30).waveform for path in sample_clips("fr")[first : first + count]]
    samples = np.concatenate(clips)
    return samples + np.random.default_rng(first).normal(0, 1e-3, len(samples))


@pytest.fixture(scope="module")
def microphone(tmp_path_factory) -> Path:
    """Some seconds of real speech with a quiet room around, as a WAV file."""
    samples = np.concatenate([np.zeros(RATE // 4), speech(0, 3)[: 3 * RATE], np.zeros(8 * RATE)])
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    sf.write(path, samples + np.random.default_rng(0).normal(0, 1e-3, len(samples)), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def chromium():
    """A function that starts Chromium with some flags."""
    if CHROMIUM is None:
        pytest.fail("no Chromium on this machine, which the page is tested with: apt-get install chromium")
    with sync_playwright() as playwright:
        started = []

        def start(*flags: str):
            started.append(playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags]))
            return started[-1]

        yield start
        for browser in started:
            browser.close()


@pytest.fixture(scope="module")
def browser(chromium, microphone):
    return chromium(*MICROPHONE, f"--use-file-for-fake-audio-capture={microphone}%noloop")


COUNT = """async () => {
  const open = indexedDB.open("accent");
  await new Promise((done) => (open.onsuccess = done));
  const count = open.result.transaction("takes").objectStore("takes").count();
  await new Promise((done) => (count.onsuccess = done));
  open.result.close();
  return count.result;
}"""
CLEAR = """async () => {
  const open = indexedDB.open("accent");
  await new Promise((done) => (open.onsuccess = done));
  const cleared = open.result.transaction("takes", "readwrite").objectStore("takes").clear();
  await new Promise((done) => (cleared.onsuccess = done));
  open.result.close();
  const channel = new BroadcastChannel("accent-takes");
  channel.postMessage(null);
  channel.close();
  location.hash = "#/practise";
}"""


@contextmanager
def opened(browser, address: str, path: str = "", **options) -> Iterator[Page]:
    """The page in a browser of its own, ready; no other host may have been asked, and nothing have gone wrong."""
    context = browser.new_context(**{"locale": "en-GB", "permissions": ["microphone"], **options})
    context.set_default_timeout(30_000)
    wrong: list[str] = []
    hosts: set[str] = set()
    context.on("request", lambda request: hosts.add(urlparse(request.url).hostname or ""))
    context.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    page = context.new_page()
    page.goto(f"{address}/{path}")
    page.wait_for_selector("body[data-ready=yes]")
    yield page
    context.close()
    assert hosts <= {"127.0.0.1", ""}, hosts
    assert not wrong


@pytest.fixture(scope="module")
def shared_page(browser, address) -> Iterator[Page]:
    with opened(browser, address) as page:
        yield page


@pytest.fixture
def page(shared_page, address) -> Page:
    """The page without a take, in English; shared, since its networks take seconds to wake."""
    shared_page.evaluate(CLEAR)
    shared_page.wait_for_selector("#choose")
    shared_page.select_option("#choose", index=0)
    return shared_page


def wait_for(page: Page, expression: str) -> None:
    """Wait until it holds. Playwright's own way may run into the page's Content-Security-Policy."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"30 s without {expression}")


@contextmanager
def one_more_take(page: Page) -> Iterator[None]:
    """Wait at the end until the page has kept one more take."""
    before = page.evaluate(COUNT)
    yield
    wait_for(page, f"({COUNT})().then((count) => count > {before})")
    page.wait_for_selector(".outcome #verdict")


def upload(page: Page, file: Path) -> dict:
    """Score a file on the page, and return the take that it kept."""
    with one_more_take(page):
        page.set_input_files("#file", file)
    return page.evaluate(TAKES)[-1]


def record(page: Page) -> dict:
    """Record what the microphone has until the page itself stops, and return the take."""
    with one_more_take(page):
        page.click("#record")
    return page.evaluate(TAKES)[-1]


# Decoders of lossy formats differ a little, so that seconds may by a frame or two.
TOLERANCES = {
    "bandwidth_hz": 63,
    "snr_db": 1.0,
    "level_range_db": 1.0,
    "loudness_dbfs": 0.1,
    "clipped_fraction": 0.002,
    "source_rate_hz": 0,
}
SECONDS = 0.1
HIGHEST = {"bandwidth_hz": 7300}  # above, two resamplers let through what they like
VERDICTS = {"within": WITHIN, "near": NEAR, "below": BELOW, "elsewhere": ELSEWHERE}
LIMITED_BY = {  # the measure that decides, and its threshold
    "too little speech": ("speech_s", "min_speech_seconds"),
    "clipped": ("clipped_fraction", "max_clipped_fraction"),
    "too noisy": ("snr_db", "min_snr_db"),
    "muffled": ("bandwidth_hz", "min_bandwidth_hz"),
}


def bandwidths(file: Path) -> np.ndarray:
    """The bandwidth for other starts of the recording: of one clip in ten, bins at the limit come and go with it."""
    waveform = high_pass(read_recording(file, 30).waveform)
    return np.array([bandwidth_hz(waveform[start:]) for start in range(0, 1024, 32)])


def half_intervals(scorer: Scorer, file: Path, target: str) -> np.ndarray:
    """Half of the grade's interval for other ends of the speech, by up to a block.

    Two decoders differ by a frame of speech, and the blocks whose means make the interval are then cut elsewhere.
    """
    values = scorer.grader.hear(scorer.first_heard(file).waveform, target).values
    ends = range(min(round(BLOCK_SECONDS / FRAME_SECONDS), len(values)))
    parts = [values[end:] for end in ends] + [values[: len(values) - end] for end in ends]
    graded = [judge(part, target, scorer.grader.reference(target)) for part in parts]
    return np.array([grade.high - grade.grade for grade in graded])


def as_python(scorer: Scorer, score: Score, found: dict, file: Path) -> None:
    """Assert that a take of the page, made from a file, has the numbers of Python's score."""
    result, take = found["result"], found["fileName"]
    assert result["measures"].keys() == score.measures.keys() - {"source_codec"}
    for name, value in result["measures"].items():
        if name == "bandwidth_hz" and abs(value - score.measures[name]) > TOLERANCES[name]:
            assert bandwidths(file).min() - TOLERANCES[name] <= value <= bandwidths(file).max() + TOLERANCES[name], take
            continue
        found_here, found_there = (min(it, HIGHEST.get(name, np.inf)) for it in (value, score.measures[name]))
        assert found_here == pytest.approx(found_there, abs=TOLERANCES.get(name, SECONDS)), (take, name)
    kinds = {(result["refused"] or {}).get("kind"), score.refused.kind if score.refused else None}
    if len(kinds) > 1:  # then the measure that decides lies at its limit
        name, limit = LIMITED_BY[next(kind for kind in LIMITED_BY if kind in kinds)]
        both = sorted([result["measures"][name], score.measures[name]])
        assert both[0] <= getattr(scorer.reference.score, limit) <= both[1], (take, kinds, both)
        return
    if score.refused:
        assert result["grade"] is result["frames"] is result["words"] is None
        assert result["languages"] == {}
        return
    assert result["languages"] == pytest.approx(score.probabilities, abs=0.01), take
    grade, whole = result["grade"], score.graded.whole
    tolerance = 0.02 * (whole.native_high - whole.native_low)
    assert grade["value"] == pytest.approx(whole.grade, abs=tolerance), take
    widths = half_intervals(scorer, file, score.target)
    for width in (grade["value"] - grade["low"], grade["high"] - grade["value"]):
        assert widths.min() - tolerance <= width <= widths.max() + tolerance, take
    ends = 2 * tolerance + np.ptp(widths)
    assert grade["percentile"] == pytest.approx(whole.percentile, abs=3), take
    likely = score.probability >= 0.5
    clear = abs(whole.grade - whole.native_low) > 2 * tolerance and abs(whole.high - whole.native_low) > ends
    if clear and abs(score.probability - 0.5) > 0.01:
        assert VERDICTS[grade["verdict"]] == whole.verdict(likely), take
    assert len(result["stretches"]) == pytest.approx(len(score.graded.stretches), abs=1), take


# --- the same numbers as Python's


def test_fifty_clips_get_the_numbers_that_python_gives(page, model):
    scorer = Scorer.load(model)
    seed = random.SystemRandom().randrange(10**6)
    clips = random.Random(seed).sample(sample_clips("fr") + sample_clips("en"), 50)
    scores = {}
    for clip in clips:
        with one_more_take(page):
            page.set_input_files("#file", clip)
            scores[clip.name] = scorer.score(clip)  # while the page does the same
    found = page.evaluate(TAKES)
    assert [take["fileName"] for take in found] == [clip.name for clip in clips]
    for take, clip in zip(found, clips, strict=True):
        as_python(scorer, scores[clip.name], take, clip)


def ffmpeg(source: Path, target: Path, *options: str) -> Path:
    run("ffmpeg", "-loglevel", "error", "-y", *options, "-i", str(source), str(target), cwd=target.parent)
    return target


def test_files_of_every_kind_are_read(page, model, tmp_path):
    scorer = Scorer.load(model)
    source = tmp_path / "take.wav"
    sf.write(source, speech(4, 4)[: 6 * RATE], RATE)
    video = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=6")
    files = [source, *(ffmpeg(source, tmp_path / f"take.{suffix}") for suffix in ("mp3", "m4a", "ogg", "flac", "webm"))]
    files += [ffmpeg(source, tmp_path / f"video.{suffix}", *video) for suffix in ("mp4", "webm")]
    stereo = tmp_path / "stereo.wav"
    samples = sf.read(source)[0]
    sf.write(stereo, np.stack([samples, 0.3 * samples], axis=1), RATE)
    for file in [*files, stereo]:
        found = upload(page, file)
        assert found["fileName"] == file.name
        as_python(scorer, scorer.score(file), found, file)
        expect(page.locator(".outcome")).to_contain_text(file.name)


def test_twenty_minutes_are_heard_and_not_kept(page, tmp_path):
    file = tmp_path / "long.mp3"
    samples = np.zeros(20 * 60 * RATE)
    for start in range(0, 20 * 60, 240):  # a long silence between two who speak
        said = speech(start // 60, 4)[: 25 * RATE]
        samples[start * RATE : start * RATE + len(said)] = said
    sf.write(file, samples.astype(np.float32), RATE)
    page.set_input_files("#file", file)
    page.wait_for_selector("#status:has-text('%')")
    page.wait_for_selector(".outcome #verdict", timeout=120_000)
    expect(page.locator(".outcome")).to_contain_text("not kept")
    page.click("summary")
    assert "1,200.0 s" in page.inner_text(".measures")
    assert page.evaluate(TAKES) == []


def test_what_cannot_be_judged_gets_one_reason_and_no_number(page, model, tmp_path, tone):
    scorer = Scorer.load(model)
    chord = sum(tone(hz, 6) for hz in (220, 277, 330, 440)) / 4 * np.repeat(np.linspace(1, 0.2, 24), RATE // 4)
    cases = {"silence": np.zeros(3 * RATE), "music": chord, "short": speech(0, 1)[:6000]}
    for name, samples in cases.items():
        file = tmp_path / f"{name}.wav"
        sf.write(file, samples, RATE)
        found = upload(page, file)
        as_python(scorer, scorer.score(file), found, file)
        assert found["result"]["refused"], name
        assert page.inner_text("#verdict") == "Can’t tell"  # noqa: RUF001
        outcome = page.inner_text(".outcome")
        assert "%" not in outcome
        assert not page.locator(".strip, .chip, .word, .caution, #make-card").count()
        page.click("summary")
        assert page.locator(".shares").count() == 0


def test_a_file_that_is_no_sound_is_one_sentence(page, tmp_path):
    bad = tmp_path / "renamed.mp3"
    bad.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 40)
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    for file in (bad, empty):
        page.set_input_files("#file", file)
        expect(page.locator(".notice")).to_contain_text(f"{file.name} could not be read as sound")
        assert page.locator(".notice").get_attribute("role") == "alert"
    expect(page.locator("#record")).to_be_enabled()


# --- recording


def test_a_take_is_recorded_ends_by_itself_and_is_scored_like_its_file(page, model, tmp_path):
    sentence = page.inner_text("#sentence")
    page.click("#record")
    expect(page.locator(".meter")).to_have_text("Good")
    expect(page.locator("#another")).to_be_hidden()  # a take belongs to the sentence that it was begun with
    page.wait_for_selector(".outcome #verdict")
    (take,) = page.evaluate(TAKES)
    assert take["text"].replace("'", "\u2019") == sentence.replace("\u00a0", " ")
    assert 2 < take["result"]["measures"]["speech_s"] < 6
    assert 4 < take["result"]["measures"]["duration_s"] < 10
    live = page.inner_text("#live")
    assert page.inner_text("#verdict") in live
    assert page.evaluate("document.activeElement.id") == "record"  # and no further
    page.evaluate("location.hash = '#/progress'")
    with page.expect_download() as download:
        page.click("#export")
    with zipfile.ZipFile(download.value.path()) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".wav"))
        samples, rate = sf.read(io.BytesIO(archive.read(name)), dtype="float32")
        path = tmp_path / "take.wav"
        path.write_bytes(archive.read(name))
    assert rate == take["result"]["measures"]["source_rate_hz"]
    assert len(samples) / rate == pytest.approx(take["result"]["measures"]["duration_s"], abs=1e-3)
    scorer = Scorer.load(model)
    as_python(scorer, scorer.score(path), take, path)


def test_the_keyboard_is_enough(page):
    page.keyboard.press("Space")
    page.wait_for_selector(".record.on")
    page.wait_for_timeout(3500)
    page.keyboard.press("Space")
    page.wait_for_selector(".outcome #verdict")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "slider":
            break
    before = float(page.locator("[role=slider]").get_attribute("aria-valuenow"))
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert float(page.locator("[role=slider]").get_attribute("aria-valuenow")) == pytest.approx(before + 0.3, abs=0.01)
    page.keyboard.press("Enter")
    expect(page.locator("#play")).to_contain_text("Stop")
    page.locator("#play").press("Enter")
    expect(page.locator("#play")).to_contain_text("Play")
    page.locator(".outcome summary").press("Enter")
    assert page.locator(".outcome details").get_attribute("open") is not None


def test_ten_retakes_of_one_recording_are_no_progress(page, tmp_path):
    for _ in range(10):
        take = record(page)
        assert take["text"]
        assert page.locator(".change").count() == 0
    page.evaluate("location.hash = '#/progress'")
    expect(page.locator(".line summary")).to_have_text("10 takes")


@pytest.mark.parametrize(("flags", "text"), [((), "No microphone was found"), (MICROPHONE[1:], "is not allowed here")])
def test_a_microphone_that_is_missing_or_denied_is_one_sentence(chromium, address, flags, text):
    with opened(chromium(*flags), address, permissions=[]) as page:
        page.click("#record")
        expect(page.locator(".notice")).to_contain_text(text)
        expect(page.locator("#record")).to_have_attribute("aria-pressed", "false")
        page.click("#record")  # and may be tried again
        expect(page.locator(".notice")).to_contain_text(text)


PLAYED = """async ({ samples, rate }) => {
  const context = new AudioContext({ sampleRate: rate });
  await context.resume();
  const sound = new AudioBuffer({ length: samples.length, sampleRate: rate });
  sound.copyToChannel(Float32Array.from(samples), 0);
  const [source, out] = [context.createBufferSource(), context.createMediaStreamDestination()];
  source.buffer = sound;
  source.connect(out);
  navigator.mediaDevices.getUserMedia = async () => {
    source.start();
    return (window.microphone = out.stream);
  };
}"""
PUT_BACK = "delete navigator.mediaDevices.getUserMedia"


@contextmanager
def recording_of(page: Page, samples: np.ndarray) -> Iterator[None]:
    """A take of a microphone that plays these samples; it is to be ended inside, and then the own one is put back."""
    page.evaluate(PLAYED, {"samples": samples.tolist(), "rate": RATE})
    try:
        with one_more_take(page):
            page.click("#record")
            yield
    finally:
        page.evaluate(PUT_BACK)


def test_a_microphone_that_goes_away_keeps_what_was_heard(page):
    with recording_of(page, speech(0, 3)):
        page.wait_for_timeout(2500)
        page.evaluate("microphone.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.locator(".note")).to_contain_text("The microphone went away while you spoke")
    assert 1 < page.evaluate(TAKES)[-1]["result"]["measures"]["duration_s"] < 4


def test_zeros_before_the_first_sound_are_no_room_and_are_told(page):
    with recording_of(page, np.concatenate([np.zeros(RATE), speech(0, 3)[: 3 * RATE]])):
        page.wait_for_timeout(4000)
        page.click("#record")
    expect(page.locator(".note")).to_contain_text("The microphone began late")
    assert page.evaluate(TAKES)[-1]["result"]["measures"]["duration_s"] < 3.5


def test_a_microphone_that_is_off_is_not_heard(page):
    with recording_of(page, np.zeros(3 * RATE)):
        page.wait_for_timeout(1500)
        page.click("#record")
    expect(page.locator(".outcome")).to_contain_text("No speech was heard. Check that the right microphone is on")
    assert page.locator(".note").count() == 0


NEVER_STARTS = """() => {
  window.resume = AudioContext.prototype.resume;
  AudioContext.prototype.resume = () => new Promise(() => {});
}"""


def test_a_sound_system_that_never_starts_is_one_sentence(page):
    page.evaluate(NEVER_STARTS)  # as in Firefox on a machine without a sound card
    page.click("#record")
    expect(page.locator(".notice")).to_contain_text("The microphone could not be started", timeout=10_000)
    expect(page.locator("#record")).to_have_attribute("aria-pressed", "false")
    page.evaluate("void (AudioContext.prototype.resume = window.resume)")
    with recording_of(page, speech(0, 3)):  # and may be tried again
        page.wait_for_timeout(2500)
        page.click("#record")


def test_other_colours_during_a_take_do_not_lose_it(page):
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    before = page.evaluate(paper)
    with recording_of(page, speech(0, 3)):
        page.wait_for_timeout(2500)
        page.click("#theme")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert {before, page.evaluate(paper)} == {"rgb(250, 248, 244)", "rgb(23, 22, 20)"}
    page.click("#theme")


def test_the_page_is_not_left_unasked_while_a_take_has_no_result(page):
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    with recording_of(page, speech(0, 3)):
        page.wait_for_timeout(2500)
        page.evaluate("void setTimeout(() => location.reload())")
        wait_for(page, "document.querySelector('.record-label').textContent.includes('5 s')")
        assert asked == ["beforeunload"]
        page.click("#record")
    page.reload()  # now it is kept
    page.wait_for_selector("body[data-awake=yes]")
    assert asked == ["beforeunload"]
    assert page.evaluate(COUNT) == 1


# A database that opens after a second, while what else the page waits for has failed already.
SLOW_DATABASE = """
const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (...args) {
  const request = open.apply(this, args);
  const add = request.addEventListener.bind(request);
  request.addEventListener = (type, listener) =>
    add(type, type === "success" ? (event) => setTimeout(() => listener(event), 1000) : listener);
  return request;
};
"""


@pytest.mark.parametrize("name", ["ear.json", "grade.onnx"])
def test_a_model_that_cannot_be_had_is_one_sentence(browser, address, name):
    context = browser.new_context(locale="en-GB", permissions=["microphone"])
    context.add_init_script(SLOW_DATABASE)
    wrong = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.route(f"**/{name}", lambda route: route.abort())
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-awake=no]")
    expect(page.locator(".notice")).to_contain_text("The page could not load its model")
    page.set_input_files("#file", sample_clips("fr")[0])
    expect(page.locator("#status")).to_be_empty()
    expect(page.locator(".notice")).to_contain_text("Failed to fetch")
    context.close()
    assert not wrong


# --- practice over time


def test_takes_outlive_a_reload_and_reach_other_tabs(browser, address):
    clips = sample_clips("fr")
    with opened(browser, address) as page:
        upload(page, clips[0])
        page.reload()
        page.wait_for_selector("body[data-ready=yes]")
        other = page.context.new_page()
        other.goto(f"{address}/#/progress")
        expect(other.locator(".line")).to_have_count(1)
        upload(page, clips[1])
        expect(other.locator(".line")).to_have_count(2)
        other.locator(".line summary").first.click()
        other.locator(".take-name").first.click()  # opens it again
        other.wait_for_selector(".outcome #verdict")
        expect(other.locator(".outcome")).to_contain_text(clips[1].name)


def test_takes_are_exported_deleted_and_imported_again(page, tmp_path):
    for clip in sample_clips("fr")[:3]:
        upload(page, clip)
    before = page.evaluate(TAKES)
    page.evaluate("location.hash = '#/progress'")
    with page.expect_download() as download:
        page.click("#export")
    archive = tmp_path / "accent.zip"
    download.value.save_as(archive)
    with zipfile.ZipFile(archive) as files:
        rows = files.read("takes.csv").decode().splitlines()
        assert len(rows) == 4
        assert sum(name.startswith("recordings/") for name in files.namelist()) == 3
        listed = json.loads(files.read("takes.json"))
        assert [take["fileName"] for take in listed] == [clip.name for clip in sample_clips("fr")[:3]]
    page.click("#delete-all")
    page.keyboard.press("Escape")
    assert len(page.evaluate(TAKES)) == 3
    page.click("#delete-all")
    page.click("#delete-yes")
    expect(page.locator(".line")).to_have_count(0)
    assert page.evaluate(TAKES) == []
    page.set_input_files("#import", archive)
    expect(page.locator(".line")).to_have_count(3)
    expect(page.locator(".notice")).to_have_text("3 takes imported.")
    assert page.evaluate(TAKES) == before
    page.set_input_files("#import", archive)
    expect(page.locator(".notice")).to_have_text("0 takes imported; 3 were here already.")
    assert page.evaluate(TAKES) == before


COPIES = """async (count) => {
  const open = indexedDB.open("accent");
  await new Promise((done) => (open.onsuccess = done));
  const store = open.result.transaction("takes", "readwrite").objectStore("takes");
  const all = store.getAll();
  await new Promise((done) => (all.onsuccess = done));
  for (let i = 0; i < count; i++) store.put({ ...all.result[0], id: crypto.randomUUID() });
  await new Promise((done) => (store.transaction.oncomplete = done));
  open.result.close();
  const channel = new BroadcastChannel("accent-takes");
  channel.postMessage(null);
  channel.close();
}"""


def export(page: Page, target: Path) -> dict[str, bytes]:
    """The files of the zip with all takes of the page, which is saved."""
    page.evaluate("location.hash = '#/progress'")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(target)
    with zipfile.ZipFile(target) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_hundred_takes_are_exported(page, tmp_path):
    graded(page)
    page.evaluate(COPIES, 99)
    page.evaluate("location.hash = '#/progress'")
    expect(page.locator(".line summary")).to_have_text("100 takes")
    assert len(json.loads(export(page, tmp_path / "accent.zip")["takes.json"])) == 100


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def declaring(archive: bytes, name: str, size: int) -> bytes:
    """A zip whose directory states another size of a file."""
    place = archive.rindex(b"PK\x01\x02", 0, archive.rindex(name.encode())) + 24
    return archive[:place] + size.to_bytes(4, "little") + archive[place + 4 :]


def test_a_zip_of_another_kind_is_one_sentence_and_nothing_of_it_is_kept(page, tmp_path):
    upload(page, sample_clips("fr")[0])
    files = export(page, tmp_path / "accent.zip")
    good = (tmp_path / "accent.zip").read_bytes()
    (take,) = json.loads(files["takes.json"])
    recording = take["recording"]
    new = {**take, "id": "another-take"}

    def listing(*takes: object, **others: bytes) -> bytes:
        return zipped({**files, **others, "takes.json": json.dumps(list(takes)).encode()})

    bad = {
        "no zip": b"%PDF-1.7" * 99,
        "empty": b"",
        "another's": zipped({"hello": b"no takes"}),
        "truncated": good[: len(good) // 2],
        "without its last bytes": good[:-10],
        "not a list": zipped({**files, "takes.json": b'{"id": 1}'}),
        "not JSON": zipped({**files, "takes.json": b"\xff["}),
        "a take twice": listing(new, new),
        "one of two without a recording": listing(
            new, {**new, "id": "another-one", "recording": "recordings/none.wav"}
        ),
        "a recording that is none": listing(new, **{recording: b"MZ" * 99}),
        "an id that is a path": listing({**new, "id": "../../../etc/passwd"}),
        "a name of every object": listing({**new, "recording": "constructor"}),
        "no result": listing({**new, "result": None}),
        "another verdict": listing(
            {**new, "result": {**new["result"], "refused": {"kind": "x", "found": 0, "needed": 0}}}
        ),
        "no measures": listing({**new, "result": {**new["result"], "measures": {}}}),
        "a time that no date holds": listing({**new, "time": 1e300}),
        "4 GB declared": declaring(listing(new), recording, 2**32 - 2),
        "less declared": declaring(
            zipped({**files, "takes.json": json.dumps([new]).encode()}, zipfile.ZIP_DEFLATED), recording, 99
        ),
    }
    before = page.evaluate(TAKES)
    for number, (kind, content) in enumerate(bad.items()):
        file = tmp_path / f"{number}.zip"
        file.write_bytes(content)
        page.set_input_files("#import", file)
        expect(page.locator(".notice"), kind).to_have_text(f"{number}.zip is not a zip that this page exported.")
        assert page.evaluate(TAKES) == before, kind
    odd = tmp_path / "odd.zip"  # names are only looked up, and other tools deflate
    names = {
        "../../../outside.wav": files[recording],
        "/absolute": b"",
        "takes.json": json.dumps([{**new, "recording": "../../../outside.wav"}]).encode(),
    }
    odd.write_bytes(zipped(names, zipfile.ZIP_DEFLATED))
    page.set_input_files("#import", odd)
    expect(page.locator(".notice")).to_have_text("1 take imported.")
    assert {one["bytes"] for one in page.evaluate(TAKES)} == {len(files[recording])}


def graded(page: Page) -> dict:
    """A take that was judged."""
    for clip in sample_clips("fr"):
        take = upload(page, clip)
        if take["result"]["grade"]:
            return take
    pytest.fail("no clip of the sample is judged")


def test_a_card_is_a_picture_of_this_device(page):
    graded(page)
    page.click("#make-card")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the picture").click()
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[place : place + 4], "big") for place in (16, 20))
    assert (width, height) == (1200, 630)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_it_works_without_a_connection_after_the_first_visit(browser, address):
    with opened(browser, address) as page:
        page.evaluate("navigator.serviceWorker.ready")
        wait_for(page, "navigator.serviceWorker.controller !== null")
        page.context.set_offline(True)
        page.reload()
        page.wait_for_selector("body[data-ready=yes]")
        upload(page, sample_clips("fr")[0])


# --- what a learner sees


def test_a_model_of_few_voices_says_so_above_the_verdict(page, trained):
    voices = json.loads((trained / "metrics" / "evaluation.json").read_text())["speakers_of"]
    graded(page)
    text = page.inner_text(".outcome")
    assert f"tested on {voices['english']} English and {voices['french']} French voices, all from" in text
    assert text.index("tested on") < text.index(page.inner_text("#verdict"))


def test_the_take_is_a_dot_among_the_natives_and_its_place_is_in_words(page):
    take = graded(page)
    percentile = take["result"]["grade"]["percentile"]
    assert page.locator(".strip .native").count() == 101
    label = page.locator(".strip").get_attribute("aria-label")
    assert page.inner_text(".place") in label
    if 0.5 <= percentile < 99.5:
        assert f"{percentile:.0f} of 100" in label


ENGLISH_VERDICTS = (
    *("Within the range of natives", "Near the range of natives", "Not yet in the range of natives"),
    "More like another language",
)
FRENCH_VERDICTS = (
    *("Dans l\u2019étendue des natifs", "Proche des natifs", "Pas encore dans l\u2019étendue des natifs"),
    "Plutôt une autre langue",
)


def test_it_speaks_french_and_keeps_the_take_over_a_change_of_language(browser, address):
    with opened(browser, address, locale="fr-FR") as page:
        assert page.evaluate("document.documentElement.lang") == "fr"
        graded(page)
        assert page.inner_text("#verdict") in FRENCH_VERDICTS
        page.click("summary")
        assert " ?" not in page.inner_text("body")  # a no-break space stands before it
        page.click("#language")
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.inner_text("#verdict") in ENGLISH_VERDICTS
        assert page.evaluate("document.activeElement.id") == "language"
        page.reload()
        page.wait_for_selector("body[data-ready=yes]")
        assert page.evaluate("document.documentElement.lang") == "en"  # kept


def test_a_change_of_language_while_a_file_is_heard_loses_nothing(browser, address, tmp_path):
    file = tmp_path / "minutes.wav"
    sf.write(file, np.tile(speech(0, 8), 20)[: 60 * RATE], RATE)
    with opened(browser, address) as page:
        page.set_input_files("#file", file)
        page.wait_for_selector("#status:has-text('Listening')")
        page.click("#language")
        expect(page.locator(".outcome")).to_contain_text("Enregistrement\u00a0: minutes.wav")


def test_one_s_own_text_can_be_read(page):
    page.click("#write")
    page.fill("#own-text", "  Bonjour   à tous ! ")
    take = record(page)  # without a word on whether it is to be read
    assert page.inner_text("#sentence") == "Bonjour à tous\u00a0!"
    assert (take["text"], take["sentenceId"]) == ("Bonjour à tous !", None)
    if take["result"]["grade"]:
        expect(page.locator(".outcome")).to_contain_text("Words can be found only in")


VOICES = """
speechSynthesis.getVoices = () => [
  { name: "far", lang: "fr-FR", localService: false },
  { name: "near", lang: "LANG", localService: true },
];
window.spoken = [];
SpeechSynthesisUtterance = function (text) { this.text = text; };
speechSynthesis.speak = (utterance) => { spoken.push([utterance.text, utterance.voice.name]); utterance.onend(); };
"""


def test_the_system_reads_aloud_only_by_a_voice_of_this_device(browser, address):
    with opened(browser, address) as page:
        page.add_init_script(VOICES.replace("LANG", "en-GB"))
        page.reload()
        page.wait_for_selector("body[data-ready=yes]")
        assert page.locator("#hear").count() == 0  # of French there is one that would send the text away
    with opened(browser, address) as page:
        page.add_init_script(VOICES.replace("LANG", "fr-CA"))
        page.reload()
        page.wait_for_selector("body[data-ready=yes]")
        expect(page.locator("#hear")).to_contain_text("computer voice")
        page.click("#hear")
        assert page.evaluate("spoken") == [[page.inner_text("#sentence").replace("\u00a0", " "), "near"]]


def test_sentences_change_and_clear_the_take(page):
    graded(page)
    first = page.inner_text("#sentence")
    page.click("#another")
    assert page.inner_text("#sentence") != first
    assert page.locator(".outcome *").count() == 0
    page.keyboard.press("Space")  # after a click it records, and does not press the button again
    page.wait_for_selector(".record.on")
    page.wait_for_timeout(1000)
    page.keyboard.press("Space")
    page.wait_for_selector(".outcome #verdict")
    page.select_option("#choose", index=30)
    assert page.inner_text("#sentence") not in ("", first)


RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]


def test_it_is_accessible_and_fits_every_screen(browser, address):
    axe = (WEB / "node_modules" / "axe-core" / "axe.min.js").read_text()

    def check(page: Page) -> None:
        for width, scheme in itertools.product((390, 820, 1280), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate(f"axe.run({{ runOnly: {RULES} }})")
            assert [(v["id"], [node["html"] for node in v["nodes"]]) for v in found["violations"]] == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    with opened(browser, address) as page:
        page.evaluate(axe)
        check(page)
        graded(page)
        check(page)
        page.click(".outcome summary")
        check(page)
        page.evaluate("location.hash = '#/progress'")
        page.locator(".line summary").first.click()
        check(page)
        page.evaluate("location.hash = '#/about'")
        page.wait_for_selector("[data-view=about]")
        check(page)


# --- the server


def test_it_serves_natives_of_real_sentences_on_this_machine_only(browser, page_folder, tmp_path):
    release = write_release(tmp_path / "release", locales="fr", speakers=2, each=1)
    table = release / "fr" / "validated.tsv"
    text = table.read_text()
    real = text.replace("fr text 0", "Il fait beau ce matin.")
    assert real != text
    table.write_text(real)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_params(tmp_path, {"ingest": {"classes": {"french": {"locale": "fr"}}}})
    stage("ingest", str(release), FIRST_STAGES["ingest"][1], "clips", cwd=tmp_path)
    with serving(page_folder, tmp_path / "clips") as address, opened(browser, address) as page:
        listed = page.evaluate("fetch('natives.json').then((response) => response.json())")
        assert list(listed) == ["Il fait beau ce matin."]  # and no file's name
        page.select_option("#choose", label="Il fait beau ce matin.")
        with page.expect_response("**/natives/*") as response:
            page.click("#hear")
        assert response.value.body() == (release / "fr" / "clips" / "common_voice_fr_000.mp3").read_bytes()
        port = urlparse(address).port
        with socket.socket() as probe:  # all of 127.0.0.0/8 is this machine, but only one address of it is listened on
            assert probe.connect_ex(("127.0.0.2", port)) != 0


def test_a_port_in_use_and_a_page_that_is_not_built_are_one_line(page_folder, trained, address, tmp_path):
    port = str(urlparse(address).port)
    command = [sys.executable, "-m", "accent.page.serve", "--page"]
    done = run(*command, str(page_folder), "--port", port, cwd=tmp_path, ok=False, PYTHONPATH=str(ROOT))
    assert done.stderr.strip() == f"error: --port: {port} is in use, or not for you to use. Name another"
    done = run(*command, "nowhere", cwd=tmp_path, ok=False, PYTHONPATH=str(ROOT))
    assert done.stderr.strip() == "error: nowhere: no page here. 'make web' builds it"
