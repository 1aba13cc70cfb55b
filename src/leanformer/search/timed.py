"""Groups that cost milliseconds instead of weights: what a budget of speed is spent on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from leanformer.errors import LatencyError
from leanformer.measure.latency.costs import SublayerCosts
from leanformer.search.space import Group


def timed_groups(groups: Iterable[Group], costs: SublayerCosts) -> tuple[Group, ...]:
    """Give groups of heads and neurons their measured cost.

    Args:
        groups: The groups of a `unit_space`.
        costs: What sub-layers cost in one runtime and setting.

    Returns:
        The same groups, whose curve is in milliseconds, from 0 and never falling.

    Raises:
        LatencyError: If a group is of weights: zeros among the weights save no time.
    """
    return tuple(_timed(group, costs) for group in groups)


def _timed(group: Group, costs: SublayerCosts) -> Group:
    if group.kind not in ("head", "neuron"):
        raise LatencyError(
            "pruning weight by weight saves no time on this machine: choose granularity unit for a budget of time"
        )
    curve = costs.curve(group.kind, group.units, group.levels)
    return replace(group, cost=curve[-1] / group.levels, curve=curve)
