"""Where the result of `--method auto` is best served, and what it does there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leanformer.report import numbers
from leanformer.report.ladder_words import (
    ORIGINAL_RUNGS,
    chosen_rung,
    chosen_step,
    keeps_all_weights,
    rung_name,
    why_words,
)
from leanformer.report.runtimes import kept_rows, variant

PLAIN_SERVE = {"runtime": "torch", "precision": "fp32", "form": ""}


@dataclass(frozen=True)
class Served:
    """What the variant to serve does.

    Attributes:
        variant: Its runtime, precision and form, for people.
        batch: Texts a batch.
        ratio: The dense model's latency in PyTorch fp32 divided by its own.
        low: Lower end of the ratio's 95% interval.
        high: Upper end.
        score: Its score.
        dense_score: The dense model's on the same rows.
        rows: The rows in words, with their number.
    """

    variant: str
    batch: int
    ratio: float
    low: float
    high: float
    score: float
    dense_score: float
    rows: str

    @property
    def lost_points(self) -> float:
        """Points of score lost."""
        return 100 * (self.dense_score - self.score)


def nothing_removed(result: dict[str, Any]) -> bool:
    """Whether `--method auto` got along without removing anything.

    Args:
        result: The content of result.json.

    Returns:
        False for other methods.
    """
    return bool(result.get("ladder")) and keeps_all_weights(result["ladder"])


def served(result: dict[str, Any]) -> Served:
    """Return what the variant to serve does: on validation rows where the bench has it, else on the ladder's.

    Args:
        result: The content of result.json of `--method auto`.

    Returns:
        Its figures.
    """
    ladder, name = result["ladder"], variant(result["serve"])
    rows = [row for row in kept_rows(result) if variant(row) == name and row["batch"] == ladder["batch"]]
    row = min(rows, key=lambda one: one["model"] == "dense", default=None)
    n = numbers.count(result["n"])
    if row is not None and row.get("score") is not None and row.get("ratio_low") is not None:
        dense, words = result["dense"]["score"], f"n\u00a0=\u00a0{n}"
    else:
        row, dense = chosen_step(ladder), ladder["dense_score"]
        words = f"on {numbers.count(ladder['n'])} held-out rows"
    return Served(
        name, ladder["batch"], row["ratio"], row["ratio_low"], row["ratio_high"], row["score"], dense, words
    )


def served_headline(result: dict[str, Any]) -> str:
    """Say that nothing had to be removed, and what to serve the model in.

    Args:
        result: The content of result.json, with nothing removed.

    Returns:
        The headline.
    """
    ladder, one = result["ladder"], served(result)
    if result["serve"] == PLAIN_SERVE:
        asked = str(ladder["asked"])
        is_missed = ladder["why"] == "missed"
        start = f"{asked[:1].upper()}{asked[1:]} was out of reach" if is_missed else "Nothing was gained"
        return f"{start}: the original as it is, in PyTorch fp32, is the best that was found {_score(result, one)}."
    is_original = chosen_rung(ladder)["name"] in ORIGINAL_RUNGS
    what = "the original" if is_original else "the retrained model"
    figures = f"{_speed(one, 'in' if is_original else 'the original in')}, {_score(result, one)}."
    if ladder["why"] == "missed":
        start = f"Nothing was removed, and {ladder['asked']} was out of reach"
        return f"{start}. Nearest is {what} in {one.variant}: {figures}"
    return f"Nothing had to be removed. Serve {what} in {one.variant}: {figures}"


def serve_note(result: dict[str, Any]) -> str:
    """Say what to serve a pruned model in, and what it does there.

    Args:
        result: The content of result.json of `--method auto`.

    Returns:
        One sentence.
    """
    one = served(result)
    return f"Serve it in {one.variant}: {_speed(one, 'the original in')}, {_score(result, one)}."


def end_words(result: dict[str, Any]) -> str:
    """Say in the terminal why the climb ended where it did, and what to serve.

    Args:
        result: The content of result.json of `--method auto`.

    Returns:
        A few sentences.
    """
    serve = served_headline(result) if nothing_removed(result) else serve_note(result)
    return f"{why_words(result['ladder'])} {serve}"


def serve_line(result: dict[str, Any]) -> str:
    """Return the model card's line: what to serve the model in, and which rung it came from.

    Args:
        result: The content of result.json of `--method auto`.

    Returns:
        Markdown.
    """
    rung = chosen_rung(result["ladder"])
    return (
        f"**Serve it in {variant(result['serve'])}.** It came from the rung “{rung_name(rung)}” of leanformer's "
        f"ladder: {rung['words']}."
    )


def _speed(one: Served, reference: str) -> str:
    within, batch = numbers.times_interval(one.low, one.high), f"at batch {one.batch}"
    if one.low > 1:
        times = numbers.times(one.ratio)
        return f"it answers {times} times as fast as {reference} PyTorch fp32 {batch} (95% interval {within})"
    manner = "slower" if one.high < 1 else "not measurably faster"
    exact = numbers.times_exact(one.ratio)
    return f"it is {manner} than {reference} PyTorch fp32 {batch} ({exact} times the speed, 95% interval {within})"


def _score(result: dict[str, Any], one: Served) -> str:
    metric, score, dense = (
        numbers.metric_name(result["metric"]),
        *map(numbers.points, (one.score, one.dense_score)),
    )
    return f"with {metric} {score} {'as before' if score == dense else f'instead of {dense}'} ({one.rows})"
