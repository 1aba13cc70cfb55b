"""Sequential repair: the dense stream is found again where it can be, and comes closer where it can not."""

from __future__ import annotations

import copy

import pytest
import torch

from leanformer.encoders.view import EncoderView
from leanformer.structure import sequential
from leanformer.structure.activations import second_moments
from leanformer.structure.importance import weight_magnitude
from leanformer.structure.masks import Masks, make_permanent
from leanformer.structure.sequential import Stream, dense_stream, repair_in_sequence
from leanformer.structure.surgery import slice_units
from tiny import TINY_FAMILIES

LENGTHS = (12, 12, 9, 7, 7, 5)


def batch_of(rows: slice) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = LENGTHS[rows]
    mask = torch.tensor([[int(place < length) for place in range(12)] for length in LENGTHS])
    ids = torch.randint(5, 60, mask.shape, generator=generator) * mask
    return {
        "input_ids": ids[rows, : max(lengths)],
        "attention_mask": mask[rows, : max(lengths)],
        "labels": torch.zeros(len(lengths), dtype=torch.long),
    }


def stream_of(model, parts: int = 2) -> Stream:
    size = len(LENGTHS) // parts
    plan = [batch_of(slice(start, start + size)) for start in range(0, len(LENGTHS), size)]
    return dense_stream(model, plan, second_moments(model, plan, seed=0))


def masks_of(model, share: float, empty: tuple[tuple[int, str], ...] = ()) -> Masks:
    view, masks = EncoderView(model), {}
    for layer in range(view.n_layers):
        for kind, size in (("head", view.heads(layer)), ("neuron", view.width(layer))):
            kept = 0 if (layer, kind) in empty else max(1, round(share * size))
            masks[layer, kind] = (torch.arange(size) < kept).float()
    return masks


def distances(model, stream: Stream) -> dict[tuple[int, str], float]:
    """Weighted squared distance of a model's own stream to the dense one, at each sub-layer."""
    found = {}

    def measure(sites):
        key = sites[0].key
        missing = stream.sums[key] - torch.cat([site.sums() for site in sites])
        found[key] = float((stream.weights[key][:, None] * missing.square()).sum())
        return [site.leaving for site in sites]

    sequential._walk(EncoderView(model), stream.batches, measure)
    return found


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_dense_stream_is_what_the_layers_pass_on(tiny_model, family):
    model = tiny_model(family)
    stream = stream_of(model)
    assert set(stream.sums) == {(layer, kind) for layer in (0, 1) for kind in ("head", "neuron")}
    assert all(len(states) == sum(LENGTHS) for states in stream.sums.values())
    assert max(distances(model, stream).values()) < 1e-6
    if EncoderView(model).family.pre_norm:  # the first layer hands its last sum to the second one
        seen = {}
        handle = (
            EncoderView(model)
            .layers[1]
            .register_forward_pre_hook(
                lambda module, args, kwargs: seen.update(x=args[0] if args else kwargs["hidden_states"]),
                with_kwargs=True,
            )
        )
        model(**stream.batches[0])
        handle.remove()
        passed = seen["x"][stream.batches[0]["attention_mask"].bool()]
        assert torch.allclose(passed, stream.sums[0, "neuron"][: len(passed)], atol=1e-5)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_without_removal_nothing_changes(tiny_model, family):
    dense = tiny_model(family)
    stream, same = stream_of(dense), copy.deepcopy(dense)
    repair_in_sequence(EncoderView(same), stream)
    for name, tensor in dense.state_dict().items():
        assert torch.allclose(same.state_dict()[name], tensor, atol=1e-4), name


@pytest.mark.parametrize("empty", [(), ((0, "head"), (1, "neuron"))], ids=["halves", "empty sub-layers"])
@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_stream_comes_closer(tiny_model, family, empty):
    dense = tiny_model(family)
    stream, small = stream_of(dense), slice_units(dense, masks_of(dense, 0.5, empty))
    before = distances(small, stream)
    repair_in_sequence(EncoderView(small), stream)
    after = distances(small, stream)
    assert before.keys() == after.keys()
    last = (1, "neuron")
    if empty and EncoderView(small).output_bias(*last) is None:
        last = (1, "head")  # nothing is left behind it that could be fitted
    assert after[last] < (1.0 if empty else 0.9) * before[last]
    ids = torch.arange(5, 25).view(2, 10)
    assert torch.isfinite(small(input_ids=ids).logits).all()


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_sparse_rows_keep_their_zeros_and_come_closer(tiny_model, family):
    dense = tiny_model(family)
    view, small = EncoderView(dense), copy.deepcopy(dense)
    masks = {key: (score > score.median()).float() for key, score in weight_magnitude(view).items()}
    make_permanent(small, masks)
    stream = stream_of(dense)
    before = distances(small, stream)
    repair_in_sequence(EncoderView(small), stream, sparse=True)
    assert distances(small, stream)[1, "neuron"] < before[1, "neuron"]
    for layer in range(view.n_layers):
        for name, matrix in EncoderView(small).matrices(layer).items():
            assert not matrix[masks[layer, name] == 0].any(), name


def test_what_came_before_is_made_good(tiny_model, monkeypatch):
    """A sub-layer that kept all its units still changes, since what enters it is wrong."""
    monkeypatch.setattr(sequential, "RIDGE", 1e-6)
    dense = tiny_model("bert")
    stream, small = stream_of(dense), slice_units(dense, {(0, "head"): torch.tensor([1.0, 0, 0, 0])})
    repair_in_sequence(EncoderView(small), stream)
    kept = EncoderView(small).ffn_out(0).weight
    assert not torch.allclose(kept, EncoderView(dense).ffn_out(0).weight, atol=1e-3)


def test_a_solve_is_weighted_least_squares(monkeypatch):
    monkeypatch.setattr(sequential, "RIDGE", 1e-12)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 6, generator=generator), torch.randn(50, 3, generator=generator)
    weight = torch.rand(50, 1, generator=generator) + 0.1
    linear = torch.nn.Linear(6, 3)
    with torch.no_grad():
        wanted = y + linear(x)
        sequential._solve(linear, x, y, weight)
        root = weight.sqrt()
        extended = torch.cat([x, torch.ones(50, 1)], dim=1)
        best = torch.linalg.lstsq(root * extended, root * wanted).solution
        assert torch.allclose(linear.weight, best[:-1].T, atol=1e-4)
        assert torch.allclose(linear.bias, best[-1], atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_batches_are_fitted_as_one(tiny_model, family):
    dense = tiny_model(family)
    whole, thirds = stream_of(dense, parts=1), stream_of(dense, parts=3)
    thirds.weights.update(whole.weights)  # gathered batch by batch, each relative to its own mean
    models = []
    for stream in (whole, thirds):
        models.append(slice_units(dense, masks_of(dense, 0.5)))
        repair_in_sequence(EncoderView(models[-1]), stream)
    for (name, one), other in zip(
        models[0].state_dict().items(), models[1].state_dict().values(), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-3), name
