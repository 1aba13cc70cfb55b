"""How texts are to be read, and models that exist already made ready to read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.encoders.saving import save_model
from leanformer.errors import DataError, ModelError
from leanformer.export.cpu import usable_threads
from leanformer.exports import Examples
from leanformer.progress import say
from leanformer.run import Run, is_run
from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import load_data
from leanformer.tasks.split import split_held_out

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.tasks.load import DataSpec
    from leanformer.tasks.task import Task, TaskData


@dataclass(frozen=True)
class Reading:
    """How texts are to be read.

    Attributes:
        spec: The task data; None takes those of the run that the model lies in.
        truncate: Cut texts that are too long; None takes the run's word.
        max_tokens: Longest input in tokens; None takes the run's word, or what the model takes.
        threads: Processor threads; None takes all.
        trust_remote_code: Run code that comes with the model.
    """

    spec: DataSpec | None = None
    truncate: bool | None = None
    max_tokens: int | None = None
    threads: int | None = None
    trust_remote_code: bool = False

    def beside(self, model: str) -> Reading:
        """Fill in what the run says in which the model lies, if it lies in one.

        Args:
            model: What the user named.

        Returns:
            A reading whose `threads` are set.
        """
        path = Path(model)
        run = next((folder for folder in (path, *path.parents[:2]) if is_run(folder)), None)
        filled = replace(self, threads=self.threads or usable_threads())
        if run is None:
            return filled
        job = Run.open(run).job
        return replace(
            filled,
            spec=self.spec or job.data,
            truncate=job.truncate if self.truncate is None else self.truncate,
            max_tokens=self.max_tokens or job.max_tokens,
            trust_remote_code=self.trust_remote_code or job.trust_remote_code,
        )

    def load(self, model: str) -> TaskData:
        """Load the data and show what was understood.

        Args:
            model: What the user named, for the message.

        Returns:
            The task and its rows.

        Raises:
            DataError: If no data are named, or they can not be used.
        """
        if self.spec is None:
            raise DataError(f"{model} is not part of a run, so its data are unknown: add --data")
        data = load_data(self.spec)
        say(data.description)
        return data


def model_folder(model: str) -> str:
    """Return the model folder that a user means: that of a run, or the folder or hub id itself."""
    return str(Path(model) / "model") if is_run(Path(model)) else model


def with_head(folder: str, task: Task, reading: Reading) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model whose head fits a task.

    Args:
        folder: A model folder or hub id.
        task: The task.
        reading: Says whether code that comes with the model may run.

    Returns:
        The model and its tokenizer.

    Raises:
        ModelError: If the model can not be loaded, or has no head for the task.
    """
    model, tokenizer, has_head = load_model(folder, task, False, reading.trust_remote_code)
    if not has_head:
        raise ModelError(f"{folder} has no head for the task: train one with leanformer compress")
    return model, tokenizer


def encode_split(
    data: TaskData, split: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reading: Reading
) -> Dataset:
    """Encode one split of the data for a model.

    Args:
        data: The data.
        split: "train" or "validation".
        model: The model, which says how long a text may be.
        tokenizer: Its tokenizer.
        reading: How texts are to be read.

    Returns:
        The encoded rows.

    Raises:
        LeanformerError: If a text is too long, or the reading asks for more than the model takes.
    """
    longest = longest_input(model, tokenizer, reading.max_tokens)
    return encode(getattr(data, split), tokenizer, longest, bool(reading.truncate))


def ready_model(
    source: str, data: TaskData, reading: Reading, scratch: Path, seed: int = 0
) -> tuple[Path, Examples]:
    """Copy a model with its head in the order of the data's labels, and encode the rows for it.

    Args:
        source: A model folder or hub id.
        data: The data.
        reading: How texts are to be read.
        scratch: Where the copy goes.
        seed: Of the held-out rows; a run's own seed gives the run's own.

    Returns:
        The copy's folder, and the rows.

    Raises:
        LeanformerError: If the model has no head for the task, or the data can not be encoded for it.
    """
    model, tokenizer = with_head(source, data.task, reading)
    save_model(model, tokenizer, scratch)
    train, validation = (
        encode_split(data, split, model, tokenizer, reading) for split in ("train", "validation")
    )
    _, held_out = split_held_out(train, validation, data.task, seed)
    return scratch, Examples(data.task, tokenizer, validation, held_out)
