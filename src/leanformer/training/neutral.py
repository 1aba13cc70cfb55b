"""What makes words neutral: the debias-and-retain objective on states that a model gives words in sentences.

Kaneko & Bollegala 2021 (arXiv 2101.09523), as Joniak & Aizawa 2022 (arXiv 2207.02463) train gates with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from leanformer.tasks.encode import batches
from leanformer.tasks.words import IGNORED

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MALE_LABEL, FEMALE_LABEL, TARGET_LABEL = range(3)
"""Of a word's tokens in the labels of a batch; all other tokens have `IGNORED`."""

Of = Literal["word", "sentence"]


@dataclass(frozen=True)
class Anchors:
    """What the dense model says, which does not move.

    Attributes:
        directions: The mean state of male and of female words, (2, states, hidden).
        states: The state of the word of each row, (rows, states, hidden).
    """

    directions: Tensor
    states: Tensor


@dataclass(frozen=True)
class Neutral:
    """The objective.

    Attributes:
        anchors: What the dense model says.
        layers: Which hidden states are debiased; 0 is the embeddings' output, i the output of layer i.
        of: What of a sentence with a target word is debiased: its tokens, averaged, or every token of the sentence.
        debias: Weight of the debiasing term; that of the retaining term is 1 less it.
        alike: Whether all layers count alike: each layer's share of a term is divided by what it would be if all
            states lay in the direction, or had moved by their own length. States of some layers are longer than
            those of others, and squares of products of two states are longer by the fourth power.
    """

    anchors: Anchors
    layers: tuple[int, ...]
    of: Of = "word"
    debias: float = 0.2
    alike: bool = False

    def lengths(self) -> Tensor:
        """Return the root of each layer's mean squared length of the dense words' states; 1 where it does not matter.

        Returns:
            (states,).
        """
        states = self.anchors.states
        return (
            states.square().sum(dim=-1).mean(dim=0).sqrt() if self.alike else states.new_ones(states.shape[1])
        )


def debias_term(states: Tensor, directions: Tensor) -> Tensor:
    """Return how much of the male and of the female direction words carry.

    Args:
        states: E_l(t), (layers, words, hidden).
        directions: v_a,l of male and of female words, (2, layers, hidden).

    Returns:
        sum_l mean_t sum_a (v_a,l . E_l(t))^2: each direction is squared for itself. (The published code squares their
        sum, where what is male can cancel what is female.)
    """
    projected = torch.einsum("lwh,alh->alw", states, directions)
    return projected.square().sum(dim=0).mean(dim=-1).sum()


def retain_term(states: Tensor, dense: Tensor) -> Tensor:
    """Return how far words have moved from where the dense model has them.

    Args:
        states: E_l(w), (layers, words, hidden).
        dense: The same of the dense model.

    Returns:
        sum_l mean_w ||E_l(w) - E_l(w; dense)||^2.
    """
    return (states - dense).square().sum(dim=-1).mean(dim=-1).sum()


def word_states(hidden: Sequence[Tensor], words: Tensor) -> Tensor:
    """Return the mean state of some tokens of each text.

    Args:
        hidden: The embeddings' output and that of each layer, (batch, tokens, hidden) each.
        words: Which tokens, (batch, tokens).

    Returns:
        (batch, states, hidden).
    """
    weights = words.to(hidden[0].dtype)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1)
    return torch.einsum("sbth,bt->bsh", torch.stack(list(hidden)), weights)


def neutral_terms(
    hidden: Sequence[Tensor], labels: Tensor, mask: Tensor, rows: Tensor, goal: Neutral
) -> tuple[Tensor, Tensor]:
    """Return both terms of a batch.

    Args:
        hidden: The embeddings' output and that of each layer, (batch, tokens, hidden) each.
        labels: What each token is, (batch, tokens).
        mask: 1 for real tokens, (batch, tokens).
        rows: Which rows they are, (batch,).
        goal: The objective.

    Returns:
        The debiasing and the retaining term, scalars; 0 where the batch has no such word.
    """
    none = hidden[0].new_zeros(())
    is_target = (labels == TARGET_LABEL).any(dim=1)
    layers, lengths = list(goal.layers), goal.lengths()[:, None]  # (states, 1)
    directions = (goal.anchors.directions / lengths**2).to(hidden[0])
    debias, retain = none, none
    if is_target.any():
        if goal.of == "word":
            of_words = word_states(hidden, labels == TARGET_LABEL)[is_target]
            chosen = of_words[:, layers].transpose(0, 1)  # (layers, words, hidden)
        else:
            chosen = torch.stack([hidden[layer][is_target][mask[is_target].bool()] for layer in layers])
        debias = debias_term(chosen.float(), directions[:, layers].float())
    if (~is_target).any():
        of_words = word_states(hidden, labels != IGNORED)[~is_target]
        dense = goal.anchors.states[rows[~is_target].cpu()].to(of_words)
        own, wanted = ((one / lengths.to(of_words)).transpose(0, 1).float() for one in (of_words, dense))
        retain = retain_term(own, wanted)
    return debias, retain


def neutral_loss(
    model: torch.nn.Module, inputs: dict[str, Tensor], rows: Tensor, labels: Tensor, goal: Neutral
) -> tuple[Tensor, Any]:
    """Return the objective of a batch, debias L_debias + (1 - debias) L_retain.

    Args:
        model: The model.
        inputs: A padded batch.
        rows: Which rows they are, (batch,).
        labels: What each token is, (batch, tokens).
        goal: The objective.

    Returns:
        The loss, and the model's outputs.
    """
    outputs = model(**inputs, output_hidden_states=True)
    debias, retain = neutral_terms(outputs.hidden_states, labels, inputs["attention_mask"], rows, goal)
    return goal.debias * debias + (1 - goal.debias) * retain, outputs


def anchors_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Dataset) -> Anchors:
    """Ask the dense model for what stays.

    Args:
        model: The dense model, in eval mode.
        tokenizer: Pads the batches.
        rows: Encoded rows with their words' tokens under `label` and `starts`; some male and some female ones.

    Returns:
        The directions, and the states of all rows' words.
    """
    states, kinds = torch.empty(0), torch.empty(len(rows), dtype=torch.long)
    for places, found, kind in _asked(model, tokenizer, rows):
        if not len(states):
            states = torch.empty(len(rows), *found.shape[1:])
        states[places], kinds[places] = found, kind
    means = [states[kinds == kind].mean(dim=0) for kind in (MALE_LABEL, FEMALE_LABEL)]
    return Anchors(torch.stack(means), states)


def mean_terms(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Dataset, goal: Neutral
) -> tuple[float, float]:
    """Return both terms of all rows.

    Args:
        model: The model, masked or not.
        tokenizer: Pads the batches.
        rows: The rows that the goal's anchors are of.
        goal: The objective; of words.

    Returns:
        The debiasing and the retaining term.
    """
    anchors = anchors_of(model, tokenizer, rows)
    is_target = torch.tensor([label[0] == TARGET_LABEL for label in rows["label"][:]])
    layers, lengths = list(goal.layers), goal.lengths()[:, None]  # (states, 1)
    debias = debias_term(
        anchors.states[is_target][:, layers].transpose(0, 1),
        (goal.anchors.directions / lengths**2)[:, layers],
    )
    own, dense = (
        (one[~is_target] / lengths).transpose(0, 1) for one in (anchors.states, goal.anchors.states)
    )
    retain = retain_term(own, dense)
    return float(debias), float(retain)


@torch.inference_mode()
def _asked(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Dataset
) -> Iterator[tuple[Any, Tensor, Tensor]]:
    """Yield the places of rows, the states of their words (batch, states, hidden), and what these are (batch,)."""
    from leanformer.gpu import borrowed

    with borrowed(model) as device:
        for places, batch in batches(rows, tokenizer):
            labels = batch.pop("labels").to(device)
            hidden = model(
                **{name: tensor.to(device) for name, tensor in batch.items()}, output_hidden_states=True
            ).hidden_states
            found = word_states(hidden, labels != IGNORED).float().cpu()
            yield torch.from_numpy(places), found, labels.max(dim=1).values.cpu()
