"""The public face, for scripts and notebooks: compress a model, load what came of it, audit it, debias it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from leanformer.budget import Budget
from leanformer.errors import ModelError, RunError, first_line
from leanformer.job import Job
from leanformer.pipeline import run_job
from leanformer.progress import say
from leanformer.run import is_run
from leanformer.search.engines import open_engine
from leanformer.tasks.load import DataSpec
from leanformer.training.processes import from_leader

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.tasks.predict import Score


class Loaded(NamedTuple):
    """A model with its tokenizer.

    Attributes:
        model: In eval mode.
        tokenizer: Its tokenizer.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Result:
    """What a compression found.

    Attributes:
        model: The compressed model, in eval mode.
        tokenizer: Its tokenizer.
        score: Its score on the validation rows.
        report: The page that shows everything, report.html.
        folder: The run directory.
        record: The content of result.json.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    score: Score
    report: Path
    folder: Path
    record: dict[str, Any]

    def save(self, folder: str | Path) -> Path:
        """Copy the compressed model into a folder of its own, with tokenizer and model card.

        Args:
            folder: A folder that does not exist yet, or is empty.

        Returns:
            The folder.

        Raises:
            RunError: If the folder holds something.
        """
        target = Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RunError(f"{target} exists and is not empty: give another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".leanformer-", dir=target.parent) as scratch:
            copy = shutil.copytree(self.folder / "model", Path(scratch) / "model")
            if target.exists():
                target.rmdir()
            os.replace(copy, target)
        return target


def compress(
    model: str | Path,
    data: str | Path | DataSpec,
    budget: Budget | None = None,
    method: str = "auto",
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    engine: str = "in-process",
    address: str | None = None,
    **settings: Any,
) -> Result:
    """Compress a model for a task, and prove on this machine what it gained and lost.

    Args:
        model: A Hugging Face folder or hub id, with or without a task head.
        data: A folder, a file, a GLUE task or a hub id; or a `DataSpec` where columns, files or the metric have to
            be named.
        budget: The constraints. Without any, auto gives the best trade of score and speed, and the other
            methods take half of the encoder's weights.
        method: One of `leanformer.methods.registry.METHODS`.
        seed: Same seed, same result; auto also follows the clock.
        out: The run directory; by default a new temporary folder, which stays.
        resume: Whether to go on with the interrupted run in `out`.
        engine: Who measures candidates: "in-process", or "ray" for the machines of a cluster; the result is the same.
        address: "HOST:PORT" of the Ray cluster's head; by default the cluster that this machine is part of.
        **settings: Further fields of `leanformer.job.Job`: target, granularity, threads, finetune, truncate,
            max_tokens, quick, exports, timing, limit_s, trust_remote_code.

    Returns:
        The compressed model, its score, its report.

    Raises:
        LeanformerError: If the data, the model, the budget or the folder can not be used.
    """
    spec = data if isinstance(data, DataSpec) else DataSpec(str(data))
    job = Job(str(model), spec, budget or Budget(), method, seed=seed, **settings).resolved()
    folder = Path(from_leader(lambda: tempfile.mkdtemp(prefix="leanformer-")) if out is None else out)
    if out is None:
        say(f"the run is kept in {folder}")
    try:
        with open_engine(engine, address) as opened:
            record = run_job(job, folder, resume, engine=opened)
    finally:
        if out is None:
            with suppress(OSError):  # it holds the run, unless that was refused
                folder.rmdir()
    loaded = load(folder)
    return Result(loaded.model, loaded.tokenizer, _score_in(record), folder / "report.html", folder, record)


def audit(
    model: str | Path,
    against: str | Path | None = None,
    data: str | Path | DataSpec | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Measure gender bias of a model, alone or beside another one on the same items.

    Args:
        model: A model folder or a hub id; or a run, whose dense and compressed model are compared.
        against: Another one.
        data: Task data, for what is measured on answers; a run brings its own along.
        **settings: Fields of `leanformer.audit.suite.Suite` (suite_data, most, scan, group, flow) and of
            `leanformer.reading.Reading` (truncate, max_tokens, threads, trust_remote_code).

    Returns:
        What `leanformer audit` writes to audit.json: `models`; `figures`, each with n, interval and what the second
        model differs by; `between`, of both models together; `unmeasured`, with the reasons; `detector` and `flow`,
        one entry a model. docs/audit.md says how to read them.

    Raises:
        LeanformerError: If a model, the data or a file that is named can not be used.
        TypeError: If there is no such setting.
    """
    from leanformer.audit.suite import Suite
    from leanformer.auditing import audit as measured
    from leanformer.reading import Reading

    own = {item.name for item in fields(Suite)}
    paths = {name: Path(settings[name]) for name in ("suite_data", "scan") if settings.get(name) is not None}
    suite = Suite(**{name: value for name, value in {**settings, **paths}.items() if name in own})
    named = DataSpec(str(data)) if isinstance(data, str | Path) else data
    asked = Reading(named, **{name: value for name, value in settings.items() if name not in own})
    return measured(str(model), None if against is None else str(against), asked, suite)


def debias(
    model: str | Path,
    corpus: str | Path,
    data: str | Path | DataSpec | None = None,
    out: str | Path = "leanformer-debias",
    resume: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Lower gender bias of a model, and measure what that costs.

    Args:
        model: A Hugging Face folder or hub id: with a head for the task, or for masked words.
        corpus: A large English text, a paragraph a line: what is learned from.
        data: The task that says what debias-movement costs; fair-distillation takes none.
        out: The run directory: model, page and figures land in it.
        resume: Whether to go on with the interrupted run in `out`.
        **settings: Further fields of `leanformer.debias.job.DebiasJob`: method, levels, granularity,
            max_drop_points, groups, suite_data, most, seed, threads, truncate, max_tokens, options.

    Returns:
        What `leanformer debias` writes to debias.json: what was measured before and after, and, of debias-movement,
        each level with its bias and its score. docs/debias.md says how to read it.

    Raises:
        LeanformerError: If the data, the model, the text or the folder can not be used.
    """
    from leanformer.debias.job import DebiasJob
    from leanformer.debias.play import debias as played

    spec = DataSpec(str(data)) if isinstance(data, str | Path) else data
    job = DebiasJob(str(model), str(corpus), data=spec, **settings).resolved()
    return played(job, Path(out), resume)


def load(folder: str | Path) -> Loaded:
    """Load a model that leanformer wrote, or any model folder, with the head or the pooling that it was saved with.

    Args:
        folder: A run directory, or a model folder.

    Returns:
        The model, in eval mode and float32, and its tokenizer.

    Raises:
        ModelError: If the folder holds no model that can be loaded.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    import leanformer.encoders.lean  # noqa: F401  (registers the classes of compressed models)
    from leanformer.encoders.sentence import pooling_of, read_pooling
    from leanformer.export.loading import load_classifier

    path = Path(folder) / "model" if is_run(Path(folder)) else Path(folder)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} has no config.json: give a run directory or a model folder")
    try:
        config = transformers.AutoConfig.from_pretrained(path)
        if pooling_of(config) or read_pooling(str(path)):
            return Loaded(*load_classifier(path))
        model_class = getattr(transformers, _auto_class(config.architectures))
        model = model_class.from_pretrained(path, config=config, dtype=torch.float32, use_safetensors=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"{path} can not be loaded: {first_line(error)}") from error
    return Loaded(model.eval(), tokenizer)


def _auto_class(architectures: list[str] | None) -> str:
    """Return the auto class with the task head that a configuration names."""
    from leanformer.encoders.carried import TASKS

    name = (architectures or [""])[0]
    return next(
        (auto for auto, suffix in TASKS.items() if name.endswith(suffix) and auto != "AutoModel"), "AutoModel"
    )


def _score_in(record: dict[str, Any]) -> Score:
    from leanformer.tasks.predict import Score

    facts = record["compressed"]
    return Score(record["metric"], facts["score"], facts["low"], facts["high"], record["n"], facts["extra"])
