"""The space of kept tokens: falling candidates, on the budget, reckoned as the model is."""

import numpy as np
import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.search.falling import TokenRealiser, token_space
from leanformer.structure.cost import macs_share, pruning_ratio
from leanformer.structure.masks import TOKEN
from leanformer.structure.surgery import slice_units
from leanformer.structure.tokens import with_kept_tokens


@pytest.fixture
def model(tiny_model):
    return tiny_model("bert", layers=4).eval()


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.7])
def test_candidates_fall_and_meet_the_ratio(model, ratio):
    view = EncoderView(model)
    space = token_space(view, ratio)
    realiser = TokenRealiser(model, with_kept_tokens(model, [0.9, 0.8, 0.7, 0.6]), space)
    generator = np.random.default_rng(0)
    candidate = space.uniform()
    for step in range(30):
        candidate = space.random(generator) if step % 3 == 0 else space.swap(candidate, generator)
        assert list(candidate) == sorted(candidate, reverse=True)
        if space.fits(candidate):
            assert pruning_ratio(view, realiser.masks(candidate), TOKEN) == pytest.approx(ratio, abs=0.011)
    small = EncoderView(realiser.build(candidate))
    kept = [small.kept_tokens(layer) for layer in range(4)]
    assert kept == [level / 64 for level in candidate]


def test_layers_without_heads_drop_nothing(model):
    heads = torch.zeros(4)
    lean = slice_units(model, {(1, "head"): heads})
    view = EncoderView(lean)
    space = token_space(view, 0.3)
    assert [group.layer for group in space.groups] == [0, 2, 3]
    candidate = space.uniform()
    masks = TokenRealiser(lean, with_kept_tokens(lean, [0.9, 0.9, 0.8, 0.7]), space).masks(candidate)
    assert pruning_ratio(view, masks, TOKEN) == pytest.approx(0.3, abs=0.011)


def test_multiply_accumulates_know_tokens(model):
    view = EncoderView(model)
    half = {(layer, TOKEN): (torch.arange(64) < 32).float() for layer in range(4)}
    with_square = macs_share(view, half, 400.0)
    assert with_square < macs_share(view, half, 10.0) < 1 - pruning_ratio(view, half, TOKEN) + 0.01
    assert macs_share(view, {}, 10.0) == pytest.approx(1.0)


def test_more_than_all_layers_but_the_first_attention_is_refused(model):
    with pytest.raises(BudgetError, match="the first attention reads all tokens"):
        token_space(EncoderView(model), 0.97)
