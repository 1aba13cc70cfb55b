"""The contract: what a run has measured of its model, and how far a later measurement may lie from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leanformer.encoders.forms import PLAIN
from leanformer.errors import RunError
from leanformer.measure.gain import variant_name
from leanformer.tasks.task import DISCRETE

CONTRACT_FILE = "contract.json"


@dataclass(frozen=True)
class Bounds:
    """What a later check has to keep; a user may edit these in the file.

    Attributes:
        drop_points: The score may lie so many points under the contract's.
        flips_share: The share of answers that differ from the dense model's may grow by so much.
        speed_share: The speed-up may fall to this share of the lower end of the contract's interval. Clocks differ
            from day to day by more than an interval tells, which is of one run.
    """

    drop_points: float = 1.0
    flips_share: float = 0.01
    speed_share: float = 0.8


@dataclass(frozen=True)
class Speed:
    """The speed-up of one variant of the compressed model over the dense model in PyTorch fp32.

    Attributes:
        batch: Texts a batch.
        runtime: "torch", "onnxruntime" or "openvino".
        precision: One that the runtime has.
        ratio: The speed-up.
        low: Lower end of its 95% interval.
        high: Upper end.
        form: One of `leanformer.encoders.forms.FORMS`.
    """

    batch: int
    runtime: str
    precision: str
    ratio: float
    low: float
    high: float
    form: str = PLAIN

    @property
    def variant(self) -> str:
        """The variant's name: runtime, precision, and the form where it is not plain."""
        return variant_name(self.runtime, self.precision, self.form)


@dataclass(frozen=True)
class Limit:
    """A limit on what may change, as the budget had it.

    Attributes:
        name: `leanformer.budget.FLIPS` or `BIAS`.
        asked: The most that there may be.
        measured: What was measured on held-out rows; it may be more.
    """

    name: str
    asked: float
    measured: float


@dataclass(frozen=True)
class Contract:
    """What contract.json holds.

    Attributes:
        metric: The task's metric.
        score: The compressed model's score on the validation rows, in PyTorch fp32.
        n: The number of these rows.
        flips: How many answers differ from the dense model's; None where answers are values, which all do.
        size_mb: The size of the model folder's weights, in megabytes of 10^6 bytes; it may not change at all.
        speeds: At each batch size the best variant and PyTorch fp32 in the plain form; besides, the variant that a
            budget of time was about.
        machine: The facts of the machine.
        bounds: What a later check has to keep.
        limits: The budget's limits on what may change: a later check has to keep what was asked, or what was
            measured where that was more.
    """

    metric: str
    score: float
    n: int
    flips: int | None
    size_mb: float
    speeds: tuple[Speed, ...]
    machine: dict[str, Any]
    bounds: Bounds = field(default_factory=Bounds)
    limits: tuple[Limit, ...] = ()

    def to_json(self) -> str:
        """Return the text of contract.json."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


def contract_of(result: Mapping[str, Any]) -> Contract:
    """Draw up the contract of a finished run.

    Args:
        result: The content of result.json.

    Returns:
        The contract, with the bounds that hold by default.
    """
    own = result["compressed"]
    return Contract(
        metric=result["metric"],
        score=own["score"],
        n=result["n"],
        flips=result["flips_total"] if result["task"]["kind"] in DISCRETE else None,
        size_mb=own["size_mb"],
        speeds=tuple(_speeds(result)),
        machine=dict(result["machine"]),
        limits=tuple(_limits(result)),
    )


def _limits(result: Mapping[str, Any]) -> list[Limit]:
    """Pick the budget's limits that are measured on held-out rows."""
    measured = result.get("limits") or {}
    asked = (result.get("budget") or {}).get("limits", ())
    return [Limit(one["name"], one["asked"], one["measured"]) for one in asked if one["name"] in measured]


def _served(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the variant that a budget of time was about, by its batch size; nothing where it was not timed."""
    budget = result.get("budget") or {}
    timed = [one for one in budget.get("limits", ()) if one["name"] in ("speedup", "latency_ms")]
    if not any(one["measured"] is not None for one in timed):
        return {}
    return {
        str(budget["batch"]): variant_name(budget["runtime"], budget["precision"], budget.get("form", PLAIN))
    }


def _speeds(result: Mapping[str, Any]) -> list[Speed]:
    """Pick the best variant, PyTorch's and the served one at each batch size; often they are not the same."""
    found, served = [], _served(result)
    rows, gain = result["bench"], result.get("gain") or {}  # an older version's bench has no gain
    for batch, one in gain.items():
        names = [one["best_compressed"], variant_name("torch", "fp32")]
        wanted = dict.fromkeys([*names, served[batch]] if batch in served else names)
        own = [
            Speed(
                batch=row["batch"],
                runtime=row["runtime"],
                precision=row["precision"],
                ratio=row["ratio"],
                low=row["ratio_low"],
                high=row["ratio_high"],
                form=row.get("form", PLAIN),
            )
            for row in rows
            if row["model"] == "compressed" and str(row["batch"]) == batch
        ]
        by_name = {speed.variant: speed for speed in own}
        found += [by_name[name] for name in wanted]
    return found


def read_contract(folder: Path) -> Contract:
    """Read the contract of a run.

    Args:
        folder: The run directory.

    Returns:
        The contract.

    Raises:
        RunError: If there is none, or it is not one.
    """
    path = folder / CONTRACT_FILE
    if not path.is_file():
        raise RunError(
            f"{folder} holds no {CONTRACT_FILE}: give the directory of a run that leanformer compress has finished"
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        speeds = tuple(Speed(**one) for one in fields.pop("speeds"))
        limits = tuple(Limit(**one) for one in fields.pop("limits", ()))
        bounds = Bounds(**fields.pop("bounds"))
        return Contract(**fields | {"speeds": speeds, "bounds": bounds, "limits": limits})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is no contract that can be read ({error}): run the compression again"
        ) from error
