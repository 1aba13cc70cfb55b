"""Answers under masks: those of the sliced model, asked once."""

from __future__ import annotations

import numpy as np
import torch

from leanformer.search.answers import Answers
from leanformer.structure.surgery import slice_units
from leanformer.tasks.metrics import score
from leanformer.tasks.predict import predict


def test_answers_are_those_of_the_smaller_model_and_known_the_second_time(
    tiny_model, tiny_tokenizer, mood_held_out, mood_task
):
    model = tiny_model("bert").eval()
    answers = Answers(model, tiny_tokenizer, mood_held_out, mood_task)
    masks = {(0, "head"): torch.tensor([1.0, 0, 0, 1]), (1, "neuron"): (torch.arange(64) % 2).float()}
    found = answers.of(masks)
    logits = predict(slice_units(model, masks), mood_held_out, tiny_tokenizer)
    labels = np.asarray(mood_held_out["label"][:])
    assert found.score == score("accuracy", logits, labels)
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    assert found.loss == np.float32(found.losses.mean())
    assert abs(found.loss - float(expected)) < 1e-5
    assert answers.of({**masks, (1, "head"): torch.ones(4)}) is found  # what is whole says nothing
    assert answers.asked == 1
    assert answers.of({}).score == score("accuracy", predict(model, mood_held_out, tiny_tokenizer), labels)
    assert answers.asked == 2
