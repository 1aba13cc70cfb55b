"""The grid of a league: which methods, under which seeds, and the job of each cell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from leanformer.budget import Budget
from leanformer.errors import BudgetError, RunError
from leanformer.job import Job
from leanformer.methods.method import TRAINED, Method, Value
from leanformer.methods.registry import METHODS, find_method

DENSE, CELLS = "dense", "cells"
"""In a league's folder: the dense model's run, and one run a cell."""

SIMPLEST = "uniform-magnitude"
"""What every method has to beat: the smallest magnitudes, the same share everywhere."""


@dataclass(frozen=True)
class Cell:
    """One method under one seed.

    Attributes:
        method: The method.
        seed: Of its search and its training.
        job: The whole job: an ordinary run, which can be repeated alone.
    """

    method: Method
    seed: int
    job: Job

    @property
    def name(self) -> str:
        """The name of its run directory: NAME-RATIO-SEED; without the ratio where the method is given none."""
        ratio = self.job.budget.pruning_ratio
        return "-".join([self.method.name, *([] if ratio is None else [f"{ratio:g}"]), str(self.seed)])


@dataclass(frozen=True)
class League:
    """What is to be compared.

    Attributes:
        job: What all cells share: model, data, budget, recipe, threads. Its method and seed are the dense model's.
        methods: Names of the methods, each once.
        seeds: Seeds of each method, each once; the first is also the dense model's.
        int8: Whether int8 of ONNX Runtime is timed beside fp32.
        limit_s: Seconds of timing a batch size; None takes what suits the number of models.
        timing: Whether the models are timed; without, their rows have no speed.
        trained: The folder of a league of the same model and data at another ratio, whose dense model is taken over,
            and what its methods have trained for every ratio; None trains everything here.

    Raises:
        LeanformerError: If a method or seed is unknown or named twice, or a method has no place in a league.
    """

    job: Job
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    int8: bool = True
    limit_s: float | None = None
    timing: bool = True
    trained: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what can not be compared."""
        for values, flag in ((self.methods, "--method"), (self.seeds, "--seeds")):
            if twice := [value for value in values if values.count(value) > 1]:
                raise RunError(f"{flag} names {twice[0]} twice: once is enough")
        for name in self.methods:
            if not find_method(name).in_league:
                raise BudgetError(
                    f"{name} has no row beside the others on one task: leave it out, or run "
                    f"leanformer compress --method {name}"
                )
        self.cells(Path("dense"))  # refuses a seed that no run can use

    def cells(self, dense: Path) -> list[Cell]:
        """Return the cells, seed by seed, so that a league that is stopped early has whole columns.

        Args:
            dense: The folder of the dense model that all of them prune.

        Returns:
            One cell a method and seed.
        """
        return [self._cell(METHODS[name], seed, dense) for seed in self.seeds for name in self.methods]

    def _cell(self, method: Method, seed: int, dense: Path) -> Cell:
        budget = self.job.budget if method.takes_ratio else Budget()  # its row says what it reached
        job = replace(
            self.job,
            model=str(dense),
            method=method.name,
            granularity="",
            options=self._taken_over(method, seed),
            budget=budget,
            seed=seed,
            finetune=False,
        )
        return Cell(method, seed, job)

    def _taken_over(self, method: Method, seed: int) -> dict[str, Value]:
        """Return the option that names the other league's run, of the highest ratio, of a method that trains once."""
        if self.trained is None or not method.trains_once:
            return {}
        runs = [run.parent for run in (self.trained / CELLS).glob(f"{method.name}-*-{seed}/result.json")]
        return {TRAINED: str(max(runs))} if runs else {}


def league_of(
    job: Job,
    methods: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (0,),
    int8: bool = True,
    limit_s: float | None = None,
    timing: bool = True,
    trained: Path | None = None,
) -> League:
    """Return a league of a job's model, data and budget.

    Args:
        job: Its method, seed, exports and timing are put in order here.
        methods: Names; none stands for every method that has a place in a league.
        seeds: At least one.
        int8: See `League`.
        limit_s: See `League`.
        timing: See `League`.
        trained: See `League`.

    Returns:
        The league.

    Raises:
        LeanformerError: If it can not be played.
    """
    if not seeds:
        raise RunError("no seed is given: name one, for example --seeds 0")
    shared = replace(
        job,
        method=SIMPLEST,
        granularity="",
        options={},
        budget=job.budget.or_half(),
        seed=seeds[0],
        exports=(),
        timing=False,
    )
    other = None if trained is None else trained.resolve()
    return League(shared.resolved(), methods or contestants(), seeds, int8, limit_s, timing, other)


def contestants() -> tuple[str, ...]:
    """Return the names of all methods that have a place in a league, whichever the registry holds."""
    return tuple(name for name, method in METHODS.items() if method.in_league)
