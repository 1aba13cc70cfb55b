"""The methods that users can name. Listing them needs no torch: a method is imported when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from leanformer.errors import BudgetError

if TYPE_CHECKING:
    from leanformer.methods.problem import Compressed, Problem


@dataclass(frozen=True)
class Method:
    """A published way to compress an encoder.

    Attributes:
        name: What users type.
        paper: Where it was published.
        year: Of the publication.
        granularities: What it can remove, the default first.
        removes: How it chooses what goes, for people.
        trains: How the rest is trained, for people.
        entry: The function that runs it, as "module:function".
    """

    name: str
    paper: str
    year: int
    granularities: tuple[str, ...]
    removes: str
    trains: str
    entry: str

    def run(self, problem: Problem) -> Compressed:
        """Solve the problem with this method.

        Args:
            problem: The dense model, its data and the budget.

        Returns:
            The compressed, trained model and how it was found.
        """
        module, function = self.entry.split(":")
        answer: Compressed = getattr(import_module(module), function)(problem)
        return answer


_AE_BERT_PAPER = "An Automatic and Efficient BERT Pruning for Edge AI Systems (AE-BERT), arXiv 2206.10461"
_MAGNITUDE_PAPER = "Learning both Weights and Connections for Efficient Neural Networks, arXiv 1506.02626"
_GRADUAL_PAPER = (
    "To prune, or not to prune: exploring the efficacy of pruning for model compression, arXiv 1710.01878"
)
_BOTH = ("unit", "weight")
_DISTILLED = "distilled from the dense model"

_ALL = (
    Method(
        name="auto",
        paper="none: the cheapest of the project's own steps that meets the budget, each measured",
        year=2026,
        granularities=("unit",),
        removes="nothing where a runtime or int8 will do; else what AE-BERT finds, without or with training",
        trains="only where no cheaper step meets the budget",
        entry="leanformer.methods.auto:run",
    ),
    Method(
        name="ae-bert",
        paper=_AE_BERT_PAPER,
        year=2022,
        granularities=_BOTH,
        removes="searches allocations under the pruning ratio, evolves the best by swaps, judges them cheaply",
        trains=_DISTILLED,
        entry="leanformer.methods.ae_bert:run",
    ),
    Method(
        name="ae-bert-random",
        paper=_AE_BERT_PAPER,
        year=2022,
        granularities=_BOTH,
        removes="the paper's own generator: random allocations under the pruning ratio, judged cheaply",
        trains=_DISTILLED,
        entry="leanformer.methods.ae_bert:run_random",
    ),
    Method(
        name="uniform-magnitude",
        paper=_MAGNITUDE_PAPER,
        year=2015,
        granularities=_BOTH,
        removes="the smallest magnitudes, the same share everywhere",
        trains=_DISTILLED,
        entry="leanformer.methods.magnitude:uniform",
    ),
    Method(
        name="global-magnitude",
        paper=_MAGNITUDE_PAPER,
        year=2015,
        granularities=_BOTH,
        removes="the smallest magnitudes of the whole encoder",
        trains=_DISTILLED,
        entry="leanformer.methods.magnitude:global_",
    ),
    Method(
        name="gradual-magnitude",
        paper=_GRADUAL_PAPER,
        year=2017,
        granularities=_BOTH,
        removes="the smallest magnitudes, more of them as training goes on (cubic schedule)",
        trains=f"{_DISTILLED} while it shrinks",
        entry="leanformer.methods.magnitude:gradual",
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}


def find_method(name: str, granularity: str) -> Method:
    """Return the method of that name, if it works at that granularity.

    Args:
        name: A key of `METHODS`.
        granularity: What is to be removed, for example "unit".

    Returns:
        The method.

    Raises:
        BudgetError: If there is no such method, or it does not work at that granularity.
    """
    if name not in METHODS:
        raise BudgetError(f"there is no method '{name}': choose one of {', '.join(METHODS)}")
    method = METHODS[name]
    if granularity not in method.granularities:
        others = ", ".join(one.name for one in _ALL if granularity in one.granularities)
        another = f", or another method: {others}" if others else ""
        raise BudgetError(
            f"{name} does not work at granularity '{granularity}': choose one of {', '.join(method.granularities)}"
            + another
        )
    return method
