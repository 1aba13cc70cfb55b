"""Token merging: what merges into what, that nothing is lost of it, and that a text's answer is its own."""

import pytest
import torch
from torch.nn import functional
from transformers import AutoModel, AutoModelForSequenceClassification

from leanformer.encoders.carried_merging import MergedTokens, merged_count, merged_parts
from leanformer.encoders.families import FAMILIES
from leanformer.encoders.saving import save_model
from leanformer.encoders.sentence import Pooling
from leanformer.encoders.view import EncoderView
from leanformer.export.loading import load_classifier
from leanformer.structure.tokens import with_kept_tokens
from tiny import TINY_FAMILIES, build_embedder, build_model, padded_texts

MERGING = [name for name in TINY_FAMILIES if not FAMILIES[name].pre_norm]
TOLERANCE = 1e-5
SHARES = (0.6, 0.4)


def merged(model, shares=SHARES):
    return with_kept_tokens(model, shares, merges=True)


def vectors(model, batch):
    with torch.no_grad():
        return model(**batch).logits


def begun(keys, lengths):
    """Tokens whose keys are given, (batch, tokens, size), and random states."""
    width = keys.shape[1]
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    tokens = MergedTokens()
    states = torch.rand(len(lengths), width, 4, generator=torch.Generator().manual_seed(0))
    tokens.begin(states, mask[:, None, None])
    tokens.keys = keys
    return tokens, states


def angles(*degrees):
    turned = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([turned.cos(), turned.sin()], dim=-1)[None]


@pytest.mark.parametrize("parts", [0, 1, 17, 32, 64])
def test_fewer_than_half_can_merge(parts):
    counts = [merged_count(present, parts) for present in range(1, 200)]
    assert all(0 <= count <= (present - 1) // 2 for present, count in enumerate(counts, start=1))
    left = [present - count for present, count in enumerate(counts, start=1)]
    assert left == sorted(left)  # no shorter text is left with more than the padded width
    assert merged_parts(1.0, 0.5) == merged_parts(0.5, 0.25) == 64
    assert merged_parts(0.7, 0.7) == 0


def test_the_most_alike_pairs_merge_into_the_odd_ones():
    #              0    1    2    3    4    5    6
    keys = angles(0.0, 0.0, 50.0, 90.0, 91.0, 200.0, 203.0)
    tokens, states = begun(keys, [7])
    out = tokens.merge(
        states, parts=43
    )  # 2 of 7: 4 into 3 (1 degree), 6 into 5 (3 degrees); 2 stays, and so does 0
    assert out.shape == (1, 5, 4)
    assert tokens.sizes.tolist() == [[1, 1, 1, 2, 2]]
    assert tokens.places.tolist() == [[0, 1, 2, 3, 3, 4, 4]]
    torch.testing.assert_close(out[0, 3], states[0, 3:5].mean(dim=0))
    torch.testing.assert_close(out[0, :3], states[0, :3])
    restored = tokens.restored(states, out)
    torch.testing.assert_close(restored.mean(dim=1), states.mean(dim=1))


def test_merging_again_weighs_by_size_and_the_mean_never_moves():
    lengths = [13, 9, 6, 2, 1]
    keys = torch.rand(5, 13, 3, generator=torch.Generator().manual_seed(2)) - 0.5
    tokens, states = begun(keys, lengths)
    real = tokens.real
    means = (states * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True)
    left = states
    for _ in range(3):
        left = tokens.merge(left, parts=64)
        tokens.keys = left[..., :3]
        assert tokens.sizes.sum(dim=1).tolist() == lengths
        assert torch.equal(tokens.mask[:, 0, 0], tokens.real)
        assert tokens.real.shape == left.shape[:2]
        back = tokens.restored(states, left)
        pooled = (back * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True)
        torch.testing.assert_close(pooled, means, atol=1e-6, rtol=0)
        torch.testing.assert_close(
            left[:, 0], states[:, 0]
        )  # nothing merges into the first token, nor it elsewhere
    assert tokens.real.sum(dim=1).tolist() == [3, 2, 2, 2, 1]


@pytest.mark.parametrize("family", MERGING)
def test_nothing_merged_is_the_model_itself(family):
    model, batch = build_embedder(family), padded_texts([11, 7, 4])
    torch.testing.assert_close(
        vectors(merged(model, (1.0, 1.0)), batch), vectors(model, batch), atol=0, rtol=0
    )
    assert (vectors(merged(model), batch) - vectors(model, batch)).abs().max() > 1e-4


@pytest.mark.parametrize("family", MERGING)
def test_equal_tokens_merge_without_loss(family):
    """A token of size s draws attention as s equal tokens do, and weighs as they do in the mean."""
    model = build_embedder(family)
    view = EncoderView(model)
    positions = next(
        (module for name, module in model.named_modules() if name.endswith("position_embeddings")), None
    )
    if positions is None or view.family.shared_bias:
        pytest.skip("the places of tokens can not be made equal")
    with torch.no_grad():
        positions.weight.zero_()
    ids = torch.tensor(
        [[2, 9, 9, 9, 9, 9, 9, 9, 9]]
    )  # all but the first are equal, and stay so in every layer
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    small = merged(model, (0.6, 0.3))
    torch.testing.assert_close(vectors(small, batch), vectors(model, batch), atol=TOLERANCE, rtol=0)
    tokens = view_tokens(small)
    assert tokens.sizes.shape[1] < 5
    tokens_alike = functional.cosine_similarity(vectors(small, batch), vectors(model, batch))
    assert tokens_alike.item() == pytest.approx(1.0, abs=1e-5)


def view_tokens(model):
    return EncoderView(model).encoder().tokens


@pytest.mark.parametrize("family", MERGING)
@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_a_texts_answer_does_not_depend_on_neighbours_or_padding(family, mode):
    small = merged(build_embedder(family, Pooling(mode)))
    lengths = [13, 8, 5, 2, 1]
    together = padded_texts(lengths)
    expected = vectors(small, together)
    wider = padded_texts(lengths, width=22)
    torch.testing.assert_close(vectors(small, wider), expected, atol=TOLERANCE, rtol=0)
    for row, length in enumerate(lengths):
        alone = {name: part[row : row + 1, :length] for name, part in together.items()}
        torch.testing.assert_close(vectors(small, alone), expected[row : row + 1], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_reloaded_by_leanformer_and_as_a_bare_encoder(attention, tiny_tokenizer, tmp_path):
    model = build_embedder("bert")
    model.config._attn_implementation = attention
    small, batch = merged(model), padded_texts([11, 7])
    assert save_model(small, tiny_tokenizer, tmp_path) == "lean"
    again, _ = load_classifier(tmp_path)
    torch.testing.assert_close(vectors(again, batch), vectors(small, batch), atol=TOLERANCE, rtol=0)
    bare = AutoModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        states = bare(**batch).last_hidden_state
    assert states.shape[1] == 11  # every token is there again, so that any pooling may follow
    pooled = Pooling("mean", True)(states, batch["attention_mask"])
    torch.testing.assert_close(pooled, vectors(small, batch), atol=TOLERANCE, rtol=0)


def test_a_classifier_reads_the_first_token_of_what_is_left(tmp_path):
    model, batch = build_model("bert"), padded_texts([11, 7])
    small = merged(model)
    save_model(small, None, tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(vectors(again, batch), vectors(small, batch), atol=TOLERANCE, rtol=0)
    assert (vectors(small, batch) - vectors(model, batch)).abs().max() > 1e-4


def test_more_than_half_is_refused(tiny_model):
    with pytest.raises(ValueError, match="Layer 1 can not merge"):
        merged(tiny_model("bert"), (0.8, 0.3))
