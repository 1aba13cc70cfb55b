"""A contract against a new measurement: which bounds are kept, and which are broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leanformer.measure.contract import Contract, Speed
from leanformer.measure.statistics import POINTS

SLACK = 1e-9  # what arithmetic alone may change


@dataclass(frozen=True)
class Measured:
    """What was measured again, in the contract's terms; see `Contract`."""

    score: float
    n: int
    flips: int | None
    size_mb: float
    speeds: tuple[Speed, ...]
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Term:
    """One bound of a contract.

    Attributes:
        name: What is bounded: "score", "flips", "size_mb", "speed", or the name of a limit of the budget on what may
            change.
        contract: The contract's figure; for flips a share of the rows.
        bound: What the figure now may not pass.
        now: The figure now.
        kept: Whether it does not.
        batch: Texts a batch, for a speed.
        variant: Runtime, precision and form, for a speed.
    """

    name: str
    contract: float
    bound: float
    now: float
    kept: bool
    batch: int | None = None
    variant: str | None = None


def compare(contract: Contract, now: Measured) -> list[Term]:
    """Hold a new measurement against a contract.

    Args:
        contract: The contract.
        now: The new measurement, with the contract's variants.

    Returns:
        One term a bound: score, flips (classification only), limits, size, speeds.

    Raises:
        KeyError: If a limit of the contract was not measured.
        ValueError: If a speed of the contract was not measured.
    """
    bounds = contract.bounds
    least_score = contract.score - bounds.drop_points / POINTS
    terms = [Term("score", contract.score, least_score, now.score, now.score >= least_score - SLACK)]
    if contract.flips is not None and now.flips is not None:
        before, share = contract.flips / contract.n, now.flips / now.n
        most = before + bounds.flips_share
        terms.append(Term("flips", before, most, share, share <= most + SLACK))
    for limit in contract.limits:
        most, value = max(limit.asked, limit.measured), now.limits[limit.name]
        terms.append(Term(limit.name, limit.measured, most, value, value <= most + SLACK))
    same_size = abs(now.size_mb - contract.size_mb) <= SLACK * contract.size_mb
    terms.append(Term("size_mb", contract.size_mb, contract.size_mb, now.size_mb, same_size))
    return terms + [_speed_term(speed, now, bounds.speed_share) for speed in contract.speeds]


def _speed_term(speed: Speed, now: Measured, share: float) -> Term:
    wanted = (speed.batch, speed.variant)
    found = next((one for one in now.speeds if (one.batch, one.variant) == wanted), None)
    if found is None:
        raise ValueError(f"{speed.variant} at batch {speed.batch} was not measured")
    least = share * speed.low
    return Term("speed", speed.ratio, least, found.ratio, found.ratio >= least, speed.batch, speed.variant)
