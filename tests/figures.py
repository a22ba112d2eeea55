"""The figures of the documentation that come from the metrics of the sample's run: check them, or write them anew.

    python -m tests.figures

rewrites them from metrics/, in place, and where the model is there also the example of scored clips and docs/take.png.
`tests/test_docs.py` fails where a page says another figure than the metrics.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from string import Formatter

import pandas as pd

from accent.core.errors import run

ROOT = Path(__file__).parents[1]
NUMBER = r"-?\d+(?:\.\d+)?%?|none is answered"
CLIP = "data/sample/{locale}/clips/{name}.mp3"
SHOWN = re.compile(r"^common_voice_(\w\w)_\d+\.mp3 .*$", re.MULTILINE)
TAKE = CLIP.format(locale="fr", name="common_voice_fr_90000202")
LOW_HZ = 400

# For each page its sentences with figures. Every field is a name of `measured`.
SENTENCES = {
    "README.md": (
        "| the sample's test split | {clips} of {speakers} | {auc3} ({auc_low} to {auc_high}) | "
        "balanced accuracy {accuracy3} ({accuracy_low} to {accuracy_high}) |",
        "recording conditions alone | {clips} of {speakers} | {confounds3} ({confounds_low} to {confounds_high}) |",
    ),
    "docs/scoring.md": (
        "| the sample's test split, {clips} clips | {refused} | {natives_refused} | {error_answered} | {error_all} |",
        "fall by {fall_most} without the most important tenth and by {fall_random} without a random tenth; "
        "in {most_beats_random} of the clips",
        "{low_french} of the evidence in French clips and {low_english} in English ones lies below 400 Hz",
        "{pairs} of the pairs, 95%: {pairs_low} to {pairs_high}",
        "unsure of {unsure} of the {takes}",
    ),
    "docs/pipeline.md": (
        "On the sample ({clips} test clips, {speakers} voices,",
        "the confound baseline reaches an AUC of {confounds} (95%: {confounds_low} to {confounds_high})",
        "the model's is {auc} ({auc_low} to {auc_high})",
        "| MP3 32 kb/s, 64 kb/s | {mp3_32_kbps_flipped}, {mp3_64_kbps_flipped} | {mp3_32_kbps_answered_flipped}, "
        "{mp3_64_kbps_answered_flipped} | {mp3_32_kbps_newly_refused}, {mp3_64_kbps_newly_refused} |",
        "| Opus | {opus_flipped} | {opus_answered_flipped} | {opus_newly_refused} |",
        "| 10 dB quieter, louder | {quieter_10_db_flipped}, {louder_10_db_flipped} | {quieter_10_db_answered_flipped}, "
        "{louder_10_db_answered_flipped} | {quieter_10_db_newly_refused}, {louder_10_db_newly_refused} |",
        "| nothing above 4 kHz | {lowpass_4_khz_flipped} | {lowpass_4_khz_answered_flipped} | "
        "{lowpass_4_khz_newly_refused}, as muffled |",
        "| white noise, 20 dB | {noise_20_db_flipped} | {noise_20_db_answered_flipped} | {noise_20_db_newly_refused} |",
        "| a second of silence in front | {silence_1_s_flipped} | {silence_1_s_answered_flipped} | "
        "{silence_1_s_newly_refused} |",
    ),
}


def here(path: str) -> str:
    """A file of the project as it lies there."""
    return (ROOT / path).read_text(encoding="utf-8")


def committed(path: str) -> str:
    """A file of the project as the last commit has it."""
    command = ["git", "-C", ROOT, "show", f"HEAD:./{path}"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout


def read(name: str, source: Callable[[str], str] = here) -> dict:
    return json.loads(source(f"metrics/{name}.json"))


def measured(source: Callable[[str], str] = here) -> dict[str, str]:
    """The figures as the pages write them, by name."""
    names = "evaluation", "audit", "explanation", "practice"
    evaluation, audit, explanation, practice = (read(name, source) for name in names)
    clip, interval, refusal = evaluation["clip"], evaluation["interval"]["clip"], evaluation["refusal"]
    confounds, deletion = audit["confounds"], explanation["deletion"]
    bands = pd.read_csv(StringIO(source("metrics/explanation/bands.csv")))
    low = bands[bands["hz"] < LOW_HZ].groupby("label")["share"].sum()
    found = {
        "clips": str(evaluation["clips"]),
        "speakers": str(evaluation["speakers"]),
        "auc3": f"{clip['roc_auc']:.3f}",
        "auc": f"{clip['roc_auc']:.2f}",
        "accuracy3": f"{clip['balanced_accuracy']:.3f}",
        "confounds3": f"{confounds['roc_auc']:.3f}",
        "confounds": f"{confounds['roc_auc']:.2f}",
        "refused": f"{refusal['refused']:.0%}",
        "natives_refused": f"{refusal['natives_refused']:.0%}",
        "error_answered": f"{refusal['error_of_answered']:.0%}",
        "error_all": f"{refusal['error_of_all']:.0%}",
        "fall_most": f"{deletion['log_odds_fall_most']:.2f}",
        "fall_random": f"{deletion['log_odds_fall_random']:.2f}",
        "most_beats_random": f"{deletion['clips_where_most_beats_random']:.0%}",
        "low_french": f"{low['french']:.0%}",
        "low_english": f"{low['english']:.0%}",
        "pairs": f"{practice['pairs_ordered_rightly']:.0%}",
        "unsure": str(practice["unsure"]),
        "takes": str(sum(practice["recordings"].values())),
    }
    for name, (first, last), form in (
        ("auc", interval["roc_auc"], ".2f"),
        ("accuracy", interval["balanced_accuracy"], ".2f"),
        ("confounds", confounds["roc_auc_95"], ".2f"),
        ("pairs", practice["interval"]["pairs_ordered_rightly"], ".0%"),
    ):
        found |= {f"{name}_low": format(first, form), f"{name}_high": format(last, form)}
    for name, change in audit["channels"].items():
        for part in ("flipped", "answered_flipped", "newly_refused"):
            share = change[part]
            found[f"{name}_{part}"] = "none is answered" if share is None else f"{share:.0%}"
    return found


def pattern(sentence: str) -> re.Pattern[str]:
    """A regular expression for a sentence with any figures in its fields."""
    parts = (re.escape(text) + (f"(?:{NUMBER})" if field else "") for text, field, *_ in Formatter().parse(sentence))
    return re.compile("".join(parts))


def wrong_figures(source: Callable[[str], str] = here) -> list[str]:
    """Sentences that a page does not have, or has with other figures than the metrics."""
    figures = measured(source)
    wrong = []
    for page, sentences in SENTENCES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        wrong += [f"{page}: {said}" for said in (each.format(**figures) for each in sentences) if said not in text]
    return wrong


def score_lines(clips: list[str]) -> dict[str, str]:
    """The line of the scorer's table for each clip, by the name of its file."""
    command = [sys.executable, "-m", "accent.score", *clips]
    environment = os.environ | {"COLUMNS": "120"}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: line.rstrip() for line in told.splitlines() if SHOWN.match(line)}


def main() -> None:
    figures = measured()
    has_model = (ROOT / "models" / "accent.safetensors").exists()
    for page, sentences in SENTENCES.items():
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        for sentence in sentences:
            said = sentence.format(**figures).replace("\\", r"\\")
            text, count = pattern(sentence).subn(said, text)
            if count != 1:
                print(f"{page}: {count} times instead of once: {sentence}")
        if has_model and SHOWN.search(text):
            names = [found[0].split()[0] for found in SHOWN.finditer(text)]
            clips = [CLIP.format(locale=name.split("_")[2], name=name.removesuffix(".mp3")) for name in names]
            lines = score_lines(clips)
            text = SHOWN.sub(lambda found, lines=lines: lines[found[0].split()[0]], text)
        path.write_text(text, encoding="utf-8")
    if has_model:
        command = [sys.executable, "-m", "accent.score", TAKE, "--plot", "docs/take.png"]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    run(main)
