"""Several tasks on one encoder: heads that switch, models that are taken apart, rows that find their teacher."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from leanformer.tasks.heads import with_new_head
from leanformer.tasks.task import Task
from leanformer.training.batching import TASK, Collator, TaskSampler, training_columns
from leanformer.training.several import SeveralTeachers, choose_head, taken_apart, with_heads_of
from tiny import TINY_FAMILIES
from tiny import tiny_logits as logits

OTHER = Task("topic", "classification", pair=False, labels=("a", "b", "c"), metric="accuracy")


@pytest.fixture(params=TINY_FAMILIES)
def pair(request, tiny_model):
    first = tiny_model(request.param).eval()
    return [first, with_new_head(first, OTHER)]


def test_a_new_head_is_of_the_other_task_and_leaves_the_model(pair):
    first, other = pair
    assert logits(other).shape == (2, 3)
    assert logits(first).shape == (2, 2)
    assert other.config.id2label == {0: "a", 1: "b", 2: "c"}
    for name, tensor in first.base_model.state_dict().items():
        assert torch.equal(other.base_model.state_dict()[name], tensor)


def test_the_chosen_head_answers(pair):
    both = with_heads_of(pair)
    torch.testing.assert_close(logits(both), logits(pair[0]))
    choose_head(both, 1)
    torch.testing.assert_close(logits(both), logits(pair[1]))
    choose_head(both, 0)
    torch.testing.assert_close(logits(both), logits(pair[0]))


def test_what_is_taken_apart_answers_as_the_whole_did(pair):
    both = with_heads_of(pair)
    with torch.no_grad():
        for parameter in both.parameters():
            parameter.add_(0.01)
    expected = []
    for task in (0, 1):
        choose_head(both, task)
        expected.append(logits(both))
    apart = taken_apart(both, pair)
    for single, wanted in zip(apart, expected, strict=True):
        torch.testing.assert_close(logits(single), wanted)
    assert [type(single) for single in apart] == [type(model) for model in pair]
    assert not torch.equal(logits(pair[0]), expected[0])  # the originals stay


class Named:
    """A teacher that answers with its name and the rows that it is asked for."""

    def __init__(self, name):
        self.name = name

    def outputs(self, rows, batch):
        return (self.name, rows.tolist()), []


def test_rows_find_their_teacher():
    several = SeveralTeachers([Named("a"), Named("b"), Named("c")], [10, 5, 20])
    for rows, wanted in (([0, 9], ("a", [0, 9])), ([10, 14], ("b", [0, 4])), ([15, 34], ("c", [0, 19]))):
        assert several.outputs(torch.tensor(rows), {})[0] == wanted


def test_each_batch_is_of_one_task_and_no_row_is_left_out():
    tasks = [0] * 21 + [1] * 9
    sampler = TaskSampler([[1] * (5 + row % 7) for row in range(30)], tasks, 8, seed=0)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(sampler) == 24 + 16
        batches = [order[start : start + 8] for start in range(0, len(order), 8)]
        assert all(len({tasks[row] for row in batch}) == 1 for batch in batches)
        counts = Counter(order)
        assert set(counts) == set(range(30))
        assert max(counts.values()) == 2
        orders.append(order)
    assert orders[0] == orders[2]
    assert orders[0] != orders[1]


def test_a_batch_knows_its_task(mood_train, tiny_tokenizer):
    rows = training_columns(mood_train.select(range(3)).add_column(TASK, [1, 1, 1]))
    batch = Collator(tiny_tokenizer, regression=False)(list(rows))
    assert batch[TASK].tolist() == [1, 1, 1]
