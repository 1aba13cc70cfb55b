"""Token reduction: what is kept, in which order, and that a text's answer is its own."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from leanformer.encoders.carried_tokens import Tokens, count_of, significance
from leanformer.encoders.families import FAMILIES
from leanformer.encoders.outputs import logits_of
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.structure.surgery import slice_units
from leanformer.structure.tokens import set_kept_tokens, tokens_drawn, with_kept_tokens
from tiny import TINY_FAMILIES, build_reader, build_tagger, padded_texts

REDUCING = [name for name in TINY_FAMILIES if not FAMILIES[name].pre_norm]
TOLERANCE = 1e-5
SHARES = (0.75, 0.4)


@pytest.fixture(params=REDUCING)
def model(request, tiny_model):
    return tiny_model(request.param).eval()


def logits(model, batch):
    with torch.no_grad():
        return logits_of(model(**batch))


def test_all_tokens_is_the_model_itself(model):
    batch = padded_texts([11, 7, 4])
    same = with_kept_tokens(model, (1.0, 1.0))
    torch.testing.assert_close(logits(same, batch), logits(model, batch), atol=0, rtol=0)
    less = logits(with_kept_tokens(model, SHARES), batch)
    assert (less - logits(model, batch)).abs().max() > 1e-4


@pytest.mark.parametrize("build", [build_tagger, build_reader])
@pytest.mark.parametrize("family", REDUCING)
def test_a_tokens_answer_does_not_depend_on_neighbours_or_padding(family, build):
    small = with_kept_tokens(build(family), SHARES)
    batch = padded_texts([14, 11, 7, 4])
    together = logits(small, batch)
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        alone = {name: tensor[row : row + 1, :length] for name, tensor in batch.items()}
        torch.testing.assert_close(together[row, :length], logits(small, alone)[0], atol=TOLERANCE, rtol=0)


def test_a_texts_answer_does_not_depend_on_neighbours_or_padding(model):
    small = with_kept_tokens(model, SHARES)
    lengths = [13, 8, 5, 1]
    together = padded_texts(lengths)
    expected = logits(small, together)
    wider = padded_texts(lengths, width=22)
    torch.testing.assert_close(logits(small, wider), expected, atol=TOLERANCE, rtol=0)
    for row, length in enumerate(lengths):
        alone = {name: part[row : row + 1, :length] for name, part in together.items()}
        torch.testing.assert_close(logits(small, alone), expected[row : row + 1], atol=TOLERANCE, rtol=0)


def test_reloaded(model, tmp_path):
    small = with_kept_tokens(model, SHARES)
    assert [EncoderView(small).kept_tokens(layer) for layer in range(2)] == [0.75, 26 / 64]
    assert save_model(small, None, tmp_path) == "lean"
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    batch = padded_texts([11, 7])
    torch.testing.assert_close(logits(again, batch), logits(small, batch), atol=TOLERANCE, rtol=0)


def test_heads_that_read_all_tokens_get_them_back(tiny_model):
    """A token that left keeps the state of the layer before, in its place."""
    model = tiny_model("bert").eval().base_model
    batch, small = padded_texts([12, 6]), with_kept_tokens(model, (1.0, 0.5))
    with torch.no_grad():
        states = small(**batch).last_hidden_state
        before = model(**batch, output_hidden_states=True).hidden_states[1]
    assert states.shape == before.shape
    kept = small.encoder.tokens.positions
    assert kept.shape == (2, 6)
    for row, there, length in ((0, 6, 12), (1, 3, 6)):  # what padding holds is nobody's
        same = (states[row] == before[row]).all(dim=1)[:length]
        assert not same[kept[row, :there]].any()
        assert int(same.sum()) == length - there


def random_tokens(lengths, seed=1):
    """Tokens of a batch that has just begun, and random states and scores."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths)
    states = torch.rand(len(lengths), width, 3, generator=generator)
    real = torch.arange(width) < torch.tensor(lengths)[:, None]
    tokens = Tokens()
    tokens.begin(states, real[:, None, None])
    return tokens, states, torch.rand(len(lengths), width, generator=generator)


@pytest.mark.parametrize("share", [1 / 64, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("padding_score", [0.0, 9.0])
def test_kept_are_the_best_in_their_order(share, padding_score):
    lengths = [9, 4, 1]
    tokens, states, scores = random_tokens(lengths)
    scores = torch.where(tokens.real, scores, padding_score)
    kept = tokens.keep(states, scores, share)
    assert kept.shape[1] == count_of(9, share)
    for row, length in enumerate(lengths):
        count = count_of(length, share)
        others = scores[row, 1:length].argsort(descending=True)[: count - 1] + 1
        expected = [0, *sorted(others.tolist())]
        assert tokens.positions[row, tokens.real[row]].tolist() == expected
        torch.testing.assert_close(kept[row, tokens.real[row]], states[row, expected])


def test_padding_asks_nothing():
    probabilities = torch.rand(2, 3, 5, 5).softmax(dim=-1)
    real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    found = significance(probabilities, real)
    assert found[1, 0] == pytest.approx(float(probabilities[1, :, 1:3, 0].sum(dim=1).mean()))
    assert found[0, 2] == pytest.approx(float(probabilities[0, :, [0, 1, 3, 4], 2].sum(dim=1).mean()))


def test_refusals(tiny_model):
    model = tiny_model("bert")
    with pytest.raises(ValueError, match="no 2 shares"):
        with_kept_tokens(model, (0.5,))
    with pytest.raises(ValueError, match="no 2 shares"):
        with_kept_tokens(model, (0.5, 0.0))
    with pytest.raises(ModelError, match="modernbert"):
        with_kept_tokens(tiny_model("modernbert"), (0.5, 0.5))
    with pytest.raises(ModelError, match="prune it before"):
        slice_units(with_kept_tokens(model, SHARES), {(0, "head"): torch.tensor([1.0, 0.0, 1.0, 1.0])})


def test_scorers_rank_and_drawing_drops_the_same(model, tmp_path):
    """A draw that takes the scorer's best is what a share keeps."""
    small = with_kept_tokens(model, SHARES, [0, 1], seed=3)
    batch = padded_texts([13, 8, 5])
    expected = logits(small, batch)
    view, soft = EncoderView(small), with_kept_tokens(small, SHARES)
    set_kept_tokens(soft, (1.0, 1.0))
    lengths = batch["attention_mask"].sum(dim=1, keepdim=True)

    def best(layer, scores, tokens):
        kept = count_of(lengths, view.kept_tokens(layer))
        scores = scores.masked_fill(~tokens.real, -torch.inf)
        scores[:, 0] = torch.inf
        return (scores.argsort(dim=1, descending=True).argsort(dim=1) < kept) & tokens.real

    with tokens_drawn(EncoderView(soft), best):
        drawn = logits(soft, batch)
    torch.testing.assert_close(drawn, expected, atol=TOLERANCE, rtol=0)
    save_model(small, None, tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(logits(again, batch), expected, atol=TOLERANCE, rtol=0)
    wider = padded_texts([13, 8, 5], width=20)
    torch.testing.assert_close(logits(small, wider), expected, atol=TOLERANCE, rtol=0)


def test_a_scorer_without_anything_to_rank_is_gone(tiny_model):
    small = with_kept_tokens(tiny_model("bert"), (0.7, 0.5), [0, 1])
    assert EncoderView(small).token_scorer(1) is not None
    level = with_kept_tokens(small, (0.7, 0.7))
    assert EncoderView(level).token_scorer(0) is not None
    assert EncoderView(level).token_scorer(1) is None
