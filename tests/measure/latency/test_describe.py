import json

import pytest

from latency_example import SETTING, Law, at, example_table
from leanformer.measure.latency.describe import describe
from leanformer.measure.latency.table import Table


def test_a_row_for_each_setting():
    law, settings = Law(odd_ms=0.5), (SETTING, at(SETTING, runtime="openvino", precision="int8"))
    told = describe(example_table(law, settings))
    assert json.loads(json.dumps(told)) == told
    assert [row["runtime"] for row in told["rows"]] == ["openvino", "torch"]
    row = told["rows"][1]
    assert row["dense_ms"] == pytest.approx(law.model_ms([(4, 128)] * 3, 32))
    assert row["rest_ms"] == pytest.approx(law.fixed_ms + 3 * law.layer_ms)
    assert [size for size, *_ in row["attention"]] == [0, 1, 2, 3, 4]
    assert row["preferred_multiple"] == 4


def test_intervals_hold_their_figures():
    (row,) = describe(example_table())["rows"]
    for curve in (row["attention"], row["ffn"]):
        assert all(low <= ms <= high for _, ms, low, high in curve)
        assert curve[0][1:] == [0.0, 0.0, 0.0]
        assert curve[1][2] < curve[1][1] < curve[1][3]


def test_unfinished_settings_are_named():
    whole = example_table(settings=(SETTING, at(SETTING, tokens=64)))
    told = describe(Table(whole.subject, whole.sessions, whole.points[: len(whole.points) // 2 + 2]))
    assert [row["tokens"] for row in told["rows"]] == [32]
    assert [one["tokens"] for one in told["unfinished"]] == [64]
