import numpy as np
import pytest

from accent.network.typicality import COUNT, distances, fit_typicality, window_features


def test_features_have_their_number_whatever_the_window():
    generator = np.random.default_rng(0)
    for n_mels, frames in ((64, 150), (8, 20), (80, 33), (64, 2)):
        windows = generator.integers(0, 256, (3, n_mels, frames)).astype(np.uint8)
        features = window_features(windows, 0.01)
        assert features.shape == (3, COUNT)
        assert np.isfinite(features).all()
    assert np.isfinite(window_features(np.zeros((1, 64, 150), np.uint8), 0.01)).all()


def test_the_modulation_of_speech_is_seen_where_it_is():
    time = np.arange(150) * 0.01
    for hz, place in ((1, 0), (4, 1), (10, 2), (25, 3)):
        level = 128 + 100 * np.sin(2 * np.pi * hz * time)
        features = window_features(np.tile(level, (1, 64, 1)).astype(np.uint8), 0.01)[0, 24:28]
        assert features.argmax() == place


def test_the_limit_is_the_quantile_of_what_was_held_out():
    generator = np.random.default_rng(0)
    train, held_out = generator.standard_normal((500, COUNT)), 2 * generator.standard_normal((200, COUNT))
    typicality = fit_typicality(train, held_out, 0.95)
    unlike = [typicality.unlikeness(row) for row in held_out]
    assert np.mean(np.array(unlike) > 1) == pytest.approx(0.05, abs=0.01)
    assert typicality.unlikeness(train.mean(axis=0)) < 0.1
    assert typicality.unlikeness(train.mean(axis=0) + 20) > 2


def test_distances_are_those_of_mahalanobis():
    from scipy.spatial.distance import mahalanobis

    generator = np.random.default_rng(0)
    rows, precision = generator.standard_normal((4, 3)), np.diag([1.0, 4.0, 9.0])
    expected = [mahalanobis(row, np.ones(3), precision) for row in rows]
    np.testing.assert_allclose(distances(rows, np.ones(3), precision), expected)


def test_the_unit_of_a_statistic_changes_nothing():
    generator = np.random.default_rng(0)
    train, held_out = (generator.standard_normal((size, COUNT)) for size in (60, 40))
    units = np.geomspace(0.01, 100, COUNT)
    one, other = fit_typicality(train, held_out, 0.95), fit_typicality(train * units, held_out * units, 0.95)
    assert [other.unlikeness(row * units) for row in held_out] == pytest.approx([one.unlikeness(r) for r in held_out])


def test_a_statistic_that_never_varies_is_no_obstacle():
    train = np.random.default_rng(0).standard_normal((60, COUNT))
    train[:, 5] = 1
    assert fit_typicality(train, train, 0.95).unlikeness(train[0]) < 2
