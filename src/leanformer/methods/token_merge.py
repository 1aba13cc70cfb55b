"""Token merging (ToMe) for sentence embeddings (Bolya et al. 2023, arXiv 2210.09461), without training.

What the paper and its code state: between attention and FFN of each layer the tokens are dealt in turns into two
sets; each token of the one is paired with the token of the other whose key is most like its own, by the cosine of
keys that are averaged over heads; the r most alike pairs are merged, by means that weigh a token by how many it
stands for, and attention is made proportional by adding the log of that number to the scores. The class token is
never merged away. r is the same in each layer, or falls. The paper merges patches of images.

Ours: a layer merges a share of the tokens that are there, so r falls from layer to layer and follows each text's own
length; a text's first token is its class token; padding takes no part. A mean over tokens that weighs them by what
they stand for is the same as one over the text's own tokens, each with the state of the one that stands for it. That
is what the model returns, so whatever pools behind it, sentence-transformers included, needs to know nothing. Where a
family adds a bias by distance (mpnet), a merged token has the place of the one that it was merged into. Counts are
rounded down, so short texts are merged less than their share, and texts of one or two tokens not at all. Batch and
length stay open in the export to ONNX; there is none to OpenVINO, where the real MiniLM, unlike tiny models, answered
otherwise than in PyTorch (by 0.1 in a vector of length one) for a reason that we have not found.
"""

from __future__ import annotations

import torch

from leanformer.encoders.carried_tokens import PARTS
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.problem import Compressed, Problem
from leanformer.structure.cost import token_ratio
from leanformer.structure.masks import TOKEN, Masks
from leanformer.structure.tokens import check_tokens, with_kept_tokens

STEPS = 256
"""Shares of the tokens that a layer may merge: multiples of 1/512, up to a half."""


def run(problem: Problem) -> Compressed:
    """Merge as large a share of the tokens in each layer as the ratio asks for; nothing is trained.

    Args:
        problem: What to compress, and how far; granularity "token".

    Returns:
        The model.

    Raises:
        BudgetError: If merging half of the tokens in every layer saves less.
        ModelError: If the family's layers can not merge tokens.
    """
    view = EncoderView(problem.teacher)
    check_tokens(view)
    shares = merging_shares(view, problem.budget.or_half().pruning_ratio or 0.0)
    model = with_kept_tokens(problem.teacher, shares, merges=True).eval()
    return Compressed(model, _masks(view, shares))


def merging_shares(view: EncoderView, ratio: float) -> list[float]:
    """Return what is left of a text's tokens after each layer, where all layers merge the same share of theirs.

    Args:
        view: The dense encoder.
        ratio: The share of the products of tokens with weights that has to be saved.

    Returns:
        One share a layer, in multiples of 1/64, falling.

    Raises:
        BudgetError: If merging half of the tokens in every layer saves less.
    """
    for step in range(STEPS + 1):
        shares = _falling(view, step / (2 * STEPS))
        reached = token_ratio(view, _masks(view, shares))
        if reached >= ratio:
            return shares
    raise BudgetError(
        f"a layer can merge no more than half of its tokens, which saves {reached:.2f} of the work: give a smaller "
        "--pruning-ratio, or a method that removes weights"
    )


def _falling(view: EncoderView, merged: float) -> list[float]:
    """Return the shares left, rounded up, where each layer with heads merges the same share of its tokens."""
    left, shares = 1.0, []
    for layer in range(view.n_layers):
        left = left * (1 - merged) if view.heads(layer) else left
        shares.append(-(-left * PARTS // 1) / PARTS)
    return shares


def _masks(view: EncoderView, shares: list[float]) -> Masks:
    return {
        (layer, TOKEN): (torch.arange(PARTS) < round(share * PARTS)).float()
        for layer, share in enumerate(shares)
        if view.heads(layer)
    }
