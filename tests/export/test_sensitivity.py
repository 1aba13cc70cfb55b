"""Sub-layers return to float, the most sensitive first, until the bound holds; nothing else is left behind."""

import shutil
from functools import partial

import numpy as np
import pytest
import torch

from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import DataError
from leanformer.export.cpu import cpu
from leanformer.export.exporters import export_onnx
from leanformer.export.quantise import quantise_onnx, quantise_onnx_static
from leanformer.export.sensitivity import HeldOut, fewest, quantise_within, sensitivities
from leanformer.tasks.predict import predict

CHIP = cpu()  # the files run here: what saturates here is no matter of the sub-layer
PLANTED = (1, "neuron")


@pytest.fixture(scope="module")
def planted(tiny_model, tiny_tokenizer, mood_train, tmp_path_factory):
    """A model, and its export, in which one FFN has a neuron so loud that the others vanish in its rounding.

    The loud neuron's column of the output linear is as small as the neuron is loud, so float computes as before.
    """
    out = tmp_path_factory.mktemp("planted")
    model = tiny_model("bert", layers=3)
    view = EncoderView(model)
    layer, kind = PLANTED
    ffn_in, ffn_out = view.linears(layer, kind)
    with torch.no_grad():
        ffn_out.weight *= 4
        ffn_in.weight[0] = 0.0
        ffn_in.bias[0] = 3000.0
        ffn_out.weight[:, 0] = 1e-6
        model.classifier.weight *= 3
        logits = predict(model, mood_train, tiny_tokenizer)
        model.classifier.bias[0] += float(
            np.median(logits[:, 1] - logits[:, 0])
        )  # both answers occur as often
    save_model(model, tiny_tokenizer, out / "model")
    export_onnx(out / "model", out)
    return model, out


@pytest.fixture
def home(planted, tmp_path):
    shutil.copytree(planted[1] / "onnx", tmp_path / "onnx")
    return tmp_path


@pytest.fixture
def held_out(planted, mood_train, tiny_tokenizer):
    """The function held_out(rows=128, **bounds): the labels are the model's own answers, so its score is 1."""
    logits = predict(planted[0], mood_train, tiny_tokenizer)

    def make(rows=128, max_drop_points=1.0, **bounds):
        labels = logits.argmax(axis=1)
        named = mood_train.remove_columns("label").add_column("label", labels).select(range(rows))
        return HeldOut(named, tiny_tokenizer, "accuracy", logits[:rows], max_drop_points, **bounds)

    return make


def test_a_standard_error_may_be_added_to_what_is_lost(held_out):
    plain, careful = held_out(max_drop_points=7.0), held_out(max_drop_points=7.0, standard_errors=1.0)
    worse = plain.logits.copy()
    worse[:8] = -worse[:8]  # 8 of 128 answers turn
    loss = plain.loss_of(worse)
    assert loss.drop_points == pytest.approx(6.25)
    assert loss.drop_error == pytest.approx(100 * np.sqrt(0.0625 * 0.9375 / 128), rel=0.1)
    assert careful.loss_of(worse) == loss
    assert plain.allows(loss)
    assert not careful.allows(loss)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_planted_sublayer_is_the_most_sensitive_one(home, held_out):
    before = files(home)
    rows = held_out().rows
    found = sensitivities(partial(quantise_onnx, home, CHIP), home, "onnxruntime", rows, held_out().tokenizer)
    assert len(found) == 6
    assert next(iter(found)) == PLANTED
    costs = list(found.values())
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 3 * costs[1]
    assert files(home) == before


@pytest.mark.parametrize("static", [False, True])
def test_the_planted_sublayer_alone_returns_to_float(home, held_out, static, tmp_path_factory):
    rows, tokenizer = held_out(rows=64).rows, held_out().tokenizer
    before, quantiser = files(home), partial(quantise_onnx, home, CHIP)
    if static:
        quantiser = partial(quantise_onnx_static, home, rows, tokenizer, 32, CHIP)
    plain = held_out(rows=64).loss(quantiser(into=tmp_path_factory.mktemp("plain")))
    bound = held_out(rows=64, max_divergence=plain.divergence / 3)
    assert bound.few  # so that the divergence decides
    within = quantise_within(quantiser, home, "onnxruntime", bound)
    assert within.trials[0] == plain
    assert within.ranking[0] == PLANTED
    assert within.quantised.float_sublayers == within.loss.float_sublayers == (PLANTED,)
    assert within.loss.divergence <= plain.divergence / 3
    assert files(home) == sorted([*before, f"onnx/{within.quantised.path.name}"])
    assert bound.loss(within.quantised) == within.loss


def test_the_score_decides_where_rows_are_many(home, held_out, tmp_path):
    quantiser = partial(quantise_onnx, home, CHIP)
    plain = held_out().loss(quantiser(into=tmp_path / "plain"))
    bound = held_out(max_drop_points=plain.drop_points / 2)
    assert not bound.few
    within = quantise_within(quantiser, home, "onnxruntime", bound)
    assert within.trials[0].drop_points > bound.max_drop_points >= within.loss.drop_points
    assert PLANTED in within.quantised.float_sublayers


def test_plain_int8_that_holds_is_taken_without_a_ranking(home, held_out):
    bound = held_out(max_drop_points=100.0)
    within = quantise_within(partial(quantise_onnx, home, CHIP), home, "onnxruntime", bound)
    assert within.quantised.float_sublayers == within.ranking == ()
    assert len(within.trials) == 1
    assert within.quantised.path == home / "onnx" / "model_int8.onnx"


def test_another_form_is_ranked_and_quantised_under_its_own_name(home, held_out):
    """The plain model's file is not there: nothing can have been read from it."""
    folder = home / "onnx"
    (folder / "model.onnx").rename(folder / "model_first_token.onnx")
    quantiser = partial(quantise_onnx, home, CHIP, form="first-token")
    never = held_out(rows=32, max_divergence=-1.0)
    assert len(quantise_within(quantiser, home, "onnxruntime", never, "first-token").ranking) == 6
    within = quantise_within(quantiser, home, "onnxruntime", held_out(max_drop_points=100.0), "first-token")
    assert within.quantised.path == folder / "model_first_token_int8.onnx"
    written = {path.name for path in folder.glob("*.onnx")}
    assert written == {"model_first_token.onnx", "model_first_token_int8.onnx"}


def test_what_never_holds_leaves_no_file(home, held_out):
    before = files(home)
    bound = held_out(rows=32, max_divergence=-1.0)
    within = quantise_within(partial(quantise_onnx, home, CHIP), home, "onnxruntime", bound)
    assert within.quantised is None
    assert [len(trial.float_sublayers) for trial in within.trials] == [0, 1, 2, 4, 6]
    assert within.loss == within.trials[-1]
    assert files(home) == before
    assert not list(home.glob(".*"))


def test_rows_are_needed(home, held_out):
    with pytest.raises(DataError, match="there are none"):
        quantise_within(partial(quantise_onnx, home), home, "onnxruntime", held_out(rows=0))


@pytest.mark.parametrize("total", [1, 2, 3, 7, 12, 24])
def test_fewest_finds_the_threshold_in_few_steps(total):
    for threshold in range(1, total + 2):
        asked = []

        def holds(count, threshold=threshold, asked=asked):
            asked.append(count)
            return count >= threshold

        assert fewest(holds, total) == (threshold if threshold <= total else None)
        assert len(asked) <= 2 * np.log2(total) + 2
        assert len(asked) == len(set(asked))
