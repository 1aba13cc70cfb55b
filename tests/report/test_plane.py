"""The plane of speed-up against points lost."""

from itertools import pairwise

import pytest

from leanformer.report.pictures.plane import Plane


def test_faster_is_further_right_and_a_loss_further_down():
    plane = Plane.around([1.0, 2.0, 4.0], [-1.0, 0.5, 2.0], None, 300.0, 400.0)
    spots = [plane.point(ratio, lost) for ratio, lost in ((1.0, -1.0), (2.0, 0.5), (4.0, 2.0))]
    assert spots == sorted(spots)
    steps = [after[0] - before[0] for before, after in pairwise(spots)]
    assert steps[0] == pytest.approx(steps[1])  # the scale is logarithmic
    assert all(0 < x < 400 and 0 < y < 300 for x, y in spots)


def test_what_loses_more_than_the_edge_is_held_there_and_said():
    plane = Plane.around([1.0, 2.0], [0.0, 30.0], 4.0, 300.0, 400.0)
    assert plane.point(2.0, 30.0)[1] == plane.point(2.0, 9.0)[1] == 290.0
    assert plane.point(2.0, 4.0)[1] < 290.0
    assert "above 4 at the lower edge" in "".join(plane.frame("408 rows", "times as fast"))
