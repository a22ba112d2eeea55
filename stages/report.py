"""The errors to listen to: one page with the evaluation in numbers, and the clips that tell most about the model."""

import argparse
import json
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from accent.core.errors import run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.core.tables import read_frame
from accent.corpus.recordings import read_recordings
from accent.evaluation.curves import draw_loss, draw_reliability, draw_risk_coverage, draw_roc
from accent.network.model import load_model
from accent.report.clips import (
    ReportParams,
    beside,
    choose_clips,
    confusion_table,
    data_uri,
    line_picture,
    make_card,
    render,
    subgroup_tables,
)
from accent.scoring.explain import attributions
from accent.scoring.picture import draw_clip
from accent.scoring.reference import load_reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("measures", type=Path, help="index of the waveforms")
    parser.add_argument("spectrograms", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("audit", type=Path)
    parser.add_argument("plots", type=Path)
    parser.add_argument("training", type=Path)
    parser.add_argument("audit_pictures", type=Path)
    parser.add_argument("page", type=Path)
    args = parser.parse_args()

    params = load_params("report", ReportParams)
    model, card = load_model(args.model)
    target = load_reference(args.model).score.target
    classes = list(card.classes)
    chosen = choose_clips(read_frame(args.predictions), classes, params.clips)
    known = read_frame(args.measures)
    known = known[known.columns.difference(chosen.columns, sort=False).union(["clip_id"], sort=False)]
    chosen = chosen.merge(known, on="clip_id", validate="one_to_one")
    where = chosen[["clip_id"]].merge(read_index(args.spectrograms), on="clip_id", validate="one_to_one")
    recordings = read_recordings(args.clips, chosen["clip_id"])

    cards = []
    for clip, spectrogram in zip(
        tqdm(chosen.to_dict("records"), unit="clip", desc="report", mininterval=1),
        Parts(args.spectrograms, where),
        strict=True,
    ):
        added = attributions(model, card, classes.index(target), spectrogram)
        start_s = max(clip["leading_silence_s"] - card.audio.margin_seconds, 0)
        end_s = start_s + card.spectrogram.seconds_of(len(spectrogram))
        figure = draw_clip(spectrogram, card, start_s, added)
        cards.append(make_card(clip, recordings[clip["clip_id"]], figure, start_s, end_s))

    curves = {
        "ROC": draw_roc(read_rows(args.plots / "roc.csv")),
        "Reliability": draw_reliability(read_rows(args.plots / "reliability.csv")),
        "Loss in training": draw_loss(
            {
                name: pd.read_csv(args.training / "plots" / "metrics" / folder / "loss.tsv", sep="\t")
                for name, folder in (("training", "train"), ("validation", "eval"))
            }
        ),
        "Error and answers": draw_risk_coverage(read_rows(args.plots / "risk_coverage.csv")),
    }
    evaluation = json.loads(args.evaluation.read_text(encoding="utf-8"))
    html = render(
        target=target,
        classes=classes,
        evaluation=evaluation,
        probes={name: beside(probe, probe["interval"]) for name, probe in evaluation["probes"].items()},
        subgroups=subgroup_tables(read_rows(args.plots / "subgroups.csv")),
        audit=json.loads(args.audit.read_text(encoding="utf-8")),
        audit_picture=data_uri((args.audit_pictures / "audit.png").read_bytes(), "image/png"),
        confusion=confusion_table(read_rows(args.plots / "confusion.csv"), classes),
        curves={name: line_picture(figure) for name, figure in curves.items()},
        cards=cards,
    )
    with output_file(args.page) as partial:
        partial.write_text(html, encoding="utf-8")
    wrong = sum(shown["outcome"] == "wrong" for shown in cards)
    print(f"{args.page}: {len(cards):,} clips, {wrong:,} of them wrong, {len(html.encode()) / 1e6:.1f} MB")


def read_rows(path: Path) -> pd.DataFrame:
    """The rows behind a plot; a class may be called NA, which pandas would take for a missing value."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


if __name__ == "__main__":
    run(main)
