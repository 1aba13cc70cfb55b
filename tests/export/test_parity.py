"""The parity check sees every way in which an export can differ, and only those."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from leanformer.errors import ModelError
from leanformer.export.parity import (
    BATCH_SIZES,
    ROUNDING,
    TOLERANCE,
    check_parity,
    max_difference,
    rounding,
    spread,
)


class Twin:
    """PyTorch's own answers, with something done to them."""

    name, precision = "twin", "fp32"

    def __init__(self, model, change: Callable[[dict, np.ndarray], np.ndarray] = lambda _, logits: logits):
        self.model, self.change, self.shapes = model, change, []

    def __call__(self, batch):
        self.shapes.append(batch["input_ids"].shape)
        with torch.inference_mode():
            logits = self.model(**{name: torch.from_numpy(ids) for name, ids in batch.items()}).logits.numpy()
        return self.change(batch, logits)


def check(small, runner: Twin) -> float:
    return check_parity(small.model, runner, small.encoded, small.tokenizer)


def test_an_identical_model_passes_in_all_batch_sizes_and_lengths(small):
    twin = Twin(small.model)
    assert check(small, twin) == 0.0
    assert {rows for rows, _ in twin.shapes} >= set(BATCH_SIZES)
    lengths = [len(ids) for ids in small.encoded["input_ids"]]
    seen = {tokens for rows, tokens in twin.shapes if rows == 1}
    assert {min(lengths), max(lengths)} <= seen


@pytest.mark.parametrize("wrong", [2 * TOLERANCE, 1.0, float("nan")])
def test_a_different_answer_is_refused(small, wrong):
    with pytest.raises(ModelError, match="exported for twin differs"):
        check(small, Twin(small.model, lambda _, logits: logits + np.float32(wrong)))


def test_one_logit_of_the_longest_text_is_enough(small):
    longest = max(len(ids) for ids in small.encoded["input_ids"])

    def wrong_when_long(batch, logits):
        off = np.zeros_like(logits)
        off[-1, 0] = 1e-3 if batch["input_ids"].shape == (1, longest) else 0.0
        return logits + off

    with pytest.raises(ModelError):
        check(small, Twin(small.model, wrong_when_long))


def test_an_error_in_padded_batches_only_is_seen(small):
    def wrong_when_padded(batch, logits):
        return logits + np.float32(1e-3 * (batch["attention_mask"] == 0).any())

    with pytest.raises(ModelError):
        check(small, Twin(small.model, wrong_when_padded))


def test_large_logits_are_compared_by_their_size(small):
    model = deepcopy(
        small.model
    )  # not monkeypatch: undoing, it deletes a parameter instead of putting it back
    with torch.no_grad():
        model.classifier.weight.mul_(1e4)
    large = replace(small, model=model)
    nearly = Twin(model, lambda _, logits: logits * (1 + 2e-6))
    difference, largest = max_difference(model, nearly, small.encoded, small.tokenizer)
    assert largest > 100
    assert difference > TOLERANCE
    check(large, nearly)
    with pytest.raises(ModelError):
        check(large, Twin(model, lambda _, logits: logits * (1 + 1e-4)))


def test_a_spread_goes_from_long_to_short(small):
    lengths = [len(ids) for ids in spread(small.encoded, 5)["input_ids"]]
    everything = [len(ids) for ids in small.encoded["input_ids"]]
    assert lengths == sorted(lengths, reverse=True)
    assert (lengths[0], lengths[-1]) == (max(everything), min(everything))
    assert len(spread(small.encoded, 10_000)) == len(everything)


def test_what_rounding_alone_does_is_allowed_and_no_more(small):
    model = deepcopy(small.model)
    with torch.no_grad():  # the norm behind it takes the large mean away again, and 3 of 7 digits with it
        model.bert.encoder.layer[0].output.dense.bias.add_(2000.0)
    rough, exact = replace(small, model=model), deepcopy(model).double()
    nearer = Twin(exact)
    own, runtimes = rounding(model, nearer, small.encoded, small.tokenizer)
    assert own > 2 * TOLERANCE
    assert runtimes == 0.0
    assert check(rough, nearer) == pytest.approx(own)
    check(rough, Twin(exact, lambda _, logits: logits + (ROUNDING - 0.5) * own))
    with pytest.raises(ModelError, match=r"from its answer in float64 by .* where PyTorch's own rounding is"):
        check(rough, Twin(exact, lambda _, logits: logits + (ROUNDING + 0.5) * own))
