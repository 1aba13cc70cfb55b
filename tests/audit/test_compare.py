"""Two models' figures side by side, as JSON holds them."""

import json

import numpy as np

from leanformer.audit.compare import side_by_side
from leanformer.audit.figure import Unmeasured, mean_figure


def gap(shift, subject="all"):
    return mean_figure("gap", subject, np.linspace(0, 1, 50) + shift, "texts")


def test_figures_meet_by_name_and_carry_their_change():
    record = side_by_side(("dense", "small"), ([gap(0), gap(0, "first only")], [gap(0.1)]))
    assert json.loads(json.dumps(record)) == record
    both, alone = record["figures"]
    assert [one["value"] for one in both["values"]] == [0.5, 0.6]
    assert both["change"]["beyond"] is True
    assert alone["values"][1] is None
    assert alone["change"] is None


def test_of_one_model_there_is_no_change():
    record = side_by_side(("m",), ([gap(0)],))
    assert record["figures"][0]["change"] is None


def test_figures_of_other_items_are_shown_and_not_compared():
    other = mean_figure("gap", "all", np.zeros(3), "texts")
    record = side_by_side(("a", "b"), ([gap(0)], [other]))
    assert [one["n"] for one in record["figures"][0]["values"]] == [50, 3]
    assert record["figures"][0]["change"] is None


def test_what_could_not_be_measured_on_either_is_said_once():
    lacks, other = Unmeasured("DisCo", "no head"), Unmeasured("LPBS", "no mask")
    record = side_by_side(("a", "b"), ([lacks], [lacks, other]), [Unmeasured("flips", "values")])
    assert [(one["metric"], one["models"]) for one in record["unmeasured"]] == [
        ("DisCo", ["a", "b"]),
        ("LPBS", ["b"]),
        ("flips", ["a and b"]),
    ]
