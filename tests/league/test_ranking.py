"""Ties: two rows that are the same beat neither each other nor leave the front."""

from leanformer.league.ranking import beaten_by, is_on_front


def row(method, drop, ratio, minutes=1.0):
    speeds = {"1": {"fp32": {"ratio": ratio}}}
    return {"method": method, "drop_points": drop, "minutes": minutes, "speeds": speeds}


def test_equal_rows_share_the_front_and_do_not_beat_each_other():
    rows = [row("uniform-magnitude", 1.0, 2.0), row("ae-bert", 1.0, 2.0, 9.0), row("one-shot", 1.0, 1.9, 0.1)]
    assert [is_on_front(one, rows, 1) for one in rows] == [True, True, False]
    assert [beaten_by(one, rows) for one in rows] == [None, None, None]  # as much lost is not more
