"""How long it takes to find the clips that are one recording, by how many clips there are: about linear.

The fingerprints are simulated: landmarks of the embedded sample's speech, put together anew with some signs changed,
so that signs are as common as speech makes them. One clip in fifty is another's copy, with 4% of its signs wrong (of an
MP3 at 32 kb/s 2% are).

    python -m benchmarks.duplicates --clips 50000 100000 200000
"""

import argparse
import resource
import time

import numpy as np

from accent.audio.duplicates import same_recordings
from accent.audio.fingerprint import LANDMARK, fingerprint
from accent.audio.waveform import AudioParams, decode_clip
from accent.core.errors import run
from tests.helpers import sample_clips

LANDMARKS = 13  # of a clip of 4 to 5 s, on average
COPIES = 50
WRONG = 0.04
AUDIO = AudioParams(silence_db=40, margin_seconds=0.05, min_seconds=0.5, max_seconds=30)


def made_fingerprints(clips: int, rng: np.random.Generator) -> list[bytes]:
    """Fingerprints of which every `COPIES`th is a copy of the one before it."""
    files = [*sample_clips("fr")[::4], *sample_clips("en")[::4]]
    real = np.frombuffer(b"".join(fingerprint(decode_clip(path, AUDIO)[0]) for path in files), LANDMARK)
    made = real[rng.integers(0, len(real), (clips, LANDMARKS))]
    made["time"] = np.cumsum(rng.integers(12, 50, (clips, LANDMARKS)), axis=1)
    made["signs"] ^= _wrong(made.shape, 0.12, rng)  # else every landmark would stand in thousands of clips
    copies = np.arange(COPIES - 1, clips, COPIES)
    made[copies] = made[copies - 1]
    made["signs"][copies] ^= _wrong((len(copies), LANDMARKS), WRONG, rng)
    return [row.tobytes() for row in made]


def _wrong(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers of 32 bits, of which that share is 1."""
    signs = np.zeros(shape, np.uint32)
    for bit in range(32):
        signs |= (rng.random(shape) < share).astype(np.uint32) << np.uint32(bit)
    return signs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[50_000, 100_000, 200_000])
    args = parser.parse_args()
    for clips in args.clips:
        made = made_fingerprints(clips, np.random.default_rng(1))
        began = time.process_time()
        first = same_recordings(made)
        seconds = time.process_time() - began
        copies = np.arange(COPIES - 1, clips, COPIES)
        linked = np.flatnonzero(first != np.arange(clips))
        found = np.isin(copies, linked).mean()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{clips:,} clips: {seconds:.1f} s of CPU, {seconds / clips * 1e6:.0f} µs a clip, peak {peak:.1f} GB; "
            f"{found:.1%} of the copies found, {len(set(linked) - set(copies)):,} others linked"
        )


if __name__ == "__main__":
    run(main)
