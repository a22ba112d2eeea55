"""The learner's page: record a take, see how native it sounds and where it does not. On this machine only.

python -m accent.app
"""

import argparse
import html
import io
import os
import re
import shutil
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from accent.audio.spectrogram import log_mel
from accent.audio.waveform import SAMPLE_RATE, decode_clip
from accent.core.errors import InputError, Reject
from accent.corpus.prompts import Prompts
from accent.evaluation.copies import score_range
from accent.page import phrases
from accent.page.align import align
from accent.scoring import refusal
from accent.scoring.picture import draw_pair, draw_take, draw_trend
from accent.scoring.scorer import UNSURE, Piece, Score, Scorer, Window
from accent.scoring.timeline import least_native, within

# Gradio reads these when it is imported: nothing is reported to its makers.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
import gradio as gr

QUIET_DBFS, LOUD_CLIPPED = -45, 0.001
NATIVES_SHOWN = 3
NO_SHARING = {"buttons": ["download"]}  # Gradio's own share button uploads to a server of its makers
CSS = """
.verdict { font-size: 1.5rem; font-weight: 600; }
.native { color: #1f7a3d; } .foreign { color: #b4530f; } .unsure { color: #8a6d00; }
.dark .native { color: #5fd08a; } .dark .foreign { color: #ffa463; } .dark .unsure { color: #ffd75e; }
.warning { font-weight: 600; }
"""


@dataclass
class Take:
    """One take of a session."""

    file: Path
    sentence: str
    score: Score
    piece: Piece
    low: float | None  # the range of scores of the same performance in other codecs and levels; None: not measured
    high: float | None

    @property
    def windows(self) -> list[Window]:
        """The windows of the piece, which is all of a take that is not longer than `decode.max_seconds`."""
        return within(self.score.windows, self.piece)


@dataclass(frozen=True)
class TimeAxis:
    """Where seconds are in a picture: pixel x shows `begin + x * step`."""

    begin: float
    step: float


def as_image(figure: Figure) -> Image.Image:
    """A figure as a picture with a transparent background."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file)


def time_axis(figure: Figure) -> TimeAxis | None:
    """That of a figure by `draw_take`, once it is drawn; None where it has no spectrogram."""
    if len(figure.axes) < 3:
        return None
    to_data = figure.axes[2].transData.inverted()
    (begin, _), (one, _) = to_data.transform([(0, 0), (1, 0)])
    return TimeAxis(float(begin), float(one - begin))


def sound(waveform: np.ndarray) -> tuple[int, np.ndarray]:
    """A waveform as Gradio plays it."""
    return SAMPLE_RATE, waveform


def stretch(take: Take, start_s: float, end_s: float) -> tuple[int, np.ndarray]:
    """The sound of a take between two moments."""
    first, last = (max(round((moment - take.piece.start_s) * SAMPLE_RATE), 0) for moment in (start_s, end_s))
    return sound(take.piece.waveform[first:last])


def make_take(scorer: Scorer, file: Path, sentence: str) -> Take:
    """Score a recording; raises `Reject` or `OSError` where it cannot be read."""
    score = scorer.score(file)
    piece = scorer.first_heard(file)
    low = high = None
    if score.probability is not None and score.measures["duration_s"] <= scorer.card.audio.max_seconds:
        low, high = score_range(scorer, piece.waveform, score.probability)
    return Take(file, sentence, score, piece, low, high)


class Page:
    """The page in one language. Its methods are what its buttons do: values of components in, values out."""

    def __init__(self, scorer: Scorer, prompts: Prompts | None, language: str) -> None:
        self.scorer, self.prompts = scorer, prompts
        self.target = scorer.reference.score.target
        self.say, self.reasons = {
            "en": (phrases.ENGLISH, refusal.ENGLISH),
            "fr": (phrases.FRENCH, refusal.FRENCH),
        }[language]

    def build(self) -> None:
        """Lay the components out, and connect them."""
        say = self.say
        gr.Navbar(main_page_name="English")
        takes = gr.State([])
        axis = gr.State(None)
        gr.Markdown(f"# {say['title']}\n{say['intro'].format(target=self.target)}")
        with gr.Row():
            with gr.Column(min_width=320):
                sentence = gr.Textbox(
                    self.next_sentence, label=say["sentence"], interactive=False, lines=2, elem_id="sentence"
                )
                another = gr.Button(say["another"], elem_id="another")
                with gr.Accordion(say["natives_of_it"], open=False, visible=self.prompts is not None):
                    natives = [
                        gr.Audio(label=f"{say['native']} {number + 1}", interactive=False, visible=False, **NO_SHARING)
                        for number in range(NATIVES_SHOWN)
                    ]
                recording = gr.Audio(
                    sources=["microphone", "upload"],
                    type="filepath",
                    label=say["take"],
                    elem_id="take",
                    editable=False,
                    **NO_SHARING,
                )
                verdict = gr.HTML(f"<p>{say['no_take']}</p>", elem_id="verdict")
            with gr.Column(min_width=320, scale=2):
                gr.Markdown(say["picture"])
                picture = self._image("picture", say["picture"])
                moments = gr.Radio([], label=say["moments"], elem_id="moments", visible=False)
                playing = gr.Audio(
                    label=say["stretch"],
                    interactive=False,
                    autoplay=True,
                    visible=False,
                    elem_id="stretch",
                    **NO_SHARING,
                )
                beside = gr.Markdown(say["beside"], visible=False)
                pair = self._image("pair", say["beside"], visible=False)
        with gr.Column():
            table = gr.Dataframe(
                headers=say["columns"], label=say["session"], interactive=False, wrap=True, elem_id="session"
            )
            trend_caption = gr.Markdown(say["trend"], visible=False)
            trend = self._image("trend", say["trend"], visible=False)
            with gr.Row():
                folder = gr.Textbox("takes", label=say["folder"], elem_id="folder")
                save = gr.Button(say["save"], elem_id="save")
            saved = gr.Markdown(elem_id="saved")

        results = [verdict, picture, axis, moments, playing, beside, pair, table, trend_caption, trend, takes]
        for event in (recording.stop_recording, recording.upload):
            event(self.score, [recording, sentence, takes], results, show_progress="minimal", api_visibility="private")
        another.click(self.next_sentence, None, sentence, api_visibility="private")
        sentence.change(self.native_recordings, sentence, natives, api_visibility="private")
        picture.select(self.play_at, [takes, axis], playing, api_visibility="private")
        moments.change(self.play_moment, [moments, takes], playing, api_visibility="private")
        save.click(self.save, [folder, takes], saved, api_visibility="private")

    def _image(self, name: str, caption: str, visible: bool = True) -> gr.Image:
        """A picture whose caption stands above it, where Gradio's label would lie on it."""
        return gr.Image(
            label=caption,
            alt_text=caption,
            show_label=False,
            interactive=False,
            format="png",
            image_mode="RGBA",
            elem_id=name,
            visible=visible,
            buttons=[],
        )

    def next_sentence(self) -> str:
        """Another sentence to read."""
        return self.prompts.draw(np.random.default_rng()) if self.prompts else self.say["no_sentences"]

    def native_recordings(self, sentence: str) -> list:
        """Players for the native recordings of a sentence."""
        found = self._natives(sentence, NATIVES_SHOWN)
        values = [sound(waveform) for waveform in found] + [None] * NATIVES_SHOWN
        return [gr.update(value=value, visible=value is not None) for value in values[:NATIVES_SHOWN]]

    def _natives(self, sentence: str, at_most: int) -> list[np.ndarray]:
        """Native recordings of a sentence that can be used: the corpus has others, which `decode` rejects."""
        found = []
        for _, audio in self.prompts.recordings(sentence, NATIVES_SHOWN) if self.prompts else []:
            if len(found) < at_most:
                with suppress(Reject):
                    found.append(decode_clip(audio, self.scorer.card.audio)[0])
        return found

    def score(self, file: str | None, sentence: str, takes: list[Take]) -> list:
        """All that there is to see of a new take."""
        if file is None:
            return [gr.skip()] * 12
        try:
            take = make_take(self.scorer, Path(file), sentence)
        except (Reject, OSError) as error:
            reason = str(error)
            text = self.say["cannot_read"].format(reason=self.say.get(reason.split(":")[0], reason))
            hidden = gr.update(value=None, visible=False)
            none = gr.update(choices=[], value=None, visible=False)
            message = f'<p class="warning" role="alert">{html.escape(text)}</p>'
            unseen = gr.update(visible=False)
            return [message, None, None, none, hidden, unseen, hidden, *[gr.skip()] * 4, takes]
        takes = [*takes, take]
        figure = draw_take(self.scorer, take.piece, take.score, "")
        image = as_image(figure)
        choices = self._moments(take)
        pair = self._pair(take)
        return [
            self.verdict(take),
            image,
            time_axis(figure),
            gr.update(choices=choices, value=None, visible=bool(choices)),
            gr.update(value=None, visible=False),
            gr.update(visible=pair is not None),
            gr.update(value=pair, visible=pair is not None),
            gr.update(value=self._rows(takes)),
            gr.update(visible=len(takes) > 1),
            gr.update(value=as_image(draw_trend(takes, self.target)), visible=len(takes) > 1),
            takes,
        ]

    def verdict(self, take: Take) -> str:
        """The verdict in words, as HTML."""
        score, say = take.score, self.say
        kind = {UNSURE: "unsure", self.target: "native"}.get(score.verdict, "foreign")
        text = self._verdict(score)
        lines = [f'<p class="verdict {kind}" role="status">{html.escape(text)}</p>']
        if score.refused:
            lines.append(f'<p class="warning">{html.escape(score.refused.say(self.reasons))}</p>')
        else:
            numbers = {"low": score.native_low, "high": score.native_high, "percentile": score.percentile}
            text = say["score"].format(target=html.escape(self.target), probability=score.probability, **numbers)
            lines.append(f"<p>{text}</p>")
            if take.low is not None:
                lines.append(f"<p>{say['same'].format(low=take.low, high=take.high)}</p>")
        measures = score.measures
        quality = say["quality"].format(
            speech=score.speech_s, loudness=measures["loudness_dbfs"], snr=measures["snr_db"]
        )
        lines.append(f"<p>{quality}</p>")
        if measures["loudness_dbfs"] < QUIET_DBFS:
            lines.append(f'<p class="warning">{say["quiet"]}</p>')
        elif measures["clipped_fraction"] > LOUD_CLIPPED:
            lines.append(f'<p class="warning">{say["loud"]}</p>')
        return "\n".join(lines)

    def _verdict(self, score: Score) -> str:
        key = {UNSURE: "unsure", self.target: "sounds"}.get(score.verdict, "does_not")
        return self.say[key].format(target=self.target)

    def _moments(self, take: Take) -> list[tuple[str, str]]:
        text = self.say["moment"]
        found = least_native(take.windows)
        return [
            (text.format(start=start, end=end, probability=probability), f"{start} {end}")
            for start, end, probability in found
        ]

    def play_moment(self, moment: str | None, takes: list[Take]) -> dict:
        """The stretch that was chosen."""
        if not moment or not takes:
            return gr.update(value=None, visible=False)
        start, end = map(float, moment.split())
        return gr.update(value=stretch(takes[-1], start, end), visible=True)

    def play_at(self, takes: list[Take], axis: TimeAxis | None, event: gr.SelectData) -> dict:
        """The window whose middle is nearest to where the picture was clicked."""
        if not takes or axis is None or not takes[-1].windows:
            return gr.update(value=None, visible=False)
        seconds = axis.begin + event.index[0] * axis.step
        windows = takes[-1].windows
        nearest = min(windows, key=lambda window: abs((window.start_s + window.end_s) / 2 - seconds))
        return gr.update(value=stretch(takes[-1], nearest.start_s, nearest.end_s), visible=True)

    def _pair(self, take: Take) -> Image.Image | None:
        natives = self._natives(take.sentence, 1) if len(take.piece.waveform) else []
        if not natives:
            return None
        native = log_mel(natives[0], self.scorer.card.spectrogram)
        aligned = native[align(take.piece.spectrogram, native)]
        return as_image(draw_pair(take.piece.spectrogram, aligned, self.scorer.card))

    def _rows(self, takes: list[Take]) -> list[list]:
        return [
            [
                number,
                "" if take.score.refused else f"{take.score.probability:.0%}",
                "" if take.score.refused or take.low is None else f"{take.low:.0%} - {take.high:.0%}",
                self._verdict(take.score),
                take.sentence,
            ]
            for number, take in enumerate(takes, 1)
        ]

    def save(self, folder: str, takes: list[Take]) -> str:
        """Copy the session's recordings and a table of them to a folder."""
        if not takes:
            return self.say["nothing"]
        try:
            return self.say["saved"].format(count=len(takes), folder=save_takes(Path(folder), takes))
        except OSError as error:
            return f"`{folder}`: {error.strerror or error}"


def save_takes(folder: Path, takes: list[Take]) -> Path:
    """Write a session's recordings and `takes.csv` into a new folder inside `folder`, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    earlier = [re.fullmatch(r"session-(\d+)", path.name) for path in folder.iterdir()]
    number = 1 + max((int(match[1]) for match in earlier if match), default=0)
    session = folder / f"session-{number:03d}"
    session.mkdir()
    rows = []
    for number, take in enumerate(takes, 1):
        name = f"take-{number:03d}{take.file.suffix}"
        shutil.copy(take.file, session / name)
        score = take.score
        rows.append([name, take.sentence, score.verdict, score.reason, score.probability, take.low, take.high])
    columns = ["file", "sentence", "verdict", "reason", "probability", "lowest_of_copies", "highest_of_copies"]
    pd.DataFrame(rows, columns=columns).to_csv(session / "takes.csv", index=False)
    return session


def build_page(scorer: Scorer, prompts: Prompts | None) -> gr.Blocks:
    """The page in English, and in French under /fr."""
    with gr.Blocks(title="Accent", analytics_enabled=False) as page:
        Page(scorer, prompts, "en").build()
    with page.route("Français", "/fr"):
        Page(scorer, prompts, "fr").build()
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the learner's page on this machine.")
    parser.add_argument("--model", type=Path, default=Path("models"), help="folder of the model (default: models)")
    parser.add_argument("--clips", type=Path, default=Path("data/clips"), help="clips with sentences to read")
    parser.add_argument("--port", type=int, default=7860, choices=range(1, 65536), metavar="1-65535")
    args = parser.parse_args()

    scorer = Scorer.load(args.model)
    try:
        prompts = Prompts(args.clips, scorer.reference.score.target)
    except InputError as error:
        print(f"no sentences to read: {error}")
        prompts = None
    for name in ("SIGTERM", "SIGHUP"):  # so that what follows is tidied up then, too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    # Gradio keeps recordings in a folder while the page runs; it is gone afterwards.
    with tempfile.TemporaryDirectory(prefix="accent-") as temporary:
        os.environ["GRADIO_TEMP_DIR"] = temporary
        for name in ("no_proxy", "NO_PROXY"):  # Gradio asks the page whether it is there
            os.environ[name] = ",".join([*filter(None, [os.environ.get(name)]), "127.0.0.1"])
        page = build_page(scorer, prompts)
        fonts = ["system-ui", "sans-serif"]  # Gradio's own would be fetched from Google
        try:
            page.launch(
                server_name="127.0.0.1",
                server_port=args.port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                footer_links=[],
                run_history=False,
                ssr_mode=False,
                css=CSS,
                theme=gr.themes.Default(font=fonts, font_mono=["monospace"]),
            )
        except OSError:
            raise InputError(f"--port: {args.port} is in use, or not for you to use. Name another") from None
        print(f"Accent is at http://127.0.0.1:{args.port} (in French: /fr). Ctrl-C stops it.", flush=True)
        page.block_thread()
