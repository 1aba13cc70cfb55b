"""Models that exist already, timed and scored side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.encoders.forms import PLAIN, check_form
from leanformer.errors import ModelError
from leanformer.export.layout import FILES, FOLDERS, artefact
from leanformer.export.loading import load_config
from leanformer.export.runtimes import PRECISIONS
from leanformer.exports import RUNTIME_OF, Examples, installed
from leanformer.job import resolved_data
from leanformer.measure.bench import BenchRow, bench, check_sizes
from leanformer.progress import say
from leanformer.reading import model_folder, ready_model
from leanformer.run import Run, is_run
from leanformer.tasks.encode import MODEL_COLUMNS

if TYPE_CHECKING:
    from leanformer.reading import Reading


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


def is_one_run(models: Sequence[str]) -> bool:
    """Whether the user named a run alone, which stands for its dense and its compressed model."""
    return len(models) == 1 and is_run(Path(models[0]))


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
