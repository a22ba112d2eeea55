import dataclasses

import pytest
import torch

from accent.training.augment import AugmentParams, augment, level, lowpass, mask, noise, tilt, warp

NONE = AugmentParams(**dict.fromkeys(AugmentParams.__dataclass_fields__, 0))
ALL = AugmentParams(
    frequency_warp=0.1,
    time_warp=0.2,
    level_db=6,
    tilt_db=9,
    lowpass=0.5,
    noise_db=30,
    time_mask=0.2,
    frequency_mask=0.2,
)


@pytest.fixture
def batch() -> torch.Tensor:
    torch.manual_seed(0)
    return 0.2 + 0.6 * torch.rand(64, 1, 32, 50)


def test_nothing_happens_at_strength_zero(batch):
    torch.testing.assert_close(augment(batch, NONE, 80), batch, rtol=0, atol=0)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(AugmentParams)])
def test_each_strength_alone_changes_the_batch_within_range(batch, field):
    changed = augment(batch.clone(), dataclasses.replace(NONE, **{field: getattr(ALL, field)}), 80)
    assert changed.shape == batch.shape
    assert (changed != batch).any()
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_the_same_seed_gives_the_same_batch(batch):
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(augment(batch.clone(), ALL, 80))
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_warping_moves_a_band_and_a_click_in_proportion():
    torch.manual_seed(1)
    band, click = torch.zeros(200, 1, 64, 100), torch.zeros(200, 1, 64, 100)
    band[:, :, 32], click[..., 75] = 1, 1
    moved = warp(band, 0.2, 0)[:, 0, :, 50].argmax(dim=1)
    assert 26 <= moved.min() < 29  # 32.5 / 1.2
    assert 36 < moved.max() <= 41  # 32.5 / 0.8
    moved = warp(click, 0, 0.2)[:, 0, 32].argmax(dim=1)
    assert 70 <= moved.min() < 72  # 25.5 from the middle, / 1.2
    assert 79 < moved.max() <= 82


def test_level_shifts_every_cell_of_an_example_alike(batch):
    shift = level(batch, 0.1) - batch
    assert (shift.amax(dim=(1, 2, 3)) - shift.amin(dim=(1, 2, 3))).max() < 1e-5
    assert shift.abs().max() <= 0.1
    assert shift.flatten(1).mean(1).std() > 0.03


def test_tilt_is_the_same_at_all_times_and_at_most_its_strength(batch):
    change = tilt(batch, 0.05) - batch
    assert change.std(dim=3).max() < 1e-5
    assert change.abs().max() <= 0.05 * 1.5 + 1e-6


def test_lowpass_empties_the_upper_bands_of_its_share(batch):
    changed = lowpass(batch, 0.5)
    cut = (changed[:, :, -1] == 0).all(dim=-1).flatten()
    assert 0.25 < cut.float().mean() < 0.75
    torch.testing.assert_close(changed[:, :, :15], batch[:, :, :15])
    torch.testing.assert_close(changed[~cut], batch[~cut])


def test_noise_fills_silence_and_leaves_loud_cells(batch):
    silent = torch.zeros_like(batch)
    assert noise(silent, 30, 80).mean() > 0.05
    loud = torch.full_like(batch, 0.95)
    assert (noise(loud, 30, 80) - loud).abs().max() < 0.01


def test_masks_blank_whole_columns_and_rows(batch):
    changed = mask(batch + 0.1, 0.2, 0)
    blank = (changed == 0).all(dim=2)
    assert (blank == (changed == 0).any(dim=2)).all()
    assert 0 < blank.sum(dim=-1).max() <= 10
