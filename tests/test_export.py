"""The exported graph says what the model says, and ear.json what the page has to know."""

import json
import re
import shutil
import sys
from dataclasses import asdict

import numpy as np
import onnxruntime
import pytest
import torch

from accent.audio.spectrogram import SpectrogramParams, log_mel
from accent.audio.waveform import AudioParams, decode_clip
from accent.core.errors import InputError
from accent.grading.encoder import CONTEXT_SECONDS, fill_up
from accent.grading.grade import Reference as GradeReference
from accent.grading.grader import Grader, Pools, save_bank
from accent.network.model import ModelCard, build_model, load_model, save_model, window_logits
from accent.network.typicality import COUNT, Typicality
from accent.page.export import Ear, describe, export_graph
from accent.scoring.reference import Fitness, Reference, save_reference
from tests.helpers import ROOT, run, sample_clips
from tests.web import LIMITS, SPECTROGRAM

pytestmark = pytest.mark.slow

AUDIO = AudioParams(silence_db=40.0, margin_seconds=0.05, min_seconds=0.2, max_seconds=30.0)
NATIVES = GradeReference(
    centre=0.1, between=0.004, within=0.002, deviations=tuple(np.linspace(-2, 2, 101).tolist()), stretch=-0.1,
    takes=50, speakers=9,
)  # fmt: skip
METRICS = {
    "clip": {"roc_auc": 0.9},
    "interval": {"clip": {"roc_auc": [0.6, 0.99]}},
    "speakers_of": {"english": 6, "french": 4},
    "clips_of": {"english": 60, "french": 40},
    "second_source": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of random weights and statistics, as `train` and `evaluate` leave one."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    model = build_model("resnet18", 3, width=8)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    card = {
        "arch": "resnet18",
        "width": 8,
        "antialias": False,
        "classes": ("english", "french", "german"),
        "audio": asdict(AUDIO),
        "spectrogram": asdict(SPECTROGRAM),
        "window_seconds": 1.5,
        "window_hop_seconds": 0.5,
        "temperature": 1.5,
    }
    save_model(folder, model, card)
    _, card = load_model(folder)
    typicality = Typicality(mean=(0.0,) * COUNT, precision=tuple(map(tuple, np.eye(COUNT).tolist())), allowed=1.0)
    percentiles = tuple(np.linspace(-3, 3, 101).tolist())
    fitness = Fitness(verdicts=False, sentence="No verdicts: too few voices.")
    reference = {"fitness": fitness, "score": LIMITS, "native_log_odds": percentiles, "typicality": typicality}
    save_reference(folder, Reference(weights_sha256=card.weights_sha256, **reference))
    (folder / "evaluation.json").write_text(json.dumps(METRICS))
    shutil.copytree(ROOT / "models" / "encoder", folder / "encoder")
    frames = torch.nn.functional.normalize(torch.randn(900, 128), dim=1)
    classes = {"english": frames[:200], "french": frames[200:500]}
    pools = Pools(classes, frames[500:], torch.arange(400) % 3)
    encoder = json.loads((folder / "encoder" / "encoder.json").read_text())["weights_sha256"]
    locales = {"locales": {"english": "en", "french": "fr"}, "others": ("es", "fr-CA", "de")}
    without = {"german": "it has no clips"}
    save_bank(
        folder,
        pools,
        {
            "encoder_sha256": encoder,
            "shipped_sha256": "",
            "targets": {"french": NATIVES},
            "without": without,
            **locales,
        },
    )
    return folder


@pytest.fixture(scope="module")
def graph(folder):
    return export_graph(*load_model(folder))


def test_the_graph_says_what_the_model_says(folder, graph):
    model, card = load_model(folder)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    differing = cells = 0
    noise = np.random.default_rng(0).integers(-3000, 3000, 9000).astype(np.int16)
    waveforms = [decode_clip(path, AUDIO)[0] for path in sample_clips("fr")[::40] + sample_clips("en")[::40]]
    for waveform in [*waveforms, noise, waveforms[0][:3000], np.zeros(5000, np.int16)]:
        expected = log_mel(waveform, SPECTROGRAM)
        (starts,), (logits,) = window_logits(model, [expected], card.window, card.window_hop)
        found, said = session.run(None, {"waveform": waveform.astype(np.float32), "starts": starts})
        assert found.dtype == np.uint8
        assert found.shape == expected.shape
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 1
        differing, cells = differing + np.count_nonzero(difference), cells + difference.size
        assert said == pytest.approx(logits, abs=0.01)
    assert differing <= 2e-4 * cells  # the Fourier transform is another one: roundings differ here and there


def test_the_graph_is_small_the_same_every_time_and_names_no_path(folder, graph):
    content = graph.SerializeToString(deterministic=True)
    assert content == export_graph(*load_model(folder)).SerializeToString(deterministic=True)
    weights = (folder / "accent.safetensors").stat().st_size
    spectrogram = 2 * 128 * 512 * 4
    assert len(content) < 0.55 * weights + 1.2 * spectrogram
    for trace in (str(ROOT), "site-packages", "export.py"):
        assert trace.encode() not in content


def test_a_model_of_another_layout_is_exported_too():
    torch.manual_seed(1)
    card = ModelCard(
        arch="resnet34", width=8, antialias=True, classes=("a", "b"), audio=AUDIO,
        spectrogram=SpectrogramParams(n_fft=400, hop_length=200, n_mels=40, fmin_hz=0.0, fmax_hz=8000.0, range_db=60.0),
        window_seconds=1.0, window_hop_seconds=0.25, temperature=1.0, weights_sha256="",
    )  # fmt: skip
    model = build_model("resnet34", 2, 8, antialias=True).eval()
    session = onnxruntime.InferenceSession(export_graph(model, card).SerializeToString())
    waveform = np.random.default_rng(0).normal(0, 3000, 20000).astype(np.float32)
    starts = np.array([0, 7, 20])
    cells, logits = session.run(None, {"waveform": waveform, "starts": starts})
    with torch.inference_mode():
        expected = Ear(model, card).eval()(torch.from_numpy(waveform), torch.from_numpy(starts))
    assert cells.tolist() == expected[0].tolist()
    assert logits == pytest.approx(expected[1].numpy(), abs=0.01)


def test_the_page_is_told_of_thresholds_natives_and_evidence(folder):
    _, card = load_model(folder)
    described = describe(card, Grader.load(folder), folder, folder / "evaluation.json")
    assert described["classes"] == ["english", "french", "german"]
    assert described["target"] == "french"
    assert (described["window"], described["window_hop"], described["temperature"]) == (150, 50, 1.5)
    assert described["thresholds"]["min_snr_db"] == 15
    assert (described["grade"]["centre"], len(described["grade"]["deviations"])) == (0.1, 101)
    assert (described["grade"]["frame_samples"], described["grade"]["context_seconds"]) == (320, 8)
    assert described["evidence"] == {
        "voices": {"english": 6, "french": 4}, "clips": {"english": 60, "french": 40},
        "roc_auc": 0.9, "roc_auc_low": 0.6, "roc_auc_high": 0.99, "second_source": False,
    }  # fmt: skip
    assert described["fitness"] == {"verdicts": False, "sentence": "No verdicts: too few voices."}


def test_an_interval_that_is_not_known_is_told_as_such(folder, tmp_path):
    metrics = METRICS | {"interval": {"clip": {"roc_auc": None}}}
    (tmp_path / "evaluation.json").write_text(json.dumps(metrics))
    evidence = describe(load_model(folder)[1], Grader.load(folder), folder, tmp_path / "evaluation.json")["evidence"]
    assert (evidence["roc_auc"], evidence["roc_auc_low"], evidence["roc_auc_high"]) == (0.9, None, None)


def test_what_does_not_belong_together_is_one_line(folder, tmp_path):
    _, card = load_model(folder)
    with pytest.raises(InputError, match=r"nowhere.json: no metrics of this model .* Run 'dvc repro evaluate'"):
        describe(card, Grader.load(folder), folder, tmp_path / "nowhere.json")
    shutil.copytree(folder, tmp_path / "other")
    reference = json.loads((folder / "reference.json").read_text()) | {"weights_sha256": "0" * 64}
    (tmp_path / "other" / "reference.json").write_text(json.dumps(reference))
    with pytest.raises(InputError, match="reference.json is of another model"):
        describe(card, Grader.load(folder), tmp_path / "other", folder / "evaluation.json")


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    """What the command writes, and what it says."""
    target = tmp_path_factory.mktemp("web")
    done = run(
        sys.executable, "-m", "accent.page.export", str(folder), str(folder / "evaluation.json"), str(target), cwd=ROOT
    )
    return target, done


def test_the_command_writes_all_files_and_says_their_sizes(exported):
    target, done = exported
    assert sorted(path.name for path in target.iterdir()) == ["ear.json", "ear.onnx", "grade.onnx", "readings.json"]
    assert re.fullmatch(
        r"ear.onnx \d\.\d MB, grade.onnx \d+\.\d MB; english, french, german; target french\n", done.stdout
    )
    assert done.stderr == ""


def test_the_grade_s_graph_says_what_python_says(folder, exported):
    grader = Grader.load(folder)
    content = (exported[0] / "grade.onnx").read_bytes()
    assert len(content) < 1.1 * sum(
        path.stat().st_size for path in (folder / "encoder" / "encoder.safetensors", folder / "bank.safetensors")
    )
    assert str(ROOT).encode() not in content
    session = onnxruntime.InferenceSession(content)
    for path in sample_clips("fr")[::100] + sample_clips("en")[::80]:
        waveform = decode_clip(path, AUDIO)[0][: 16000 * 5]
        expected = grader.hear(waveform, "french")
        blocks = fill_up(waveform, CONTEXT_SECONDS).numpy().reshape(-1, 320)
        found, sounds = session.run(None, {"blocks": blocks, "places": expected.places})
        assert found == pytest.approx(expected.values, abs=1e-4)
        assert sounds.shape == (len(found), 128)
        assert np.ptp(found) > 0.01


def test_a_model_without_natives_of_its_target_is_one_line(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    card = json.loads((tmp_path / "model" / "bank.json").read_text())
    card |= {"targets": {}, "without": {"french": "3 takes of natives, at least 10 are needed"}}
    (tmp_path / "model" / "bank.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="no bank of natives for 'french' .3 takes of natives, at least 10"):
        describe(load_model(folder)[1], Grader.load(tmp_path / "model"), folder, folder / "evaluation.json")
