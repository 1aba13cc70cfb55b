"""What a run of `leanformer debias` was asked, its file debias.toml, and its run directory."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import cast

from leanformer import __version__
from leanformer.errors import BudgetError, DataError, RunError
from leanformer.export.cpu import usable_threads
from leanformer.job import LARGEST_SEED, absolute, check_limits, flag, located, resolved_data
from leanformer.job_file import built, read_toml, settings_apart, toml_text
from leanformer.methods.debias_registry import MOVEMENT, find_debias_method
from leanformer.methods.method import Value
from leanformer.run import LOG_FILE, Run
from leanformer.tasks.load import DataSpec

DEBIAS_FILE = "debias.toml"
RECORD, PAGE = "debias.json", "debias.html"
LEVELS = (0.02, 0.05, 0.1, 0.2)
_HEADER = f"# A run of leanformer {__version__}. Repeat it with the command in debias.json.\n"
_NO_FLAG = ("model", "method", "data", "levels", "granularity", "options", "max_drop_points")


@dataclass(frozen=True)
class DebiasJob:
    """Everything that decides a run; the defaults work.

    Attributes:
        model: A Hugging Face folder or hub id.
        corpus: A large English text, a paragraph a line.
        method: A key of `leanformer.methods.debias_registry.DEBIAS_METHODS`.
        data: The task that says what debias-movement costs; None for fair-distillation.
        levels: Of debias-movement: how much is closed, one training each.
        granularity: What debias-movement closes: the method's first where none is given.
        max_drop_points: Points of score that the model of debias-movement may lose, on rows of train.
        groups: A file of groups of words, for fair-distillation; None takes our own.
        suite_data: Folder of the public data sets.
        most: Items a public data set at most.
        seed: Same seed, same result.
        threads: Processor threads.
        truncate: Cut texts of the task that are too long.
        max_tokens: Longest input of the task in tokens; None takes what the model takes.
        trust_remote_code: Run code that comes with the model.
        options: The method's own settings.
    """

    model: str
    corpus: str
    method: str = MOVEMENT
    data: DataSpec | None = None
    levels: tuple[float, ...] = LEVELS
    granularity: str = ""
    max_drop_points: float = 1.0
    groups: str | None = None
    suite_data: str | None = None
    most: int | None = None
    seed: int = 0
    threads: int = field(default_factory=usable_threads)
    truncate: bool = False
    max_tokens: int | None = None
    trust_remote_code: bool = False
    options: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        check_limits(self.threads, self.max_tokens)
        method = find_debias_method(self.method, self.granularity)
        object.__setattr__(self, "granularity", self.granularity or method.granularities[0])
        object.__setattr__(self, "options", method.settings(self.options))
        if not 0 <= self.seed <= LARGEST_SEED:
            raise RunError(f"the seed {self.seed} lies outside 0 to {LARGEST_SEED}: give another --seed")
        if self.most is not None and self.most < 1:
            raise DataError(f"--most {self.most} leaves nothing to measure: give a positive number")
        for name in ("steps", "batch", "sentences", "rows", "tokens"):
            if float(self.options.get(name, 1)) < 1:
                raise BudgetError(f"the option {name} can not be {self.options[name]}: give 1 or more")
        self._check_movement() if self.method == MOVEMENT else self._check_distillation()

    def _check_movement(self) -> None:
        shares = self.options["selection"] == "share"
        if not self.levels or len(set(self.levels)) < len(self.levels):
            raise BudgetError("--levels names none, or one twice: give for example --levels 0.05,0.1")
        if wrong := [level for level in self.levels if level <= 0 or (shares and level >= 1)]:
            raise BudgetError(
                f"the level {wrong[0]:g} is no share of the weights: give numbers between 0 and 1"
                if shares
                else f"the level {wrong[0]:g} is no weight of a penalty: give numbers above 0"
            )
        if not 0 <= float(self.options["debias"]) <= 1:
            raise BudgetError(f"the option debias can not be {self.options['debias']}: give 0 to 1")
        if self.max_drop_points < 0:
            raise BudgetError(
                f"--max-drop {self.max_drop_points:g} can not be below 0: give the points that may be lost"
            )
        if self.groups is not None:
            raise BudgetError(
                "--groups is of fair-distillation: leave it out, or add --method fair-distillation"
            )
        if self.data is None:
            raise DataError(
                "no task says what debiasing costs: add --data with a folder, a file or a GLUE task"
            )

    def _check_distillation(self) -> None:
        if self.data is not None:
            raise DataError("fair-distillation trains a masked LM and reads no task: leave --data out")
        if self.levels != LEVELS:
            raise BudgetError("--levels is of debias-movement: leave it out")

    @property
    def data_named(self) -> DataSpec:
        """The task's data, which debias-movement always has."""
        return cast(DataSpec, self.data)

    def resolved(self) -> DebiasJob:
        """Return the job with absolute paths, so that it can be repeated from any folder."""
        data = None if self.data is None else resolved_data(self.data)
        paths = {name: absolute(getattr(self, name)) for name in ("model", "corpus", "groups", "suite_data")}
        options = located(find_debias_method(self.method), self.options)
        return replace(self, data=data, options=options, **paths)

    def to_toml(self) -> str:
        """Return the text of debias.toml; settings that are None are left out."""
        return toml_text(_HEADER, {**asdict(self), "levels": list(self.levels)})

    @classmethod
    def from_toml(cls, path: Path) -> DebiasJob:
        """Read a debias.toml.

        Args:
            path: The file.

        Returns:
            The job.

        Raises:
            RunError: If it can not be read, or holds a setting that is unknown or of another type.
        """
        settings = read_toml(path)
        data = settings.pop("data", None)
        options = settings.pop("options", {})
        if isinstance(settings.get("levels"), list):
            settings["levels"] = tuple(settings["levels"])
        if data is not None:
            settings["data"] = built(DataSpec, data, path)
        job: DebiasJob = built(cls, {**settings, "options": options}, path)
        return job

    def differences(self, other: DebiasJob) -> list[str]:
        """Return the settings in which another job differs, as "seed (0, now 1)"."""
        return settings_apart(asdict(self), asdict(other))

    def command(self, out: str | Path) -> str:
        """Return the command line that repeats the job into a folder.

        Args:
            out: The folder.

        Returns:
            A line for the shell; settings at their defaults are left out, the seed is not.
        """
        method = find_debias_method(self.method)
        parts = ["leanformer", "debias", self.model, "--method", self.method]
        for name, value in asdict(self.data).items() if self.data is not None else ():
            parts += flag("data" if name == "source" else name, value)
        if self.method == MOVEMENT:
            parts += ["--levels", ",".join(f"{level:g}" for level in self.levels)]
            parts += ["--max-drop", f"{self.max_drop_points:g}"]
            parts += (
                [] if self.granularity == method.granularities[0] else ["--granularity", self.granularity]
            )
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "seed" or (item.name not in _NO_FLAG and value != item.default):
                parts += flag(item.name, value)
        usual = method.settings({})
        for name, value in self.options.items():
            parts += [] if value == usual[name] else ["--option", f"{name}={value}"]
        return shlex.join([*parts, "--out", str(out)])


class DebiasRun(Run):
    """The run directory of a debiasing."""

    job_file = DEBIAS_FILE
    artefacts = (DEBIAS_FILE, LOG_FILE, RECORD, PAGE, "sentences.jsonl", "model", "control")

    @property
    def asked(self) -> DebiasJob:
        """What was asked."""
        return cast(DebiasJob, self.job)

    @classmethod
    def read_job(cls, path: Path) -> DebiasJob:
        """Read the job from its file."""
        return DebiasJob.from_toml(path)

    def artefact(self, name: str) -> Path:
        """Return the path of one of the run's artefacts, or of a level's masks; see `Run.artefact`."""
        return self.folder / name if name.startswith("level-") else super().artefact(name)

    def clear(self, folder: Path) -> None:
        """Remove checkpoints once what they led to is safe."""
        shutil.rmtree(folder, ignore_errors=True)
