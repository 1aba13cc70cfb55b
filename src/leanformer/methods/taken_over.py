"""What a method has trained for every budget, taken over from an earlier run instead of being trained again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.encoders.view import EncoderView
from leanformer.errors import BudgetError
from leanformer.job_file import read_toml
from leanformer.methods.method import TRAINED
from leanformer.methods.problem import Problem
from leanformer.tasks.heads import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Earlier:
    """An earlier run of a method.

    Attributes:
        model: Its model, in eval mode.
        training: The "training" facts of its result.json.
        options: Those of its job, by name.
        folder: Its run directory.
    """

    model: PreTrainedModel
    training: dict[str, Any]
    options: dict[str, Any]
    folder: Path

    def facts(self, training: dict[str, Any]) -> dict[str, Any]:
        """Return the facts of a training that is taken over, which say from where and what it had cost.

        Args:
            training: Those of `self.training`, or of a part of it.

        Returns:
            The same, and "taken_over".
        """
        return training | {"taken_over": {"run": str(self.folder), "seconds": training["recovery_seconds"]}}


def earlier_run(problem: Problem, method: str) -> Earlier | None:
    """Return the run that the option `trained` names. That it was trained on the same data is not looked at.

    Args:
        problem: The dense model, the task, the seed and the options.
        method: Whose run it has to be.

    Returns:
        The run; None where the option is not given.

    Raises:
        BudgetError: If it is no finished run of the method and seed, or of another dense model.
        RunError: If it has no job, or one that can not be read.
        ModelError: If its model can not be loaded, or answers something else.
    """
    if not problem.options.get(TRAINED):
        return None
    folder = Path(str(problem.options[TRAINED]))
    job = read_toml(folder / "job.toml")
    if job.get("method") != method:
        raise BudgetError(f"{folder} is a run of {job.get('method')}: give the folder of a run of {method}")
    if job.get("seed") != problem.seed:  # its training has read rows that are held out under another seed
        raise BudgetError(f"{folder} was trained under seed {job.get('seed')}: give the same --seed")
    try:
        training = json.loads((folder / "result.json").read_text(encoding="utf-8"))["training"]
    except FileNotFoundError:
        raise BudgetError(f"{folder} is not finished: go on with it by --resume first") from None
    model, _, _ = load_model(str(folder / "model"), problem.task, finetune=False)
    view, dense = EncoderView(model), EncoderView(problem.teacher)
    if (view.n_layers, view.prunable_weights()) != (dense.n_layers, dense.prunable_weights()):
        raise BudgetError(
            f"{folder} has other layers than the dense model: give the dense model that it was trained from, which "
            "lies in the run's teacher folder"
        )
    return Earlier(model, training, job.get("options", {}), folder)
