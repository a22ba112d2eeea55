import pandas as pd

from accent.corpus.selection import draw, seeded_hash


def make_rows(count: int, speakers: int = 10) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "clip_id": [f"clip-{number:04d}" for number in range(count)],
            "label": ["french" if number % 2 else "english" for number in range(count)],
            "client_id": [f"speaker-{number % speakers}" for number in range(count)],
        }
    )


def test_limits_hold_and_zero_means_none():
    rows = make_rows(200)
    drawn = draw(rows, 1, per_speaker=5, per_class=20)
    assert drawn.groupby("client_id").size().max() <= 5
    assert drawn.groupby("label").size().to_dict() == {"english": 20, "french": 20}
    assert len(draw(rows, 1, 0, 0)) == 200


def test_the_draw_does_not_depend_on_order_and_follows_the_seed():
    rows = make_rows(200)
    drawn = set(draw(rows, 1, 0, 30)["clip_id"])
    assert set(draw(rows.sample(frac=1, random_state=0), 1, 0, 30)["clip_id"]) == drawn
    assert set(draw(rows, 2, 0, 30)["clip_id"]) != drawn


def test_a_second_release_displaces_only_what_it_must():
    first, both = make_rows(1000), make_rows(1100)
    drawn_before, drawn_after = (set(draw(rows, 1, 0, 100)["clip_id"]) for rows in (first, both))
    newcomers = set(both["clip_id"]) - set(first["clip_id"])
    assert len(drawn_before - drawn_after) == len(drawn_after & newcomers) < 40


def test_the_hash_is_the_same_on_every_machine():
    assert seeded_hash(1, "common_voice_fr_1") == 7913531588632129113
