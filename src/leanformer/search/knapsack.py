"""The allocation of least summed error: a knapsack over the groups' levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leanformer.search.space import Candidate, Space

BUCKETS = 4000
"""Into how many parts the budget is divided; a part is well below the constraint's tolerance."""


def cheapest_allocation(space: Space, errors: Sequence[NDArray[np.float64]]) -> Candidate:
    """Minimise sum_g errors[g][level_g] under the budget, by dynamic programming.

    After SPDY (Frantar & Alistarh 2022, arXiv 2201.13096), which divides time into 10,000 buckets; here the
    budget is the cost kept.

    Args:
        space: The space.
        errors: Per group, the error at each level (levels + 1,), level 0 first.

    Returns:
        A candidate under the constraint.
    """
    bucket = (1 - space.pruning_ratio) * space.total / BUCKETS
    best = np.zeros(BUCKETS + 1)  # least error with at most b buckets spent
    choices = []
    for group, error in zip(space.groups, errors, strict=True):
        after, choice = np.full(BUCKETS + 1, np.inf), np.zeros(BUCKETS + 1, dtype=int)
        for level in range(space.least, group.levels + 1):
            spent = int(np.ceil(group.costs[level] / bucket - 1e-9))
            if spent > BUCKETS:
                break
            total = best[: BUCKETS + 1 - spent] + error[level]
            better = total < after[spent:]
            after[spent:][better] = total[better]
            choice[spent:][better] = level
        best = after
        choices.append(choice)
    left, levels = BUCKETS, []
    for group, choice in zip(reversed(space.groups), reversed(choices), strict=True):
        level = int(choice[left])
        levels.append(level)
        left -= int(np.ceil(group.costs[level] / bucket - 1e-9))
    return space.project(np.array(levels[::-1]) / space.levels)
