"""Abstention: when the scorer says "unsure", with the reasons, their thresholds, and what to do about each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, NonNegativeFloat

from accent.core.errors import InputError
from accent.core.params import Fraction, params

QUALITY = ("speech_s", "snr_db", "clipped_fraction", "bandwidth_hz")  # what is checked of accent.audio.waveform.trim
TOO_CLOSE = "too close to call"
UNPROVEN = "unproven"  # a fault of the model and not of the take: it may give no verdicts

REASONS = {
    "silent": "no speech found: check that the right microphone is on",
    "too little speech": "only {found:.1f} s of speech: record at least {needed:.0f} s",
    "too many pauses": "only {found:.1f} s of speech, in scraps: speak on, without long pauses",
    "too noisy": "too noisy: the speech is {found:.0f} dB above the noise, {needed:.0f} are needed: record in a "
    "quieter place, or nearer to the microphone",
    "clipped": "clipped: {found:.1%} of the samples are at full scale: lower the recording level, or go back from the "
    "microphone",
    "muffled": "muffled: nothing above {found:,.0f} Hz, {needed:,.0f} are needed: use another microphone, and no "
    "telephone line or headset in telephone mode",
    "unlike speech": "unlike the voices that it knows, by {found:.2f} where 1 is allowed: record without music or "
    "another voice; if there was none, go nearer to the microphone, or use another one",
    TOO_CLOSE: "too close to call: record more, or another sentence",
    UNPROVEN: "unproven: this model has not been shown to tell the classes apart: train it on more voices",
}


@params
class ScoreParams:
    """The target class, and the thresholds beyond which a take is refused."""

    target: str
    min_speech_seconds: NonNegativeFloat
    min_snr_db: NonNegativeFloat
    max_clipped_fraction: Fraction
    min_bandwidth_hz: NonNegativeFloat
    typical_quantile: Annotated[float, Field(gt=0, le=1)]
    min_confidence: Fraction

    def check_target(self, classes: Sequence[str], where: Path | str) -> None:
        """Raise `InputError` where the target is none of a model's classes."""
        if self.target not in classes:
            raise InputError(f"{where}: score.target: no class {self.target!r}. The model's: {', '.join(classes)}")


class Refusal(NamedTuple):
    """Why a take is not judged: what was found, and what to aim for."""

    kind: str
    found: float = 0.0
    needed: float = 0.0

    def say(self) -> str:
        """The reason, and what to do about it."""
        return REASONS[self.kind].format(found=self.found, needed=self.needed)


def refusal(measures: dict, unlikeness: float, probability: float | None, params: ScoreParams) -> Refusal | None:
    """Why a take cannot be judged, or None.

    `measures` are those of `accent.audio.waveform.trim`; `unlikeness` is the distance from the training speech divided
    by the largest that is allowed; `probability` is that of the target class, None where no window could be
    heard.
    """
    speech, snr, clipped, bandwidth = (measures[name] for name in QUALITY)
    if not speech:
        return Refusal("silent")
    if speech < params.min_speech_seconds:
        return Refusal("too little speech", speech, 2 * params.min_speech_seconds)
    if probability is None:
        return Refusal("too many pauses", speech)
    if clipped > params.max_clipped_fraction:  # before the noise, since clipped speech has no quiet parts
        return Refusal("clipped", clipped, params.max_clipped_fraction)
    if snr < params.min_snr_db:
        return Refusal("too noisy", snr, params.min_snr_db)
    if bandwidth < params.min_bandwidth_hz:
        return Refusal("muffled", bandwidth, params.min_bandwidth_hz)
    if unlikeness > 1:
        return Refusal("unlike speech", unlikeness, 1.0)
    if max(probability, 1 - probability) < params.min_confidence:
        return Refusal(TOO_CLOSE)
    return None
