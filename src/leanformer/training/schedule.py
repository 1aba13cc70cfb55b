"""Schedules over training steps."""

from __future__ import annotations


def cubic_ratio(step: int, start: int, end: int, initial: float, final: float) -> float:
    """Return the pruning ratio of a gradual schedule at a step.

    s(t) = s_f + (s_i - s_f) (1 - (t - t_0) / (t_1 - t_0))^3, Zhu & Gupta 2017 (arXiv 1710.01878), equation 1.

    Args:
        step: The optimiser step t.
        start: First step of the ramp, t_0; the initial ratio holds before it.
        end: Last step of the ramp, t_1; the final ratio holds after it.
        initial: s_i, in [0, 1).
        final: s_f, in (0, 1).

    Returns:
        The ratio in [initial, final].
    """
    if step <= start:
        return initial
    if step >= end:
        return final
    left = 1.0 - (step - start) / (end - start)
    return final + (initial - final) * left**3
