"""Each change of a recording does what its name says, and the shares are counted as they are described."""

import io

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from scipy.signal import welch

from accent.audio.reencode import CHANGES, MP3_RATES, decoded, mp3
from accent.core.errors import InputError
from accent.corpus.recordings import draw_audio
from accent.evaluation.robustness import UNTOUCHED, score_changes, stability
from accent.scoring.scorer import Scorer
from tests.helpers import sample_clips

pytestmark = pytest.mark.slow

RATE = 32000  # of the sample's clips
BIT_RATES = {  # kb/s by the header's index: ISO 11172-3, 2.4.2.3, and ISO 13818-3 for sample rates below 32 kHz
    True: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    False: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
}


def frame_kbps(data: bytes) -> set[int]:
    """The bit rates that the headers of an MP3 file's frames state, each frame found from the one before."""
    found, place = set(), 0
    while place + 4 <= len(data):
        header = int.from_bytes(data[place : place + 4], "big")
        assert header >> 21 == 0x7FF, f"no frame at byte {place}"
        version = header >> 19 & 3  # 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
        rate = [44100, 48000, 32000][header >> 10 & 3] // {3: 1, 2: 2, 0: 4}[version]
        kbps = BIT_RATES[version == 3][header >> 12 & 15]
        found.add(kbps)
        place += (144 if version == 3 else 72) * kbps * 1000 // rate + (header >> 9 & 1)
    return found


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return decoded(sample_clips("fr")[0].read_bytes())[0]


def changed(name: str, waveform: np.ndarray, rate: int = RATE) -> tuple[np.ndarray, int]:
    return decoded(CHANGES[name](waveform, rate, np.random.default_rng(1)))


def power_db(waveform: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(waveform, dtype=np.float64)))


@pytest.mark.parametrize("kbps", [32, 64])
@pytest.mark.parametrize("rate", MP3_RATES)
def test_every_frame_of_an_mp3_has_the_bit_rate_at_every_sample_rate(tone, rate, kbps):
    data = mp3(tone(440, 0.5, rate), rate, kbps)
    assert frame_kbps(data) == {kbps}
    assert sf.info(io.BytesIO(data)).samplerate == rate


def test_a_sample_rate_that_a_codec_has_not_becomes_the_next_higher(speech):
    assert changed("mp3_32_kbps", speech, 31000)[1] == 32000
    assert changed("mp3_64_kbps", speech, 96000)[1] == 48000
    assert changed("opus", speech, RATE)[1] == 48000


@pytest.mark.parametrize("name", ["mp3_32_kbps", "mp3_64_kbps", "opus"])
def test_codecs_change_the_samples_and_keep_the_recording(speech, name):
    waveform, rate = changed(name, speech)
    assert len(waveform) / rate == pytest.approx(len(speech) / RATE, abs=0.1)
    assert power_db(waveform) == pytest.approx(power_db(speech), abs=1)
    subtype = sf.info(io.BytesIO(CHANGES[name](speech, RATE, np.random.default_rng(1)))).subtype
    assert subtype == ("OPUS" if name == "opus" else "MPEG_LAYER_III")


def test_levels(tone, speech):
    quieter, _ = changed("quieter_10_db", speech)
    np.testing.assert_allclose(quieter, speech * 10**-0.5, atol=1e-4)
    quiet = tone(440, 1, RATE) * 0.2  # peak 0.1
    assert power_db(changed("louder_10_db", quiet)[0]) == pytest.approx(power_db(quiet) + 10, abs=0.01)
    loud, _ = changed("louder_10_db", tone(440, 1, RATE))  # peak 0.5, which would be 1.58
    assert np.abs(loud).max() == pytest.approx(1, abs=1e-4)
    assert np.mean(np.abs(loud) > 0.99) > 0.4


def test_the_low_pass_leaves_nothing_above_4_khz_and_the_rest_as_it_was():
    white = 0.1 * np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    hz, before = welch(white, RATE, nperseg=1024)
    _, after = welch(changed("lowpass_4_khz", white)[0], RATE, nperseg=1024)
    gain = 10 * np.log10(after / before)
    assert gain[hz > 4100].max() < -50
    assert np.abs(gain[(hz > 100) & (hz < 3000)]).max() < 0.5
    narrow = white[:8000]
    np.testing.assert_allclose(changed("lowpass_4_khz", narrow, 8000)[0], narrow, atol=1e-4)  # nothing is above it


@pytest.mark.parametrize("rate", [16000, 48000])
def test_the_noise_is_white_and_20_db_below_the_recording_where_it_is_listened_to(tone, rate):
    clean = tone(440, 4, rate)
    noise = changed("noise_20_db", clean, rate)[0] - clean
    hz, density = welch(noise, rate, nperseg=512)
    heard = density[hz <= 8000].sum() * hz[1]
    assert 10 * np.log10(heard) == pytest.approx(power_db(clean) - 20, abs=0.3)
    bands = [density[(hz > low) & (hz <= low + 2000)].mean() for low in range(0, rate // 2 - 2000, 2000)]
    assert max(bands) / min(bands) < 1.2


def test_a_second_of_silence_stands_in_front(speech):
    waveform, rate = changed("silence_1_s", speech)
    assert rate == RATE
    assert not waveform[:RATE].any()
    np.testing.assert_allclose(waveform[RATE:], speech, atol=1e-4)


def test_shares_are_of_the_clips_that_they_are_said_to_be_of():
    """Clip a is answered; b comes to be refused, and flips; c was refused before; d cannot be heard after it."""
    rows = [(clip, UNTOUCHED, p, r) for clip, p, r in zip("abcd", (0.9, 0.6, 0.2, 0.8), (0, 0, 1, 0), strict=True)]
    for change in CHANGES:
        after = zip("abcd", (0.8, 0.4, 0.2, np.nan), (0, 1, 1, 1), strict=True)
        rows += [(clip, change, p, r) for clip, p, r in after]
    scores = pd.DataFrame(rows, columns=["clip_id", "change", "probability", "refused"])
    found = stability(scores)
    assert set(found) == set(CHANGES)
    assert found["opus"]["clips"] == 3
    assert found["opus"]["mean_change"] == pytest.approx(0.1)
    assert found["opus"]["p95_change"] == pytest.approx(0.19)
    assert found["opus"]["flipped"] == pytest.approx(1 / 3)
    assert found["opus"]["answered_flipped"] == 0
    assert found["opus"]["newly_refused"] == pytest.approx(2 / 3)
    nothing = stability(scores.assign(probability=np.nan, refused=True))["opus"]
    assert nothing.pop("clips") == 0
    assert set(nothing.values()) == {None}


@pytest.fixture
def clips(trained) -> pd.DataFrame:
    index = pd.read_parquet(trained / "data" / "waveforms" / "index.parquet")
    return index[index["label"] == "french"]


def test_scores_are_those_of_a_take_and_the_same_for_any_number_of_workers(trained, clips, monkeypatch, tmp_path):
    drawn = draw_audio(trained / "data" / "clips", clips, 2, seed=1)
    threads = torch.get_num_threads()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    one = score_changes(drawn, trained / "models", seed=1)
    torch.set_num_threads(threads)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    pd.testing.assert_frame_equal(one, score_changes(drawn, trained / "models", seed=1), check_exact=True)
    assert list(one["change"]) == [UNTOUCHED, *CHANGES] * 2
    scorer = Scorer.load(trained / "models", grades=False)
    for clip_id, audio in drawn.itertuples(index=False):
        take = tmp_path / f"{clip_id}.mp3"
        take.write_bytes(audio)
        untouched = one[(one["clip_id"] == clip_id) & (one["change"] == UNTOUCHED)].iloc[0]
        assert scorer.score(take).probability == pytest.approx(untouched["probability"], abs=1e-5)
        assert (scorer.score(take).refused is not None) == untouched["refused"]


def test_the_clips_are_drawn_by_the_seed_and_untouched(trained, clips):
    folder = trained / "data" / "clips"
    drawn = draw_audio(folder, clips, 5, seed=1)
    assert len(drawn) == 5
    pd.testing.assert_frame_equal(drawn, draw_audio(folder, clips.sample(frac=1, random_state=1), 5, seed=1))
    assert set(drawn["clip_id"]) != set(draw_audio(folder, clips, 5, seed=2)["clip_id"])
    assert len(draw_audio(folder, clips, 1000, seed=1)) == len(clips)
    originals = {path.stem: path for path in sample_clips("fr")}
    for clip_id, audio in drawn.itertuples(index=False):
        assert originals[clip_id].read_bytes() == audio


def test_parts_that_do_not_have_the_clips_are_named(trained, clips, tmp_path):
    with pytest.raises(InputError, match=r"part-\d+\.parquet: missing or damaged"):
        draw_audio(tmp_path, clips, 1, seed=1)
    with pytest.raises(InputError, match=r"part-00000\.parquet: 1 of the test clips are not in it"):
        draw_audio(trained / "data" / "clips", clips[:1].assign(clip_id="another", part=0), 1, seed=1)
