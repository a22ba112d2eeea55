"""Small trunks, all with the same small budget, to compare what needs a trunk of its own: width and highest frequency.

    python -m benchmarks.trunks SPEECH TEACHER FOLDER [--clips 10] [--windows 60000] [--only NAME ...]

SPEECH holds releases of unlabelled speech and TEACHER the teacher's weights, as in docs/pretraining.md; `--clips` of
each locale are heard. Writes a trunk for each of `TRUNKS` into FOLDER, which `benchmarks.folds --trunks FOLDER` reads,
and prints what it explains of the teacher's frames and how many windows a second of CPU time it learnt from. These
trunks are no match for the shipped one, which learnt from fifty times as many windows.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
import yaml

from accent.audio.spectrogram import SpectrogramParams
from accent.core.errors import run
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.network.trunk import save_trunk
from accent.pretraining.distil import DistilParams, make_student_learner
from accent.pretraining.lessons import hold_out, lesson_dls, teach
from accent.pretraining.teacher import TeachParams, load_teacher
from accent.training.checkpoint import Checkpoint
from accent.training.learner import fit
from accent.training.precision import choose_precision
from benchmarks.usage import ROOT, stage_usage

TRUNKS: dict[str, tuple[dict, dict]] = {  # changes of distil, changes of spectrogram
    "width-32": ({}, {}),
    "width-64": ({"width": 64}, {}),
    "fmax-8000": ({}, {"fmax_hz": 8000.0}),
    "width-32-float32": ({"precision": "float32"}, {}),
}
EPOCHS, BATCH_SIZE, CONTEXT_SECONDS = 10, 128, 8


def read_speech(speech: Path, folder: Path, clips: int) -> None:
    """`ingest` and `decode` of so many clips of each locale, in `folder`."""
    params = yaml.safe_load((ROOT / "pretraining" / "params.yaml").read_text(encoding="utf-8"))
    params["ingest"]["max_clips_per_class"] = clips
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    stage_usage("ingest", speech.absolute(), ROOT / "data" / "exclusions.csv", "clips", cwd=folder)
    stage_usage("decode", "clips", "waveforms", cwd=folder)


def read_spectrograms(folder: Path, name: str, changes: dict) -> tuple[Path, SpectrogramParams]:
    """The spectrograms of `folder`'s waveforms with these changes of the parameters."""
    place = folder / name
    place.mkdir()
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["spectrogram"] |= changes
    (place / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    stage_usage("spectrogram", "../waveforms", "spectrograms", cwd=place)
    return place / "spectrograms", load_params("spectrogram", SpectrogramParams, place / "params.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=10, help="of each locale (default: 10)")
    parser.add_argument("--windows", type=int, default=60_000, help="to learn from (default: 60000)")
    parser.add_argument("--only", nargs="+", choices=TRUNKS, default=list(TRUNKS), metavar="NAME")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        read_speech(args.speech, folder, args.clips)
        distil = load_params("distil", DistilParams, folder / "params.yaml")
        taught = load_params("teach", TeachParams, folder / "params.yaml")
        taught = replace(taught, teacher=str(args.teacher), context_seconds=CONTEXT_SECONDS)
        teacher = load_teacher(taught, "cpu")
        index = read_index(folder / "waveforms")
        lessons = None
        for name in args.only:
            of_distil, of_spectrogram = TRUNKS[name]
            place, spectrogram = read_spectrograms(folder, name, of_spectrogram)
            window = spectrogram.frames_in(distil.window_seconds) // 2 * 2
            clips = read_index(place).merge(
                index[["clip_id", "label", "client_id"]], on="clip_id", validate="one_to_one"
            )
            clips = clips[clips["length"] >= window].reset_index(drop=True)
            if lessons is None:  # what the teacher says is the same for all
                began = time.process_time()
                waveforms = Parts(folder / "waveforms", clips[["clip_id"]].merge(index, on="clip_id"))
                lessons = teach(clips, Parts(place, clips), waveforms, teacher, folder / "lessons")
                seconds = time.process_time() - began
                spoken = spectrogram.seconds_of(clips["length"].sum())
                print(
                    f"teacher: {len(clips)} clips, {spoken / 3600:.2f} h, in {seconds:.0f} s of CPU time: "
                    f"{len(clips) / seconds:.2f} clips/s (it hears {CONTEXT_SECONDS} s at once)",
                    flush=True,
                )
            else:
                cells = torch.empty_like(lessons.spectrograms)
                for row, heard in zip(lessons.clips.itertuples(), Parts(place, clips), strict=True):
                    cells[row.first : row.first + row.length] = torch.from_numpy(heard[: row.length].copy())
                lessons = lessons._replace(spectrograms=cells)
            kinds = hold_out(lessons.clips, distil.held_out_locales, distil.held_out_share, distil.seed)
            train, valid = lessons.clips[kinds == "train"], lessons.clips[kinds != "train"]
            per_clip = round(args.windows / EPOCHS / len(train))
            params = replace(distil, **of_distil, epochs=EPOCHS, windows_per_clip=per_clip, batch_size=BATCH_SIZE)
            dls, _ = lesson_dls(lessons, train, valid, window, params, spectrogram.range_db)
            judged = kinds[kinds != "train"].to_numpy()[dls.valid.dataset.clips]
            learn = make_student_learner(dls, params, taught.layers, judged)
            checkpoint = Checkpoint(folder / name / "state", "")
            began = time.process_time()
            fit(learn, params, checkpoint, folder / name / "live")
            seconds = time.process_time() - began
            names = ["train_loss", "valid_loss", *(metric.name for metric in learn.metrics)]
            metrics = dict(zip(names, checkpoint.history[-1], strict=True))
            windows = EPOCHS * len(dls.train) * BATCH_SIZE
            card = {
                "arch": params.arch,
                "width": params.width,
                "antialias": params.antialias,
                "spectrogram": asdict(spectrogram),
                "teacher": asdict(taught) | {"weights_sha256": teacher.sha256},
                "data": (),
                "pretraining": json.loads(json.dumps(asdict(params))),
                "commit": "",
                "metrics": metrics,
            }
            save_trunk(args.folder / name, learn.model.network, card)
            explained = ", ".join(f"{metric} {value:.3f}" for metric, value in metrics.items() if "explained" in metric)
            precision = choose_precision(params.precision, dls.device)
            print(
                f"{name}: {len(train)} clips, {windows:,} windows in {seconds:.0f} s of CPU time: "
                f"{windows / seconds:.0f} windows/s with validation, {precision}; {explained}",
                flush=True,
            )


if __name__ == "__main__":
    run(main)
