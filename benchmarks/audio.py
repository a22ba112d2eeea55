"""From encoded clips to spectrograms: our stages beside the experiment's way, other libraries, and the bare decoder.

    python -m benchmarks.audio [RELEASES]

Everything runs on one core, over the same clips, in one process but for ffmpeg's; RELEASES (default: data/sample) is a
folder of Common Voice releases. Prints clips a second, the ratios, and the bytes that a clip takes on disk.
"""

import argparse
import io
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import soundfile as sf
import torch
from scipy.io import wavfile
from scipy.signal import spectrogram as scipy_spectrogram

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import SAMPLE_RATE, DecodeParams
from accent.core.errors import run
from accent.core.params import load_params
from accent.core.parts import part_name
from benchmarks.usage import stage_usage
from stages.decode import decode_part
from stages.spectrogram import spectrogram_part

mpl.use("Agg")
REPEATS = 3
DECODE, SPECTROGRAM = load_params("decode", DecodeParams), load_params("spectrogram", SpectrogramParams)


def ours(parts: list[Path], folder: Path) -> int:
    """The decode and spectrogram stages, part by part, files written."""
    clips = 0
    waveforms, spectrograms = folder / "waveforms", folder / "spectrograms"
    for place in (waveforms, spectrograms):
        place.mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        rows, rejects = decode_part(part, waveforms / part_name(number, "npy"), DECODE)
        spectrogram_part(rows, spectrograms / part_name(number, "npy"), waveforms, SPECTROGRAM)
        clips += len(rows) + len(rejects)
    return clips


def the_experiment(paths: list[Path], folder: Path) -> int:
    """ffmpeg to a WAV file, scipy's spectrogram, a picture by matplotlib."""
    import matplotlib.pyplot as plt

    for path in paths:
        wav = folder / f"{path.stem}.wav"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", path, wav], check=True)
        rate, samples = wavfile.read(wav)
        frequencies, times, power = scipy_spectrogram(samples, rate)
        plt.pcolormesh(times, frequencies, 10 * np.log10(power + 1e-10))
        plt.axis("off")
        plt.savefig(folder / f"{path.stem}.png", bbox_inches="tight")
        plt.close()
    return len(paths)


def hugging_face(paths: list[Path], folder: Path) -> int:
    """datasets' Audio feature, which decodes with torchcodec, and torchaudio's MelSpectrogram in a map."""
    from datasets import Audio, Dataset
    from torchaudio.transforms import MelSpectrogram

    sizes = {"n_fft": SPECTROGRAM.n_fft, "hop_length": SPECTROGRAM.hop_length, "n_mels": SPECTROGRAM.n_mels}
    mel = MelSpectrogram(SAMPLE_RATE, **sizes)

    def features(row: dict) -> dict:
        samples = row["audio"].get_all_samples().data
        return {"mel": (mel(samples.mean(dim=0)) + 1e-10).log10().numpy()}

    rows = Dataset.from_dict({"audio": [str(path) for path in paths]}).cast_column(
        "audio", Audio(sampling_rate=SAMPLE_RATE)
    )
    done = rows.map(features, remove_columns="audio", cache_file_name=str(folder / f"mel-{time.time_ns()}.arrow"))
    return len(done)


def lhotse_features(paths: list[Path], folder: Path) -> int:
    """lhotse's own filter banks of as many bands, resampled first, one file a clip."""
    from lhotse import CutSet, Fbank, FbankConfig, NumpyFilesWriter, Recording

    cuts = CutSet.from_cuts(Recording.from_file(path).to_cut().resample(SAMPLE_RATE) for path in paths)
    extractor = Fbank(FbankConfig(sampling_rate=SAMPLE_RATE, num_filters=SPECTROGRAM.n_mels))
    done = cuts.compute_and_store_features(
        extractor, folder / f"lhotse-{time.time_ns()}", storage_type=NumpyFilesWriter
    )
    return sum(1 for _ in done)


def on_the_fly(paths: list[Path], folder: Path) -> int:
    """What a fastai data loader of files does for every clip in every epoch: decode, resample, mel."""
    from fastai.data.core import TfmdDL, TfmdLists
    from torchaudio.functional import resample
    from torchaudio.transforms import MelSpectrogram
    from torchcodec.decoders import AudioDecoder

    sizes = {"n_fft": SPECTROGRAM.n_fft, "hop_length": SPECTROGRAM.hop_length, "n_mels": SPECTROGRAM.n_mels}
    mel = MelSpectrogram(SAMPLE_RATE, **sizes)

    def window(path: Path) -> torch.Tensor:
        samples = AudioDecoder(path).get_all_samples()
        frames = mel(resample(samples.data.mean(dim=0), samples.sample_rate, SAMPLE_RATE))
        return torch.nn.functional.pad(frames, (0, 150))[:, :150]

    return sum(len(batch) for batch in TfmdDL(TfmdLists(paths, window), bs=32, num_workers=0))


def bare_decode(parts: list[Path], folder: Path) -> int:
    """The floor: libsndfile's samples of every clip, and nothing done with them."""
    clips = [audio for part in parts for audio in pq.read_table(part, columns=["audio"])["audio"].to_pylist()]
    for audio in clips:
        sf.read(io.BytesIO(audio), dtype="float32")
    return len(clips)


def bytes_a_clip(folder: Path, clips: int) -> float:
    """Mean size on disk."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / clips


def clips_a_second(function: Callable[[list[Path], Path], int], inputs: list[Path], repeats: int = REPEATS) -> float:
    """The best of several runs, after one to warm up."""
    best = 0.0
    with tempfile.TemporaryDirectory() as folder:
        function(inputs[:1], Path(folder))
        for _ in range(repeats):
            began = time.perf_counter()
            count = function(inputs, Path(folder))
            best = max(best, count / (time.perf_counter() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path, nargs="?", default=Path("data/sample"))
    releases = parser.parse_args().releases
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage_usage("ingest", releases, "data/exclusions.csv", folder / "clips")
        parts = sorted((folder / "clips").glob("part-*.parquet"))
        rows = pd.concat([pd.read_parquet(part, columns=["locale", "path"]) for part in parts])
        found = {path.name: path for path in releases.rglob("clips/*")}
        paths = [found[name] for name in rows["path"]]
        some = paths[:: max(len(paths) // 40, 1)]  # of every kind: it takes long
        rates = {
            "ours: decode and spectrogram stages": clips_a_second(ours, parts),
            "the experiment: ffmpeg, scipy, matplotlib PNG": clips_a_second(the_experiment, some, repeats=1),
            "datasets, torchcodec, torchaudio": clips_a_second(hugging_face, paths),
            "lhotse, filter banks": clips_a_second(lhotse_features, paths),
            "fastai, torchcodec, torchaudio, on the fly": clips_a_second(on_the_fly, paths),
            "libsndfile, decoding alone": clips_a_second(bare_decode, parts),
        }
        os.sched_setaffinity(0, cores)
        print(f"{len(paths)} clips of {releases}, one core")
        best = next(iter(rates.values()))
        for name, rate in rates.items():
            print(f"{name:48} {rate:8.1f} clips/s   ours is {best / rate:6.1f} times as fast")
        stage_usage("decode", folder / "clips", folder / "waveforms")
        stage_usage("spectrogram", folder / "waveforms", folder / "spectrograms")
        with tempfile.TemporaryDirectory() as pictures:
            count = the_experiment(some, Path(pictures))
            print(f"bytes a clip: WAV and PNG of the experiment {bytes_a_clip(Path(pictures), count):,.0f}")
        for name in ("clips", "waveforms", "spectrograms"):
            print(f"bytes a clip: {name} {bytes_a_clip(folder / name, len(paths)):,.0f}")


if __name__ == "__main__":
    run(main)
