"""TR-BERT: dynamic token reduction (Ye et al. 2021, arXiv 2105.11618).

What the paper and its code state: at two places a small policy says of each token whether it is read on; what is not
keeps its state. The policy learns by REINFORCE: a text's tokens are drawn eight times, a draw's reward is minus the
loss and minus alpha times the share of tokens that stay, its baseline the mean of the eight. Over the first half of
that training one of the eight is not drawn, but what a guide says: the tokens whose later states add most to the
answer, |dL/dh_9 . (h_9 - h_l)|, as many as the policy expects to keep. Then all weights are distilled.

Ours: the policy ranks, and each place keeps a share of a text's own length, so that the model is exported like any
other and meets the pruning ratio exactly, where in the paper p >= 0.5 and alpha alone say how much is saved. Which
share at which place is judged on held-out rows, by the divergence from the dense model: those that the policy kept
on average of the training rows, shifted alike, or others that leave more to the second place; a policy that is taught
at one price lets nearly all leave at the first, which a light ratio does not ask for. Tokens leave behind the
attention of the first layer and of the one before the middle, half a layer before the paper's places. The last stage
trains the model as it will be served: the policy stands still, where the paper goes on drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from leanformer.encoders.carried_tokens import Tokens
from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.gpu import borrowed
from leanformer.methods.lengths import Searched, judge_of, searched
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import LEAVING_RATE, apart, build_space, recovered, recovery_config, trained
from leanformer.methods.taken_over import earlier_run
from leanformer.progress import track
from leanformer.search.falling import FallingSpace
from leanformer.search.space import Group, Space
from leanformer.search.strategies import Proposal
from leanformer.structure.masks import TOKEN
from leanformer.structure.tokens import check_tokens, set_kept_tokens, tokens_drawn, with_kept_tokens
from leanformer.tasks.encode import batches
from leanformer.tasks.split import few_rows
from leanformer.training.objective import Objective
from leanformer.training.trials import Trials

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LEARNING_RATE = (
    1e-3  # of the policy, whose two small matrices start from nothing; the paper's 3e-5 is for long runs
)
TAUGHT_BY = ("alpha", "samples")
"""Options that the policy follows from."""

CALIBRATION_ROWS = 512
SPLITS = 12
"""Of what leaves between the two places: candidates of a search with one degree of freedom."""


def run(problem: Problem) -> Compressed:
    """Learn which tokens are worth reading on, let the others leave, and distil.

    Args:
        problem: What to compress, and how far; granularity "token".

    Returns:
        The model with its policy; its training facts hold what the policy kept by itself.

    Raises:
        BudgetError: If dropping tokens at two places can not save so much, or time is asked for.
        ModelError: If the family's layers can not drop tokens.
    """
    view = EncoderView(problem.teacher)
    check_tokens(view)
    space = space_of(problem, view)
    places = [group.layer for group in space.groups]
    falls = [1 - sum(place <= layer for place in places) / 64 for layer in range(view.n_layers)]
    model = with_kept_tokens(problem.teacher, falls, places, problem.seed)
    set_kept_tokens(model, [1.0] * view.n_layers)
    taught = policy_taught_once(problem, model)
    wished = kept_by_policy(problem, model, places)
    judge = judge_of(problem, space, model)
    split = Searched(judge, searched(problem, judge, splits(space, wished), SPLITS))
    winner, realiser = split.outcome.ranked[0], judge.realiser
    found = recovered(apart(problem, "hard"), realiser.build(winner, "none"), {}, rate=LEAVING_RATE)
    facts = {**found.training, "kept_by_policy": wished, "policy": taught}
    return replace(found, masks=realiser.masks(winner), search=split.facts(winner), training=facts)


def space_of(problem: Problem, view: EncoderView) -> FallingSpace:
    """Return the space of two places: what is kept behind the first one, and behind the second.

    Args:
        problem: The pruning ratio.
        view: The dense encoder.

    Returns:
        A group a place, which costs what reads the tokens until the next one.

    Raises:
        BudgetError: If the ratio is out of reach, or time is asked for.
    """
    if problem.budget.asks_for_time:
        raise BudgetError(
            "tr-bert saves a share of the work at two places, not so much time: give --pruning-ratio, or "
            "--method length-adaptive, which reckons with time"
        )
    every: Any = build_space(view, problem)
    first = every.groups[0].layer
    places = sorted({first, max(first, view.n_layers // 2 - 1)})
    costs = dict.fromkeys(places, 0.0)
    for group in every.groups:
        costs[max(place for place in places if place <= group.layer)] += group.cost
    groups = tuple(
        Group(place, TOKEN, group.units, group.levels, costs[place])
        for place, group in ((place, every.groups[0]) for place in places)
    )
    return FallingSpace(groups, every.pruning_ratio, least=1, reach=every.reach)


def splits(space: Space, wished: Sequence[float]) -> list[Proposal]:
    """Return ways to meet the ratio: the policy's own shares, shifted alike; and ever more left to the second place.

    Args:
        space: The space of both places.
        wished: What share of a text's tokens the policy kept on average, place by place.

    Returns:
        Candidates on the budget.
    """
    later = [np.linspace(1.0, 1.0 - fall, len(wished)) for fall in np.linspace(0.1, 0.6, 6)]
    return [
        Proposal(space.project(np.array(wished)), "policy"),
        *(Proposal(space.project(shares), "later") for shares in later),
    ]


def policy_taught_once(problem: Problem, model: PreTrainedModel) -> dict[str, Any]:
    """Teach a model's scorers, or take them over from the run that the option `trained` names.

    Args:
        problem: Rows, seed and options.
        model: A model with scorers that keeps all tokens, changed in place.

    Returns:
        The facts of the policy's training.

    Raises:
        LeanformerError: If the earlier run can not be used, was taught otherwise, or ranks tokens at other places.
    """
    earlier = earlier_run(problem, "tr-bert")
    if earlier is None:
        return policy_taught(problem, model).training
    for name in TAUGHT_BY:
        if (other := earlier.options.get(name)) != problem.options[name]:
            raise BudgetError(
                f"the policy of {earlier.folder} was taught with {name}={other}: give the same option"
            )
    view, known = EncoderView(model), EncoderView(earlier.model)
    for layer in range(view.n_layers):
        own, other = view.token_scorer(layer), known.token_scorer(layer)
        if own is not None and other is None:
            raise BudgetError(
                f"{earlier.folder} drops nothing behind layer {layer}, and has no policy for it any more: give the "
                "run of a higher pruning ratio"
            )
        if own is not None and other is not None:
            own.load_state_dict(other.state_dict())
    return earlier.facts(earlier.training["policy"])


def policy_taught(problem: Problem, model: PreTrainedModel) -> Compressed:
    """Teach a model's scorers by REINFORCE; the rest stands still.

    Args:
        problem: Rows, seed and options.
        model: A model with scorers that keeps all tokens, trained in place.

    Returns:
        The model and its training facts.
    """
    trials = Trials(float(problem.options["alpha"]), int(problem.options["samples"]))
    config = replace(recovery_config(problem, 0.0), only="scorer", learning_rate=LEARNING_RATE, dropout=False)
    return trained(problem, model, {}, config, "Policy", Objective(trials=trials))


@torch.no_grad()
def kept_by_policy(problem: Problem, model: PreTrainedModel, places: list[int]) -> list[float]:
    """Return what share of a text's tokens a policy keeps on average, place by place.

    Args:
        problem: The training rows, of which some are read.
        model: A model with scorers that keeps all tokens.
        places: The layers behind which tokens leave.

    Returns:
        Shares, in (0, 1], never rising.
    """
    found: dict[int, list[Tensor]] = {place: [] for place in places}
    lengths: list[Tensor] = []

    def decide(layer: int, logits: Tensor, tokens: Tokens) -> Tensor:
        stays = tokens.real & (logits >= 0)
        stays[:, 0] = True
        found[layer].append(stays.sum(dim=1).cpu())
        return stays

    model.eval()
    rows = few_rows(problem.train, problem.task, CALIBRATION_ROWS, problem.seed)
    with borrowed(model) as device, tokens_drawn(EncoderView(model), decide):
        for _, batch in track(list(batches(rows, problem.tokenizer)), "Policy: what it keeps"):
            inputs = {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}
            lengths.append(batch["attention_mask"].sum(dim=1))
            model(**inputs)
    whole = torch.cat(lengths).float()
    return [float((torch.cat(found[place]) / whole).mean()) for place in places]
