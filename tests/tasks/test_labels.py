from __future__ import annotations

import pytest

from leanformer.errors import DataError
from leanformer.tasks.labels import (
    check_present,
    check_varied,
    class_ids,
    class_names,
    guess_kind,
    target_values,
)
from leanformer.tasks.read import Table


def table(values: list, **more) -> Table:
    return Table("data.csv", {"label": values}, list(range(2, len(values) + 2)), **more)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["yes", "no"] * 5, "classification"),
        (["0", "1"] * 5, "classification"),
        ([0, 1, 2] * 5, "classification"),
        ([0.0, 1.0] * 5, "classification"),
        ([True, False] * 5, "classification"),
        (["0", "1", "1.0", "01"] * 5, "classification"),
        (["5.000", "3.800", "2.250", "0.000"] * 5, "regression"),
        ([0.1 * number for number in range(20)], "regression"),
    ],
)
def test_kind(values, kind):
    assert guess_kind(table(values), "label") == kind


def test_doubtful_kinds_are_not_guessed():
    with pytest.raises(DataError, match="--kind"):
        guess_kind(table(list(range(500))), "label")
    with pytest.raises(DataError, match="--label"):
        guess_kind(table([f"word {number}" for number in range(50)]), "label")


def test_names_are_sorted_and_numbers_by_value():
    assert class_names(table(["b", "a", "c"]), "label") == ("a", "b", "c")
    assert class_names(table(["10", "9", "2"]), "label") == ("2", "9", "10")
    assert class_names(table([True, False]), "label") == ("false", "true")
    assert class_names(table([1.0, 0.0]), "label") == ("0", "1")


def test_class_names_of_the_data_set_keep_their_order():
    data = table([1, 0], label_names={"label": ("yes", "no")})
    assert class_names(data, "label") == ("yes", "no")
    assert class_ids(data, "label", ("yes", "no")) == [1, 0]


def test_ids_do_not_mind_how_numbers_are_written():
    assert class_ids(table(["1.0", 1, "0", False]), "label", ("0", "1", "false")) == [1, 1, 0, 2]


def test_class_names_that_look_like_numbers_are_found():
    data = table([2, 0, 1], label_names={"label": ("1.0", "01", "2")})
    assert class_ids(data, "label", ("1.0", "01", "2")) == [2, 0, 1]
    assert class_ids(table(["1.0", "2.0"]), "label", ("1.0", "2.0")) == [0, 1]
    with pytest.raises(DataError, match=r"data\.csv line 2 has the label '-1'"):
        class_ids(table([-1], label_names={"label": ("1.0", "2.0")}), "label", ("1.0", "2.0"))


def test_unknown_class_names_its_row():
    with pytest.raises(DataError, match=r"data\.csv line 3 has the label 'maybe'"):
        class_ids(table(["yes", "maybe"]), "label", ("no", "yes"))


def test_words_are_no_regression_targets():
    assert target_values(table(["1.5", 2]), "label") == [1.5, 2.0]
    for bad in ("good", "inf", True):
        with pytest.raises(DataError, match=r"data\.csv line 3 .*not a number"):
            target_values(table(["1.5", bad]), "label")


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan")])
def test_missing_label_names_its_row(missing):
    with pytest.raises(DataError, match=r"data\.csv line 3 has no label"):
        check_present(table(["a", missing]), "label")


@pytest.mark.parametrize("value", [[1], {"name": "a"}])
def test_label_that_is_no_single_value_names_its_row(value):
    with pytest.raises(DataError, match=r"data\.csv line 3 .*'label'.*single word or number"):
        check_present(table(["a", value]), "label")


def test_number_too_large_to_compute_with_is_no_target():
    with pytest.raises(DataError, match=r"data\.csv line 3 .*not a number"):
        target_values(table([1.5, 10**400]), "label")


@pytest.mark.parametrize("values", [["a", "a"], ["a", "a "], ["1", "1.0"], ["0.5", "0.50"]])
def test_one_class_only(values):
    with pytest.raises(DataError, match=r"every row of data\.csv has the same label '"):
        check_varied(table(values), "label")
