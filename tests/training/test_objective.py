"""Losses with values found by hand."""

from __future__ import annotations

import math

import pytest
import torch

from leanformer.tasks.words import IGNORED
from leanformer.training.objective import (
    Objective,
    hidden_loss,
    logits_loss,
    one_a_row,
    row_losses,
    task_loss,
    vectors_loss,
)


def log(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def test_task_loss_is_cross_entropy_or_squares():
    assert task_loss(log(0.25, 0.75), torch.tensor([0])).item() == pytest.approx(-math.log(0.25))
    scores = torch.tensor([[1.0], [4.0]])
    assert task_loss(scores, torch.tensor([2.0, 2.0])).item() == pytest.approx((1 + 4) / 2)


def test_logits_loss_is_the_kl_from_the_teacher():
    by_hand = 0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.8)
    assert logits_loss(log(0.2, 0.8), log(0.5, 0.5), temperature=1.0).item() == pytest.approx(
        by_hand, rel=1e-5
    )
    assert logits_loss(log(0.2, 0.8), log(0.2, 0.8), 2.0).item() == pytest.approx(0.0, abs=1e-6)


def test_logits_loss_is_softened_and_kept_in_scale():
    student, teacher = torch.tensor([[0.0, 2.0], [0.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    q = 1 / (1 + math.exp(-1))  # softmax of (2, 0) at T = 2
    by_hand = (
        4 * (q * math.log(q / (1 - q)) + (1 - q) * math.log((1 - q) / q)) / 2
    )  # T^2 KL, mean of two rows
    assert logits_loss(student, teacher, temperature=2.0).item() == pytest.approx(by_hand, rel=1e-5)


def test_logits_loss_of_scores_is_squares():
    assert logits_loss(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [2.0]]), 2.0).item() == 2.0


def test_hidden_loss_is_zero_for_equal_states_and_one_for_the_mean():
    teacher = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    assert hidden_loss([teacher], [teacher], mask).item() == 0.0
    mean = teacher[mask.bool()].mean(dim=0).expand_as(teacher)
    assert hidden_loss([mean], [teacher], mask).item() == pytest.approx(1.0, rel=1e-5)
    assert hidden_loss([10 * mean], [10 * teacher], mask).item() == pytest.approx(1.0, rel=1e-5)
    assert hidden_loss([teacher, mean], [teacher, teacher], mask).item() == pytest.approx(0.5, rel=1e-5)


def test_hidden_loss_ignores_padding():
    teacher, student = torch.zeros(1, 3, 2), torch.zeros(1, 3, 2)
    teacher[0, 0], teacher[0, 1] = 1.0, -1.0
    student[0, 2] = 1e6
    mask = torch.tensor([[1, 1, 0]])
    assert hidden_loss([student], [teacher], mask).item() == pytest.approx(1.0)


def test_distillation_compares_four_spaced_layers():
    assert Objective.distillation(12).hidden_layers == (3, 6, 9, 12)
    assert Objective.distillation(6).hidden_layers == (2, 3, 4, 6)
    assert Objective.distillation(2).hidden_layers == (1, 2)
    assert Objective.distillation(12).needs_teacher
    assert not Objective().needs_teacher


def test_a_student_of_fewer_layers_is_compared_after_its_own_layers_up_to_there():
    goal = Objective.distillation(12)
    assert goal.compared == goal.hidden_layers == (3, 6, 9, 12)
    assert goal.for_student(range(12)).compared == goal.hidden_layers
    assert goal.for_student([0, 1, 2, 9, 10, 11]).compared == (3, 3, 3, 6)
    assert goal.for_student([3, 7]).compared == (0, 1, 2, 2)


def test_vectors_loss_is_one_minus_cosine():
    wanted = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert vectors_loss(torch.tensor([[1.0, 1.0], [0.0, 5.0]]), wanted).item() == pytest.approx(
        (1 - 0.5**0.5) / 2
    )


def test_embeddings_are_distilled_without_labels():
    goal = Objective.distillation(6, vectors=True)
    assert (goal.task, goal.logits, goal.vectors) == (0.0, 1.0, True)
    assert goal.hidden_layers == Objective.distillation(6).hidden_layers


def test_words_that_are_not_asked_cost_nothing():
    # two sentences of two and one asked words
    logits = torch.stack([log(0.5, 0.5), log(0.25, 0.75), log(0.1, 0.9)], dim=1).repeat(2, 1, 1)
    labels = torch.tensor([[0, 1, IGNORED], [IGNORED, 0, IGNORED]])
    first, second = -(math.log(0.5) + math.log(0.75)) / 2, -math.log(0.25)
    assert row_losses(logits, labels).tolist() == pytest.approx([first, second])
    assert task_loss(logits, labels).item() == pytest.approx(
        (2 * first + second) / 3
    )  # every word counts alike
    logits[labels == IGNORED] = torch.nan  # as `predict` pads
    assert row_losses(logits, labels).tolist() == pytest.approx([first, second])
    assert task_loss(logits, torch.full_like(labels, IGNORED)).item() == 0.0


def test_answers_of_padding_are_not_compared():
    student, teacher = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    labels = torch.zeros(2, 3)
    kept = [one_a_row(one, mask, labels) for one in (student, teacher)]
    assert kept[0].shape == (4, 4)
    rows = torch.cat([student[0], student[1, :1]]), torch.cat([teacher[0], teacher[1, :1]])
    assert logits_loss(*kept, 2.0).item() == pytest.approx(logits_loss(*rows, 2.0).item())
    assert torch.equal(one_a_row(student[:, 0], mask, labels[:, 0]), student[:, 0])  # texts are as they were


def test_an_answers_ends_are_chosen_among_the_tokens_of_its_text():
    logits = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[[0, 0], [1, 0], [0, 1], [0, 0]], [[1, 1], [0, 0], [IGNORED] * 2, [IGNORED] * 2]])
    first = [logits[0, :, kind].log_softmax(dim=0)[kind + 1] for kind in (0, 1)]
    second = [logits[1, :2, kind].log_softmax(dim=0)[0] for kind in (0, 1)]
    by_hand = [-sum(pair).item() / 2 for pair in (first, second)]
    assert row_losses(logits, labels).tolist() == pytest.approx(by_hand)
    assert task_loss(logits, labels).item() == pytest.approx(sum(by_hand) / 2)
    logits[1, 2:] = 50.0  # what padding says
    assert row_losses(logits, labels).tolist() == pytest.approx(by_hand)
    logits[1, 2:] = torch.nan  # as `predict` pads
    assert row_losses(logits, labels).tolist() == pytest.approx(by_hand)


def test_a_teacher_of_places_is_followed_at_both_ends():
    student, teacher = torch.randn(2, 2, 4, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    labels = torch.zeros(2, 4, 2)

    def distance():
        return logits_loss(*(one_a_row(one, mask, labels) for one in (student, teacher)), 2.0).item()

    by_hand = 0.0
    for row, length in enumerate((4, 2)):
        for kind in (0, 1):
            p, q = ((one[row, :length, kind] / 2).log_softmax(dim=0) for one in (teacher, student))
            by_hand += 4 * (p.exp() * (p - q)).sum().item() / 4
    assert distance() == pytest.approx(by_hand)
    student[1, 2:], teacher[1, 3] = 70.0, -70.0  # padding
    assert distance() == pytest.approx(by_hand)
    student[1, 1, 1] += 3.0
    assert distance() != pytest.approx(by_hand)
