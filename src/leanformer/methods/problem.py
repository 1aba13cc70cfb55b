"""What every method is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.budget import Budget, Target
from leanformer.search.engines import Engine, InProcess

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.measure.harm import Watch
    from leanformer.methods.pace import Pace
    from leanformer.tasks.task import Task


@dataclass(frozen=True)
class Serving:
    """What a method needs that measures speed itself.

    Attributes:
        target: Batch size, and where the user fixed them, runtime and precision.
        threads: Processor threads of every runtime.
        pace: Returns what a budget of time means on a target: the latency table is looked up, or measured and noted
            in the given file; where tokens are to leave, for shorter texts, too.
    """

    target: Target
    threads: int
    pace: Callable[[Budget, Target, Path, bool], Pace]


@dataclass(frozen=True)
class Problem:
    """One compression to solve. Methods never see the rows that are reported.

    Attributes:
        teacher: The dense model with its fine-tuned task head, in eval mode, float32.
        tokenizer: The teacher's tokenizer.
        task: What the model answers, and how its answers are scored.
        train: Encoded training rows, without the held-out ones.
        held_out: Encoded rows for search and calibration: a slice of the training rows, or of those validation rows
            that are not reported.
        budget: What has to go.
        granularity: One of the method's granularities, for example "unit" or "weight".
        seed: Same seed, same result; auto also follows the clock.
        folder: Scratch folder of the method inside the run directory; it survives a kill.
        resume: Whether `folder` may hold the work of an interrupted run.
        quick: Whether a rough answer within minutes is wanted.
        pace: What a budget of time means for the search; None where none is asked for.
        cache: Where the teacher's outputs on the training rows are kept; in `folder` by default. Several problems
            with the same teacher and rows may share it.
        engine: Who measures candidates; it does not change what is found.
        serving: How speed is measured, for methods that do so.
        journal: Where a search notes what it measured; `journal.log` in `folder` by default.
        options: The method's own settings, all of them.
        judges_trained: Whether trained models are judged on the held-out rows, so that no training may read them.
        watch: Limits on what may change of the dense model's answers, or None.
    """

    teacher: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    task: Task
    train: Dataset
    held_out: Dataset
    budget: Budget
    granularity: str
    seed: int
    folder: Path
    resume: bool
    quick: bool = False
    pace: Pace | None = None
    cache: Path | None = None
    engine: Engine = field(default_factory=InProcess)
    serving: Serving | None = None
    journal: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    judges_trained: bool = False
    watch: Watch | None = None

    @property
    def mean_tokens(self) -> float:
        """Mean length of the held-out texts in tokens, padding not counted."""
        lengths = [len(ids) for ids in self.held_out["input_ids"]]
        return sum(lengths) / len(lengths)


@dataclass(frozen=True)
class Compressed:
    """What a method found.

    Attributes:
        model: The compressed model, trained, in eval mode.
        masks: What was kept, by (layer, kind): 1 keeps, 0 removes.
        search: The "search" facts of result.json; None where the method does not search.
        training: The "training" facts of result.json: recovery_seconds, epochs, curve; "taken_over" has the folder of
            an earlier run, and seconds, where its training was taken over.
        ladder: The "ladder" facts of result.json; None where the method climbs none.
        serve: Runtime, precision and form in which the model is to be served, where the method has measured that.
        heads: The "heads" facts of result.json, of methods that rank heads.
        attack: The "attack" facts of result.json: clean and attacked accuracy on rows that nothing was trained on, of
            the "dense" and of the "compressed" model, as `leanformer.audit.attack.Attacked` has them.
        companions: Models for further tasks by name, saved as `model/tasks/NAME`.
        tasks: The "tasks" facts of result.json: what each of several tasks scores on held-out rows that nothing was
            trained on.
        removed_share: Of the encoder's weights, where masks do not tell: ranks of products; of its layers, where
            texts leave early.
        macs_share: Of the encoder's multiply-accumulates, where masks do not tell.
        exits: The "exits" facts of result.json: the dial of a model that texts leave early.
    """

    model: PreTrainedModel
    masks: dict[tuple[int, str], Tensor]
    search: dict[str, Any] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    ladder: dict[str, Any] | None = None
    serve: tuple[str, str, str] | None = None
    heads: dict[str, Any] | None = None
    attack: dict[str, Any] | None = None
    companions: Mapping[str, PreTrainedModel] = field(default_factory=dict)
    tasks: list[dict[str, Any]] | None = None
    removed_share: float | None = None
    macs_share: float | None = None
    exits: dict[str, Any] | None = None
