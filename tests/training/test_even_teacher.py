"""Tokens of a group share one logit in the teacher, by either rule; all else stays."""

import pytest
import torch

from leanformer.training.even_teacher import EvenTeacher, even_logits
from leanformer.training.teacher import LiveTeacher
from tiny import padded_texts

GROUPS = ((1, 4), (0, 2, 5))


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rule", ["logits", "probabilities"])
def test_a_group_shares_one_logit_and_the_others_keep_theirs(rule):
    logits = drawn(3, 2, 7)
    kept = logits.clone()
    even = even_logits(logits, GROUPS, rule)
    assert torch.equal(logits, kept)
    for group in GROUPS:
        assert (even[..., list(group)] == even[..., group[0], None]).all()
    assert torch.equal(even[..., [3, 6]], logits[..., [3, 6]])


def test_the_mean_of_logits():
    even = even_logits(torch.tensor([1.0, 2.0, 9.0]), ((0, 1),))
    assert even.tolist() == [1.5, 1.5, 9.0]


def test_the_mean_of_probabilities_leaves_those_of_others():
    logits = drawn(7)
    before, after = logits.softmax(-1), even_logits(logits, GROUPS, "probabilities").softmax(-1)
    assert torch.allclose(after[[3, 6]], before[[3, 6]])
    assert after[1].item() == pytest.approx((before[1] + before[4]).item() / 2)


def test_no_such_rule():
    with pytest.raises(ValueError, match="no rule 'median'"):
        even_logits(drawn(7), GROUPS, "median")


def test_the_teacher_itself_is_even_and_its_states_are_its_own(tiny_model):
    model = tiny_model("bert", num_labels=7)
    batch = padded_texts([5, 3])
    plain = LiveTeacher(model, (1,))
    logits, hidden = EvenTeacher(plain, GROUPS, "logits").outputs(torch.arange(2), batch)
    assert (logits[:, 1] == logits[:, 4]).all()
    assert torch.equal(hidden[0], plain.outputs(torch.arange(2), batch)[1][0])
