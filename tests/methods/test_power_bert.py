"""PoWER-BERT on a tiny model."""

import pytest
import torch

from leanformer.encoders.carried_tokens import PARTS, Tokens
from leanformer.encoders.view import EncoderView
from leanformer.methods.registry import METHODS
from leanformer.methods.steps import LEAVING_RATE
from leanformer.structure.cost import pruning_ratio
from leanformer.structure.fading import faded
from leanformer.training.config import dense_rate

METHOD = METHODS["power-bert"]


@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_the_ratio_is_met_and_the_masses_fall(problem, weight):
    case = problem("token", ratio=0.4, options=METHOD.settings({"lambda": weight}))
    found = METHOD.run(case)
    assert pruning_ratio(EncoderView(case.teacher), found.masks, "token") == pytest.approx(0.4, abs=0.011)
    view = EncoderView(found.model)
    kept = [view.kept_tokens(layer) for layer in range(view.n_layers)]
    assert kept == sorted(kept, reverse=True)
    assert all(0 <= mass < 1 for mass in found.training["masses"])
    assert found.training["soft"]["curve"]
    width = case.teacher.config.hidden_size
    assert found.training["learning_rate"] == pytest.approx(LEAVING_RATE * dense_rate(width))
    assert not any(name.startswith("gates") for name, _ in found.model.named_parameters())


def test_factors_go_by_rank():
    tokens, states = Tokens(), torch.ones(2, 4, 3)
    real = torch.tensor([[True] * 4, [True, True, False, False]])
    tokens.begin(states, real[:, None, None])
    tokens.significance = torch.tensor([[0.0, 0.1, 0.3, 0.2], [0.0, 0.5, 9.0, 9.0]])
    factors = torch.linspace(1.0, 0.0, PARTS)
    found = faded(states, tokens, factors)[..., 0]
    place = [factors[rank * PARTS // 4].item() for rank in range(4)]
    assert found[0].tolist() == pytest.approx([1.0, place[3], place[1], place[2]])
    assert found[1].tolist() == pytest.approx([1.0, factors[PARTS // 2].item(), 1.0, 1.0])
