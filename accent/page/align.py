"""Two recordings of a sentence, frame beside frame."""

import librosa
import numpy as np


def align(take: np.ndarray, native: np.ndarray) -> np.ndarray:
    """For each frame of `take` (frames, n_mels) the frame of `native` that it goes with, by dynamic time warping.

    librosa's, over the cosine distance of the log-mel frames; where several native frames go with one, their middle.
    """
    features = [spectrogram.T.astype(np.float64) + 1.0 for spectrogram in (take, native)]  # no frame is all zeros
    _, path = librosa.sequence.dtw(*features, metric="cosine")
    ours, theirs = path[::-1].T
    sums = np.bincount(ours, weights=theirs, minlength=len(take))
    return np.rint(sums / np.bincount(ours, minlength=len(take))).astype(int)
