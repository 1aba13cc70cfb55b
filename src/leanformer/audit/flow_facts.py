"""A flow as facts that JSON can hold: every place, every matrix and the findings, each figure with its interval."""

from __future__ import annotations

from typing import Any

from leanformer.audit.findings import Figures, Measure, findings
from leanformer.audit.flow import Flow
from leanformer.audit.positions import EMBEDDING, FFN_OUT, IN_LAYER, Place
from leanformer.audit.replaced import BEHIND, IDENTITY, ORTHOGONAL


def flow_facts(flow: Flow) -> dict[str, Any]:
    """Return what `audit.json` holds of a flow.

    Args:
        flow: What was measured on a model.

    Returns:
        `used` (sightings) and `occupations` (how many); `places` in the order of the model, each with its `layer` (-1
        for the embeddings), `name`, `degree`, `noise`, what is left of it (`beyond`) and the `step` from the places
        before; `matrices`, by what stands in their place, each with what they add behind themselves and at the end
        of their layer; and the `findings`. Figures have `value`, `low` and `high`.
    """
    figures = Figures(flow)
    degree, noise = (part.mean(axis=0) for part in (flow.degree, flow.noise))
    places = [
        {
            "layer": place[0],
            "name": place[1],
            "degree": float(degree[flow.columns.index(place)]),
            "noise": float(noise[flow.columns.index(place)]),
            "beyond": _facts(figures.of("", lambda means, place=place: means[place])),  # type: ignore[misc]
            "step": _facts(figures.of("", lambda means, place=place: figures.step(place, means))),  # type: ignore[misc]
        }
        for place in sorted(figures.places, key=_order)
    ]
    return {
        "used": flow.used,
        "occupations": len(flow.names),
        "places": places,
        "matrices": _matrices(figures),
        "findings": [
            {
                "claim": one.claim,
                "found": one.found,
                "figures": [figure._asdict() for figure in one.figures],
                "besides": [figure._asdict() for figure in one.besides],
            }
            for one in findings(flow)
        ],
    }


def _order(place: Place) -> tuple[int, int]:
    return place[0], (EMBEDDING, *IN_LAYER).index(place[1])


def _matrices(figures: Figures) -> list[dict[str, Any]]:
    """List what matrices add, a mean over the layers that have them."""
    found = []
    for matrix, behind in BEHIND.items():
        for by in (IDENTITY, ORTHOGONAL):
            for place in dict.fromkeys((behind, FFN_OUT)):
                effect = figures.effect(matrix, by, place)
                if effect is not None:
                    shown = _facts(figures.of("", effect))
                    found.append({"matrix": matrix, "by": by, "place": place, **shown})
    return found


def _facts(one: Measure) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}
