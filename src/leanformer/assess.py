"""Scores, exports and speeds of models that exist already: runs, model folders, exported files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from leanformer.encoders.forms import FORMS, PLAIN, check_form
from leanformer.encoders.saving import save_model
from leanformer.errors import DataError, ModelError, first_line
from leanformer.export.cpu import usable_threads
from leanformer.export.layout import FILES, FOLDERS, artefact, file_name
from leanformer.export.loading import load_config
from leanformer.export.runtimes import PRECISIONS, load_runner, predict_with
from leanformer.exports import RUNTIME_OF, Examples, installed, write_exports
from leanformer.job import resolved_data
from leanformer.measure.bench import BenchRow, bench, check_sizes
from leanformer.pipeline import longest_input, split_held_out
from leanformer.progress import say
from leanformer.run import Facts, Run, is_run
from leanformer.tasks.encode import MODEL_COLUMNS, encode
from leanformer.tasks.heads import head_mismatch, label_order, load_model
from leanformer.tasks.load import load_data
from leanformer.tasks.predict import Score, predict, score_logits

if TYPE_CHECKING:
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


def is_one_run(models: Sequence[str]) -> bool:
    """Whether the user named a run alone, which stands for its dense and its compressed model."""
    return len(models) == 1 and is_run(Path(models[0]))


def evaluate(model: str, reading: Reading) -> Score:
    """Score a model on the validation rows.

    Args:
        model: A run directory, a model folder or hub id, or an exported folder or file.
        reading: The data.

    Returns:
        The score with its interval.

    Raises:
        LeanformerError: If the data or the model can not be used.
    """
    reading = reading.beside(model)
    data = reading.load(model)
    exported = _exported_file(Path(model))
    if exported is not None:
        return _evaluate_exported(exported, data, reading)
    loaded, tokenizer = _with_head(model_folder(model), data.task, reading)
    torch.set_num_threads(reading.threads or 1)
    encoded = _encode(data, "validation", loaded, tokenizer, reading)
    return _score(predict(loaded, encoded, tokenizer, stage="Evaluation"), encoded, data.task)


def export(
    model: str, folder: str, int8: bool, out: Path | None, reading: Reading, form: str = PLAIN
) -> list[Facts]:
    """Write a model for another runtime.

    Args:
        model: A run directory, or a model folder or hub id.
        folder: "onnx" or "openvino".
        int8: Whether to quantise too; needs data.
        out: Where the `onnx` or `openvino` folder is put; beside or in the model by default.
        reading: The data that scores are measured on; not needed for fp32.
        form: One of `leanformer.encoders.forms.FORMS`.

    Returns:
        One dictionary a variant, see `leanformer.exports.write_exports`.

    Raises:
        LeanformerError: If the model can not be exported, the data can not be used, or nothing says where the
            export of a hub model goes.
    """
    reading = reading.beside(model)
    source = model_folder(model)
    if out is None and not Path(model).is_dir():
        # A folder of a hub model's name would from then on be taken for the model.
        raise ModelError(f"there is no folder {model} that its export could lie in: name one with --out")
    target = out or Path(model)
    if not int8 and reading.spec is None:
        return write_exports(Path(source), target, folder, int8=False, examples=None, form=form)
    data = reading.load(model)
    with tempfile.TemporaryDirectory(prefix="leanformer-") as scratch:
        ready, examples = ready_model(source, data, reading, Path(scratch))
        return write_exports(ready, target, folder, int8, examples, form)


def bench_models(
    models: Sequence[str],
    batches: Sequence[int],
    rounds: int,
    reading: Reading,
    limit_s: float | None = None,
    precisions: Sequence[str] = PRECISIONS,
    memory: bool = False,
    forms: Sequence[str] = (PLAIN,),
) -> list[BenchRow]:
    """Time and score models side by side, on every runtime that is installed.

    Args:
        models: Run directories, model folders or hub ids; the first one is the baseline. A run alone stands for its
            dense and its compressed model.
        batches: Batch sizes, in texts.
        rounds: How often each variant is timed, at least.
        reading: The data.
        limit_s: Seconds of timing a batch size; 60 by default.
        precisions: Which precisions to measure.
        memory: Whether to measure the peak memory of each variant.
        forms: Which of `leanformer.encoders.forms.FORMS` to measure.

    Returns:
        The rows.

    Raises:
        ModelError: If two models read texts differently, or a model is named twice.
        LeanformerError: If the data or a model can not be used, or there is nothing to time.
    """
    check_sizes(batches, rounds)
    sources = _bench_sources(models)
    reading = reading.beside(models[0])
    data = reading.load(models[0])
    with tempfile.TemporaryDirectory(prefix="leanformer-") as scratch:
        ready = {
            name: ready_model(source, data, reading, Path(scratch) / str(number))
            for number, (name, source) in enumerate(sources.items())
        }
        (first, examples), *others = [(name, made) for name, (_, made) in ready.items()]
        for form, (folder, _) in product(forms, ready.values()):
            check_form(load_config(folder), form)
        for name, other in others:
            if not _reads_the_same(other, examples):
                raise ModelError(f"{name} reads the texts differently from {first}: bench them one by one")
        return bench(
            {name: folder for name, (folder, _) in ready.items()},
            examples.validation,
            examples.tokenizer,
            data.task,
            runtimes=["torch", *_installed_runtimes()],
            precisions=precisions,
            batches=batches,
            threads=reading.threads,
            rounds=rounds,
            limit_s=limit_s,
            memory=memory,
            artefacts={
                name: run
                for name, source in sources.items()
                if (run := _kept_exports(source, reading, forms))
            },
            calibration=examples.calibration,
            forms=forms,
        )


def _reads_the_same(other: Examples, first: Examples) -> bool:
    """Whether the rows encoded for the first model hold all that another one is to be given."""
    if other.tokenizer.get_vocab() != first.tokenizer.get_vocab():
        return False
    columns = [name for name in MODEL_COLUMNS if name in other.validation.column_names]
    return all(
        name in first.validation.column_names and other.validation[name][:] == first.validation[name][:]
        for name in columns
    )


def _installed_runtimes() -> list[str]:
    """List the runtimes besides PyTorch; those that are not installed are said, not silently left out."""
    for folder, runtime in RUNTIME_OF.items():
        if not installed(folder):
            say(f'{runtime} is not timed: install it with pip install "leanformer[{folder}]"')
    return [runtime for folder, runtime in RUNTIME_OF.items() if installed(folder)]


def _kept_exports(source: str, reading: Reading, forms: Sequence[str] = (PLAIN,)) -> Path | None:
    """Return the run whose exports are those of a model; None where some are missing or made for other data."""
    run = Path(source).parent
    if Path(source).name != "model" or not is_run(run) or reading.spec is None:
        return None
    files = [
        artefact(run, runtime, precision, form)
        for form, (runtime, precision) in product(forms, FILES)
        if installed(FOLDERS[runtime]) and precision in PRECISIONS
    ]
    same_data = resolved_data(reading.spec) == Run.open(run).job.data
    return run if same_data and all(file.is_file() for file in files) else None


def _bench_sources(models: Sequence[str]) -> dict[str, str]:
    """Name the models: a run alone is two of them."""
    if is_one_run(models):
        return {"dense": str(Path(models[0]) / "teacher"), "compressed": model_folder(models[0])}
    if twice := [model for model in models if models.count(model) > 1]:
        raise ModelError(f"{twice[0]} is named twice: it needs to be timed only once")
    names = [Path(model).name for model in models]
    named = names if len(set(names)) == len(names) else models
    return {name: model_folder(model) for name, model in zip(named, models, strict=True)}


def _exported_file(path: Path) -> tuple[Path, str, str] | None:
    """Return the exported file that a path means, with runtime and precision; None for a PyTorch model."""
    if path.is_dir() and any(path.glob("*.safetensors")):
        return None
    for form, (runtime, precision) in product(FORMS, FILES):
        name = file_name(runtime, precision, form)
        file = path if path.name == name else path / name
        if file.is_file():
            return file, runtime, precision
    return None


def _evaluate_exported(exported: tuple[Path, str, str], data: TaskData, reading: Reading) -> Score:
    from transformers import AutoModelForSequenceClassification

    path, runtime, precision = exported
    config = load_config(path.parent)
    if mismatch := head_mismatch(config, data.task):
        raise ModelError(f"the head of {path} does not match the data: {mismatch}; choose another model")
    tokenizer = _tokenizer_beside(path)
    with torch.device("meta"):
        shape = AutoModelForSequenceClassification.from_config(config)  # says how long a text may be
    encoded = _encode(data, "validation", shape, tokenizer, reading)
    runner = load_runner(path, runtime, precision, reading.threads)
    logits = predict_with(runner, encoded, tokenizer)
    order = label_order(config, data.task)
    return _score(logits if order is None else logits[:, order], encoded, data.task)


def _tokenizer_beside(path: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path.parent)
    except Exception as error:  # tokenizers raise plain Exception for a broken file
        raise ModelError(
            f"the tokenizer in {path.parent} can not be loaded ({first_line(error)}): export the model again"
        ) from error


def _with_head(folder: str, task: Task, reading: Reading) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    model, tokenizer, has_head = load_model(folder, task, False, reading.trust_remote_code)
    if not has_head:
        raise ModelError(f"{folder} has no head for the task: train one with leanformer compress")
    return model, tokenizer


def _encode(
    data: TaskData, split: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reading: Reading
) -> Any:
    longest = longest_input(model, tokenizer, reading.max_tokens)
    return encode(getattr(data, split), tokenizer, longest, bool(reading.truncate))


def ready_model(source: str, data: TaskData, reading: Reading, scratch: Path) -> tuple[Path, Examples]:
    """Copy a model with its head in the order of the data's labels, and encode the rows for it.

    Args:
        source: A model folder or hub id.
        data: The data.
        reading: How texts are to be read.
        scratch: Where the copy goes.

    Returns:
        The copy's folder, and the rows.

    Raises:
        LeanformerError: If the model has no head for the task, or the data can not be encoded for it.
    """
    model, tokenizer = _with_head(source, data.task, reading)
    save_model(model, tokenizer, scratch)
    _, held_out = split_held_out(_encode(data, "train", model, tokenizer, reading), data.task, seed=0)
    validation = _encode(data, "validation", model, tokenizer, reading)
    return scratch, Examples(data.task, tokenizer, validation, held_out)


def _score(logits: np.ndarray, encoded: Any, task: Task) -> Score:
    return score_logits(logits, np.asarray(encoded["label"][:]), task)
