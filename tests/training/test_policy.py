"""Draws of tokens, what they are worth, and what a guide would draw."""

from itertools import product

import pytest
import torch

from leanformer.encoders.carried_tokens import Tokens
from leanformer.encoders.view import EncoderView
from leanformer.structure.tokens import set_kept_tokens, tokens_drawn, with_kept_tokens
from leanformer.training.objective import row_losses
from leanformer.training.policy import guides_of, policy_loss
from leanformer.training.trials import Drawn, Trials, most_of
from tiny import padded_texts


@pytest.fixture
def model(tiny_model):
    found = with_kept_tokens(tiny_model("bert").eval(), (0.9, 0.5), [0, 1]).requires_grad_(True)
    set_kept_tokens(found, [1.0, 1.0])
    return found


def tokens_of(real):
    tokens = Tokens()
    tokens.begin(torch.zeros(*real.shape, 1), real[:, None, None])
    return tokens


def test_tokens_are_drawn_as_often_as_the_policy_says():
    torch.manual_seed(0)
    logits = torch.tensor([[9.0, -1.0, 0.0, 2.0, 5.0]]).expand(4000, 5)
    real = torch.tensor([True, True, True, True, False]).expand(4000, 5)
    drawn = Drawn()
    stays = drawn(0, logits, tokens_of(real))
    assert not stays[:, 0].any()  # the first token is no action
    assert not stays[:, 4].any()  # padding is none either
    frequencies = stays[:, 1:4].float().mean(dim=0)
    torch.testing.assert_close(frequencies, logits[0, 1:4].sigmoid(), atol=0.03, rtol=0)
    expected = (1 + logits[0, 1:4].sigmoid().sum()) / 4
    assert float(drawn.kept[0].mean()) == pytest.approx(float(expected), abs=0.01)


def test_the_surprise_is_that_of_the_actions():
    drawn = Drawn({0: torch.tensor([[0.0, 3.0, 1.0, 2.0]])})
    logits = torch.tensor([[0.0, 1.0, 0.5, -0.4]])
    stays = drawn(0, logits, tokens_of(torch.ones(1, 4, dtype=torch.bool)))
    assert stays.tolist() == [[False, True, False, True]]  # p adds up to 1.75: two, the guide's best
    chances = logits[0].sigmoid()
    by_hand = -(chances[1].log() + (1 - chances[2]).log() + chances[3].log()) / 3
    assert float(drawn.surprises[0]) == pytest.approx(float(by_hand), rel=1e-5)
    assert float(drawn.kept[0]) == pytest.approx(3 / 4)


def test_a_guide_is_asked_about_the_tokens_that_are_left():
    tokens = tokens_of(torch.ones(1, 5, dtype=torch.bool))
    states = tokens.only(torch.arange(5.0)[None, :, None], torch.tensor([[False, False, True, False, True]]))
    assert states.flatten().tolist() == [0.0, 2.0, 4.0]  # the first stays in any case
    drawn = Drawn({1: torch.tensor([[0.0, 9.0, 1.0, 9.0, 2.0]])})
    stays = drawn(1, torch.tensor([[0.0, 0.0, 0.0]]), tokens)
    assert stays.tolist() == [[False, False, True]]  # p adds up to one: the better of 1.0 and 2.0
    assert float(drawn.kept[0]) == pytest.approx(2 / 5)


def test_most_of_takes_so_many_of_the_free_ones():
    free = torch.tensor([[False, True, True, True], [False, True, True, False]])
    scores = torch.tensor([[9.0, 1.0, 3.0, 2.0], [9.0, 1.0, 3.0, 9.0]])
    found = most_of(scores, torch.tensor([2.0, 5.0]), free)
    assert found.tolist() == [[False, False, True, True], [False, True, True, False]]


def rewards_of(model, batch, labels, alpha):
    """The reward of each way to keep two free tokens, by the way."""

    def reward(stays):
        wanted = torch.tensor([[True, *stays]])
        with torch.no_grad(), tokens_drawn(EncoderView(model), lambda layer, logits, tokens: wanted):
            outputs = model(**batch)
        return -row_losses(outputs.logits, labels)[0] - alpha * wanted.float().mean()

    return {stays: reward(stays) for stays in product((False, True), repeat=2)}


def test_the_gradient_is_that_of_the_mean_reward(tiny_model):
    """For one text of two free tokens the mean reward can be written down; many draws come near its gradient."""
    model = with_kept_tokens(tiny_model("bert").eval(), (0.9, 0.9), [0]).requires_grad_(True)
    set_kept_tokens(model, [1.0, 1.0])
    batch, labels, alpha = padded_texts([3]), torch.tensor([1]), 2.0
    bias = EncoderView(model).token_scorer(0).outer.bias
    torch.manual_seed(0)
    loss, _ = policy_loss(model, batch, labels, Trials(alpha, samples=300, imitated=0.0), progress=0.0)
    (found,) = torch.autograd.grad(loss, [bias])
    noted = {}
    with tokens_drawn(EncoderView(model), lambda layer, logits, tokens: noted.setdefault(0, logits) > -99):
        model(**batch)
    chances = noted[0][0, 1:].sigmoid()
    mean = sum(
        reward * torch.stack([p if stay else 1 - p for p, stay in zip(chances, stays, strict=True)]).prod()
        for stays, reward in rewards_of(model, batch, labels, alpha).items()
    )
    (expected,) = torch.autograd.grad(mean, [bias])
    # sum (R - b) (-1/n log pi): the loss falls where the mean reward rises, with 1/n of its gradient, n = 2
    assert float(found) == pytest.approx(-float(expected) / 2, rel=0.25)


def test_nothing_but_the_scorers_learns(model):
    batch, labels = padded_texts([6, 4]), torch.tensor([0, 1])
    loss, outputs = policy_loss(model, batch, labels, Trials(samples=3), progress=0.0)
    loss.backward()
    names = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert names
    assert all(".scorer." in name for name in names)
    assert outputs.logits.shape == (2, 2)


def test_the_guide_is_zero_where_nothing_changes(model):
    batch, labels = padded_texts([6, 4]), torch.tensor([0, 1])
    guides = guides_of(model, batch, labels)
    assert set(guides) == {0, 1}
    top = max(1, round(0.75 * 2))
    assert float(guides[top - 1].abs().max()) == 0.0  # the top looks back at itself
    assert float(guides[0].abs().max()) > 0.0
