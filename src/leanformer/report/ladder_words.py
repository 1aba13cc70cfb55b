"""The ladder of `--method auto` in words: what was asked, where the climb ended and why."""

from __future__ import annotations

import re
from typing import Any

from leanformer.report import numbers
from leanformer.report.runtimes import variant

Rung = dict[str, Any]
Step = dict[str, Any]
ORIGINAL_RUNGS = ("exact", "fewer bits")
"""Rungs that serve the dense model's own weights."""


def chosen_rung(ladder: dict[str, Any]) -> Rung:
    """Return the rung that the chosen step is of."""
    rung: Rung = ladder["rungs"][ladder["chosen"][0]]
    return rung


def chosen_step(ladder: dict[str, Any]) -> Step:
    """Return the step that the climb ended with."""
    step: Step = chosen_rung(ladder)["steps"][ladder["chosen"][1]]
    return step


def keeps_all_weights(ladder: dict[str, Any]) -> bool:
    """Whether the climb ended at a rung that removes nothing."""
    return not chosen_rung(ladder).get("pruning_ratio")


def asks_for_more(ladder: dict[str, Any]) -> bool:
    """Whether a size or a time was asked for, beyond a limit on the score: steps meet such a budget or miss it."""
    return ladder["why"] in ("budget", "lossy", "missed")


def rung_name(rung: Rung) -> str:
    """Name a rung: "exact", "repair, 40% pruned"; one name may come several times, at growing pruning ratios."""
    ratio = rung.get("pruning_ratio") or 0.0
    return f"{rung['name']}, {numbers.percent(ratio)} pruned" if ratio else str(rung["name"])


def lost_words(step: Step) -> str:
    """Say what a step loses: "loses 0.3 points", "loses nothing", "gains 0.4 points"."""
    lost = round(step["drop_points"], 1)
    if lost == 0:
        return "loses nothing"
    return f"{'loses' if lost > 0 else 'gains'} {numbers.points_words(abs(lost))}"


def error_words(step: Step) -> str:
    """Write the standard error of the points that a step loses: "±0.8"; "" where it is none, or was not measured."""
    error = round(step.get("drop_error", 0.0), 1)
    return f"±{error:.1f}" if error else ""


def speed_words(step: Step) -> str:
    """Say how fast a step is against the dense model in PyTorch fp32, with its interval."""
    within = numbers.times_interval(step["ratio_low"], step["ratio_high"])
    return f"{numbers.times_exact(step['ratio'])} times as fast (95% interval {within})"


def asked_speedup(ladder: dict[str, Any]) -> float | None:
    """Return the speed-up that was asked for; None where another budget was given, or none."""
    found = re.search(r"(\d+(?:\.\d+)?) times faster", str(ladder["asked"]))
    return float(found[1]) if found else None


def why_words(ladder: dict[str, Any]) -> str:
    """Say why the climb ended where it did.

    Args:
        ladder: The `ladder` of result.json.

    Returns:
        One sentence.
    """
    return f"{_why(ladder)}{_left_out(ladder)}"


def _left_out(ladder: dict[str, Any]) -> str:
    """Say how many steps break the budget's limits on what may change."""
    limits = ladder.get("limits")
    if not limits:
        return ""
    steps = [step for rung in ladder["rungs"] for step in rung["steps"]]
    over = sum(any(step["harms"][name] > limit for name, limit in limits.items()) for step in steps)
    return f" {over} of {len(steps)} steps change more on held-out rows than the budget allows."


def _why(ladder: dict[str, Any]) -> str:
    name, limit = f"“{rung_name(chosen_rung(ladder))}”", numbers.points_words(ladder["max_drop_points"])
    if ladder["why"] == "budget":
        return f"The budget was {_asked(ladder)}; the climb ended at {name}, the first rung that meets it."
    if ladder["why"] == "lossy":
        return (
            f"The budget was {ladder['asked']}; no rung meets it within {limit} lost, and of those that meet it "
            f"{name} loses least. A limit of your own, --max-drop, would go before it."
        )
    if ladder["why"] == "missed":
        return f"The budget was {_asked(ladder)}; no rung meets it, and the nearest that keeps the score is {name}."
    if ladder["why"] == "fastest":
        return (
            f"At most {limit} may be lost, a standard error added; all rungs were tried, and the fastest step within "
            f"that is of {name}."
        )
    return (
        "No budget was given; all rungs were tried, and the knee of the Pareto set, after which speed costs more and "
        f"more of the score, lies at {name}."
    )


def ladder_words(ladder: dict[str, Any]) -> str:
    """Say what was asked, why the climb ended where it did, and what its step gives.

    Args:
        ladder: The `ladder` of result.json.

    Returns:
        Two sentences.
    """
    step = chosen_step(ladder)
    return (
        f"{why_words(ladder)} {variant(step)} is {speed_words(step)} as the original in PyTorch fp32 at batch "
        f"{ladder['batch']} and {lost_words(step)} of {numbers.metric_name(ladder['metric'])} on "
        f"{numbers.count(ladder['n'])} held-out rows."
    )


def _asked(ladder: dict[str, Any]) -> str:
    """Return the budget in words, with the limit on the score where the budget itself names none."""
    asked = str(ladder["asked"])
    return (
        asked
        if "lost" in asked
        else f"{asked}, with at most {numbers.points_words(ladder['max_drop_points'])} lost"
    )


def step_words(ladder: dict[str, Any], rung: Rung, step: Step) -> str:
    """Say all of a step: the read-out of its point in the picture.

    Args:
        ladder: The `ladder` of result.json.
        rung: One of its rungs.
        step: One of the rung's steps.

    Returns:
        One line.
    """
    words = (
        f"{rung_name(rung)}: {variant(step)}, {numbers.three_digits(step['latency_ms'])} ms, {speed_words(step)}, "
        f"{numbers.metric_name(ladder['metric'])} {numbers.points(step['score'])} "
        f"({' '.join(filter(None, (numbers.signed(step['drop_points']), error_words(step))))} points lost)"
    )
    if asks_for_more(ladder) and step["met"]:
        words += "; meets the budget"
    return words + ("; the chosen one" if step is chosen_step(ladder) else "")
