"""Trainable gates: what stays is learned along with the weights, under a penalty or towards a target."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from leanformer.encoders.carried_tokens import PARTS
from leanformer.encoders.view import MATRICES, EncoderView
from leanformer.structure.fading import tokens_faded
from leanformer.structure.low_rank import is_rank, of_matrix, ranks_gated
from leanformer.structure.masks import GATED, TOKEN, Masks, gated, unit_counts
from leanformer.structure.weight_gates import weights_gated
from leanformer.training.penalties import Key, Penalty

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOW, HIGH = -0.1, 1.1  # the stretch (gamma, zeta) of all published uses
EPSILON = 1e-6


class Gate(nn.Module, ABC):
    """What a group of units, or a matrix, is multiplied by."""

    @abstractmethod
    def forward(self) -> Tensor:
        """Return the gates, in the shape of the mask that they stand for."""

    @abstractmethod
    def open_probability(self) -> Tensor:
        """Return what a penalty counts, in [0, 1]: how likely each is to be open."""


class HardConcrete(Gate):
    """Gates that are exactly 0 or 1 with a probability above zero (Louizos et al. 2018, arXiv 1712.01312).

    While training z = clip(s (zeta - gamma) + gamma, 0, 1), s = sigmoid((log u - log(1 - u) + log_alpha) / beta) with
    u ~ U(0, 1); in eval mode s = sigmoid(log_alpha).

    Args:
        shape: Of the gates.
        beta: Temperature.
        log_alpha: Where all of them start.
    """

    def __init__(self, shape: int | tuple[int, ...], beta: float, log_alpha: float = 0.0) -> None:
        super().__init__()
        self.beta = beta
        self.log_alpha = nn.Parameter(
            torch.full((shape,) if isinstance(shape, int) else shape, float(log_alpha))
        )

    def forward(self) -> Tensor:
        """Return the gates, in [0, 1]; drawn anew in training mode."""
        logits: Tensor = self.log_alpha
        if self.training:
            noise = torch.rand_like(logits).clamp(EPSILON, 1 - EPSILON)
            logits = (noise.log() - (-noise).log1p() + logits) / self.beta
        return (logits.sigmoid() * (HIGH - LOW) + LOW).clamp(0.0, 1.0)

    def open_probability(self) -> Tensor:
        """Return P(z != 0) while training: sigmoid(log_alpha - beta log(-gamma / zeta))."""
        return (self.log_alpha - self.beta * math.log(-LOW / HIGH)).sigmoid()


class Retention(Gate):
    """What a layer leaves of its tokens: a factor in [0, 1] for each part of the ranking, the most significant first.

    The paper has one for each rank of a text of fixed length; here a text's tokens share `PARTS` of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(PARTS))

    def forward(self) -> Tensor:
        """Return the factors, (PARTS,); the optimiser may have left [0, 1], where they are clipped to."""
        with torch.no_grad():
            self.factors.clamp_(0.0, 1.0)
        return self.factors

    def open_probability(self) -> Tensor:
        """Return the factors, whose sum is the layer's mass."""
        factors: Tensor = self.factors
        return factors


class Gates(nn.Module):
    """Gates of a whole model, by (layer, kind).

    They become a part of the model while it trains, so that checkpoints hold them.

    Args:
        gates: By (layer, kind): of heads ("head"), of neurons, or of the weights of a matrix.
        learning_rate: Of the gates, and of the penalty's multipliers.
        penalty: What open gates cost; nothing by default.
    """

    def __init__(
        self, gates: Mapping[Key, Gate], learning_rate: float, penalty: Penalty | None = None
    ) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.keys = list(gates)
        self.gates = nn.ModuleList(gates.values())

    def each(self) -> Iterator[tuple[Key, Any]]:
        """Go through (layer, kind) and its `Gate`."""
        return zip(self.keys, self.gates, strict=True)

    def values(self) -> Masks:
        """Return all gates, drawn anew in training mode."""
        return {key: gate() for key, gate in self.each()}

    def open_probabilities(self) -> dict[Key, Tensor]:
        """Return P(z != 0) of all gates."""
        return {key: gate.open_probability() for key, gate in self.each()}

    def advance(self, progress: float) -> None:
        """Do what a schedule wants before a step's forward pass, at a share of the training that is done."""

    def watch(self, loss: Tensor) -> None:
        """Learn from a loss whose graph is still there, before the step's backward pass.

        Args:
            loss: The distance to the labels and to the teacher's answers, without that of hidden states and without
                penalties: a scalar.
        """

    def cost(self, progress: float) -> Tensor:
        """Return what is added to the loss, at a share of the training that is done."""
        if self.penalty is None:
            return torch.zeros(())
        cost: Tensor = self.penalty(self.open_probabilities(), progress)
        return cost

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups: gates descend, multipliers ascend; neither decays."""
        rate = {"lr": self.learning_rate, "weight_decay": 0.0}
        multipliers = [] if self.penalty is None else list(self.penalty.parameters())
        groups = [
            {"params": list(self.gates.parameters()), **rate},
            {"params": multipliers, "maximize": True, **rate},
        ]
        return [group for group in groups if group["params"]]

    def log_alphas(self) -> dict[Key, Tensor]:
        """Return the parameters of hard-concrete gates themselves, without a gradient."""
        return {key: gate.log_alpha.detach().clone() for key, gate in self.each()}


def hard_concrete(
    view: EncoderView, kinds: tuple[str, ...], beta: float, log_alpha: float
) -> dict[Key, Gate]:
    """Return a hard-concrete gate for each head, neuron or weight of a model.

    Args:
        view: The model.
        kinds: "head", "neuron", or names of matrices.
        beta: Temperature.
        log_alpha: Where all gates start.

    Returns:
        The gates, of whatever the model has of these kinds.
    """
    return {key: HardConcrete(shape, beta, log_alpha) for key, shape in gate_shapes(view, kinds).items()}


def gate_shapes(view: EncoderView, kinds: tuple[str, ...]) -> dict[Key, tuple[int, ...]]:
    """Return the shapes of a model's masks of some kinds, layer by layer; of what is empty there is none."""
    shapes: dict[Key, tuple[int, ...]] = {}
    for layer in range(view.n_layers):
        found: dict[str, tuple[int, ...]] = {kind: (n,) for kind, n in unit_counts(view, layer).items()}
        found |= {name: tuple(matrix.shape) for name, matrix in view.matrices(layer).items()}
        shapes |= {(layer, kind): found[kind] for kind in kinds if math.prod(found.get(kind, (0,)))}
    return shapes


@contextmanager
def gates_in_force(model: PreTrainedModel, gates: Gates) -> Iterator[None]:
    """Multiply a model's units and weights by trainable gates, drawn anew in each forward pass.

    Args:
        model: The model; for the length of the block it holds the gates as a module, "gates".
        gates: The gates.

    Yields:
        Nothing.
    """
    drawn: Masks = {}

    def draw(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        drawn.update(gates.values())

    with ExitStack() as stack:
        model.add_module("gates", gates)
        stack.callback(delattr, model, "gates")
        handle = model.register_forward_pre_hook(draw, with_kwargs=True)
        stack.callback(handle.remove)
        view, current = EncoderView(model), {key: partial(drawn.__getitem__, key) for key in gates.keys}
        stack.enter_context(gated(view, {key: gate for key, gate in current.items() if key[1] in GATED}))
        stack.enter_context(
            weights_gated(view, {key: gate for key, gate in current.items() if key[1] in MATRICES})
        )
        ranks = {(key[0], of_matrix(key[1])): gate for key, gate in current.items() if is_rank(key[1])}
        stack.enter_context(ranks_gated(view, ranks))
        stack.enter_context(
            tokens_faded(view, {key[0]: gate for key, gate in current.items() if key[1] == TOKEN})
        )
        yield
