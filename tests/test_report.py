"""The report in a real browser, opened as a file: what it shows, plays, filters, and gives back as a list."""

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from playwright.sync_api import Locator, Page, sync_playwright

from accent.core.errors import InputError
from accent.evaluation.curves import confusion, draw_loss, draw_risk_coverage, draw_roc, roc
from accent.report import page as report_page
from accent.report.clips import SHOWN, audio_type, choose_clips, make_card
from accent.report.page import confusion_table, line_picture, render
from accent.scoring.style import in_words
from stages.report import main
from tests.browser import CHROMIUM, FLAGS
from tests.helpers import set_params, stage

HOSTILE = (
    """</script><script>window.hacked = 1</script>"><img src=x onerror="window.hacked = 2">' {{ 7 * 7 }} & "so" """
)
CLASSES = ["english", "french"]
UNKNOWN = {"roc_auc": None, "reason": "0 female speakers state it", "clips": 0, "speakers": 0}
COMPARED = {"roc_auc": 0.6, "roc_auc_95": [0.4, 0.8], "model_roc_auc": 0.9, "model_roc_auc_95": None}
AUDIT = {
    "confounds": COMPARED | {"verdict": "the model does better"},
    "importance": {"snr_db": {"mean": 0.1, "sd": 0.02}},
    "gender_and_age": {"alone": UNKNOWN, "women_from_men_within": {"french": UNKNOWN}, "model_within": {}},
    "channels": {"opus": {"clips": 9, "mean_change": 0.0123, "flipped": None}},
}


@pytest.fixture(scope="module")
def inputs(trained, tmp_path_factory) -> Path:
    """A project's folder for the stage: right, wrong, valid and probe clips are among its few; metadata is hostile."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copy(trained / "params.yaml", folder)
    set_params(folder, {"report": {"clips": 2}})
    predictions = pd.read_parquet(trained / "data" / "predictions.parquet")
    predictions = predictions[predictions["label"].isin(CLASSES)].reset_index(drop=True)
    other = predictions["label"].map(dict(zip(CLASSES, CLASSES[::-1], strict=True)))
    number = np.arange(len(predictions))
    predictions["predicted"] = predictions["label"].where(number % 3 > 0, other)
    predictions["split"] = np.where(number % 2, "test", "valid")
    predictions.loc[number % 5 == 0, ["split", "label"]] = ["probe", 'the "others"']
    predictions.to_parquet(folder / "predictions.parquet")
    known = pd.read_parquet(trained / "data" / "waveforms" / "index.parquet")
    known.assign(sentence=HOSTILE, accents=HOSTILE, gender='"><script>', locale='fr" onclick="hacked=3').to_parquet(
        folder / "index.parquet"
    )
    evaluation = json.loads((trained / "metrics" / "evaluation.json").read_text())
    evaluation["interval"]["clip"]["roc_auc"] = [0.41, 0.83]  # of three voices a class there is none
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    audit = json.loads((trained / "metrics" / "audit.json").read_text())
    audit["confounds"]["verdict"] = "the model does better than <b>noise</b>"
    (folder / "audit.json").write_text(json.dumps(audit))
    return folder


@pytest.fixture(scope="module")
def arguments(trained, inputs) -> list[str]:
    paths = [
        *(trained / "models", trained / "data" / "clips", inputs / "index.parquet", trained / "data" / "spectrograms"),
        *(inputs / "predictions.parquet", inputs / "evaluation.json", inputs / "audit.json"),
        *(trained / "metrics" / "plots", trained / "metrics" / "train", trained / "metrics" / "audit"),
    ]
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def html(inputs, arguments) -> Path:
    done = stage("report", *arguments, inputs / "report.html", cwd=inputs)
    assert re.search(r"report.html: \d+ clips, \d of them wrong, \d\.\d MB", done.stdout)
    return inputs / "report.html"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.fail("no Chromium on this machine, which the page is tested with: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, html) -> Iterator[Page]:
    """The page as a file, which asks nothing of any machine and throws no error."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(html.as_uri())
    yield page
    assert {urlparse(url).scheme for url in requests} <= {"file", "data", "blob"}
    assert {url for url in requests if url.startswith("file")} == {html.as_uri()}
    assert not errors
    context.close()


def shown(page: Page, what: str) -> list[str]:
    """An attribute of the clips that can be seen, in their order."""
    return page.eval_on_selector_all(".card:not([hidden])", f"cards => cards.map(card => card.dataset.{what})")


def filters(page: Page) -> Locator:
    return page.locator("#filters")


def tick(page: Page, clip_id: str, reason: str | None = None) -> None:
    card = page.locator(f'.card[data-clip="{clip_id}"]')
    card.get_by_label("Cull").check()
    if reason is not None:
        card.get_by_label("Reason").fill(reason)


@pytest.mark.browser
def test_hostile_metadata_is_shown_and_does_not_run(page, html):
    assert page.evaluate("window.hacked") is None
    assert page.locator(".sentence").first.text_content() == HOSTILE
    assert page.locator(".card dd").filter(has_text="window.hacked").first.text_content() == HOSTILE
    assert page.locator(".card").first.get_attribute("onclick") is None
    assert page.locator("script").count() == 1
    assert page.locator(".verdict b").count() == 0  # JSON is no HTML either
    assert "The model does better than <b>noise</b>." in page.locator(".verdict").last.text_content()
    assert html.read_text().count("</script>") == 1


@pytest.mark.browser
def test_a_recording_plays_alone_with_its_place_in_the_picture(page):
    first, second = page.locator(".card audio").nth(0), page.locator(".card audio").nth(1)
    assert first.get_attribute("src").startswith("data:audio/mpeg;base64,")
    assert first.get_attribute("preload") == "none"
    assert first.evaluate("audio => audio.readyState") == 0
    second.evaluate("audio => audio.play()")
    page.locator(".picture").first.click()
    page.wait_for_timeout(400)
    begin = first.evaluate("audio => audio.currentTime")
    page.wait_for_timeout(400)
    assert first.evaluate("audio => audio.readyState") >= 2
    assert first.evaluate("audio => audio.currentTime") > begin + 0.1 > 0.3  # from the middle, where the click was
    assert second.evaluate("audio => audio.paused")
    assert page.locator(".playhead").first.is_visible()


@pytest.mark.browser
def test_filters_leave_what_they_say(page):
    everything = shown(page, "clip")
    assert len(everything) == len(set(everything)) > 5
    labels, splits = ([*dict.fromkeys(shown(page, name))] for name in ("label", "split"))
    assert 'the "others"' in labels
    for field, name, value in [
        ("Class", "label", labels[0]),
        ("Class", "label", labels[-1]),
        ("Split", "split", splits[0]),
    ]:
        filters(page).get_by_label(field).select_option(value)
        assert set(shown(page, name)) == {value}
        assert 0 < len(shown(page, name)) < len(everything)
        page.get_by_role("button", name="Show all").click()
        page.wait_for_timeout(50)
        assert shown(page, "clip") == everything
    for outcome in ("wrong", "right", "unsure"):
        filters(page).get_by_label("Answer").select_option(outcome)
        assert all(outcome in found.split() for found in shown(page, "outcome"))
        assert len(shown(page, "clip")) == page.locator(f'.card[data-outcome~="{outcome}"]').count() >= 2
    filters(page).get_by_label("Answer").select_option("")
    page.get_by_text("Limits").click()
    durations = sorted(map(float, shown(page, "duration_s")))
    page.get_by_label("duration, at least").fill(str(durations[1]))
    page.get_by_label("duration, at most").fill(str(durations[-2]))
    assert sorted(map(float, shown(page, "duration_s"))) == [x for x in durations if durations[1] <= x <= durations[-2]]
    assert f"{len(shown(page, 'clip'))} of {len(everything)} clips" in page.locator("#shown").text_content()


@pytest.mark.browser
@pytest.mark.parametrize(("name", "attribute"), [("duration", "duration_s"), ("signal to noise", "snr_db")])
def test_it_sorts_by_a_measure(page, name, attribute):
    before = shown(page, "clip")
    page.get_by_label("Sort by").select_option(name)
    values = list(map(float, shown(page, attribute)))
    assert values == sorted(values)
    page.get_by_label("Direction").select_option("highest first")
    assert list(map(float, shown(page, attribute))) == values[::-1] != values
    page.get_by_label("Sort by").select_option("order above")
    assert shown(page, "clip") == before


@pytest.mark.browser
def test_the_list_survives_filtering_and_is_a_valid_exclusions_csv(page, tmp_path):
    assert page.locator("#download").is_disabled()
    clips = shown(page, "clip")
    label = shown(page, "label")[0]
    tick(page, clips[0], 'says "oui", then\tlaughs')
    tick(page, clips[2])
    tick(page, clips[1], "")
    filters(page).get_by_label("Class").select_option(next(name for name in shown(page, "label") if name != label))
    assert clips[0] not in shown(page, "clip")
    assert page.locator("#ticked").text_content() == "3 clips ticked"
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "exclusions.csv"
    download.value.save_as(tmp_path / "exclusions.csv")
    text = (tmp_path / "exclusions.csv").read_bytes().decode()
    reasons = {clips[0]: 'says "oui", then\tlaughs', clips[2]: "wrong label?", clips[1]: "wrong label?"}
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\n").writerows([("clip_id", "reason"), *sorted(reasons.items())])
    assert text == expected.getvalue()
    page.locator("#copy").click()
    page.wait_for_timeout(100)
    assert page.evaluate("navigator.clipboard.readText()") == text
    page.get_by_role("button", name="Show all").click()
    page.locator(f'.card[data-clip="{clips[0]}"]').get_by_label("Cull").uncheck()
    with page.expect_download() as download:
        page.locator("#download").click()
    assert set(pd.read_csv(download.value.path())["clip_id"]) == {clips[1], clips[2]}


@pytest.mark.browser
def test_ticks_and_reasons_outlive_a_reload_and_other_reports_keep_theirs(page):
    page.evaluate("localStorage.setItem('accent-report-ticks', JSON.stringify({ elsewhere: 'noise' }))")
    page.reload()
    clips = shown(page, "clip")
    tick(page, clips[3], "coughs")
    tick(page, clips[1])
    tick(page, clips[0])
    page.locator(f'.card[data-clip="{clips[0]}"]').get_by_label("Cull").uncheck()
    page.reload()
    assert page.locator("#ticked").text_content() == "2 clips ticked"
    assert page.locator(f'.card[data-clip="{clips[3]}"]').get_by_label("Reason").input_value() == "coughs"
    kept = page.evaluate("JSON.parse(localStorage.getItem('accent-report-ticks'))")
    assert kept == {"elsewhere": "noise", clips[3]: "coughs", clips[1]: "wrong label?"}


@pytest.mark.browser
def test_the_clips_come_first(page):
    assert page.locator("main > section").first.get_attribute("id") == "clips"
    assert page.locator("nav a").first.get_attribute("href") == "#clips"


@pytest.mark.browser
def test_the_list_is_copied_where_the_clipboard_is_closed_to_scripts(page):
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")
    tick(page, shown(page, "clip")[0])
    page.locator("#copy").click()
    page.wait_for_timeout(100)
    assert page.evaluate("navigator.clipboard.readText()") == f"clip_id,reason\n{shown(page, 'clip')[0]},wrong label?\n"
    assert page.locator("textarea").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_every_field_has_a_name(page, scheme):
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("html").get_attribute("lang") == "en"
    fields = page.locator("input, select, audio, img, button")
    nameless = "all => all.filter(e => !(e.labels?.length || e.ariaLabel || e.alt || e.innerText)).length"
    assert fields.count() > 30
    assert fields.evaluate_all(nameless) == 0
    colours = "[...'color backgroundColor'.split(' ')].map(name => getComputedStyle(document.body)[name])"
    ink, paper = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in page.evaluate(colours))
    assert (ink < paper) == (scheme == "light")


@pytest.mark.browser
def test_the_summary_shows_the_metrics_files(page, inputs, trained):
    metrics = json.loads((inputs / "evaluation.json").read_text())
    reference = json.loads((trained / "models" / "reference.json").read_text())
    assert page.locator(".verdict").first.text_content() == reference["fitness"]["sentence"]
    row = page.locator("#numbers tr").filter(has_text="ROC AUC").text_content()
    low, high = metrics["interval"]["clip"]["roc_auc"]
    assert f"{metrics['clip']['roc_auc']:.3f} {low:.2f} to {high:.2f}" in " ".join(row.split())
    cells = page.locator(".confusion tbody td").all_text_contents()
    assert sum(map(int, cells)) == metrics["clips"]
    assert page.locator("#curves img").count() == 4
    groups = pd.read_csv(trained / "metrics" / "plots" / "subgroups.csv", keep_default_na=False, na_values=[""])
    groups = groups[groups.groupby("dimension")["value"].transform("size") > 1]  # one group says no more than all
    assert page.locator("#groups tbody tr").count() == len(groups) > 2
    group = groups.iloc[0]
    row = " ".join(page.locator("#groups tbody tr").first.text_content().split())
    assert row.startswith(f"{group['value']} {group['clips']} {group['speakers']} {group['error']:.3f}")
    channels = json.loads((trained / "metrics" / "audit.json").read_text())["channels"]
    for name, found in channels.items():
        row = page.locator("#audit tr").filter(has_text=in_words(name)).text_content()
        assert f"{found['mean_change']:.3f}" in row


def test_the_same_inputs_give_the_same_bytes(html, inputs, arguments, monkeypatch):
    monkeypatch.chdir(inputs)
    monkeypatch.setattr(sys, "argv", ["report", *arguments, "again.html"])
    main()
    assert (inputs / "again.html").read_bytes() == html.read_bytes()


# --- with classes of its own


def a_prediction(number: int, label: str, predicted: str, probability: float) -> dict:
    names = ["a", "b", "c"]
    rest = {f"probability_{name}": (1 - probability) / 2 for name in names}
    row = {"clip_id": f"clip-{number}", "client_id": "speaker", "label": label, "predicted": predicted}
    return row | rest | {f"probability_{predicted}": probability, "refused": ""}


@pytest.fixture
def predictions() -> pd.DataFrame:
    rows = [("a", "b", 0.9), ("a", "c", 0.95), ("b", "c", 0.4), ("a", "a", 0.99), ("b", "b", 0.98), ("c", "c", 0.41)]
    probes = [("québec", "a", 0.5), ("québec", "b", 0.97), ("québec", "a", 0.6)]
    table = pd.DataFrame([a_prediction(number, *row) for number, row in enumerate(rows + probes)])
    return table.assign(split=np.where(table["label"] == "québec", "probe", "test"))


def test_the_surest_and_the_unsurest_are_chosen_once_each(predictions):
    chosen = choose_clips(predictions, ["a", "b", "c"], 2)
    assert chosen["clip_id"].tolist() == [f"clip-{number}" for number in (1, 0, 2, 5, 3, 4, 7, 8)]
    assert chosen["outcome"].tolist() == [*["wrong"] * 3, *["right"] * 3, "", ""]
    assert chosen["unsure"].tolist() == [False, False, True, True, False, False, False, False]
    everything = choose_clips(predictions, ["a", "b", "c"], 9)
    assert sorted(everything["clip_id"]) == sorted(predictions["clip_id"])
    shuffled = choose_clips(predictions.sample(frac=1, random_state=0), ["a", "b", "c"], 2)
    assert shuffled["clip_id"].tolist() == chosen["clip_id"].tolist()


@pytest.fixture
def a_page(predictions) -> dict:
    """What `render` needs, of a model with three classes and without probes."""
    classes = ["a", "b", "c"]
    audio = io.BytesIO()
    sf.write(audio, np.zeros(1600), 16000, format="WAV")
    figure = draw_loss({"training": pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5]})})
    measures = dict.fromkeys(SHOWN, 1.0) | {"up_votes": 2, "down_votes": 0}
    metadata = dict.fromkeys(["sentence", "accents", "gender", "age", "locale", "source_codec"], "")
    chosen = choose_clips(predictions[:6], classes, 1).to_dict("records")
    numbers = dict.fromkeys(["roc_auc", "balanced_accuracy", "accuracy", "eer", "ece", "ece_uncalibrated"], 0.5)
    numbers |= {"log_loss": 1.0, "brier": 0.5, "recall": dict.fromkeys(classes, 0.5)}
    unknown = dict.fromkeys(numbers)
    numbers |= {"ece_by_chance": {"mean": 0.071, "low": 0.04, "high": 0.125}}
    elsewhere = {"roc_auc": 0.654, "balanced_accuracy": 0.543, "clips": 12, "too_few": ""}
    refusal = {"refused": 1.0, "natives_refused": 1.0, "error_of_all": 0.5, "error_of_answered": None}
    targets = np.array([0, 1, 2, 0])
    return {
        "target": "b",
        "fitness": "No verdicts: it was tested on <1> a voices.",
        "classes": classes,
        "evaluation": {
            "clip": numbers,
            "speaker": numbers,
            "interval": {"clip": unknown, "speaker": unknown, "refusal": {}},
            "refusal": refusal | {"clips_refused": {}},
            "clips": 4,
            "speakers": 4,
            "too_few": "too few speakers: 1 of a",
            "second_source": elsewhere | {"interval": {"roc_auc": [0.41, 0.82], "balanced_accuracy": None}},
        },
        "probes": {},
        "subgroups": {},
        "audit": AUDIT,
        "audit_picture": "data:image/png;base64,",
        "confusion": confusion_table(confusion(pd.Series(["a", "b", "c"]), pd.Series(["a", "c", "c"])), classes),
        "curves": {"ROC": line_picture(draw_roc(roc(np.eye(3)[targets], targets, classes)))},
        "cards": [make_card(measures | metadata | clip, audio.getvalue(), figure, 0.0, 0.1) for clip in chosen],
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("snr_db", "SNR (dB)"),
        ("noise_20_db", "noise 20 dB"),
        ("mp3_32_kbps", "MP3 32 kb/s"),
        ("model_roc_auc", "model ROC AUC"),
        ("opus", "opus"),
    ],
)
def test_metrics_have_names_for_people(name, words):
    assert in_words(name) == words


def test_three_classes_are_shown(a_page):
    html = render(**a_page)
    assert len(re.findall(r'<td class="(?:hit|miss)"', html)) == 9
    assert "data:audio/wav;base64," in html
    assert html.count('<article class="card"') == 3
    assert 'href="#probes"' not in html


def test_metadata_that_says_nothing_is_left_out(a_page):
    cards = [card | {"says": "", "accents": "", "gender": "female"} for card in a_page["cards"]]
    html = render(**a_page | {"cards": cards})
    assert html.count("<dt>gender</dt>") == 3
    for nothing in ("<dt>accents</dt>", "<dt>age</dt>", "<dt>votes</dt>", 'class="sentence"', "no sentence"):
        assert nothing not in html
    cards[0]["down_votes"] = 1
    assert render(**a_page | {"cards": cards}).count("<dt>votes</dt>") == 3


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("sense and sensibility 01 austen 64kb 0870", ""),
        ("30 4", ""),
        (None, ""),
        *[(s, s) for s in ("Il dort.", "où", "oui !")],
    ],
)
def test_a_file_s_name_is_not_shown_as_a_sentence(a_page, sentence, says):
    clip = a_page["cards"][0] | {"sentence": sentence}
    figure = draw_loss({"training": pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5]})})
    assert make_card(clip | dict.fromkeys(SHOWN, 1.0), b"", figure, 0.0, 0.1)["says"] == says


def test_the_ticks_of_a_curve_of_errors_are_the_percents_that_they_say():
    for highest in (0.004, 0.03, 0.18, 0.61):
        rows = pd.DataFrame({"coverage": [0.1, 1.0], "risk": [0.0, highest], "label": "all clips"})
        axes = draw_risk_coverage(rows).axes[0]
        for place in (*axes.get_xticks(), *axes.get_yticks()):
            assert 100 * place == pytest.approx(round(100 * place))


def test_how_far_the_numbers_carry_is_said(a_page):
    text = " ".join(re.sub("<[^>]*>", " ", render(**a_page)).split())
    assert "No verdicts: it was tested on &lt;1&gt; a voices." in text
    assert "No intervals: too few speakers: 1 of a." in text
    assert "a perfectly calibrated model would show 0.071 (0.040 to 0.125 in nine of ten draws)" in text
    assert "Another source" in text
    assert "0.654 0.41 to 0.82 0.543 12" in text


def test_numbers_that_cannot_be_had_are_dashes(a_page):
    evaluation = a_page["evaluation"]
    nothing = evaluation["clip"] | {"accuracy": None, "recall": dict.fromkeys("abc")}
    html = render(**a_page | {"evaluation": evaluation | {"clip": nothing, "second_source": None}})
    assert "Another source" not in html
    assert "Among the <b>4</b> test clips one of a, b, c is missing, so there is no accuracy." in html


def test_a_page_that_is_too_large_is_one_line_with_what_to_do(a_page, monkeypatch):
    monkeypatch.setattr(report_page, "MAX_BYTES", 40_000)
    with pytest.raises(InputError) as error:
        render(**a_page)
    assert "Lower report.clips in params.yaml: 3 clips are listed now" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("container", "subtype", "expected"),
    [
        ("WAV", "PCM_16", "audio/wav"),
        ("FLAC", "PCM_16", "audio/flac"),
        ("OGG", "VORBIS", "audio/ogg"),
        ("MP3", "MPEG_LAYER_III", "audio/mpeg"),
        ("AU", "PCM_16", "application/octet-stream"),
    ],
)
def test_a_recording_s_type_is_told_by_its_content(container, subtype, expected):
    file = io.BytesIO()
    sf.write(file, np.zeros(16000), 16000, format=container, subtype=subtype)
    assert audio_type(file.getvalue()) == expected


def test_a_recording_that_only_ffmpeg_reads_is_left_to_the_browser():
    assert audio_type(b"\x00\x00\x00\x20ftypM4A " + bytes(100)) == "application/octet-stream"
