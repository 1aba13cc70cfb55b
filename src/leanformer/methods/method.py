"""What a method is to its users: a name, a paper, what it removes and trains, and settings of its own."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.errors import BudgetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leanformer.methods.problem import Compressed, Problem

Value = str | int | float
"""Of an option."""

TRAINED = "trained"
"""The option that names an earlier run, of methods that train once for every budget."""


@dataclass(frozen=True)
class Option:
    """A setting that only one method has.

    Attributes:
        name: What users type: `--option NAME=VALUE`.
        default: What holds where nothing is given; its type is the option's.
        text: What it decides, for people.
        choices: The values that there are; empty where any of the type will do.
        ends_work: Whether a value other than the default says how far to go, in place of a pruning ratio.
        is_path: Whether it names files or folders, several between commas and each perhaps behind NAME@, which a job
            that is repeated from elsewhere has to find.
    """

    name: str
    default: Value
    text: str
    choices: tuple[Value, ...] = ()
    ends_work: bool = False
    is_path: bool = False

    def read(self, given: Value) -> Value:
        """Return a value as the option's type.

        Args:
            given: The value, or its text.

        Returns:
            The value.

        Raises:
            BudgetError: If it is of another type, or none of the choices.
        """
        try:
            value = type(self.default)(given)
        except ValueError:
            value = None
        if value is None or (self.choices and value not in self.choices):
            wanted = ", ".join(map(str, self.choices)) or f"a value like {self.default}"
            raise BudgetError(f"the option {self.name} can not be '{given}': give {wanted}")
        return value


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
        cost: What it takes, for people: searches, trainings.
        entry: The function that runs it, as "module:function".
        options: Settings of its own.
        goes_by_score: Whether a bound on the score alone is a budget for it: it removes what the bound allows.
        counts_weights: Whether it can aim at a share of the weights only, not at time or multiply-accumulates.
        default_drop_points: That bound where no budget is given; None: half of what can be removed leaves.
        takes_ratio: Whether a pruning ratio ends its work; else its own bound on the score alone does.
        in_league: Whether it has a place beside the others on one task; auto only chooses among them.
    """

    name: str
    paper: str
    year: int
    granularities: tuple[str, ...]
    removes: str
    trains: str
    cost: str
    entry: str
    options: tuple[Option, ...] = ()
    goes_by_score: bool = False
    counts_weights: bool = False
    default_drop_points: float | None = None
    takes_ratio: bool = True
    in_league: bool = True

    def settings(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Return all options of the method, those that are not given at their defaults.

        Args:
            given: Values, or their texts, by name.

        Returns:
            Values by name.

        Raises:
            BudgetError: If the method has no such option, or a value is none of it.
        """
        known = {option.name: option for option in self.options}
        if unknown := sorted(given.keys() - known.keys()):
            there = f"choose from {', '.join(known)}" if known else "it has none"
            raise BudgetError(f"{self.name} has no option '{unknown[0]}': {there}")
        return {name: option.read(given.get(name, option.default)) for name, option in known.items()}

    @property
    def trains_once(self) -> bool:
        """Whether what is trained serves other budgets, too: an earlier run can be taken over."""
        return any(option.name == TRAINED for option in self.options)

    def ended_by(self, settings: Mapping[str, Value]) -> str | None:
        """Return the option that says how far to go, where one is given; None: the budget says it.

        Args:
            settings: All options of the method.

        Returns:
            The option's name.
        """
        given = (one.name for one in self.options if one.ends_work and settings[one.name] != one.default)
        return next(given, None)

    def account(self) -> str:
        """Return what the method's file says of its paper, of what is reconstructed and of what is ours."""
        spec = find_spec(self.entry.partition(":")[0])
        if spec is None or spec.origin is None:
            raise ValueError(f"{self.name} has no file: {self.entry}")
        return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""

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


def pick(methods: Mapping[str, Method], name: str, granularity: str | None = None) -> Method:
    """Return the method of that name, if it works at that granularity.

    Args:
        methods: By name.
        name: A key of them.
        granularity: What is to be removed, for example "unit"; None where any will do.

    Returns:
        The method.

    Raises:
        BudgetError: If there is no such method, or it does not work at that granularity.
    """
    if name not in methods:
        raise BudgetError(f"there is no method '{name}': choose one of {', '.join(methods)}")
    method = methods[name]
    if granularity is not None and granularity not in method.granularities:
        others = ", ".join(one.name for one in methods.values() if granularity in one.granularities)
        another = f", or another method: {others}" if others else ""
        raise BudgetError(
            f"{name} does not work at granularity '{granularity}': choose one of {', '.join(method.granularities)}"
            + another
        )
    return method
