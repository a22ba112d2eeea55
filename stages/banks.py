"""Write the ear and the banks of natives and of other languages, with which recordings are graded."""

from dataclasses import asdict, replace

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import write_json
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.corpus.selection import IngestParams
from accent.grading.store import save_shipped
from accent.pretraining.banks import BanksParams, build, choose_clips, measure_agreement, rounded_encoder
from accent.pretraining.listen import ListenParams, read_sets
from accent.pretraining.sources import corpora, current_commit, release_of
from accent.pretraining.teacher import TeachParams, describe_teacher, load_teacher, read_weights

CLIPS_OF_BANK, GRADED_CLIPS = 100, 40  # for the agreement: of each side of the teacher's banks; of a class of a set


def main() -> None:
    args = parse_paths(__doc__, "waveforms", "encoder", "metrics")

    params, listen = load_params("banks", BanksParams), load_params("listen", ListenParams)
    taught, ingest = load_params("teach", TeachParams), load_params("ingest", IngestParams)
    spectrogram, decode = load_params("spectrogram", SpectrogramParams), load_params("decode", DecodeParams)
    clips = read_index(args.waveforms)
    graded = read_sets(listen, ingest, decode, spectrogram, clips, "may be in a bank. Take it out of the speech")

    releases = release_of(ingest.releases, clips)
    chosen = choose_clips(clips, releases, params)
    waveforms = Parts(args.waveforms, clips)
    ear, banks = build(clips, waveforms, chosen, rounded_encoder(read_weights(taught.teacher), params.layers), params)
    teacher = load_teacher(replace(taught, layers=(params.layers,)))
    takes = {name: labelled.groupby("label").head(GRADED_CLIPS)["waveform"] for name, labelled in graded.items()}
    agreement = measure_agreement(ear, banks, teacher, waveforms, chosen, takes, CLIPS_OF_BANK)
    used = clips.iloc[sorted({row for rows in chosen.values() for row in rows})]
    card = {
        "teacher": describe_teacher(taught, teacher.sha256),
        "licence": "MIT",
        "layers": params.layers,
        "positions": ear.encoder.embed_positions.num_embeddings,
        "dimensions": params.dimensions,
        "data": corpora(used, releases[used.index], listen.licences),
        "parameters": asdict(params),
        "agreement": agreement,
        "commit": current_commit(),
    }
    save_shipped(args.encoder, ear, banks, card)
    counts = {name: len(rows) for name, rows in chosen.items()}
    write_json(args.metrics, {"clips": counts, "agreement": agreement})
    told = ", ".join(f"{locale} {found['correlation']:.3f}" for locale, found in agreement.items())
    print(f"{args.encoder}: clips {counts}; correlation of its grades with the teacher's: {told}")


if __name__ == "__main__":
    run(main)
