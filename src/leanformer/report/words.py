"""The verdict in words: sentences computed from the figures, as plain about a loss as about a gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from leanformer.report import numbers
from leanformer.report.budget import budget_tone, missed_names, missed_sentences
from leanformer.report.ladder_words import why_words
from leanformer.report.pictures.layers import drops_tokens, has_zeros
from leanformer.report.runtimes import gain_note, kept_rows, runtime_note, variant
from leanformer.report.served import nothing_removed, serve_note, served, served_headline

LARGE_DROP_POINTS = 3.0
Tone = Literal["good", "mixed", "bad"]
_SEVERITY: dict[Tone, int] = {"good": 0, "mixed": 1, "bad": 2}
_FRACTIONS = {
    0.25: "A quarter",
    1 / 3: "A third",
    0.5: "Half",
    2 / 3: "Two thirds",
    0.75: "Three quarters",
}


@dataclass(frozen=True)
class Verdict:
    """What the figures say.

    Attributes:
        headline: One sentence: what is gone, what happened to the score, what happened to the speed.
        notes: Sentences that a careful reader needs to judge the headline.
        tone: "good" (no loss found, faster), "mixed", or "bad" (a large drop, or a limit of the budget missed).
    """

    headline: str
    notes: tuple[str, ...]
    tone: Tone


def verdict(result: dict[str, Any]) -> Verdict:
    """Judge a run.

    Args:
        result: The content of result.json.

    Returns:
        The headline, its notes and its tone.
    """
    if nothing_removed(result):
        return _served_verdict(result)
    speed, is_faster = _speed_words(result)
    said, ladder = f"{_score_words(result)}, {'and' if is_faster else 'but'} {speed}.", result.get("ladder")
    headline = f"{gone_words(result)}. {serve_note(result)}" if ladder else f"{gone_words(result)}; {said}"
    notes = [f"{sentence}." for sentence in missed_sentences(result)] + [
        f"In PyTorch fp32 {said}" if ladder else ""
    ]
    notes += [_score_note(result), _test_note(result), _batch_note(result), _zeros_note(result, is_faster)]
    runtimes, runtimes_tone = _runtimes(result)
    notes += [why_words(ladder), _judged_note(result)] if ladder else []
    notes += [runtimes, _ratio_note(result)]
    tones: list[Tone] = [_score_tone(result), "good" if is_faster else "mixed", runtimes_tone]
    tones += [budget_tone(result), "mixed" if ladder and ladder["why"] in ("lossy", "missed") else "good"]
    return Verdict(headline, tuple(note for note in notes if note), max(tones, key=_SEVERITY.__getitem__))


def _served_verdict(result: dict[str, Any]) -> Verdict:
    """Judge a climb that removed nothing: what counts is the variant to serve, not the same weights in PyTorch."""
    one, ladder = served(result), result["ladder"]
    is_large = one.lost_points >= LARGE_DROP_POINTS
    is_sound = round(one.lost_points, 1) <= ladder["max_drop_points"]
    tone: Tone = "good" if is_sound and one.low > 1 and ladder["why"] not in ("lossy", "missed") else "mixed"
    notes = [f"{sentence}." for sentence in missed_sentences(result)] + [
        why_words(ladder),
        _judged_note(result),
    ]
    notes.append("" if is_sound else _unsound_note(one.lost_points, ladder))
    tones: list[Tone] = ["bad" if is_large else tone, budget_tone(result)]
    shown = tuple(note for note in notes if note)
    return Verdict(served_headline(result), shown, max(tones, key=_SEVERITY.__getitem__))


def _judged_note(result: dict[str, Any]) -> str:
    """Say whose rows judged the rungs of a model that arrived trained."""
    if result.get("judged_on") != "validation":
        return ""
    judges, rows = numbers.count(result["ladder"]["n"]), numbers.count(result["n"])
    return f"The model arrived trained; {judges} validation rows judged it, and the figures are of the other {rows}."


def _unsound_note(lost: float, ladder: dict[str, Any]) -> str:
    return (
        f"These rows say {numbers.signed(lost)} points lost; on the {numbers.count(ladder['n'])} held-out "
        f"rows that chose it, at most {ladder['max_drop_points']:g} were."
    )


def _runtimes(result: dict[str, Any]) -> tuple[str, Tone]:
    """Compare with the original in its best runtime; results of older versions hold no paired rounds for it."""
    if result.get("gain"):
        return gain_note(result["gain"])
    return runtime_note(kept_rows(result), result["compressed"]["score"])


def removed_share(result: dict[str, Any]) -> float:
    """Return the share of the encoder that is gone.

    Slicing removes parameters; zeros in matrices stay where they are, so the reached ratio tells.
    """
    if has_zeros(result.get("layers")):
        return float(result["pruning_ratio_reached"])
    return 1 - result["compressed"]["encoder_parameters"] / result["dense"]["encoder_parameters"]


def gone_words(result: dict[str, Any]) -> str:
    """Say how much was removed: "Half of the encoder is gone"."""
    weights = _weights_words(result)
    if drops_tokens(result.get("layers")):
        if weights is None:
            saved = numbers.percent(float(result["pruning_ratio_reached"]))
            return f"All weights are there, but tokens leave on the way, which saves {saved} of the encoder's work"
        left = numbers.percent(float(result["macs_share"]))
        return f"{weights}, and tokens leave on the way: {left} of the multiply-accumulates are left"
    if exits := result.get("exits"):
        said = f"{numbers.percent(exits['saved'])} of the layers do not run, on average"
        return (
            f"{weights or 'All weights are there'}, {'and' if weights else 'but'} texts leave early: {said}"
        )
    return weights or "Nothing was removed from the encoder"


def _weights_words(result: dict[str, Any]) -> str | None:
    """Say how much of the weights was removed; None where nothing was."""
    share = removed_share(result)
    if share < 0.005:
        return None
    nearest = min(_FRACTIONS, key=lambda fraction: abs(fraction - share))
    amount = _FRACTIONS[nearest] if abs(nearest - share) <= 0.01 else numbers.percent(share)
    if has_zeros(result.get("layers")):
        return f"{amount} of the encoder's weights are zero"
    return f"{amount} of the encoder is gone"


def _score_words(result: dict[str, Any]) -> str:
    drop, (low, high) = result["drop_points"], result["drop_interval"]
    metric, n = numbers.metric_name(result["metric"]), numbers.count(result["n"])
    if round(drop, 1) == 0:
        return (
            f"the {metric} did not change (95% interval of the drop {numbers.drop_interval((low, high))} points, "
            f"n\u00a0=\u00a0{n})"
        )
    verb, size, interval = ("fell", drop, (low, high)) if drop > 0 else ("rose", -drop, (-high, -low))
    return (
        f"the {metric} {verb} by {numbers.signed(size)} points "
        f"(95% interval {numbers.drop_interval(interval)}, n\u00a0=\u00a0{n})"
    )


def main_batch(result: dict[str, Any]) -> str | None:
    """Return the batch size that the headline speaks of: the smallest one measured."""
    return min(result.get("speedup") or {}, key=int, default=None)


def _speed_words(result: dict[str, Any]) -> tuple[str, bool]:
    batch = main_batch(result)
    if batch is None:
        return "its speed was not measured", False
    ratio = result["speedup"][batch]
    interval = (result.get("speedup_interval") or {}).get(batch)
    if interval is None:
        timed = f"{numbers.times(ratio)} times the speed at batch {batch}"
        return f"one timing without an interval puts it at {timed}", False
    low, high = interval
    figures = (
        f"{numbers.times_exact(ratio)} times the speed, 95% interval {numbers.times_interval(low, high)}"
    )
    if low > 1:
        return f"it answers {numbers.times(ratio)} times as fast at batch {batch}", True
    if high < 1:
        return f"it is slower at batch {batch} ({figures})", False
    return f"it is not measurably faster at batch {batch} ({figures})", False


def _score_tone(result: dict[str, Any]) -> Tone:
    drop, (low, high) = result["drop_points"], result["drop_interval"]
    if drop >= LARGE_DROP_POINTS:
        return "bad"
    return "mixed" if low > 0 or high >= LARGE_DROP_POINTS else "good"


def _score_note(result: dict[str, Any]) -> str:
    drop, (low, high) = result["drop_points"], result["drop_interval"]
    rows = f"{numbers.count(result['n'])} rows"
    if drop >= LARGE_DROP_POINTS and low > 0:
        return "This is a large drop, and chance does not explain it: remove less, or train longer."
    if drop >= LARGE_DROP_POINTS:
        return f"This is a large drop, although {rows} are too few to tell it from chance: score it on more rows."
    if low > 0:
        size = "" if "max_drop_points" in missed_names(result) else "small but "
        return f"The loss is {size}real: its whole interval lies above zero."
    if low == high == 0:
        return f"No resample of the {rows} tells the two models apart."
    if high < 0:
        return "The gain is real on these rows: its whole interval lies above zero."
    return (
        f"{rows} can not tell this difference from none; a loss of up to {numbers.signed(high)} points is not "
        "ruled out."
    )


def _test_note(result: dict[str, Any]) -> str:
    test = result.get("test")
    if not test:
        return ""
    interval = test.get("drop_interval")
    tail = f", a drop of {numbers.signed(100 * (test['dense'] - test['compressed']))} points"
    tail += f" (95% interval {numbers.drop_interval(interval)})" if interval else ""
    metric, n = numbers.metric_name(result["metric"]), numbers.count(test["n"])
    file = test.get("served")
    as_served = (
        f" As it is served, in {variant(result['serve'])}, it is {numbers.points(file['score'])}, a drop of "
        f"{numbers.signed(file['drop_points'])} points (95% interval {numbers.drop_interval(file['drop_interval'])})."
        if file
        else ""
    )
    return (
        f"On the test set (n\u00a0=\u00a0{n}) the {metric} went from {numbers.points(test['dense'])} to "
        f"{numbers.points(test['compressed'])}{tail}.{as_served}"
    )


def _batch_note(result: dict[str, Any]) -> str:
    """Name the larger batches at which nothing is gained; the cards tell of the others."""
    first, intervals = main_batch(result), result.get("speedup_interval") or {}
    others = [batch for batch in sorted(intervals, key=int) if batch != first]
    parts = [
        f"At batch {batch} it is {'slower' if intervals[batch][1] < 1 else 'not measurably faster'} "
        f"({numbers.times_exact(result['speedup'][batch])} times the speed, 95% interval "
        f"{numbers.times_interval(*intervals[batch])})."
        for batch in others
        if intervals[batch][0] <= 1
    ]
    return " ".join(parts)


def _zeros_note(result: dict[str, Any], is_faster: bool) -> str:
    if not has_zeros(result.get("layers")) or is_faster:
        return ""
    return (
        "The removed weights are stored as zeros, and plain runtimes multiply by zeros as by any number: "
        "granularity “unit” makes a model that is really smaller."
    )


def _ratio_note(result: dict[str, Any]) -> str:
    asked, reached = result["pruning_ratio"], result["pruning_ratio_reached"]
    if abs(asked - reached) <= 0.005 or "pruning_ratio" in missed_names(result):
        return ""
    return f"A pruning ratio of {asked:g} was asked for; {reached:.3f} was reached."
