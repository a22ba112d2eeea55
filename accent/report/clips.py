"""The report's clips: which ones tell most about a model, and a card of each with its recording and its picture."""

import base64
import io
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import soundfile as sf
from matplotlib.figure import Figure
from pydantic import PositiveInt
from torch import nn
from tqdm import tqdm

from accent.core.params import params
from accent.corpus.splits import PROBE
from accent.evaluation.predictions import probability_columns
from accent.network.model import ModelCard
from accent.scoring.explain import attributions
from accent.scoring.picture import draw_clip

HASH_CHARACTERS = 10  # of a speaker's 128: no two of a corpus share them
MIME_TYPES = {"MP3": "audio/mpeg", "OGG": "audio/ogg", "WAV": "audio/wav", "WAVEX": "audio/wav", "FLAC": "audio/flac"}
UNKNOWN_TYPE = "application/octet-stream"  # browsers then look at the content themselves (HTML, "MIME types")
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


def describe_clips(chosen: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """The clips of `choose_clips` with what the index of the waveforms, `measures`, has of them beside."""
    others = measures.columns.difference(chosen.columns, sort=False).union(["clip_id"], sort=False)
    return chosen.merge(measures[others], on="clip_id", validate="one_to_one")


def audio_type(audio: bytes) -> str:
    """The MIME type of a recording, by its content."""
    try:
        return MIME_TYPES.get(sf.info(io.BytesIO(audio)).format, UNKNOWN_TYPE)
    except sf.LibsndfileError:
        return UNKNOWN_TYPE


def data_uri(content: bytes, mime_type: str) -> str:
    """A file's content as an address that needs no file."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


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
