"""Write the report: one page with the evaluation in numbers and the clips that are worth listening to."""

import json

from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.core.parts import Parts, join_index
from accent.core.tables import read_frame
from accent.corpus.recordings import read_recordings
from accent.network.model import load_model
from accent.report.clips import ReportParams, choose_clips, describe_clips, make_cards
from accent.report.page import render, tables_and_pictures
from accent.scoring.reference import load_reference


def main() -> None:
    args = parse_paths(
        __doc__,
        *("model", "clips", "measures", "spectrograms", "predictions"),
        *("evaluation", "audit", "plots", "training", "audit_pictures"),
        "page",
    )

    params = load_params("report", ReportParams)
    model, card = load_model(args.model)
    reference, classes = load_reference(args.model), list(card.classes)
    chosen = choose_clips(read_frame(args.predictions), classes, params.clips)
    chosen = describe_clips(chosen, read_frame(args.measures))
    spectrograms = Parts(args.spectrograms, join_index(chosen[["clip_id"]], args.spectrograms))
    recordings = read_recordings(args.clips, chosen["clip_id"])
    cards = make_cards(chosen, spectrograms, recordings, model, card, classes.index(reference.score.target))

    evaluation, audit = (json.loads(path.read_text(encoding="utf-8")) for path in (args.evaluation, args.audit))
    results = tables_and_pictures(classes, evaluation, audit, args.plots, args.training, args.audit_pictures)
    html = render(target=reference.score.target, fitness=reference.fitness.sentence, cards=cards, **results)
    with output_file(args.page) as partial:
        partial.write_text(html, encoding="utf-8")
    wrong = sum(shown["outcome"] == "wrong" for shown in cards)
    print(f"{args.page}: {len(cards):,} clips, {wrong:,} of them wrong, {len(html.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
