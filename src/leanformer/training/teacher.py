"""The teacher's outputs on the training rows: computed once where they fit on disk, else on the fly."""

from __future__ import annotations

import contextlib
import copy
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from leanformer.encoders.outputs import logits_of
from leanformer.encoders.sentence import answer_width
from leanformer.gpu import fastest_device
from leanformer.progress import track
from leanformer.tasks.encode import batches
from leanformer.tasks.words import OFFSETS, STARTS
from leanformer.training.processes import leader_first

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CACHE_LIMIT_GB = 4.0


class Teacher(Protocol):
    """Gives a batch of training rows the outputs that a student should come close to."""

    def outputs(self, rows: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the teacher's logits and hidden states.

        Args:
            rows: (batch,) positions of the rows in the training set.
            batch: The padded model inputs of these rows.

        Returns:
            Logits (batch, classes) or (batch, tokens, labels), and per compared layer (batch, tokens, width).
        """
        ...


class LiveTeacher:
    """Runs the teacher on each batch: slower, but needs no disk."""

    def __init__(self, model: PreTrainedModel, layers: tuple[int, ...]) -> None:
        self.model = model.eval()
        self.layers = layers
        self._there: dict[torch.device, PreTrainedModel] = {model.device: model}

    @torch.no_grad()
    def outputs(self, rows: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the teacher's logits and hidden states; see `Teacher.outputs`."""
        if rows.device not in self._there:  # a copy: the caller's model stays where it is
            self._there[rows.device] = copy.deepcopy(self.model).to(rows.device)
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        with autocast(rows.device.type):
            answer = self._there[rows.device](**inputs, output_hidden_states=bool(self.layers))
        return logits_of(answer), [answer.hidden_states[layer] for layer in self.layers]


class CachedTeacher:
    """Looks the teacher's outputs up in files written once by `remember`."""

    def __init__(self, folder: Path, layers: tuple[int, ...], width: int) -> None:
        self.logits = torch.from_numpy(np.load(folder / "logits.npy"))  # one row a text, or one a token
        self.offsets: np.ndarray = np.load(folder / "offsets.npy")  # (rows + 1,)
        self.answers_tokens = len(self.logits) == self.offsets[-1]
        shape = (len(layers), int(self.offsets[-1]), width)
        self.hidden = (
            np.memmap(folder / "hidden.f16", dtype=np.float16, mode="r", shape=shape) if layers else None
        )

    def outputs(self, rows: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the teacher's logits and hidden states; see `Teacher.outputs`."""
        positions = rows.cpu()
        real = batch["attention_mask"].bool().cpu()  # (batch, tokens)
        spans = [slice(self.offsets[row], self.offsets[row + 1]) for row in positions.tolist()]
        if self.answers_tokens:
            logits = torch.zeros(*real.shape, self.logits.shape[-1])
            logits[real] = torch.cat([self.logits[span] for span in spans])
        else:
            logits = self.logits[positions]
        logits = logits.to(rows.device)
        if self.hidden is None:
            return logits, []
        states = torch.zeros(len(self.hidden), *real.shape, self.hidden.shape[-1], dtype=torch.float16)
        kept = [self.hidden[:, span] for span in spans]
        states[:, real] = torch.from_numpy(np.concatenate(kept, axis=1))
        return logits, list(states.to(rows.device))


def teacher_for(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    layers: tuple[int, ...],
    folder: Path,
) -> Teacher:
    """Return the cheapest teacher for a training set.

    Args:
        model: The dense model.
        tokenizer: Pads the batches.
        train: Encoded rows.
        layers: Hidden states to keep; 0 is the embeddings' output.
        folder: Where the outputs are kept; an earlier finished cache is used again.

    Returns:
        A cached teacher when its files take less than `CACHE_LIMIT_GB`, else a live one.
    """
    tokens = sum(len(row) for row in train["input_ids"])
    if 2e-9 * tokens * len(layers) * model.config.hidden_size > CACHE_LIMIT_GB:
        return LiveTeacher(model, layers)
    with leader_first() as leads:
        if leads and not (folder / "logits.npy").exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".teacher-outputs-", dir=folder.parent))
            try:
                remember(model, tokenizer, train, layers, scratch)
                _put(scratch, folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return CachedTeacher(folder, layers, model.config.hidden_size)


def _put(finished: Path, folder: Path) -> None:
    """Move a finished cache into place, unless another process that shares it was faster."""
    if (folder / "logits.npy").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # an unfinished one of an older version
    with contextlib.suppress(OSError):  # the folder appeared since: it is the other's, finished
        finished.rename(folder)


def autocast(device: str) -> torch.autocast:
    """Return the mixed precision context in which teachers and students run: bfloat16 where it is fast.

    Args:
        device: "cpu" or "cuda".

    Returns:
        A context manager.
    """
    return torch.autocast(device, dtype=torch.bfloat16, enabled=has_fast_bfloat16())


def has_fast_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware.

    Returns:
        True on CUDA devices that support it, and on CPUs with AVX512-BF16 or AMX.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@torch.no_grad()
def remember(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset,
    layers: tuple[int, ...],
    folder: Path,
) -> None:
    """Write the teacher's logits, of all rows or their tokens, and hidden states (float16), without padding.

    Args:
        model: The dense model.
        tokenizer: Pads the batches.
        train: Encoded rows.
        layers: Hidden states to keep.
        folder: Receives `hidden.f16`, `offsets.npy` and `logits.npy`.
    """
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in train["input_ids"]])])
    shape = (len(layers), int(offsets[-1]), model.config.hidden_size)
    hidden = np.memmap(folder / "hidden.f16", dtype=np.float16, mode="w+", shape=shape) if layers else None
    answers_tokens = bool({STARTS, OFFSETS} & set(train.column_names))
    answers_kept = int(offsets[-1]) if answers_tokens else len(train)
    logits = np.zeros((answers_kept, answer_width(model.config) or 1), dtype=np.float32)
    live, device = LiveTeacher(model, layers), fastest_device()
    plan = list(batches(train, tokenizer, batch_size=64))
    for rows, batch in track(plan, "Teacher: outputs on the training rows"):
        there = {name: tensor.to(device) for name, tensor in batch.items()}
        answers, states = live.outputs(torch.from_numpy(np.asarray(rows)).to(device), there)
        real = batch["attention_mask"].bool()
        if answers_tokens:
            for row, answer, mask in zip(rows, answers.float().cpu(), real, strict=True):
                logits[offsets[row] : offsets[row + 1]] = answer[mask].numpy()
        else:
            logits[rows] = answers.float().cpu().numpy()
        whole = [state.to(torch.float16).cpu() for state in states]
        for place, row in enumerate(rows):
            for index, state in enumerate(whole):
                assert hidden is not None  # there are layers, so there is a file
                hidden[index, offsets[row] : offsets[row + 1]] = state[place][real[place]].numpy()
    if hidden is not None:
        hidden.flush()
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "logits.npy", logits)
