"""The four findings of Li et al. 2021 on how bias flows, tested on a model: found or not found, and by which figures.

The paper (arXiv 2110.15733, abstract) finds on BERT that W_q and W_k introduce much more gender bias than other
modules, the embedding layer included; that bias changes periodically through the layers; that queries, keys and
values, and what follows the averaged attentions in the attention layer, enhance it; and that the averaged attentions
reduce it. The abstract gives no measure, so each test is ours. All figures are means over occupations, of bias beyond
noise; an interval is a bootstrap over occupations, and a finding counts as found where the interval says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leanformer.audit.figure import interval, resampled
from leanformer.audit.flow import Column, Flow
from leanformer.audit.positions import (
    ATTENTION,
    ATTENTION_OUT,
    CONTEXT,
    EMBEDDING,
    FFN_OUT,
    IN_LAYER,
    KEY,
    QUERY,
    VALUE,
    Place,
)
from leanformer.audit.replaced import BEHIND, ORTHOGONAL

Values = NDArray[np.float64]
Means = Mapping[Column, Values]
"""Means over occupations by column: of the whole, (1,), or of resamples, (resamples,)."""

Statistic = Callable[[Means], Values]
"""Works on all resamples at once."""

START: Place = (-1, EMBEDDING)
CLAIMS = (
    "W_q and W_k introduce much more bias than the other modules, the embeddings included",
    "bias changes periodically through the layers",
    "queries, keys and values enhance it, and so does the output of attention with residual and norm",
    "the averaged attentions reduce it",
)


class Measure(NamedTuple):
    """A figure of a flow.

    Attributes:
        what: What it is, for people.
        value: The figure.
        low: Lower end of its 95% interval, over occupations.
        high: Upper end.
    """

    what: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """One of the paper's findings on one model.

    Attributes:
        claim: What the paper says.
        found: Whether the model shows it; None where it can not be tested.
        figures: What that rests on.
        besides: Further figures of the same kind.
    """

    claim: str
    found: bool | None
    figures: tuple[Measure, ...] = ()
    besides: tuple[Measure, ...] = ()


def before(place: Place, there: Iterable[Column]) -> tuple[Place, ...]:
    """Return the places that a place is made from.

    Args:
        place: The place.
        there: All places of the encoder.

    Returns:
        The places; none before the embeddings. A layer without heads goes from its input to its output.
    """
    layer, name = place
    start: Place = START if layer <= 0 else (layer - 1, FFN_OUT)
    known = set(there)
    made: dict[str, tuple[Place, ...]] = {
        EMBEDDING: (),
        ATTENTION: ((layer, QUERY), (layer, KEY)),
        CONTEXT: ((layer, VALUE),),
        ATTENTION_OUT: ((layer, CONTEXT),) if (layer, CONTEXT) in known else (start,),
        FFN_OUT: ((layer, ATTENTION_OUT),),
    }
    return made.get(name, (start,))


class Figures:
    """Figures of one flow, each with its interval.

    Args:
        flow: The flow.
    """

    def __init__(self, flow: Flow) -> None:
        beyond = flow.beyond
        self.columns = flow.columns
        self.places: list[Place] = [column for column in flow.columns if len(column) == 2]
        self.layers = sorted({layer for layer, name in self.places if name == CONTEXT})
        draws = resampled(len(beyond), lambda chosen: beyond[chosen].mean(axis=0).tolist())
        self._whole: Means = dict(zip(flow.columns, beyond.mean(axis=0)[:, None], strict=True))
        self._draws: Means = dict(zip(flow.columns, draws.T, strict=True))

    def of(self, what: str, statistic: Statistic) -> Measure:
        """Return a figure with its interval.

        Args:
            what: What it is.
            statistic: Computes it from means by column.

        Returns:
            The figure.
        """
        return Measure(what, float(statistic(self._whole)[0]), *interval(statistic(self._draws)))

    def step(self, place: Place, means: Means) -> Values:
        """Return by how much bias at a place is above that at the places before it; at the embeddings, above 0."""
        earlier = before(place, self.places)
        return means[place] - _average([means[one] for one in earlier]) if earlier else means[place]

    def mean_step(self, name: str) -> Statistic:
        """Return the mean of a kind of step over the layers that have heads."""
        return lambda means: _average([self.step((layer, name), means) for layer in self.layers])

    def effect(self, matrix: str, by: str, place: str = "") -> Statistic | None:
        """Return what a matrix adds, behind itself or at a place; a mean over layers, None where none has it."""
        name = place or BEHIND[matrix]
        pairs: list[tuple[Place, Column]] = [
            ((layer, name), column)
            for layer in self.layers
            if (column := (layer, matrix, by, name)) in self._whole
        ]
        if not pairs:
            return None
        return lambda means: _average([means[place] - means[column] for place, column in pairs])


def findings(flow: Flow) -> tuple[Finding, ...]:
    """Test the four findings.

    Args:
        flow: What was measured on a model.

    Returns:
        The findings, in the order of `CLAIMS`.
    """
    figures = Figures(flow)
    if not figures.layers:
        return tuple(Finding(claim, None) for claim in CLAIMS)
    tests = (_query_and_key, _periodic, _enhanced, _reduced)
    return tuple(Finding(claim, *test(figures)) for claim, test in zip(CLAIMS, tests, strict=True))


Verdict = tuple[bool | None, tuple[Measure, ...], tuple[Measure, ...]]


def _query_and_key(figures: Figures) -> Verdict:
    """The step to queries and keys is larger than any other, and replacing them takes away more than any other."""
    own = _mean(figures.mean_step(QUERY), figures.mean_step(KEY))
    others: dict[str, Statistic] = {
        "embeddings": lambda means: means[START],
        **{name: figures.mean_step(name) for name in (VALUE, ATTENTION, CONTEXT, ATTENTION_OUT, FFN_OUT)},
    }
    leads = [figures.of("step to queries and keys, less the largest other step", _lead(own, others.values()))]
    effects = {name: effect for name in BEHIND if (effect := figures.effect(name, ORTHOGONAL)) is not None}
    effects.pop("query and key", None)
    if {"query", "key"} < effects.keys():
        pair = _mean(effects.pop("query"), effects.pop("key"))
        what = "what random matrices take away in place of W_q or W_k, less the most in place of any other"
        leads.append(figures.of(what, _lead(pair, effects.values())))
    steps = [figures.of(f"step to the {name}", statistic) for name, statistic in others.items()]
    return (
        all(lead.low > 0 for lead in leads),
        tuple(leads),
        (figures.of("step to queries and keys", own), *steps),
    )


def _average(parts: Sequence[Values]) -> Values:
    found: Values = np.mean(parts, axis=0)
    return found


def _mean(*parts: Statistic) -> Statistic:
    return lambda means: _average([part(means) for part in parts])


def _lead(own: Statistic, others: Iterable[Statistic]) -> Statistic:
    every = tuple(others)
    return lambda means: own(means) - np.max([other(means) for other in every], axis=0)


def _periodic(figures: Figures) -> Verdict:
    """The steps of one layer go up and down as those of another do."""
    if len(figures.layers) < 2:
        return None, (), ()

    def alike(means: Means) -> Values:
        steps = np.array(
            [[figures.step((layer, name), means) for name in IN_LAYER] for layer in figures.layers]
        )  # (layers, steps, resamples)
        steps -= steps.mean(axis=1, keepdims=True)
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        return _average([(one * other).sum(axis=0) for one, other in combinations(steps, 2)])

    same = figures.of("mean correlation of the steps of two layers", alike)
    steps = [
        figures.of(f"step to the {name}, mean over layers", figures.mean_step(name)) for name in IN_LAYER
    ]
    rise, fall = max(steps, key=lambda one: one.value), min(steps, key=lambda one: one.value)
    is_found = same.low > 0 and rise.low > 0 and fall.high < 0
    return is_found, (same, rise, fall), tuple(one for one in steps if one not in (rise, fall))


def _enhanced(figures: Figures) -> Verdict:
    projected = _mean(*(figures.mean_step(name) for name in (QUERY, KEY, VALUE)))
    shown = (
        figures.of("step to queries, keys and values", projected),
        figures.of("step from the context to the attention output", figures.mean_step(ATTENTION_OUT)),
    )
    return all(one.low > 0 for one in shown), shown, ()


def _reduced(figures: Figures) -> Verdict:
    shown = (figures.of("step from the values to their averages by attention", figures.mean_step(CONTEXT)),)
    return shown[0].high < 0, shown, ()
