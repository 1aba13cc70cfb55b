"""The first law: masked == sliced == saved and reloaded, for every family and kind of mask, by every door."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from same_answers import TOLERANCE, batch, logits, run_door
from transformers import AutoModel, AutoModelForSequenceClassification

from leanformer.encoders.families import supported
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.structure.masks import Masks, applied, make_permanent
from leanformer.structure.surgery import slice_units

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "modernbert")
HEADS, WIDTH, LAYERS = 4, 48, 3


def random_mask(size: int, seed: int) -> torch.Tensor:
    """A 0/1 mask that keeps about half of the units, at least one, and not all of them."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    mask = torch.zeros(size)
    mask[order[: size // 2 + seed % 2]] = 1
    return mask


def unit_masks(case: str) -> Masks:
    heads: Masks = {(layer, "head"): random_mask(HEADS, seed=layer) for layer in range(LAYERS)}
    neurons: Masks = {(layer, "neuron"): random_mask(WIDTH, seed=10 + layer) for layer in range(LAYERS)}
    no_heads: Masks = {(1, "head"): torch.zeros(HEADS)}
    no_neurons: Masks = {(1, "neuron"): torch.zeros(WIDTH)}
    return {
        "heads": heads,
        "neurons": neurons,
        "both": heads | neurons,
        "no heads": heads | no_heads,
        "no neurons": neurons | no_neurons,
        "nothing left": no_heads | no_neurons | {(0, "neuron"): neurons[0, "neuron"]},
    }[case]


@pytest.fixture
def model(tiny_model, request):
    return tiny_model(request.param, layers=LAYERS, heads=HEADS, width=WIDTH)


every_family = pytest.mark.parametrize("model", FAMILIES, indirect=True)
# mpnet has no scaled-dot-product attention in transformers: its bias table goes into the scores.
every_attention = pytest.mark.parametrize(
    ("model", "attention"),
    [(name, "eager") for name in FAMILIES] + [(name, "sdpa") for name in FAMILIES if name != "mpnet"],
    indirect=["model"],
)


def test_every_supported_family_is_tested():
    # camembert is roberta under another name: same code, same table.
    assert set(supported()) == {*FAMILIES, "camembert"}


@every_attention
@pytest.mark.parametrize("case", ["heads", "neurons", "both", "no heads", "no neurons", "nothing left"])
def test_masked_is_sliced_is_reloaded(model, case, attention, tmp_path):
    if model.config._attn_implementation != attention:
        model.set_attn_implementation(attention)
    assert model.config._attn_implementation == attention
    masks = unit_masks(case)
    dense = logits(model)
    with applied(model, masks):
        masked = logits(model)
    assert torch.equal(logits(model), dense)
    assert (masked - dense).abs().max() > 1e-3

    small = slice_units(model, masks)
    assert torch.equal(logits(model), dense)
    torch.testing.assert_close(logits(small), masked, atol=TOLERANCE, rtol=0)
    view, small_view = EncoderView(model), EncoderView(small)
    for (layer, kind), mask in masks.items():
        size = small_view.heads(layer) if kind == "head" else small_view.width(layer)
        assert size == int(mask.sum())
    assert small_view.encoder_parameters() < view.encoder_parameters()

    save_model(small, None, tmp_path)
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation=attention)
    torch.testing.assert_close(logits(reloaded), masked, atol=TOLERANCE, rtol=0)
    assert {name: tensor.dtype for name, tensor in reloaded.state_dict().items()} == {
        name: torch.float32 for name in small.state_dict()
    }


@every_family
def test_slicing_in_two_steps_is_slicing_once(model):
    first = unit_masks("both")
    once_gone, twice_gone = first[0, "head"].clone(), random_mask(WIDTH // 2, seed=7)
    kept = once_gone.nonzero().flatten()
    second: Masks = {(0, "head"): torch.tensor([0.0] + [1.0] * (len(kept) - 1)), (2, "neuron"): twice_gone}
    once_gone[kept[0]] = 0
    neurons = first[2, "neuron"].clone()
    neurons[neurons.nonzero().flatten()] = twice_gone
    total = {**first, (0, "head"): once_gone, (2, "neuron"): neurons}
    with applied(model, total):
        masked = logits(model)
    twice = slice_units(slice_units(model, first), second)
    torch.testing.assert_close(logits(twice), masked, atol=TOLERANCE, rtol=0)


@every_family
def test_masked_small_model_is_sliced_small_model(model):
    small = slice_units(model, unit_masks("both"))
    view = EncoderView(small)
    masks: Masks = {
        (2, "head"): torch.tensor([0.0] + [1.0] * (view.heads(2) - 1)),
        (1, "neuron"): random_mask(view.width(1), seed=4),
    }
    with applied(small, masks):
        masked = logits(small)
    assert (masked - logits(small)).abs().max() > 1e-3
    torch.testing.assert_close(logits(slice_units(small, masks)), masked, atol=TOLERANCE, rtol=0)


@every_family
def test_weight_masks_are_permanent_and_plain(model, tmp_path):
    view = EncoderView(model)
    generator = torch.Generator().manual_seed(5)
    masks: Masks = {
        (layer, name): (torch.rand(matrix.shape, generator=generator) > 0.5).float()
        for layer in range(LAYERS)
        for name, matrix in view.matrices(layer).items()
    }
    dense = logits(model)
    for single in masks:
        with applied(model, {single: masks[single]}):
            assert (logits(model) - dense).abs().max() > 1e-4, single
    with applied(model, masks):
        masked = logits(model)
    assert torch.equal(logits(model), dense)
    make_permanent(model, masks)
    assert torch.equal(logits(model), masked)
    zeros = sum(int((matrix == 0).sum()) for n in range(LAYERS) for matrix in view.matrices(n).values())
    assert zeros == sum(int((mask == 0).sum()) for mask in masks.values())
    assert save_model(model, None, tmp_path) == "plain"
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(reloaded) is type(model)
    torch.testing.assert_close(logits(reloaded), masked, atol=TOLERANCE, rtol=0)


@pytest.mark.thorough
def test_three_doors_in_fresh_processes(tiny_model, tiny_tokenizer, tmp_path):
    uniform: Masks = {(layer, "neuron"): random_mask(WIDTH, seed=2 * layer) for layer in range(LAYERS)}
    for family in FAMILIES:
        model = tiny_model(family, layers=LAYERS, heads=HEADS, width=WIDTH)
        cases = {"lean": {**unit_masks("no heads"), (0, "neuron"): torch.zeros(WIDTH)}, "plain": uniform}
        for door, masks in cases.items():
            folder = tmp_path / f"{door}-{family}"
            small = slice_units(model, masks)
            assert save_model(small, tiny_tokenizer, folder) == door
            assert (folder / "carried.py").exists() == (door == "lean")
            (folder / "expected").mkdir()
            save_file({**batch(), "logits": logits(small)}, folder / "expected" / "batch.safetensors")

    doors = {
        "transformers": run_door(tmp_path, "plain-*", blocked=True, trust=False),
        "transformers_modules": run_door(tmp_path, "lean-*", blocked=True, trust=True),
        "leanformer": run_door(tmp_path, "lean-*", blocked=False, trust=False),
    }
    for origin, results in doors.items():
        assert len(results) == len(FAMILIES)
        for name, (worst, answer, found_origin) in results.items():
            assert worst < TOLERANCE, (origin, name)
            assert answer < TOLERANCE, (origin, name)
            assert found_origin == origin, name


def test_base_model_is_sliced_and_loads_under_a_head(tiny_model, tmp_path):
    model = tiny_model("bert", layers=LAYERS, heads=HEADS, width=WIDTH)
    base = slice_units(model.base_model, unit_masks("both"))
    small = slice_units(model, unit_masks("both"))
    with torch.no_grad():
        expected = small.base_model(**batch()).last_hidden_state
        torch.testing.assert_close(base(**batch()).last_hidden_state, expected, atol=TOLERANCE, rtol=0)
        save_model(small, None, tmp_path)
        found = AutoModel.from_pretrained(tmp_path)(**batch()).last_hidden_state
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
