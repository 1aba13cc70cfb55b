"""Several tasks on one encoder: a head for each, chosen batch by batch, and a teacher for each."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from leanformer.encoders.view import EncoderView

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from leanformer.training.teacher import Teacher


class HeadSwitch(nn.Module):
    """Stands where a module of the task head was, and does what the chosen task's module does.

    Args:
        modules: One a task.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.tasks = nn.ModuleList(modules)
        self.current = 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the chosen task's module."""
        return self.tasks[self.current](*args, **kwargs)


def with_heads_of(models: Sequence[PreTrainedModel]) -> PreTrainedModel:
    """Return a copy of the first model with the task heads of all, the first one's chosen.

    Args:
        models: Of one architecture and size; only what is above the encoder may differ.

    Returns:
        The copy; its encoder is the first model's.
    """
    first = copy.deepcopy(models[0])
    for path in EncoderView(first).head_modules():
        parts = [copy.deepcopy(model.get_submodule(path)) for model in models]
        first.set_submodule(path, HeadSwitch(parts))
    return first


def choose_head(model: nn.Module, task: int) -> None:
    """Let a model of several heads answer for one task."""
    for module in model.modules():
        if isinstance(module, HeadSwitch):
            module.current = task


@torch.no_grad()
def taken_apart(model: PreTrainedModel, models: Sequence[PreTrainedModel]) -> list[PreTrainedModel]:
    """Return one plain model a task, all with the encoder of a model of several heads.

    Args:
        model: From `with_heads_of`, trained since.
        models: What it was made of.

    Returns:
        Copies of these with the trained weights.
    """
    state, found = model.state_dict(), []
    for task, own in enumerate(models):
        plain = {}
        for name, tensor in state.items():
            before, switch, after = name.partition(".tasks.")
            number, _, rest = after.partition(".")
            if not switch:
                plain[name] = tensor
            elif int(number) == task:
                plain[f"{before}.{rest}"] = tensor
        single = copy.deepcopy(own)
        single.load_state_dict({name: tensor.clone() for name, tensor in plain.items()})
        found.append(single.eval())
    return found


class SeveralTeachers:
    """The teachers of several tasks, whose rows lie behind each other; see `leanformer.training.teacher.Teacher`.

    Args:
        teachers: One a task.
        rows: How many rows each task has.
    """

    def __init__(self, teachers: Sequence[Teacher], rows: Sequence[int]) -> None:
        self.teachers = list(teachers)
        self.starts = torch.tensor([0, *rows]).cumsum(0)

    def outputs(self, rows: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs of the teacher whose rows these are; a batch is of one task."""
        task = int(torch.searchsorted(self.starts, rows[0].cpu(), right=True)) - 1
        return self.teachers[task].outputs(rows - int(self.starts[task]), batch)
