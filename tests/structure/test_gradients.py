"""Gradients of gates, all rows at once, against one row and one gate at a time."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure.gradients import fisher_scores, gate_gradients, taylor_scores
from leanformer.structure.masks import applied
from leanformer.tasks.encode import batches
from leanformer.training.objective import row_losses

FAMILIES = ("bert", "distilbert", "mpnet", "modernbert")


@pytest.fixture
def plan(mood_train, tiny_tokenizer):
    return [batch for _, batch in batches(mood_train.select(range(6)), tiny_tokenizer, batch_size=4)]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_rows_gradients_are_its_own(tiny_model, plan, family):
    model = tiny_model(family).eval()
    found = gate_gradients(model, plan, row_losses)
    assert {tuple(rows.shape) for key, rows in found.items() if key[1] == "head"} == {(6, 4)}
    assert {tuple(rows.shape) for key, rows in found.items() if key[1] == "neuron"} == {(6, 64)}
    for batch, start in zip(plan, (0, 4), strict=True):
        for row in range(len(batch["labels"])):
            one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
            labels = one.pop("labels")
            masks = {key: torch.ones(rows.shape[1], requires_grad=True) for key, rows in found.items()}
            with applied(model, masks):
                row_losses(model(**one).logits, labels).sum().backward()
            for key, mask in masks.items():
                torch.testing.assert_close(found[key][start + row], mask.grad, atol=1e-6, rtol=1e-4)


def test_a_gradient_is_what_a_small_step_changes(tiny_model, plan):
    model, batch, step = tiny_model("bert").double().eval(), dict(plan[0]), 1e-4
    found = gate_gradients(model, plan[:1], row_losses, ["head"])
    labels = batch.pop("labels")
    view = EncoderView(model)
    for head in range(view.heads(1)):
        losses = []
        for sign in (1, -1):
            mask = torch.ones(view.heads(1), dtype=torch.float64)
            mask[head] += sign * step
            with applied(model, {(1, "head"): mask}), torch.no_grad():
                losses.append(row_losses_in_double(model(**batch).logits, labels))
        slope = (losses[0] - losses[1]) / (2 * step)
        torch.testing.assert_close(found[1, "head"][:, head].double(), slope, atol=1e-4, rtol=1e-3)


def row_losses_in_double(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def test_weights_keep_their_setting_and_get_no_gradient(tiny_model, plan):
    model = tiny_model("bert").eval()
    model.classifier.weight.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    gate_gradients(model, plan, row_losses, ["head"])
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert {parameter.grad for parameter in model.parameters()} == {None}


def test_scores_are_means_of_what_rows_say():
    rows = {(0, "head"): torch.tensor([[1.0, -2.0], [-3.0, 0.0]])}
    assert taylor_scores(rows)[0, "head"].tolist() == [2.0, 1.0]
    assert fisher_scores(rows)[0, "head"].tolist() == [5.0, 2.0]
