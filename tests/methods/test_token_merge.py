"""Token merging: the ratio that was asked for, no training, and a refusal of more than it can save."""

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError, ModelError
from leanformer.methods.registry import METHODS
from leanformer.methods.token_merge import merging_shares
from leanformer.structure.cost import pruning_ratio
from tiny import build_embedder, padded_texts

METHOD = METHODS["token-merge"]


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5])
def test_the_ratio_is_met_and_no_weight_changes(problem, ratio):
    teacher = build_embedder("bert", layers=4)
    found = METHOD.run(problem("token", ratio=ratio, teacher=teacher))
    assert pruning_ratio(EncoderView(teacher), found.masks, "token") == pytest.approx(ratio, abs=0.02)
    assert pruning_ratio(EncoderView(teacher), found.masks, "token") >= ratio
    view = EncoderView(found.model)
    kept = [view.kept_tokens(layer) for layer in range(4)]
    assert kept == sorted(kept, reverse=True)
    assert 1 > kept[0] >= 0.5
    state = found.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in teacher.state_dict().items())
    assert not found.training


def test_no_ratio_is_the_dense_model():
    assert merging_shares(EncoderView(build_embedder("bert")), 0.0) == [1.0, 1.0]


def test_vectors_stay_nearer_the_less_is_merged(problem):
    teacher, batch = build_embedder("bert", layers=4), padded_texts([40, 33, 21])
    with torch.no_grad():
        dense = teacher(**batch).logits
        alike = [
            float(
                (
                    METHOD.run(problem("token", ratio=ratio, teacher=teacher)).model(**batch).logits * dense
                ).sum()
            )
            for ratio in (0.05, 0.6)
        ]
    assert alike[0] > alike[1]


def test_more_than_half_a_layer_is_refused(problem):
    with pytest.raises(BudgetError, match=r"no more than half of its tokens, which saves 0\.\d\d"):
        METHOD.run(problem("token", ratio=0.9, teacher=build_embedder("bert")))


def test_families_that_normalise_first_are_refused(problem):
    with pytest.raises(ModelError, match="modernbert"):
        METHOD.run(problem("token", ratio=0.2, teacher=build_embedder("modernbert")))
