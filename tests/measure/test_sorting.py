from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanformer.errors import DataError
from leanformer.measure.sorting import BATCHINGS, padding
from leanformer.report.table import padding_table
from leanformer.tasks.encode import batches


def test_a_small_example():
    longest, given_order, sorted_ = padding([2, 8, 3, 7, 4], max_tokens=10, batches=[2])
    assert [one.computed_tokens for one in (longest, given_order, sorted_)] == [50, 16 + 14 + 4, 16 + 8 + 2]
    assert {one.text_tokens for one in (longest, given_order, sorted_)} == {24}
    assert sorted_.padding_share == pytest.approx(2 / 26)
    assert longest.tokens_ratio == pytest.approx(50 / 26)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=60), st.integers(1, 40))
def test_sorting_full_batches_never_computes_more(lengths, batch):
    lengths = lengths * batch  # a last, shorter batch may cost more than sorting saves
    longest, given_order, sorted_ = padding(lengths, 64, [batch])
    assert longest.computed_tokens >= given_order.computed_tokens >= sorted_.computed_tokens >= sum(lengths)
    assert all(0 <= one.padding_share < 1 for one in (longest, given_order, sorted_))
    if batch == 1:
        assert given_order.padding_share == sorted_.padding_share == 0


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_sorted_is_what_the_batches_of_this_library_hold(mood_held_out, tiny_tokenizer, batch):
    sizes = [inputs["input_ids"].numel() for _, inputs in batches(mood_held_out, tiny_tokenizer, batch)]
    counted = padding([len(ids) for ids in mood_held_out["input_ids"]], 64, [batch])[-1]
    assert counted.batching == BATCHINGS[-1]
    assert counted.computed_tokens == sum(sizes)


@pytest.mark.parametrize(
    ("lengths", "batch", "said"), [([], 1, "no texts"), ([3], 0, "batch of 0"), ([3, 11], 1, "has 11 tokens")]
)
def test_what_can_not_be_counted(lengths, batch, said):
    with pytest.raises(DataError, match=said):
        padding(lengths, 10, [batch])


def test_the_table():
    table = padding_table([asdict(one) for one in padding([2, 8, 3, 7, 4], max_tokens=10, batches=[1, 2])])
    assert list(table.columns[2].cells) == ["50", "24", "24", "50", "34", "26"]
    assert list(table.columns[3].cells)[-1] == "7.7%"
    assert list(table.columns[4].cells)[3] == "1.92×"
