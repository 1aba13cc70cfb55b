"""GRAIN: gradient-based intra-attention pruning (Yang, Cui, Yao, Wang 2023, arXiv 2212.07634).

What the paper and its code state: the units are the query-key dimensions and the value dimensions of each head, and
the FFN's neurons. A unit's score is a moving average of |sum W dL/dW| over its weights, with L the distance to the
teacher's answers alone (gradient separation: the hidden states train, but do not score). Scores of values are
multiplied by tanh(density / 0.3), density the share of the head's values that is alive, so that half-empty heads are
finished off. One cut through all units by their cost follows a cubic schedule from 20 to 40% of the training; what is
gone stays gone. Heads of different sizes are sliced; the scale of the scores stays that of the dense heads.

Ours: scores are gradients of gates, which are these sums (`leanformer.training.watched`); the labels are part of the
loss that scores, as they are of this library's distillation, which has no projections and softens by 2, not 8; the
average forgets faster where the training is short (the code's 0.998 is of 20 epochs); the dense model is fine-tuned,
not the pre-trained one. Heads of different sizes are padded to their layer's largest, so that a part of what a ragged
cut removes is still computed: by default all heads of a layer keep equal multiples of 8 of their queries and values
(`leanformer.training.even_heads`); the option `heads=ragged` is the paper's cut. Word embeddings are factorised where
the option `embedding_rank` asks for it (192 in the paper's BERT-base): the table stays as it is then, its projection
trains.
"""

from __future__ import annotations

import copy
from dataclasses import replace

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import build_space, magnitude_scores, recovered, recovery_steps
from leanformer.search.realise import Realiser
from leanformer.structure.cost import unit_costs
from leanformer.structure.embeddings import factorised
from leanformer.structure.masks import DIMENSIONS
from leanformer.structure.surgery import slice_units
from leanformer.training.even_heads import EvenHeads
from leanformer.training.gates import gate_shapes, gates_in_force
from leanformer.training.straight_through import Ramp, TopOfAll
from leanformer.training.watched import Watched, WatchedGates

START, END = 0.2, 0.4  # of the ramp, as in the published scripts
DECAY = 0.998
MEMORY_SHARE = 0.02
"""The average remembers this share of a training at most."""

DENSITY_SCALE = 0.3
MULTIPLE = 8


def run(problem: Problem) -> Compressed:
    """Prune while distilling, by what the gradients say; slice.

    Args:
        problem: What to compress, and how far; granularity "dimension".

    Returns:
        The compressed model.
    """
    rank = int(problem.options["embedding_rank"])
    model = factorised(problem.teacher, rank) if rank else copy.deepcopy(problem.teacher)
    gates = grain_gates(problem, EncoderView(model))
    view = EncoderView(problem.teacher)
    like = build_space(view, replace(problem, granularity="unit"))
    at_once = Realiser(problem.teacher, like, magnitude_scores(view, "unit")).build(like.uniform(), "none")
    at_once = factorised(at_once, rank) if rank else at_once
    with gates_in_force(model, gates):
        found = recovered(problem, model, {}, damaged=at_once, gates=gates)
    masks = gates.masks()
    return replace(found, model=slice_units(model, masks, multiple=MULTIPLE).eval(), masks=masks)


def grain_gates(problem: Problem, view: EncoderView) -> WatchedGates:
    """Return the gates of all dimensions and neurons, under the problem's pruning ratio.

    Args:
        problem: The pruning ratio.
        view: The model that is going to train.

    Returns:
        The gates, all open.

    Raises:
        BudgetError: If the ratio needs queries and keys of a family that can not lose single dimensions of them.
    """
    ratio = build_space(EncoderView(problem.teacher), problem).pruning_ratio
    steps, costs = recovery_steps(problem), unit_costs(view)
    gates = {key: Watched(shape[0]) for key, shape in gate_shapes(view, (*DIMENSIONS, "neuron")).items()}
    most = sum(costs[kind] * len(gate.mask) for (_, kind), gate in gates.items()) / view.prunable_weights()
    if ratio > most:
        raise BudgetError(
            f"queries and keys of {view.family.name} turn in pairs and stay, so grain can remove {most:.2f} of the "
            "weights at most: give a smaller --pruning-ratio, or another method"
        )
    heads = {layer: view.heads(layer) for layer in range(view.n_layers)}
    ramp = Ramp(START, END, ratio / most)
    even = problem.options["heads"] == "even"
    return WatchedGates(
        gates,
        EvenHeads(ramp, heads, MULTIPLE) if even else TopOfAll(ramp),
        costs,
        heads,
        min(DECAY, 1.0 - 1.0 / max(1.0, MEMORY_SHARE * steps)),
        DENSITY_SCALE,
        refreshes=steps,
    )
