"""The grade: banks, reference and verdict on made frames; the shipped ear; what is wrong with its files."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch.nn.functional import normalize

from accent.audio.waveform import AudioParams, decode_clip
from accent.core.errors import InputError
from accent.corpus.common_voice import ClassFilter
from accent.evaluation.metrics import auc
from accent.grading import banks
from accent.grading.banks import BankParams, build_pools
from accent.grading.build import draw_balanced, hear, leave_speaker_out, make_natives
from accent.grading.encoder import Ear, encode, speech_places
from accent.grading.grade import (
    BELOW,
    ELSEWHERE,
    NEAR,
    WITHIN,
    Bank,
    Reference,
    fit_reference,
    frame_grades,
    judge,
    least_native,
    smooth,
)
from accent.grading.grader import Grader, Pools, save_bank
from accent.grading.reading import read_aloud
from accent.grading.store import BANKS, CARD, WEIGHTS, Shipped, load_ear, load_shipped, pack_ear, save_shipped
from tests.helpers import ROOT, sample_clips

ENCODER = ROOT / "models" / "encoder"
AUDIO = AudioParams(silence_db=40, margin_seconds=0.05, min_seconds=0.3, max_seconds=30)
LOCALES = {"fr": "fr", "en": "en"}
TEXT = "Les enfants ont mangé une pomme, et le chat dort dans le jardin."


@pytest.fixture(scope="module")
def ear() -> Ear:
    return load_ear(ENCODER)[0]


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return load_shipped(ENCODER)


@pytest.fixture(scope="module")
def sides(shipped) -> tuple[Bank, Bank]:
    """The shipped banks for French: natives, and every third frame of all other languages."""
    pools = Pools({name: bank.frames for name, bank in shipped.natives.items()}, shipped.others, shipped.locale_numbers)
    natives, others = pools.sides("fr", LOCALES, shipped.locales)
    return natives, Bank(others.frames[::3])


@pytest.fixture(scope="module")
def natives_grades(shipped, sides) -> list[np.ndarray]:
    """The frames' grades of 20 French natives' takes, by banks without their speaker."""
    bank = shipped.natives["fr"]
    return leave_speaker_out(bank._replace(takes=bank.takes[:20]), sides[1])


@pytest.fixture(scope="module")
def graded(ear, sides) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Four waveforms of each locale of the sample, and their frames' grades."""
    found = {}
    for locale in LOCALES:
        paths = sample_clips(locale)
        waveforms = [decode_clip(path, AUDIO)[0] for path in paths[:: len(paths) // 4][:4]]
        found[locale] = [(waveform, frame_grades(hear(ear, waveform), *sides).numpy()) for waveform in waveforms]
    return found


def some_frames(count: int, shift: float, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)) + shift, dim=1)


def test_exchanged_banks_turn_a_grade_round_and_the_order_of_frames_is_nothing():
    natives, others, frames = Bank(some_frames(300, 1)), Bank(some_frames(300, -1, 1)), some_frames(50, 0.5, 2)
    grades = frame_grades(frames, natives, others)
    assert grades.mean() > 0.1
    assert torch.allclose(frame_grades(frames, others, natives), -grades)
    order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(frame_grades(frames[order], natives, others), grades[order], atol=1e-6)


def test_banks_of_shuffled_labels_are_noise(shipped, sides, natives_grades):
    """20 takes each of French and English natives, whose speakers the true banks do without."""
    natives, english = shipped.natives["fr"].takes[:20], shipped.natives["en"]
    french = np.repeat([True, False], 20)

    def area(grades: list[np.ndarray]) -> float:
        return auc(french, np.array([frames.mean() for frames in grades]))

    true = list(natives_grades)
    for take in english.takes[:20]:
        rest = torch.cat([shipped.others, english.frames[english.speakers != take.speaker]])[::3]
        true.append(frame_grades(take.frames, sides[0], Bank(rest)).numpy())
    assert area(true) > 0.95
    assert area([-grades for grades in true]) < 0.05  # which is what exchanged banks give

    frames = torch.cat([side.frames for side in sides])
    areas = []
    for seed in range(6):
        order = torch.randperm(len(frames), generator=torch.Generator().manual_seed(seed))
        mixed = [Bank(frames[half]) for half in order[:4000].split(2000)]
        takes = (*natives, *english.takes[:20])
        areas.append(area([frame_grades(take.frames, *mixed).numpy() for take in takes]))
    assert 0.35 < np.mean(areas) < 0.65
    assert max(areas) < 0.8


@pytest.mark.parametrize("variant", ["", "+f2"])
def test_a_voice_with_the_sounds_of_another_language_is_graded_below_itself(ear, sides, variant):
    """espeak-ng: a check of the direction only."""
    french, english, german = (
        frame_grades(hear(ear, read_aloud(TEXT, voice + variant).waveform), *sides).mean()
        for voice in ("fr", "en-us", "de")
    )
    assert french > max(english, german)


def test_pieces_in_another_order_hardly_move_a_grade(ear, sides, graded):
    """Half seconds of clips of 2 s, cut anywhere: less than from French to English clips by far."""
    french, english = (np.mean([grades.mean() for _, grades in clips]) for clips in graded.values())
    rng = np.random.default_rng(0)
    moved = []
    for waveform, before in graded["fr"]:
        pieces = np.array_split(waveform, len(waveform) // 8000)
        mixed = np.concatenate([pieces[place] for place in rng.permutation(len(pieces))])
        moved.append(float(frame_grades(hear(ear, mixed), *sides).mean()) - before.mean())
    assert abs(np.mean(moved)) < 0.4 * (french - english)


def test_another_language_is_never_graded_as_natives_are(shipped, natives_grades, graded):
    speakers = [take.speaker for take in shipped.natives["fr"].takes[:20]]
    reference = fit_reference(natives_grades, speakers, 2)
    for _, values in graded["en"]:
        assert judge(values, "french", reference).verdict(likely=False) in (ELSEWHERE, NEAR)
    assert any(judge(values, "french", reference).verdict() == WITHIN for _, values in graded["fr"])


def test_a_class_of_one_speaker_has_no_target(monkeypatch, shipped):
    monkeypatch.setattr(
        banks, "hear_clips", lambda folder, ear, rows: [shipped.others[row::40][:50] for row in range(len(rows))]
    )
    speakers = ["a", "a", "b", "c"]
    clips = pd.DataFrame({"clip_id": list("wxyz"), "client_id": speakers, "split": "train"})
    clips["label"] = ["german", "german", "dutch", "dutch"]
    classes = {"german": ClassFilter(locale="de"), "dutch": ClassFilter(locale="nl")}
    params = BankParams(clips=4, frames=100, takes=4, seed=1)
    _, made = build_pools(None, clips, classes, None, shipped, params)
    assert made["without"] == {
        "german": "clips of 1 speaker are in the training split, 2 are needed",
        "dutch": "2 takes of natives, at least 10 are needed",
    }
    assert made["targets"] == {}


def test_smoothing_knows_pauses():
    values = np.array([1.0, 1.0, 1.0, 5.0, 5.0])
    assert np.allclose(smooth(np.ones(20)), 1)
    parted = smooth(values, np.array([0, 1, 2, 100, 101]))
    assert np.allclose(parted, values)  # nothing is carried over a second of silence


def test_the_variance_of_natives_grades_is_that_of_speakers_and_of_what_they_say():
    rng = np.random.default_rng(0)
    takes = [rng.normal(rng.normal(0.1, 0.02), 0.1, size=count) for count in rng.integers(40, 200, 400)]
    reference = fit_reference(takes, list(range(400)), 2)
    assert reference.between == pytest.approx(0.02**2, rel=0.3)
    assert reference.within == pytest.approx(0.1**2 * 0.04, rel=0.3)  # 25 frames of one second
    low, high = reference.bounds(4)
    assert low < reference.centre < high
    assert reference.bounds(1)[0] < low
    assert reference.percentile(low, 4) == pytest.approx(5, abs=0.1)
    assert reference.percentile(reference.centre + 9, 4) == 100


REFERENCE = Reference(
    centre=0.1,
    between=0.0004,
    within=0.0004,
    deviations=tuple(np.linspace(-2, 2, 101)),
    stretch=0.0,
    takes=99,
    speakers=9,
)


def test_one_rule_gives_the_verdict():
    rng = np.random.default_rng(0)
    low, _ = REFERENCE.bounds(4)
    for centre, expected in ((0.3, WITHIN), (low + 0.001, WITHIN), (low - 0.005, NEAR), (low - 0.1, BELOW)):
        values = rng.normal(0, 0.05, 200)
        grade = judge(values - values.mean() + centre, "french", REFERENCE)
        assert grade.verdict() == expected
        assert grade.verdict(likely=False) == (ELSEWHERE if expected == BELOW else expected)
        assert grade.low < grade.grade < grade.high


def test_short_takes_say_little():
    rng = np.random.default_rng(0)
    widths = [np.ptp([(g := judge(rng.normal(0, 0.1, n), "french", REFERENCE)).low, g.high]) for n in (50, 100, 500)]
    assert widths[0] > widths[1] > widths[2]
    assert judge(np.zeros(3), "french", REFERENCE).high > 0.02


def test_the_least_native_stretches_are_where_they_are():
    values = np.full(200, 0.1)
    values[50:70], values[120:150] = -0.1, -0.05
    places = np.arange(200)
    places[100:] += 50  # a pause of a second
    first, second = least_native(values, places, 2.0, 0.0)
    assert (first.start_s, first.end_s) == pytest.approx((3.0, 3.4), abs=0.07)
    assert (second.start_s, second.end_s) == pytest.approx((5.4, 6.0), abs=0.07)
    assert least_native(np.full(50, 0.1), np.arange(50), 0.0, 0.0) == []


def test_clips_are_drawn_by_turns_of_sources_and_speakers():
    clips = pd.DataFrame({"clip_id": [f"c{n}" for n in range(40)], "client_id": ["a"] * 20 + ["b"] * 4 + ["c"] * 16})
    sources = ["one"] * 24 + ["two"] * 16
    rows = draw_balanced(clips, sources, 12, 1)
    speakers = clips["client_id"].iloc[rows].value_counts()
    assert dict(speakers) == {"c": 6, "a": 3, "b": 3}
    again = clips.sample(frac=1, random_state=0).reset_index(drop=True)
    other = draw_balanced(again, ["two" if name == "c" else "one" for name in again["client_id"]], 12, 1)
    assert set(again["clip_id"].iloc[other]) == set(clips["clip_id"].iloc[rows])


def test_a_take_is_graded_without_its_speaker():
    own, rest = some_frames(40, 2, 1), some_frames(40, -0.5, 2)
    natives = make_natives([own, rest], ["a", "b"], 80, 2)
    others = Bank(some_frames(40, 0, 3))
    graded = leave_speaker_out(natives, others)
    assert np.allclose(graded[0], frame_grades(own, Bank(rest), others), atol=1e-5)
    assert leave_speaker_out(make_natives([own], ["a"], 80, 2), others) == []


def test_the_shipped_ear_is_small_and_what_its_card_says(ear, shipped):
    assert sum(path.stat().st_size for path in ENCODER.iterdir()) < 24e6
    _, card = load_ear(ENCODER)
    assert set(shipped.natives) == {"fr", "en"}
    assert not {"fr", "en"} & set(shipped.locales)
    assert card.licence == "MIT"
    assert {corpus.release: corpus.licence for corpus in card.data} == {
        "cv-corpus-6.1-2020-12-11": "CC0-1.0",  # its French and English clips are not among them
        "cv-corpus-en-2023": "CC0-1.0",
        "librivox-fleurs-du-mal": "public domain",
    }
    assert {locale for corpus in card.data for locale in corpus.locales} == {"fr", "en", *shipped.locales}
    assert all(found["correlation"] >= 0.95 for found in card.agreement.values())
    assert all(torch.allclose(bank.frames.norm(dim=1), torch.ones(1)) for bank in shipped.natives.values())
    again = safetensors.torch.load(pack_ear(ear))
    assert again.keys() == safetensors.torch.load_file(ENCODER / WEIGHTS).keys()


def test_frames_are_fifty_a_second_however_long_the_waveform_is():
    ear = Ear(1, 400, 8).eval()
    rng = np.random.default_rng(0)
    for samples in (1, 320, 16000, 8 * 16000 + 1, 20 * 16000):
        frames = encode(ear, rng.normal(0, 3000, samples).astype(np.int16))
        assert len(frames) == pytest.approx(max(samples / 320, 1), abs=1)
    assert len(speech_places(np.zeros(16000, np.int16))) == 0


def copy_encoder(folder):
    shutil.copytree(ENCODER, folder)
    return folder


def test_what_is_wrong_with_the_ear_is_told_in_a_line(tmp_path):
    folder = copy_encoder(tmp_path / "encoder")
    weights = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(weights[:-100])
    with pytest.raises(InputError, match=r"encoder.safetensors: not the file that encoder.json describes.*git restore"):
        load_ear(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match="no such file. 'git restore'"):
        load_ear(folder)
    tensors = safetensors.torch.load(weights)
    tensors["project.bias"] = tensors["project.bias"][:5].clone()
    changed = safetensors.torch.save(tensors)
    (folder / WEIGHTS).write_bytes(changed)
    card = json.loads((folder / CARD).read_text())
    card["weights_sha256"] = hashlib.sha256(changed).hexdigest()
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match="not the tensors that encoder.json describes: 1 are missing.*project.bias"):
        load_ear(folder)
    card["banks_sha256"] = hashlib.sha256(b"{}").hexdigest()
    (folder / CARD).write_text(json.dumps(card))
    (folder / BANKS).write_bytes(b"{}")
    with pytest.raises(InputError, match="banks.safetensors: no safetensors file"):
        load_shipped(folder)
    (folder / CARD).write_text("{}")
    with pytest.raises(InputError, match="encoder.json: weights_sha256: missing|missing. Needed here") as caught:
        load_ear(folder)
    assert "\n" not in str(caught.value)


def write_model(folder):
    """A model's folder with the shipped ear and small banks of two classes."""
    copy_encoder(folder / "encoder")
    card = json.loads((folder / "encoder" / CARD).read_text())
    frames = normalize(torch.randn(3, 40, card["dimensions"], generator=torch.Generator().manual_seed(0)), dim=2)
    pools = Pools({"french": frames[0], "english": frames[1]}, frames[2], torch.zeros(40, dtype=torch.long))
    made = {
        "encoder_sha256": card["weights_sha256"],
        "shipped_sha256": card["banks_sha256"],
        "locales": {"french": "fr", "english": "en"},
        "others": ("de",),
        "targets": {"french": REFERENCE},
        "without": {"english": "speakers in the training split: 1, 2 are needed"},
    }
    save_bank(folder, pools, made)
    return folder


def test_a_grader_says_what_it_lacks(tmp_path):
    folder = write_model(tmp_path / "models")
    grader = Grader.load(folder)
    heard = grader.hear(np.random.default_rng(0).normal(0, 3000, 32000).astype(np.int16), "french")
    assert len(heard.values) == len(heard.places)
    with pytest.raises(InputError, match=r"no bank of natives for 'english' \(speakers in the training split: 1"):
        grader.reference("english")
    with pytest.raises(InputError, match=r"for 'german' \(no such class\). There is one for: french"):
        grader.sides("german")
    card = json.loads((folder / "bank.json").read_text())
    (folder / "bank.json").write_text(json.dumps(card | {"encoder_sha256": "0"}))
    with pytest.raises(InputError, match="banks of another encoder than .* Run 'dvc repro bank'"):
        Grader.load(folder)
    (folder / "bank.json").write_text(json.dumps(card))
    data = (folder / "bank.safetensors").read_bytes()
    (folder / "bank.safetensors").write_bytes(data[:-3])
    with pytest.raises(InputError, match="not the file that bank.json describes"):
        Grader.load(folder)


def test_natives_of_no_class_are_others_and_a_language_is_not_its_own_other():
    pools = Pools(
        {"french": some_frames(9, 0), "german": some_frames(8, 0)}, some_frames(6, 0), torch.tensor([0, 0, 1, 2, 2, 2])
    )
    _, others = pools.sides("german", {"french": "fr", "german": "de"}, ("de-AT", "es", "en"))
    assert len(others.frames) == 4 + 9
    _, others = pools.sides("french", {"french": "fr", "german": "de"}, ("de-AT", "es", "en"))
    assert len(others.frames) == 6 + 8


def test_an_ear_comes_back_as_it_was_saved(tmp_path, ear, shipped):
    card = json.loads((ENCODER / CARD).read_text())
    made = {
        name: value
        for name, value in card.items()
        if name not in ("natives", "others", "weights_sha256", "banks_sha256")
    }
    save_shipped(tmp_path, ear, shipped, made)
    for name, tensor in load_ear(tmp_path)[0].state_dict().items():
        assert torch.allclose(tensor, ear.state_dict()[name], rtol=1e-3, atol=1e-6), name
    again = load_shipped(tmp_path)
    assert torch.equal(again.locale_numbers, shipped.locale_numbers)
    for locale, bank in shipped.natives.items():
        assert (again.natives[locale].frames * bank.frames).sum(dim=1).min() > 0.999
        assert len(again.natives[locale].takes) == len(bank.takes)
