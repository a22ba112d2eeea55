"""What a model has earned: which numbers allow verdicts, what is said of them, and what the scorer makes of it."""

import json
import shutil

import pandas as pd
import pytest

from accent.core.errors import InputError
from accent.core.params import load_params
from accent.corpus.second_source import is_given, read_second_source
from accent.corpus.selection import Bar, IngestParams
from accent.evaluation.fitness import judge_fitness
from accent.score import main
from accent.scoring.scorer import Scorer
from tests.helpers import ROOT, sample_clips, stage, write_release

BAR = Bar(min_speakers=4, min_roc_auc=0.7, min_balanced_accuracy=0.5)
LEARNT = {"english": 26, "french": 5}


def numbers(auc, auc_95, balanced=0.9, balanced_95=(0.8, 0.95), english: int = 6, french: int = 4) -> dict:
    return {
        "roc_auc": auc,
        "balanced_accuracy": balanced,
        "interval": {"roc_auc": auc_95, "balanced_accuracy": balanced_95},
        "speakers_of": {"english": english, "french": french},
    }


GOOD = numbers(0.97, [0.87, 1.0])


def test_good_numbers_allow_verdicts_and_say_what_they_rest_on():
    found = judge_fitness(GOOD, None, LEARNT, BAR)
    assert found.verdicts
    assert found.sentence == (
        "Tested on 6 english and 4 french voices: ROC AUC 0.97 (95%: 0.87 to 1.00), balanced accuracy 0.90 (95%: 0.80 "
        "to 0.95), all of the source that it learnt from (26 english and 5 french voices): elsewhere it may do worse."
    )


@pytest.mark.parametrize(
    ("test", "why"),
    [
        (numbers(0.97, [0.87, 1.0], french=3), "it was tested on 3 french voices, and 4 are asked for"),
        (numbers(0.97, [0.87, 1.0], english=0), "it was tested on 0 english voices, and 4 are asked for"),
        (numbers(0.9, [0.61, 0.99]), "its ROC AUC may be as low as 0.61, and 0.70 is asked for"),
        (numbers(0.9, None), "its ROC AUC may be as low as 0.00, and 0.70 is asked for"),
        (numbers(0.97, [0.87, 1.0], 0.6, [0.45, 0.7]), "its balanced accuracy may be as low as 0.45, and 0.50 is"),
    ],
)
def test_what_does_not_reach_the_bar_gives_no_verdicts(test, why):
    found = judge_fitness(test, None, LEARNT, BAR)
    assert not found.verdicts
    assert found.sentence.startswith(f"No verdicts: {why}")


def test_a_class_without_a_clip_is_said_in_words():
    found = judge_fitness(numbers(float("nan"), None, float("nan"), None, french=0), None, LEARNT, BAR)
    assert "6 english and 0 french voices: ROC AUC not known, balanced accuracy not known," in found.sentence
    assert not found.verdicts


def test_a_test_without_an_error_is_not_held_against_the_model():
    """Its interval is one of chance alone, and lower than that of a model with a few errors."""
    assert judge_fitness(numbers(1.0, [0.47, 1.0], 1.0, [0.47, 1.0]), None, LEARNT, BAR).verdicts


def test_another_source_has_to_reach_the_bar_too():
    found = judge_fitness(GOOD, numbers(0.95, [0.9, 0.98], english=20, french=20), LEARNT, BAR)
    assert found.verdicts
    assert "; on another source, 20 english and 20 french voices: ROC AUC 0.95" in found.sentence
    strangers = numbers(0.3, [0.1, 0.5], 0.59, [0.52, 0.65], english=20, french=20)
    found = judge_fitness(GOOD, strangers, LEARNT, BAR)
    assert not found.verdicts
    assert found.sentence.startswith("No verdicts: on another source its ROC AUC may be as low as 0.10, and 0.70 is")


def test_evaluate_stores_it_and_the_scorer_shows_it(trained, tmp_path, monkeypatch, capsys):
    """Not earned: every verdict is "unsure" with that reason, in the table and in JSON; the picture can be drawn."""
    evaluation = json.loads((trained / "metrics" / "evaluation.json").read_text())
    reference = json.loads((trained / "models" / "reference.json").read_text())
    verdicts = reference["fitness"]["verdicts"], evaluation["fitness"]["verdicts"]
    assert verdicts == (True, True)  # since the bar of the tests is at 0
    assert evaluation["second_source"] is None

    models = shutil.copytree(trained / "models", tmp_path / "models")
    reference["score"]["min_confidence"] = 0  # of a model that was trained for two epochs nothing is far from 0.5
    (models / "reference.json").write_text(json.dumps(reference))
    scorer = Scorer.load(models)
    take = next(path for path in sample_clips("fr") if not scorer.score(path).refused)
    assert scorer.score(take).verdict != "unsure"
    sentence = "No verdicts: it was tested on 1 french voices."
    reference["fitness"] = {"verdicts": False, "sentence": sentence}
    (models / "reference.json").write_text(json.dumps(reference))
    assert Scorer.load(models).score(take).verdict == "unsure"
    arguments = ["score", str(take), "--model", str(models)]
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", [*arguments, "--plot", str(tmp_path / "take.png")])
    main()
    said = capsys.readouterr().out
    assert said.splitlines()[1].split()[1] == "unsure"
    assert said.rstrip().endswith(sentence)
    assert (tmp_path / "take.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("sys.argv", [*arguments, "--json"])
    main()
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["fitness"]) == ("unsure", {"verdicts": False, "sentence": sentence})
    assert found["reason"].startswith("unproven: this model has not been shown to tell the classes apart")


def test_a_second_source_is_scored_without_the_speakers_that_were_learnt(trained, tmp_path):
    """The stage on a release of its own: its clips, those of one speaker left out, and a bar that it cannot reach."""
    shutil.copy(trained / "params.yaml", tmp_path)
    learnt = pd.read_parquet(trained / "data" / "splits.parquet").query("split == 'train'")["client_id"].iloc[0]
    write_release(tmp_path / "data" / "second_source", speakers=4, each=2)
    table = tmp_path / "data" / "second_source" / "fr" / "validated.tsv"
    table.write_text(table.read_text().replace("fr-0", learnt))
    params = (tmp_path / "params.yaml").read_text().replace("min_speakers: 1", "min_speakers: 4")
    (tmp_path / "params.yaml").write_text(params)
    data = trained / "data"
    models = shutil.copytree(trained / "models", tmp_path / "models")
    stage("predict", models, data / "spectrograms", data / "splits.parquet", "logits.parquet", cwd=tmp_path)
    outputs = "evaluation.json", "predictions.parquet", "plots"
    done = stage("evaluate", models, data / "waveforms" / "index.parquet", "logits.parquet", *outputs, cwd=tmp_path)
    second = json.loads((tmp_path / "evaluation.json").read_text())["second_source"]
    assert (second["clips_of"], second["speakers_of"]) == ({"english": 8, "french": 6}, {"english": 4, "french": 3})
    assert 0 <= second["roc_auc"] <= 1
    assert second["interval"] == {"roc_auc": None, "balanced_accuracy": None}
    assert second["too_few"] == "too few speakers: 4 of english, 3 of french; at least 4 of each are needed"
    fitness = json.loads((models / "reference.json").read_text())["fitness"]
    assert not fitness["verdicts"]
    assert fitness["sentence"] in done.stdout


def test_a_second_source_is_what_lies_beside_the_note(tmp_path):
    assert not is_given(ROOT / "data" / "second_source")
    (tmp_path / "README.md").touch()
    (tmp_path / ".DS_Store").touch()
    assert not is_given(tmp_path)
    (tmp_path / "fr").mkdir()
    assert is_given(tmp_path)
    assert is_given(tmp_path / "absent")  # which is then said to be absent
    ingest = load_params("ingest", IngestParams, ROOT / "params.yaml")
    with pytest.raises(InputError, match=r"evaluate\.second_source: .*absent: no such folder"):
        read_second_source(tmp_path / "absent", ingest, 9, set(), None, None)
    with pytest.raises(InputError, match=r"evaluate\.second_source: .*no validated\.tsv and no cv-corpus"):
        read_second_source(tmp_path, ingest, 9, set(), None, None)
