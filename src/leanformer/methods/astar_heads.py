"""Head pruning by A* with a bound on the score (Parnami et al. 2021, arXiv 2110.15225): our reconstruction.

Of the paper only the abstract and the first page could be read: redundant heads of a fine-tuned BERT are removed by
an A* search "with strict accuracy guarantees", as much as 40% of them without a loss. g, h, the threshold and the
tables were not seen, and there is no public code. Reconstructed:

- a state is a set of removed heads, an action removes one more, g is the size of the set;
- a state is feasible where its measured score on held-out rows is at most so many points below the dense model's: the
  guarantee is a measurement, and one of these rows only (the report reads others);
- h counts the heads not known to be infeasible beside a subset of the state: it is optimistic where feasibility only
  ever ends as heads leave, which networks keep about;
- heads are tried in the order of their Taylor importance (`taylor-heads`), `width` of them a state, and after
  `expansions` states the largest set so far is taken;
- h is so optimistic that with g + h the search hardly leaves the small sets (10 of 144 heads after 152 scorings), so
  that states are taken by g + `weight` h, and the search starts from as many of the least important heads as keep the
  bound, too. `weight=1` is A* proper.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.methods.problem import Compressed, Problem
from leanformer.methods.steps import recovered
from leanformer.methods.taylor_heads import JUDGING_ROWS, Head, by_importance, head_importance, without
from leanformer.progress import bar
from leanformer.search.answers import Answers
from leanformer.search.astar import Found, largest_set
from leanformer.search.space import fewest_units
from leanformer.structure.surgery import slice_units
from leanformer.tasks.split import few_rows

DROP_POINTS = 0.5
"""What may be lost where the budget names no bound."""


def run(problem: Problem) -> Compressed:
    """Search the largest set of heads that the score can do without, and remove it.

    Args:
        problem: What to compress; granularity "head". The budget's bound on the score decides; a pruning ratio,
            the share of the heads, ends the search earlier.

    Returns:
        The compressed model, trained on where the option `refit` says so; its "heads" facts hold the path.

    Raises:
        BudgetError: If the option `weight` is not in (0, 1].
    """
    view, options, budget = EncoderView(problem.teacher), problem.options, problem.budget
    weight = float(options["weight"])
    if not 0 < weight <= 1:
        raise BudgetError(f"the option weight is {weight:g}: give a number above 0 and up to 1")
    rows = few_rows(problem.held_out, problem.task, JUDGING_ROWS, problem.seed)
    answers = Answers(
        problem.teacher, problem.tokenizer, rows, problem.task, problem.folder / "answers.jsonl"
    )
    scores = head_importance(problem)
    order = by_importance(scores)
    drop = DROP_POINTS if budget.max_drop_points is None else budget.max_drop_points
    least = answers.of({}).score - drop / 100 - 1e-9

    def evaluate(removed: frozenset[Head]) -> float:
        return answers.of(without(view, sorted(removed))).score

    expansions = int(options["expansions"])
    with bar() as progress:
        shown = progress.add_task("A*: sets of heads", total=expansions)

        def tell(found: Found[Head]) -> None:
            words = f"A*: {len(found.removed)} of {len(order)} heads"
            progress.update(shown, completed=found.expanded, description=words)

        most = None if budget.pruning_ratio is None else fewest_units(budget.pruning_ratio, len(order))
        found = largest_set(order, evaluate, least, expansions, int(options["width"]), most, weight, tell)
    masks = without(view, sorted(found.removed))
    facts: dict[str, Any] = {
        "measure": "importance",
        "scores": [scores[layer, "head"].tolist() for layer in range(view.n_layers)],
        "ladder": [{"removed": removed, "score": score} for removed, score in found.path],
        "removed": [list(head) for head in sorted(found.removed)],
        "judging_rows": len(rows),
        "least_score": least,
        "expanded": found.expanded,
        "evaluations": answers.asked,
        "finished": found.finished,
    }
    model = slice_units(problem.teacher, masks).eval()
    if options["refit"] == "no":
        return Compressed(model, masks, heads=facts)
    return replace(recovered(problem, model, masks), heads=facts)
