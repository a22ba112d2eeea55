"""The report's clips: which ones tell most about a model, and a card of each with its recording and its picture."""

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from pydantic import PositiveInt
from torch import nn
from tqdm import tqdm

from accent.core.errors import InputError
from accent.core.params import params
from accent.corpus.splits import PROBE
from accent.evaluation.predictions import probability_columns
from accent.network.model import ModelCard
from accent.scoring.explain import attributions
from accent.scoring.picture import CLIP_BOX, draw_clip
from accent.scoring.style import drawing

TEMPLATES = Path(__file__).parent / "templates"
MAX_BYTES = 20_000_000  # of the page: browsers open more slowly, and mail and forges refuse it
HASH_CHARACTERS = 10  # of a speaker's 128: no two of a corpus share them
MIME_TYPES = {"MP3": "audio/mpeg", "OGG": "audio/ogg", "WAV": "audio/wav", "WAVEX": "audio/wav", "FLAC": "audio/flac"}
UNKNOWN_TYPE = "application/octet-stream"  # browsers then look at the content themselves (HTML, "MIME types")
OTHERS = ("verdict", "interval", "clips_of", "speakers_of")  # that have no column in a table
FILE_NAME = re.compile(r"[a-z0-9 ]*")  # the sample's prompts have the names of their files for sentences
SHOWN = {  # column: name, unit, by what it is multiplied, decimals
    "probability": ("probability", "%", 100, 1),
    "duration_s": ("duration", "s", 1, 1),
    "speech_s": ("speech", "s", 1, 1),
    "snr_db": ("signal to noise", "dB", 1, 1),
    "loudness_dbfs": ("loudness", "dBFS", 1, 1),
    "clipped_fraction": ("clipped", "%", 100, 2),
    "bandwidth_hz": ("bandwidth", "Hz", 1, 0),
    "source_rate_hz": ("sample rate", "Hz", 1, 0),
    "up_votes": ("votes for", "", 1, 0),
    "down_votes": ("votes against", "", 1, 0),
}


@params
class ReportParams:
    clips: PositiveInt


def choose_clips(predictions: pd.DataFrame, classes: list[str], clips: int) -> pd.DataFrame:
    """The wrong and surest, the unsurest, and the right and surest clips, `clips` of each and in that order.

    Then the surest of each probe, whose label is no class, so that they are neither right nor wrong. The columns of
    `predictions`, and `probability` (of the predicted class), `outcome` (wrong, right or "") and `unsure` (whether it
    is one of the unsurest). A clip that belongs in two of the lists stands in the first.
    """
    rows = predictions.assign(
        probability=predictions[probability_columns(classes)].max(axis=1),
        outcome=(predictions["predicted"] == predictions["label"]).map({True: "right", False: "wrong"}),
    ).sort_values("clip_id")
    rows.loc[rows["split"] == PROBE, "outcome"] = ""
    surest = rows.sort_values("probability", ascending=False, kind="stable")
    unsurest = rows[rows["outcome"] != ""].sort_values("probability", kind="stable").head(clips)
    lists = [
        surest[surest["outcome"] == "wrong"].head(clips),
        unsurest,
        surest[surest["outcome"] == "right"].head(clips),
        *(probe.head(clips) for _, probe in surest[surest["outcome"] == ""].groupby("label")),
    ]
    chosen = pd.concat(lists)
    chosen["unsure"] = chosen.index.isin(unsurest.index)
    return chosen[~chosen.index.duplicated()]


def audio_type(audio: bytes) -> str:
    """The MIME type of a recording, by its content."""
    try:
        return MIME_TYPES.get(sf.info(io.BytesIO(audio)).format, UNKNOWN_TYPE)
    except sf.LibsndfileError:
        return UNKNOWN_TYPE


def data_uri(content: bytes, mime_type: str) -> str:
    """A file's content as an address that needs no file."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def line_picture(figure: Figure) -> str:
    """A figure of lines as the address of an SVG picture, the same on every run."""
    file = io.BytesIO()
    with drawing({"svg.hashsalt": "accent"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return data_uri(file.getvalue(), "image/svg+xml")


def shaded_picture(figure: Figure) -> str:
    """A figure of shades as the address of a WebP picture, a fifth of the size of the PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="webp", pil_kwargs={"quality": 70})
    return data_uri(file.getvalue(), "image/webp")


def make_card(clip: dict, audio: bytes, figure: Figure, start_s: float, end_s: float) -> dict:
    """What the page shows of a clip: its row, as `choose_clips` and the waveforms' index have it, and the addresses.

    `figure` shows the seconds from `start_s` to `end_s` of the recording.
    """
    return {
        **clip,
        "speaker": clip["client_id"][:HASH_CHARACTERS],
        "says": "" if FILE_NAME.fullmatch(clip["sentence"] or "") else clip["sentence"],
        "measures": {
            column: round(float(clip[column]) * factor, decimals) + 0.0  # no -0
            for column, (_, _, factor, decimals) in SHOWN.items()
        },
        "audio": data_uri(audio, audio_type(audio)),
        "picture": shaded_picture(figure),
        "start_s": round(start_s, 3),
        "end_s": round(end_s, 3),
    }


def make_cards(
    chosen: pd.DataFrame,
    spectrograms: Sequence[np.ndarray],
    recordings: Mapping[str, bytes],
    model: nn.Module,
    card: ModelCard,
    target: int,
) -> list[dict]:
    """The cards of clips, each with its spectrogram and what in it speaks for class number `target`."""
    cards = []
    clips = tqdm(chosen.to_dict("records"), unit="clip", desc="report", mininterval=1)
    for clip, spectrogram in zip(clips, spectrograms, strict=True):
        added = attributions(model, card, target, spectrogram)
        start_s = max(clip["leading_silence_s"] - card.audio.margin_seconds, 0)
        end_s = start_s + card.spectrogram.seconds_of(len(spectrogram))
        figure = draw_clip(spectrogram, card, start_s, added)
        cards.append(make_card(clip, recordings[clip["clip_id"]], figure, start_s, end_s))
    return cards


def confusion_table(rows: pd.DataFrame, classes: list[str]) -> dict[str, dict[str, int]]:
    """Clips by actual and predicted class, from the rows of `accent.evaluation.curves.confusion`."""
    counts = pd.crosstab(rows["actual"], rows["predicted"]).reindex(index=classes, columns=classes, fill_value=0)
    return counts.astype(int).T.to_dict()


def beside(numbers: dict, intervals: dict) -> dict:
    """Numbers with their 95% intervals under the name and `_95`, as tables on the page have them."""
    return numbers | {f"{name}_95": bounds for name, bounds in intervals.items()}


def subgroup_tables(rows: pd.DataFrame) -> dict[str, dict[str, dict]]:
    """A table for each dimension of the rows of `accent.evaluation.groups.subgroups`, a row for each of its values."""
    tables = {}
    for row in rows.fillna({"too_few": ""}).astype(object).where(rows.notna(), None).to_dict("records"):
        bounds = {name: (row.pop(f"{name}_low"), row.pop(f"{name}_high")) for name in ("error", "roc_auc")}
        known = {name: pair for name, pair in bounds.items() if None not in pair}
        dimension, value = row.pop("dimension"), row.pop("value")
        tables.setdefault(dimension, {})[value] = beside(row, known)
    return tables


def columns_of(table: dict[str, dict]) -> list[str]:
    """The names of what any row of a table has, in the order in which they appear; words only where there are any."""
    names = dict.fromkeys(name for row in table.values() for name, value in row.items() if value != "")
    return [name for name in names if not name.endswith("_95") and name not in OTHERS]


def number(value: float | str | None) -> str:
    """A number for reading: counts whole, all else with three decimals; a dash for none, and words as they are."""
    if value is None or value != value:
        return "\N{EN DASH}"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def interval(bounds: list[float] | None) -> str:
    """A 95% interval for reading, or nothing where there is none."""
    return f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else ""


def sentence(text: str) -> str:
    """A clause as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}."


def render(**page: object) -> str:
    """The page. Everything in `page` is shown as text, whatever is in it; only the template's own script may run.

    Raises `InputError` for a page of more than `MAX_BYTES`.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "interval": interval, "columns": columns_of, "sentence": sentence}
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    votes = {(card["up_votes"], card["down_votes"]) for card in page["cards"]}
    html = environment.get_template("report.html").render(
        **page,
        beside=beside,
        measures={name: it for name, it in SHOWN.items() if len(votes) > 1 or not name.endswith("_votes")},
        votes_differ=len(votes) > 1,  # else they say nothing
        box=CLIP_BOX,
        script=script,
        script_hash=script_hash,
    )
    size = len(html.encode())
    if size > MAX_BYTES:
        raise InputError(
            f"the report's page: {size / 1e6:,.1f} MB, at most {MAX_BYTES / 1e6:,.0f} MB are allowed. "
            f"Lower report.clips in params.yaml: {len(page['cards']):,} clips are listed now"
        )
    return html
