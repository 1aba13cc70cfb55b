"""PoWER-BERT: progressive word-vector elimination (Goyal et al. 2020, arXiv 2001.08950).

What the paper and its code state: behind the attention of each layer only the most significant tokens are left, so
that its FFN and all that follows read fewer. A token is significant where the others attend to it: the column sum of
the attention map without the token's own diagonal, over all heads. How many stay is learned: tokens are sorted by
significance, and the one of rank j is multiplied by r_l[j] in [0, 1], starting at 1, trained at a rate of its own
under lambda * sum l ||r_l||_1 (soft extraction). The mass of r_l is what layer l keeps, never more than the layer
before; then tokens leave for good, the first one excepted, and the model is trained again.

Ours: r_l has one factor for each of 64 parts of a text's own length, where the paper has one for each rank of a fixed
length, so that the same model serves all lengths; padding asks nothing and is the first to go, and the mask goes
along with the tokens (the code cuts it off at the end). Beside the paper's lambda a ratio can be asked for: a
Lagrangian (FLOP, arXiv 1910.04732) leads the masses there, and all are shifted alike until it is exact. Both
trainings are this library's distillation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.encoders.view import EncoderView
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import LEAVING_RATE, apart, build_space, recovered, recovery_steps
from leanformer.search.falling import TokenRealiser
from leanformer.structure.masks import TOKEN
from leanformer.structure.tokens import check_tokens, set_kept_tokens, with_kept_tokens
from leanformer.training.gates import Gates, Retention, gates_in_force
from leanformer.training.penalties import LayerMass, Penalty, TowardsShare

if TYPE_CHECKING:
    from leanformer.search.space import Candidate, Space

LEARNING_RATE = 3e-3  # of the factors, as the public code has it for MRPC
TRAVEL = 3.0
"""How far a factor can go in a whole training, at least: three times from 1 to 0, at a rate that decays."""


def run(problem: Problem) -> Compressed:
    """Learn what each layer keeps, then let the rest leave and train again.

    Args:
        problem: What to compress, and how far; granularity "token".

    Returns:
        The model with what was learned; its training facts hold the masses.

    Raises:
        BudgetError: If dropping tokens can not save so much.
        ModelError: If the family's layers can not drop tokens.
    """
    realiser, candidate, facts = extracted_softly(problem)
    again = apart(problem, "hard")
    found = recovered(again, realiser.build(candidate), {}, rate=LEAVING_RATE)
    return replace(found, masks=realiser.masks(candidate), training={**found.training, **facts})


def extracted_softly(problem: Problem) -> tuple[TokenRealiser, Candidate, dict[str, Any]]:
    """Learn what each layer keeps.

    Args:
        problem: What to compress, and how far; granularity "token".

    Returns:
        What lets tokens leave the model that has learned so far, what is to be kept, and the facts of the training.

    Raises:
        BudgetError: If dropping tokens can not save so much.
        ModelError: If the family's layers can not drop tokens.
    """
    view = EncoderView(problem.teacher)
    check_tokens(view)
    space = build_space(view, problem)
    soft = with_kept_tokens(problem.teacher, [1 - (layer + 1) / 64 for layer in range(view.n_layers)])
    set_kept_tokens(soft, [1.0] * view.n_layers)
    gates = retention_gates(problem, space)
    with gates_in_force(soft, gates):
        faded = recovered(problem, soft, {}, damaged=problem.teacher, gates=gates)
    masses = {layer: float(gate().detach().mean()) for (layer, _), gate in gates.each()}
    candidate = space.project(np.array([masses[group.layer] for group in space.groups]))
    facts = {"masses": list(masses.values()), "soft": faded.training}
    return TokenRealiser(problem.teacher, faded.model, space), candidate, facts


def retention_gates(problem: Problem, space: Space) -> Gates:
    """Return the factors of all layers that can drop tokens.

    Args:
        problem: Steps and the option `lambda`.
        space: The space of the budget.

    Returns:
        The gates, all 1.
    """
    weight = float(problem.options["lambda"])
    left = float(space.shares(space.uniform()).mean())
    penalty: Penalty = LayerMass(weight) if weight else TowardsShare(left, {TOKEN: 1.0})
    rate = max(LEARNING_RATE, TRAVEL / recovery_steps(problem))
    return Gates({(group.layer, TOKEN): Retention() for group in space.groups}, rate, penalty)
