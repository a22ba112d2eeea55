import pytest
import yaml

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.core.errors import InputError
from accent.core.params import load_params
from accent.corpus.selection import EvaluateParams, IngestParams
from accent.corpus.splits import SplitParams
from accent.evaluation.confounds import AuditParams
from accent.evaluation.explanations import ExplainParams
from accent.evaluation.practice import PracticeParams
from accent.report.clips import ReportParams
from accent.scoring.refusal import ScoreParams
from accent.training.augment import AugmentParams
from accent.training.learner import TrainParams
from tests.helpers import ROOT, set_params, stage

SECTIONS = {
    "ingest": IngestParams,
    "decode": DecodeParams,
    "spectrogram": SpectrogramParams,
    "split": SplitParams,
    "train": TrainParams,
    "score": ScoreParams,
    "evaluate": EvaluateParams,
    "explain": ExplainParams,
    "practice": PracticeParams,
    "audit": AuditParams,
    "report": ReportParams,
}


def test_the_project_s_own_parameters_are_valid_and_every_one_has_a_comment():
    for section, cls in SECTIONS.items():
        load_params(section, cls, ROOT / "params.yaml")
    lines = (ROOT / "params.yaml").read_text().splitlines()
    values = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    bare = [line for line in values if line.startswith(" ") and "#" not in line]
    assert not bare, f"parameters without a comment: {bare}"


def test_the_defaults_are_the_experiment_s():
    train = load_params("train", TrainParams, ROOT / "params.yaml")
    assert (train.arch, train.epochs, train.batch_size) == ("resnet18", 25, 256)


@pytest.mark.parametrize(
    ("section", "change", "expected"),
    [
        ("train", {"epoch": 3}, "train.epoch: no such parameter. Known here: arch, width, antialias"),
        (
            "train",
            {"augment": {"level": 1}},
            "train.augment.level: no such parameter. Known here: frequency_warp, time_warp",
        ),
        ("train", {"seed": -1}, "train.seed: Input should be greater than or equal to 0 (found -1)"),
        ("decode", {"max_reject_fraction": 10}, "decode.max_reject_fraction: Input should be less than or equal to 1"),
        ("spectrogram", {"fmax_hz": 9000}, "spectrogram.fmax_hz: Input should be less than or equal to 8000"),
        ("spectrogram", {"fmin_hz": 5000}, "spectrogram: fmin_hz (5000) must be below fmax_hz (4000)"),
        ("spectrogram", {"n_mels": 200}, "spectrogram: n_mels (200) are too many for n_fft (512)"),
        ("train", {"epochs": 0}, "train.epochs: Input should be greater than 0 (found 0)"),
        ("train", {"keep": "first"}, "train.keep: Input should be 'best' or 'last' (found 'first')"),
        ("ingest", {"classes": {"french": {"local": "fr"}}}, "ingest.classes.french.local: no such parameter. Known"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(workdir, section, change, expected):
    set_params(workdir, {section: change})
    with pytest.raises(InputError) as error:
        load_params(section, SECTIONS[section], workdir / "params.yaml")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_parameter_is_named(workdir):
    document = yaml.safe_load((workdir / "params.yaml").read_text())
    del document["train"]["augment"]["tilt_db"]
    (workdir / "params.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=r"train\.augment\.tilt_db: missing. Needed here: frequency_warp, time_warp"):
        load_params("train", TrainParams, workdir / "params.yaml")


def test_a_missing_section_or_file_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("ingest: {}\n")
    with pytest.raises(InputError, match=r"no section 'train' \(found: ingest\)"):
        load_params("train", TrainParams, tmp_path / "params.yaml")
    with pytest.raises(InputError, match="no such file"):
        load_params("train", TrainParams, tmp_path / "absent.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\n")
    with pytest.raises(InputError, match="not valid YAML"):
        load_params("train", AugmentParams, tmp_path / "params.yaml")


def test_a_stage_says_it_in_one_line(workdir):
    set_params(workdir, {"decode": {"min_second": 1}})
    done = stage("decode", "clips", "waveforms", cwd=workdir, ok=False)
    assert done.stderr.startswith("error: params.yaml: decode.min_second: no such parameter")
    assert done.stderr.count("\n") == 1
