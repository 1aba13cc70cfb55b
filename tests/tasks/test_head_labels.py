"""What a checkpoint's head says of itself, against what a task needs."""

import pytest

from leanformer.tasks.head_labels import head_mismatch, label_order
from leanformer.tasks.task import Task
from tiny import build_config

MOOD = Task("mood", "classification", False, ("negative", "positive"), "accuracy")


def config_of(*names):
    config = build_config("bert")
    config.id2label = dict(enumerate(names))
    return config


def test_labels_are_found_in_another_order_and_another_spelling():
    assert label_order(config_of("Positive", "NEGATIVE"), MOOD) == [1, 0]
    assert label_order(config_of("negative", "positive"), MOOD) is None


def test_numbers_are_trusted_to_be_in_order():
    assert head_mismatch(config_of("LABEL_0", "LABEL_1"), MOOD) is None
    assert label_order(config_of("LABEL_0", "LABEL_1"), MOOD) is None


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("art", "sport", "war"), "it has 3 outputs and the task 'mood' needs 2"),
        (("cat", "dog"), "its labels are cat, dog and the labels of 'mood' are negative, positive"),
    ],
)
def test_a_head_of_another_task_is_told(names, words):
    assert head_mismatch(config_of(*names), MOOD) == words
