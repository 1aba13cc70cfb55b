import pytest

from latency_example import SUBJECT
from leanformer.measure.latency.plan import grid_widths, probes, ragged_widths
from leanformer.measure.latency.table import Shape, Subject


@pytest.mark.parametrize("width", [128, 1536, 3072, 1152, 100, 7])
def test_ragged_widths_are_multiples_of_just_what_they_say(width):
    for multiple, some in ragged_widths(width).items():
        assert 0 < some < width
        assert some % multiple == 0
        assert some % (2 * multiple) != 0


def test_usual_widths_show_every_multiple():
    assert ragged_widths(1536) == {1: 767, 4: 764, 8: 760, 16: 752, 32: 736, 64: 704}
    assert set(ragged_widths(3072)) == {1, 4, 8, 16, 32, 64}


def test_the_grid_reaches_both_ends():
    assert grid_widths(1536) == [0, 192, 384, 576, 768, 960, 1152, 1344, 1536]


def test_every_number_of_heads_and_no_probe_twice():
    shapes = probes(SUBJECT)
    assert len(set(shapes)) == len(shapes)
    assert Shape(4, 128, 3) not in shapes  # the dense one, which all are timed against
    assert {shape.heads for shape in shapes if shape.width == 128} == {0, 1, 2, 3, 4}
    assert Shape(2, 64, 3) in shapes
    assert set(shapes[:3]) == {Shape(0, 128, 3), Shape(4, 0, 3), Shape(4, 128, 1)}


MINILM = Subject("cpu", "bert", 384, 32, 12, 1536, 6)


@pytest.mark.parametrize(("plan", "count"), [("full", 31), ("brief", 13), ("dense", 3)])
def test_minilm_takes_few_probes(plan, count):
    shapes = probes(MINILM, plan)
    assert len(shapes) == count
    assert set(shapes) <= set(probes(MINILM))
    assert shapes[:3] == probes(MINILM)[:3]  # what an unfinished table needs first


def test_a_small_model_has_a_brief_plan_too():
    shapes = probes(SUBJECT, "brief")
    assert set(shapes) <= set(probes(SUBJECT))
    assert Shape(4, 128, 3) not in shapes
