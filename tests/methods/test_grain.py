"""GRAIN on a tiny model: the ratio is met, and what is sliced is what was masked."""

from __future__ import annotations

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods import grain
from leanformer.methods.registry import METHODS
from leanformer.structure.cost import pruning_ratio
from leanformer.structure.masks import DIMENSIONS, applied

GRAIN = METHODS["grain"]


@pytest.mark.parametrize(("ratio", "heads"), [(0.3, "ragged"), (0.7, "even")])
def test_the_ratio_is_met(problem, ratio, heads):
    case = problem("dimension", ratio=ratio, options=GRAIN.settings({"heads": heads}))
    found = GRAIN.run(case)
    dense = EncoderView(case.teacher)
    assert pruning_ratio(dense, found.masks, "dimension") == pytest.approx(ratio, abs=0.02)
    assert {kind for _, kind in found.masks} == {*DIMENSIONS, "neuron"}
    assert found.training["curve"]
    assert not any(name.startswith("gates") for name, _ in found.model.named_parameters())
    assert EncoderView(found.model).prunable_weights() < dense.prunable_weights()


def test_masked_equals_sliced(problem, monkeypatch):
    trained = {}
    recover = grain.recovered

    def remembered(problem, model, *rest, **named):
        trained["model"] = model
        return recover(problem, model, *rest, **named)

    monkeypatch.setattr(grain, "recovered", remembered)
    found = GRAIN.run(problem("dimension", ratio=0.5, options=GRAIN.settings({"heads": "ragged"})))
    tokens = torch.randint(5, 60, (2, 11), generator=torch.Generator().manual_seed(3))
    with torch.no_grad(), applied(trained["model"].eval(), found.masks):
        expected = trained["model"](input_ids=tokens).logits
    with torch.no_grad():
        torch.testing.assert_close(found.model(input_ids=tokens).logits, expected, atol=1e-5, rtol=1e-5)


def test_queries_that_turn_in_pairs_stay(problem, tiny_model):
    """Modernbert: values and neurons alone make up the ratio, as far as they go."""
    teacher = tiny_model("modernbert", hidden=16, heads=4, width=48).eval()
    found = GRAIN.run(
        problem("dimension", ratio=0.6, teacher=teacher, options=GRAIN.settings({"heads": "ragged"}))
    )
    assert pruning_ratio(EncoderView(teacher), found.masks, "dimension") == pytest.approx(0.6, abs=0.02)
    with pytest.raises(BudgetError, match=r"grain can remove 0\.8\d of the weights at most"):
        GRAIN.run(
            problem(
                "dimension",
                ratio=0.95,
                folder="too-far",
                teacher=teacher,
                options=GRAIN.settings({"heads": "ragged"}),
            )
        )


def test_word_embeddings_are_factorised_where_it_is_asked_for(problem):
    case = problem("dimension", ratio=0.4, options=GRAIN.settings({"embedding_rank": 5}))
    found = GRAIN.run(case)
    pieces, width = case.teacher.get_input_embeddings().weight.shape
    embeddings = found.model.get_input_embeddings()
    assert tuple(embeddings.table.weight.shape) == (pieces, 5)
    assert tuple(embeddings.projection.weight.shape) == (width, 5)
    assert pruning_ratio(EncoderView(case.teacher), found.masks, "dimension") == pytest.approx(0.4, abs=0.02)
