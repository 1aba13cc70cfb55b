"""The job: everything that decides a run, and its file job.toml, which repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from leanformer import __version__
from leanformer.budget import Budget, Target
from leanformer.errors import BudgetError, RunError
from leanformer.export.cpu import usable_threads
from leanformer.job_file import built, read_toml, settings_apart, toml_text
from leanformer.methods.method import Method, Value
from leanformer.methods.registry import find_method
from leanformer.tasks.load import DataSpec

LARGEST_SEED = 2**32 - 1  # of NumPy's generator
RUNTIME_FOLDERS = ("onnx", "openvino")
AUTO = "auto"  # the method that may choose runtime and budget itself
_PATHS_OF_DATA = ("source", "data_dir", "validation", "test")
_NO_FLAG = ("model", "data", "budget", "target", "exports", "timing", "granularity", "options")
_FLAGS_OF_BUDGET = {"max_drop_points": "max_drop", "max_flips_percent": "max_flips"}  # without the unit
_HEADER = f"# The job of a run of leanformer {__version__}. Repeat it: leanformer compress --job job.toml --out DIR\n"


@dataclass(frozen=True)
class Job:
    """Everything that decides a run; the defaults work.

    Attributes:
        model: A Hugging Face folder or hub id.
        data: The task data.
        budget: What has to go. Where nothing is limited, auto gives the best trade, others take half of the encoder.
        method: A name that `leanformer methods` lists.
        granularity: What is removed, one of the method's granularities: its first where none is given.
        seed: Same seed, same result; auto also follows the clock.
        threads: Processor threads for training and for every measured runtime.
        finetune: Fine-tune the dense model first, even when it has a head that matches the data.
        truncate: Cut texts that are longer than `max_tokens` instead of refusing them.
        max_tokens: Longest input in tokens; None takes what the model takes.
        quick: A rough answer within minutes: fewer epochs and candidates.
        exports: Which of "onnx" and "openvino" to write.
        timing: Whether speed is measured at the end; without it a run is of scores only.
        limit_s: Seconds of timing a batch size in the speed table, if the ratios do not settle before; None takes
            what `leanformer.measure.bench` takes.
        trust_remote_code: Run code that comes with the model.
        target: Where the model is served: what a budget of time is about.
        options: The method's own settings; those that are not given are at their defaults.
    """

    model: str
    data: DataSpec
    budget: Budget = field(default_factory=Budget)
    method: str = AUTO
    granularity: str = ""
    seed: int = 0
    threads: int = field(default_factory=usable_threads)
    finetune: bool = False
    truncate: bool = False
    max_tokens: int | None = None
    quick: bool = False
    exports: tuple[str, ...] = RUNTIME_FOLDERS
    timing: bool = True
    limit_s: float | None = None
    trust_remote_code: bool = False
    target: Target = field(default_factory=Target)
    options: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        check_limits(self.threads, self.max_tokens)
        method = find_method(self.method, self.granularity or None)
        object.__setattr__(self, "granularity", self.granularity or method.granularities[0])
        object.__setattr__(self, "options", method.settings(self.options))
        if self.method != AUTO:
            object.__setattr__(self, "budget", _budget_for(method, self.budget, self.options))
            object.__setattr__(self, "target", self.target.or_torch())
        if not 0 <= self.seed <= LARGEST_SEED:
            raise RunError(f"the seed {self.seed} lies outside 0 to {LARGEST_SEED}: give another --seed")
        if unknown := set(self.exports) - set(RUNTIME_FOLDERS):
            raise RunError(f"no export is called '{min(unknown)}': choose from {', '.join(RUNTIME_FOLDERS)}")

    def resolved(self) -> Job:
        """Return the job with absolute paths, so that it can be repeated from any folder."""
        options = located(find_method(self.method), self.options)
        return replace(self, model=absolute(self.model), data=resolved_data(self.data), options=options)

    def to_toml(self) -> str:
        """Return the text of job.toml; settings that are None are left out."""
        return toml_text(_HEADER, asdict(self))

    @classmethod
    def from_toml(cls, path: Path) -> Job:
        """Read a job.toml.

        Args:
            path: The file.

        Returns:
            The job.

        Raises:
            RunError: If the file is missing, is not TOML, or holds a setting that is unknown or of another type.
        """
        settings = read_toml(path)
        budget = built(Budget, settings.pop("budget", {}), path)
        target = built(Target, settings.pop("target", {}), path)
        data = built(DataSpec, settings.pop("data", {}), path)
        options = settings.pop("options", {})
        if not isinstance(options, Mapping):
            raise RunError(f"{path}: [options] has to be a table")
        if isinstance(settings.get("exports"), list):
            settings["exports"] = tuple(settings["exports"])
        job: Job = built(cls, {**settings, "data": data, "budget": budget, "target": target}, path)
        return replace(job, options=options)

    def command(self, out: str | Path) -> str:
        """Return the command line that repeats the job into a folder.

        Args:
            out: The folder.

        Returns:
            A line for the shell; settings at their defaults are left out, the seed and the budget are not. A part of
            the exports, which no flag names, is repeated from the run's job file.
        """
        if self.exports and set(self.exports) != set(RUNTIME_FOLDERS):
            return shlex.join(
                ["leanformer", "compress", "--job", str(Path(out) / "job.toml"), "--out", str(out)]
            )
        parts = ["leanformer", "compress", self.model]
        for name, value in asdict(self.data).items():
            parts += flag("data" if name == "source" else name, value)
        for name, value in asdict(self.budget).items():
            parts += flag(_FLAGS_OF_BUDGET.get(name, name), value)
        usual = Target() if self.method == AUTO else Target().or_torch()
        for name, value in asdict(self.target).items():
            parts += [] if value == getattr(usual, name) else flag(f"target_{name}", value)
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "seed" or (item.name not in _NO_FLAG and value != item.default):
                parts += flag("limit" if item.name == "limit_s" else item.name, value)
        method = find_method(self.method, self.granularity)
        parts += [] if self.granularity == method.granularities[0] else ["--granularity", self.granularity]
        usual_options = method.settings({})
        for name, value in self.options.items():
            parts += [] if value == usual_options[name] else ["--option", f"{name}={value}"]
        parts += [] if self.exports else ["--no-export"]
        parts += [] if self.timing else ["--no-timing"]
        return shlex.join([*parts, "--out", str(out)])

    def differences(self, other: Job) -> list[str]:
        """Return the settings in which another job differs, as "seed (0, now 1)"."""
        return settings_apart(asdict(self), asdict(other))


def _budget_for(method: Method, budget: Budget, options: Mapping[str, Value]) -> Budget:
    """Return a budget that a method can work with: half of what it can remove, where nothing else ends its work."""
    if method.counts_weights and (budget.asks_for_time or budget.macs_share is not None):
        raise BudgetError(
            f"{method.name} counts weights while it trains, and can not aim at time or multiply-accumulates: give "
            "--pruning-ratio or --size-mb, or another method"
        )
    if budget.is_silent and method.default_drop_points is not None:
        return replace(budget, max_drop_points=method.default_drop_points)
    ended_by = method.ended_by(options)
    if ended_by is not None and budget.pruning_ratio is not None:
        raise BudgetError(
            f"--option {ended_by} and --pruning-ratio both say how far {method.name} goes: give one of the two"
        )
    if ended_by is not None or (method.goes_by_score and budget.max_drop_points is not None):
        return budget
    return budget.or_half()


def check_limits(threads: int | None, max_tokens: int | None) -> None:
    """Refuse limits under which nothing could be computed.

    Args:
        threads: Processor threads, if given.
        max_tokens: Longest input in tokens, if given.

    Raises:
        RunError: If one of them is not positive.
    """
    if threads is not None and threads < 1:
        raise RunError(f"{threads} threads can not work: give --threads 1 or more")
    if max_tokens is not None and max_tokens < 1:
        raise RunError(f"--max-tokens {max_tokens} leaves no text: give a larger number")


def resolved_data(spec: DataSpec) -> DataSpec:
    """Return task data with absolute paths; the name of a GLUE task stays a name.

    Args:
        spec: The data as the user named them.

    Returns:
        The same data, wherever the process stands.
    """
    names = [name for name in _PATHS_OF_DATA if not (name == "source" and spec.data_dir)]
    return replace(spec, **{name: absolute(getattr(spec, name)) for name in names})


def located(method: Method, options: Mapping[str, Value]) -> dict[str, Value]:
    """Return a method's options with absolute paths."""
    paths = {option.name for option in method.options if option.is_path}
    return {name: _all_absolute(str(value)) if name in paths else value for name, value in options.items()}


def _all_absolute(text: str) -> str:
    """Return one path, or those between commas, as absolute ones; NAME@ before a path stays."""
    if Path(text).exists():
        return str(absolute(text))
    parts = [part.strip().rpartition("@") for part in text.split(",")]
    return ",".join(f"{name}{at}{absolute(path)}" for name, at, path in parts)


def flag(name: str, value: Any) -> list[str]:
    """Return an option as the command line takes it; None and False are not given at all."""
    written = "--" + name.replace("_", "-")
    return [] if value is None or value is False else [written] if value is True else [written, str(value)]


def absolute(text: str | None) -> Any:
    """Return an existing path as an absolute one; anything else (a hub id, a task name) as it is."""
    return str(Path(text).resolve()) if text and Path(text).exists() else text
