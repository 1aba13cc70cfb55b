"""Early exits: who leaves when, with whose answer; and that neighbours and padding change nothing."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from leanformer.encoders.carried_exits import normalised_entropy
from leanformer.encoders.families import FAMILIES
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.exits import answers_between, exits_of, set_policy, with_exits
from leanformer.structure.tokens import with_kept_tokens
from tiny import TINY_FAMILIES, padded_texts

LEAVING = [name for name in TINY_FAMILIES if not FAMILIES[name].pre_norm]
LAYERS, TOLERANCE = 4, 1e-5
LENGTHS = (13, 8, 5, 3, 11, 9)


@pytest.fixture(params=LEAVING)
def model(request, tiny_model):
    dense = tiny_model(request.param, layers=LAYERS).eval()
    return with_exits(dense, [0, 1, 2], size=16, judges=True)


def texts(width=None):
    return padded_texts(LENGTHS, width)


def logits(model, batch):
    with torch.no_grad():
        return model(**batch).logits


def every_answer(model, batch):
    """Logits of all exits and of the last head, (exits + 1, batch, labels), and the judges' words."""
    set_policy(model, "", 0.0)
    with torch.no_grad():
        out = model(**batch, output_hidden_states=True)
        between = answers_between(model, out.hidden_states, batch["attention_mask"])
    return torch.stack([*(answer for answer, _ in between), out.logits]), torch.stack(
        [wrong for _, wrong in between]
    )


def between(values):
    """A threshold that no value is close to: the middle of the two in the middle."""
    ordered = values.flatten().sort().values
    return float(ordered[len(ordered) // 2 - 1 :][:2].mean())


def test_without_a_policy_it_is_the_model_itself(model, tiny_model):
    dense = tiny_model(model.config.model_type.removeprefix("leanformer-"), layers=LAYERS).eval()
    torch.testing.assert_close(logits(model, texts()), logits(dense, texts()), atol=TOLERANCE, rtol=0)
    set_policy(model, "entropy", 0.0)  # nobody is that sure
    torch.testing.assert_close(logits(model, texts()), logits(dense, texts()), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("policy", ["entropy", "learned"])
def test_a_text_leaves_with_the_first_answer_that_is_sure(model, policy):
    answers, wrong = every_answer(model, texts())
    unsure = normalised_entropy(answers)[:-1] if policy == "entropy" else wrong
    threshold = between(unsure[0])
    set_policy(model, policy, threshold)
    found = logits(model, texts())
    used = EncoderView(model).encoder().leaving.layers
    assert len(set(used.tolist())) > 1
    for row in range(len(LENGTHS)):
        sure = [number for number in range(3) if unsure[number, row] < threshold]
        expected = sure[0] if sure else 3
        torch.testing.assert_close(found[row], answers[expected, row], atol=TOLERANCE, rtol=0)
        assert used[row] == expected + 1


def test_patience_waits_for_agreement(model):
    answers, _ = every_answer(model, texts())
    votes = answers.argmax(dim=-1)
    set_policy(model, "patience", 1)
    found = logits(model, texts())
    for row in range(len(LENGTHS)):
        agreed = [number for number in (1, 2) if votes[number, row] == votes[number - 1, row]]
        torch.testing.assert_close(
            found[row], answers[agreed[0] if agreed else 3, row], atol=TOLERANCE, rtol=0
        )
    set_policy(model, "patience", 3)  # more than there are exits
    torch.testing.assert_close(logits(model, texts()), answers[-1], atol=TOLERANCE, rtol=0)


def test_neighbours_and_padding_change_nothing(model):
    answers, _ = every_answer(model, texts())
    set_policy(model, "entropy", between(normalised_entropy(answers)[0]))
    together = logits(model, texts())
    torch.testing.assert_close(logits(model, texts(width=20)), together, atol=TOLERANCE, rtol=0)
    for row, length in enumerate(LENGTHS):
        alone = {name: part[row : row + 1, :length] for name, part in texts().items()}
        torch.testing.assert_close(logits(model, alone), together[row : row + 1], atol=TOLERANCE, rtol=0)


def test_all_may_leave_at_once(model):
    answers, _ = every_answer(model, texts())
    set_policy(model, "entropy", 1.1)
    torch.testing.assert_close(logits(model, texts()), answers[0], atol=TOLERANCE, rtol=0)


def test_reloaded_with_its_policy(model, tmp_path):
    answers, _ = every_answer(model, texts())
    set_policy(model, "entropy", between(normalised_entropy(answers)[0]))
    assert save_model(model, None, tmp_path) == "lean"
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(logits(again, texts()), logits(model, texts()), atol=TOLERANCE, rtol=0)
    assert list(exits_of(again)) == [0, 1, 2]


def test_with_fewer_tokens(model):
    small = with_kept_tokens(model, [0.8, 0.6, 0.5, 0.5])
    set_policy(small, "entropy", 1.1)
    first = logits(small, texts())
    set_policy(small, "", 0.0)
    assert (logits(small, texts()) - first).abs().max() > 1e-4
    assert list(exits_of(small)) == [0, 1, 2]


def test_while_it_trains_nobody_leaves(model):
    set_policy(model, "entropy", 1.1)
    model.train()
    model(**texts())
    assert not EncoderView(model).encoder().leaving.answers


def test_refusals(tiny_model):
    dense = tiny_model("bert", layers=LAYERS)
    with pytest.raises(ValueError, match="no rising layers"):
        with_exits(dense, [0, 3])
    with pytest.raises(ModelError, match="modernbert"):
        with_exits(tiny_model("modernbert"), [0])
    with pytest.raises(ModelError, match="every token"):
        with_exits(dense.base_model, [0])
    with pytest.raises(ValueError, match="no policy of this model"):
        set_policy(dense, "entropy", 0.5)
    with pytest.raises(ValueError, match="no policy of this model"):
        set_policy(with_exits(dense, [0]), "luck", 0.5)
