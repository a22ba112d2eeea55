"""Duplicate recordings: clips that are the same recording under another name or encoding, by their fingerprints.

The time is about linear in the number of clips, since not all pairs are compared. Landmarks with equal signs, or equal
but for the two weakest, are sorted next to each other by their times. Only such neighbours are compared: first the
landmarks before and after them and, where one of those agrees, the whole clips.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from accent.audio.fingerprint import LANDMARK, MAX_LANDMARKS

NEIGHBOURS = 4  # of a landmark in the sorted list that are looked at: a recording's copies are linked in a chain
MAX_BESIDE = 10  # of 32 signs that may differ between the landmarks beside two that agree
JITTER = 3  # units of `time`, 30 ms, by which a landmark may move against the others of its clip
MIN_SHARES = 0.65, 0.5  # of the landmarks of the clip with fewer, and with more, that have a partner in the other
MAX_ERRORS = 5  # of the 32 signs of each pair of landmarks but for BY_CHANCE; of unrelated ones 16 differ
BY_CHANCE = 1.5  # pairs of landmarks: the fewer there are, the better they must agree
CHUNK = 100_000  # pairs of clips, or clips, at once
PASSES = 8  # over the landmarks, each with those of a range of signs: so much less memory


def same_recordings(fingerprints: Sequence[bytes]) -> np.ndarray:
    """For each clip the number of the first clip that is the same recording (its own, if there is no earlier one)."""
    landmarks = np.frombuffer(b"".join(fingerprints), LANDMARK)
    counts = np.fromiter(map(len, fingerprints), np.int64, len(fingerprints)) // LANDMARK.itemsize
    pairs = np.concatenate([np.empty((0, 2), np.int64), *_pairs(landmarks, counts)])
    return first_linked(pairs, len(fingerprints))


def first_linked(pairs: np.ndarray, count: int) -> np.ndarray:
    """Connected components: for each of `count` items the first one that `pairs` (n, 2) link to it, also by others."""
    links = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), (count, count))
    groups = connected_components(links, directed=False)[1]
    return np.unique(groups, return_index=True)[1][groups]


def _pairs(landmarks: np.ndarray, counts: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of clips (n, 2) that are one recording; of more than two clips a chain of them."""
    clips = np.repeat(np.arange(len(counts)), counts)
    numbers = np.arange(len(landmarks)) - np.repeat(np.cumsum(counts) - counts, counts)
    times = np.full((len(counts), MAX_LANDMARKS), -1, np.int32)
    signs = np.zeros((len(counts), MAX_LANDMARKS), np.uint32)
    times[clips, numbers] = landmarks["time"]
    signs[clips, numbers] = landmarks["signs"]
    for first, second, shift in _candidates(landmarks, clips):
        for begin in range(0, len(first), CHUNK):
            one, other, moved = (values[begin : begin + CHUNK] for values in (first, second, shift))
            same = _agree(times[one], signs[one], times[other], signs[other], moved)
            yield np.stack([one[same], other[same]], axis=1)


def _candidates(landmarks: np.ndarray, clips: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of clips (first, second) of which a landmark has the same signs, and how much later it is in the first."""
    flips = np.uint32(1) << landmarks["weakest"].astype(np.uint32)
    variants = [
        landmarks["signs"] ^ (flips[:, 0] * np.uint32(one)) ^ (flips[:, 1] * np.uint32(two))
        for one in (0, 1)
        for two in (0, 1)
    ]
    edges = [part * 2**32 // PASSES for part in range(PASSES + 1)]
    for low, high in pairwise(edges):
        rows = [np.flatnonzero((variant >= low) & (variant < high)) for variant in variants]
        words = np.concatenate([variant[chosen] for variant, chosen in zip(variants, rows, strict=True)])
        rows = np.concatenate(rows)
        times = landmarks["time"][rows].astype(np.int64)
        rows = rows[np.argsort(words.astype(np.int64) << 16 | times, kind="stable")]
        words = np.sort(words)
        for step in range(1, NEIGHBOURS + 1):
            near = np.flatnonzero(words[:-step] == words[step:])
            one, other = rows[near], rows[near + step]
            likely = _beside_agree(landmarks, clips, one, other, -1) | _beside_agree(landmarks, clips, one, other, 1)
            one, other = one[likely], other[likely]
            shift = landmarks["time"][one].astype(np.int32) - landmarks["time"][other]
            yield clips[one], clips[other], shift


def _beside_agree(
    landmarks: np.ndarray, clips: np.ndarray, one: np.ndarray, other: np.ndarray, step: int
) -> np.ndarray:
    """Whether the landmarks before (`step` -1) or after (1) those are as far away, and much the same."""
    to, moved = (np.clip(rows + step, 0, len(landmarks) - 1) for rows in (one, other))
    times = landmarks["time"].astype(np.int32)
    gaps = (times[to] - times[one]) - (times[moved] - times[other])
    errors = np.bitwise_count(landmarks["signs"][to] ^ landmarks["signs"][moved])
    same_clips = (clips[to] == clips[one]) & (clips[moved] == clips[other]) & (clips[one] != clips[other])
    return same_clips & (np.abs(gaps) <= JITTER) & (errors <= MAX_BESIDE)


def _agree(
    times: np.ndarray, signs: np.ndarray, other_times: np.ndarray, other_signs: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Whether clips (pairs, landmarks) are the same recording, which is `shift` later in the first of each pair."""
    apart = np.abs(times[:, :, None] - other_times[:, None, :] - shift[:, None, None])
    aligned = (apart <= JITTER) & (times >= 0)[:, :, None] & (other_times >= 0)[:, None, :]
    errors = np.bitwise_count(signs[:, :, None] ^ other_signs[:, None, :])
    partners = aligned.sum(axis=(1, 2))
    fewer, more = np.sort([(times >= 0).sum(axis=1), (other_times >= 0).sum(axis=1)], axis=0)
    enough = (partners >= MIN_SHARES[0] * fewer) & (partners >= MIN_SHARES[1] * more)
    return enough & (np.where(aligned, errors, 0).sum(axis=(1, 2)) <= MAX_ERRORS * (partners - BY_CHANCE))
