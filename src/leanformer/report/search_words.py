"""What the search did, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leanformer.budget import BIAS, FLIPS
from leanformer.report import numbers
from leanformer.report.pictures.search import SEEDS, rungs_used, score_at


def measure_name(kind: str) -> str:
    """Return what the search's scores are."""
    if kind == "embedding":
        return "1 − cosine to the original"
    return "distance to the original" if kind == "regression" else "KL to the original"


def search_words(search: dict[str, Any], kind: str) -> str:
    """Say how many candidates climbed how far, at what cost, and how the chosen one compares with the seeds.

    Args:
        search: The `search` of result.json.
        kind: The task's kind.

    Returns:
        A few sentences.
    """
    candidates, rungs = search["candidates"], rungs_used(search)
    climbed = [
        f"{sum(score_at(candidate, rung) is not None for candidate in candidates)} at “{rung}”"
        for rung in rungs
    ]
    ratios = [candidate["ratio"] for candidate in candidates]
    words = f"{len(candidates)} candidates with pruning ratios {min(ratios):.3f} to {max(ratios):.3f}; "
    words += f"scored {', '.join(climbed)}. "
    words += f"The search took {numbers.seconds(search['seconds'])}"
    if search.get("evaluation_rows"):
        rows = numbers.count(search["evaluation_rows"])
        words += f" and read {rows} held-out rows"
    if search.get("decides"):
        words += f". What decides is {search['decides']}"
    limits = search.get("limits")
    limited = f" {_limit_words(limits)}" if limits else ""
    return f"{words}. {_chosen_words(candidates, rungs, kind)}{limited}".strip()


def _limit_words(limits: dict[str, Any]) -> str:
    """Say what limits on changes did to the choice, and what the one would have scored that they shut out."""
    kept, judged, chosen, free = (limits[key] for key in ("kept", "judged", "chosen", "free"))
    asked = " and ".join(_HARMS[name](value) for name, value in limits["asked"].items())
    words = (
        f"Limited on held-out rows to {asked}: {kept} of {judged} candidates keep to it, as they were judged"
    )
    if not kept:
        words += ", so that the one that comes nearest was taken"
    if chosen["id"] == free["id"]:
        return f"{words}. The limits cost nothing: without them the same one would have won."
    lost = 100 * (free["score"] - chosen["score"])
    cost = f"{numbers.signed(lost)} points of held-out score" if lost > 0 else "no held-out score"
    return (
        f"{words}. The limits cost {cost}: without them number {free['id']} would have won, which scores "
        f"{numbers.points(free['score'])} there, with {_harm_words(free)}; the chosen one "
        f"{numbers.points(chosen['score'])}, with {_harm_words(chosen)}."
    )


_HARMS: dict[str, Callable[[float], str]] = {
    FLIPS: lambda percent: f"{percent:.3g}% of the answers changed",
    BIAS: lambda growth: f"a swap gap {numbers.signed(growth, 4)} larger",
}


def _harm_words(one: dict[str, Any]) -> str:
    return " and ".join(_HARMS[name](value) for name, value in one["harms"].items())


def _chosen_words(candidates: list[dict[str, Any]], rungs: list[str], kind: str) -> str:
    chosen = next((candidate for candidate in candidates if candidate["chosen"]), None)
    if chosen is None:
        return ""
    words = f"The chosen one is number {chosen['id']} ({chosen['origin']})"
    compared: dict[str, list[str]] = {}
    for seed in (one for one in candidates if one["origin"] in SEEDS and one is not chosen):
        shared = [rung for rung in rungs if None not in (score_at(chosen, rung), score_at(seed, rung))]
        if shared:
            found = f"{score_at(seed, shared[-1]):.3g} for {seed['origin']}"
            compared.setdefault(shared[-1], []).append(found)
    for rung, others in compared.items():
        words += (
            f"; {measure_name(kind)} at “{rung}”: {score_at(chosen, rung):.3g}, against {', '.join(others)}"
        )
    return f"{words}."
