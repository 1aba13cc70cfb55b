"""The figures of one model, or of two side by side, as facts that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from leanformer.audit.figure import Figure, Unmeasured, change

Found = Sequence[Figure | Unmeasured]


def side_by_side(names: Sequence[str], found: Sequence[Found], between: Found = ()) -> dict[str, Any]:
    """Put what was measured on models together.

    Args:
        names: The models, one or two.
        found: By model, what was measured on it and what could not be.
        between: What was measured on both together.

    Returns:
        `models`; `figures`, each with one entry a model under `values` (None where it has none) and, of two models,
        `change`; `between`; and `unmeasured`, each with the models that it is said of.
    """
    by_name = [{one.name: one for one in part if isinstance(one, Figure)} for part in found]
    order = dict.fromkeys(name for part in by_name for name in part)
    figures = [_figure([part.get(name) for part in by_name]) for name in order]
    return {
        "models": list(names),
        "figures": figures,
        "between": [one.facts() for one in between if isinstance(one, Figure)],
        "unmeasured": _unmeasured(
            [*zip(names, found, strict=True), *((" and ".join(names), [one]) for one in between)]
        ),
    }


def _figure(ones: Sequence[Figure | None]) -> dict[str, Any]:
    known = [one for one in ones if one is not None]
    facts = {key: value for key, value in known[0].facts().items() if key not in _OF_A_MODEL}
    values = [None if one is None else {key: getattr(one, key) for key in _OF_A_MODEL} for one in ones]
    comparable = len(known) == 2 and known[0].n == known[1].n
    return {**facts, "values": values, "change": asdict(change(*known)) if comparable else None}


_OF_A_MODEL = ("value", "low", "high", "p", "n", "note")


def _unmeasured(found: Sequence[tuple[str, Found]]) -> list[dict[str, Any]]:
    """List what could not be measured; what is said alike of both models once."""
    said: dict[tuple[str, str], list[str]] = {}
    for name, part in found:
        for one in part:
            if isinstance(one, Unmeasured):
                said.setdefault((one.metric, one.reason), []).append(name)
    return [
        {"metric": metric, "reason": reason, "models": models} for (metric, reason), models in said.items()
    ]
