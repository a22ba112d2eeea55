"""Write the report: one page with the evaluation in numbers and the clips that are worth listening to."""

import argparse
import json
from pathlib import Path

from accent.core.errors import run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.core.parts import Parts, join_index
from accent.core.tables import read_frame
from accent.corpus.recordings import read_recordings
from accent.evaluation.curves import draw_curves, read_rows
from accent.network.model import load_model
from accent.report.clips import (
    ReportParams,
    beside,
    choose_clips,
    confusion_table,
    data_uri,
    line_picture,
    make_cards,
    render,
    subgroup_tables,
)
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
    where = join_index(chosen[["clip_id"]], args.spectrograms)
    recordings = read_recordings(args.clips, chosen["clip_id"])
    cards = make_cards(chosen, Parts(args.spectrograms, where), recordings, model, card, classes.index(target))
    curves = draw_curves(args.plots, args.training)
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


if __name__ == "__main__":
    run(main)
