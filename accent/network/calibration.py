"""Temperature scaling of a network's logits, and the log-odds of one class against the others."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The temperature that minimises the log loss of `softmax(logits / temperature)` (arXiv 1706.04599), 0.05 to 20.

    `logits` is float of shape (n, classes), `targets` int of shape (n,), the index of the true class.

    Of n clips of a class, n + 1 in n + number of classes are taken to be rightly labelled (Platt 1999, "Probabilistic
    outputs for support vector machines"): a few clips that are all told apart do not make the model certain.
    """
    classes = logits.shape[1]
    clips = np.bincount(targets, minlength=classes)
    expected = (np.eye(classes) * clips[:, np.newaxis] + 1) / (clips[:, np.newaxis] + classes)

    def loss(log_temperature: float) -> float:
        return -(expected[targets] * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean()

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def one_against_rest(logits: np.ndarray, target: int) -> np.ndarray:
    """Log-odds of one class against all others, of shape (n,)."""
    log_probabilities = log_softmax(logits, axis=1)
    others = np.logaddexp.reduce(np.delete(log_probabilities, target, axis=1), axis=1)
    return log_probabilities[:, target] - others


def log_odds_of_logits(logits: np.ndarray) -> np.ndarray:
    """Log-odds (n, classes) of each class against the others."""
    return np.stack([one_against_rest(logits, number) for number in range(logits.shape[1])], axis=1)


def log_odds_of(probabilities: np.ndarray) -> np.ndarray:
    """The same of probabilities (n, classes)."""
    return log_odds_of_logits(np.log(np.maximum(probabilities, np.finfo(float).tiny)))
