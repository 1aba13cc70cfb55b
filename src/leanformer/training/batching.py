"""From encoded rows to the batches of a training: which rows, in which order, padded how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from leanformer.tasks.encode import MODEL_COLUMNS
from leanformer.tasks.strides import place_labels
from leanformer.tasks.words import STARTS, token_labels

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

POSITION = "position"
TASK = "task"
"""The column that says whose head a row is for, where a model learns several tasks."""


class EpochSampler(LengthGroupedSampler):
    """Groups rows of like length, in an order that follows from seed and epoch alone.

    The parent draws it from the global generator when an epoch begins; a training that resumes in the middle of a
    later epoch can not know that state, and would see some rows twice and others not at all.
    """

    def __init__(self, input_ids: Iterable[Sized], batch_size: int, seed: int) -> None:
        super().__init__(batch_size, lengths=[len(ids) for ids in input_ids])
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins; the data loader calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Return the rows' positions in the order of the epoch."""
        self.generator = torch.Generator().manual_seed(1000 * self.seed + self.epoch)
        return super().__iter__()


class TaskSampler(EpochSampler):
    """Fills each batch with rows of one task, in an order of batches that follows from seed and epoch.

    A task's last batch is filled up with rows of that task that were there before, so that none is left out.
    """

    def __init__(self, input_ids: Iterable[Sized], tasks: Sequence[int], batch_size: int, seed: int) -> None:
        super().__init__(input_ids, batch_size, seed)
        self.rows = {
            task: [row for row, own in enumerate(tasks) if own == task] for task in sorted(set(tasks))
        }

    def __len__(self) -> int:
        """Return how many rows an epoch has, repeated ones included."""
        return sum(-(-len(rows) // self.batch_size) for rows in self.rows.values()) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """Return the rows' positions in the order of the epoch."""
        generator = torch.Generator().manual_seed(1000 * self.seed + self.epoch)
        batches = []
        for rows in self.rows.values():
            lengths = [self.lengths[row] for row in rows]
            order = get_length_grouped_indices(lengths, self.batch_size, generator=generator)
            whole = -(-len(order) // self.batch_size) * self.batch_size
            full = [rows[order[place % len(order)]] for place in range(whole)]
            batches += [
                full[start : start + self.batch_size] for start in range(0, len(full), self.batch_size)
            ]
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        return iter([row for batch in shuffled for row in batches[batch]])


class Collator:
    """Pads encoded rows to the longest of the batch and keeps their positions in the training set."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, regression: bool) -> None:
        self.tokenizer = tokenizer
        self.label_type = torch.float32 if regression else torch.int64

    def __call__(self, rows: list[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Return a batch of tensors: model inputs, `labels` (of texts, of tokens or of places) and `position`."""
        names = [name for name in rows[0] if name not in ("label", STARTS, POSITION, TASK)]
        batch = dict(
            self.tokenizer.pad({name: [row[name] for row in rows] for name in names}, return_tensors="pt")
        )
        labels = [row["label"] for row in rows]
        if STARTS in rows[0]:
            labels = token_labels(labels, [row[STARTS] for row in rows], batch["input_ids"].shape[1]).tolist()
        elif isinstance(labels[0], list):  # where an answer starts and ends
            lengths = [len(row["input_ids"]) for row in rows]
            labels = place_labels(labels, lengths, batch["input_ids"].shape[1]).tolist()
        batch["labels"] = torch.tensor(labels, dtype=self.label_type)
        for name in (POSITION, TASK):
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows])
        return batch


def training_columns(train: Dataset) -> Dataset:
    """Return only what the trainer needs of the encoded rows, with their positions.

    Args:
        train: Encoded rows.

    Returns:
        The same rows with input columns, `label` and `position`, and `starts` and `task` where they have them.
    """
    names = [name for name in (*MODEL_COLUMNS, "label", STARTS, TASK) if name in train.column_names]
    return train.select_columns(names).add_column(POSITION, list(range(len(train))))
