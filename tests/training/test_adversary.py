"""Noise on word embeddings: it starts small, climbs by a step, leaves padding alone, and goes away."""

from __future__ import annotations

import pytest
import torch

from leanformer.training.adversary import Adversary, perturbed


@pytest.fixture
def batch():
    tokens = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(tokens)
    mask[1, 5:] = 0
    return {"input_ids": tokens * mask, "attention_mask": mask}


def loss_of(model, batch):
    return torch.nn.functional.cross_entropy(model(**batch).logits, torch.tensor([0, 1, 0]))


def test_noise_starts_within_its_size_and_on_real_tokens_only(tiny_model, batch):
    model = tiny_model("bert").eval()
    with perturbed(model, batch["attention_mask"], Adversary(start=0.05)) as noise, torch.no_grad():
        model(**batch)
    width = model.config.hidden_size
    for row, tokens in enumerate((9, 5, 9)):
        delta = noise.delta[row].detach()
        assert 0 < float(delta.abs().max()) <= 0.05 / (tokens * width) ** 0.5 + 1e-9
    assert not noise.delta[1, 5:].any()


def test_a_step_has_its_length_and_raises_the_loss(tiny_model, batch):
    model = tiny_model("bert").eval()
    with perturbed(model, batch["attention_mask"], Adversary(start=1e-6, step_size=0.3)) as noise:
        before = loss_of(model, batch)
        before.backward()
        first = noise.delta.detach().clone()
        noise.ascend()
        lengths = (noise.delta.detach() - first).flatten(1).norm(dim=1)
        torch.testing.assert_close(lengths, torch.full((3,), 0.3), atol=1e-5, rtol=1e-4)
        assert loss_of(model, batch) > before
    plain = loss_of(model, batch)
    torch.testing.assert_close(plain, before, atol=1e-4, rtol=1e-4)  # the noise is gone


def test_no_step_without_a_gradient(tiny_model, batch):
    model = tiny_model("bert").eval()
    with (
        perturbed(model, batch["attention_mask"], Adversary()) as noise,
        pytest.raises(ValueError, match="no gradient"),
    ):
        noise.ascend()


@pytest.mark.parametrize("family", ["roberta", "electra", "distilbert", "mpnet", "modernbert"])
def test_noise_reaches_every_family(tiny_model, batch, family):
    model = tiny_model(family).eval()
    with torch.no_grad():
        plain = model(**batch).logits
        with perturbed(model, batch["attention_mask"], Adversary(start=5.0)):
            assert not torch.equal(model(**batch).logits, plain)
