"""Logits -> log-odds of one class against the others, and back to a probability."""

import numpy as np
from scipy.special import log_softmax


def one_against_rest(logits: np.ndarray, target: int) -> np.ndarray:
    """Log-odds of one class against all others, of shape (n,)."""
    log_probabilities = log_softmax(logits, axis=1)
    others = np.logaddexp.reduce(np.delete(log_probabilities, target, axis=1), axis=1)
    return log_probabilities[:, target] - others


def log_odds_of(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds (n, classes) of each class against the others, for probabilities of the same shape."""
    logs = np.log(np.maximum(probabilities, np.finfo(float).tiny))
    return np.stack([one_against_rest(logs, number) for number in range(logs.shape[1])], axis=1)
