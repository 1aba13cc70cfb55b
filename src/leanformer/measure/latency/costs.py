"""What sub-layers and whole models cost, read off a table: the search's question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import median

import numpy as np

from leanformer.errors import LatencyError
from leanformer.measure.latency.plan import grid_widths, ragged_widths, smaller_layers
from leanformer.measure.latency.table import Setting, Shape, Table

STEP_COST = 1.05
"""A runtime likes widths that cost at most this much more than the line through the eighths."""

Knots = tuple[tuple[int, float], ...]
Factors = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class SublayerCosts:
    """Milliseconds of the parts of a model in one setting; a model costs about the sum of its parts.

    Between measured sizes the costs are linear. They are as measured: noise may make a larger sub-layer cost less.
    Where a model becomes so small that its weights stay in the processor's cache, the whole is less than the sum:
    `whole` holds by how much, measured with layers that are smaller in both parts.

    Attributes:
        setting: Runtime, precision, batch, tokens and threads.
        attention: (heads, ms) from 0 heads, which cost 0, to all of them; increasing in heads.
        ffn: (neurons, ms) from 0 to the full width; increasing in neurons.
        layer_ms: What a layer costs beside both: norms, residuals, biases.
        fixed_ms: What a model costs beside its layers: embeddings, head, the call.
        whole: (share, factor): where the sum is such a share of the dense model's, a model takes so many times it.
        step_costs: (multiple, ratio): what a width of such a multiple costs against the line through the eighths.
    """

    setting: Setting
    attention: Knots
    ffn: Knots
    layer_ms: float
    fixed_ms: float
    whole: Factors = ((1.0, 1.0),)
    step_costs: Knots = ()

    def attention_ms(self, heads: int) -> float:
        """Return what the attention of one layer with so many heads costs."""
        return _between(self.attention, heads)

    def ffn_ms(self, width: int) -> float:
        """Return what the FFN of one layer with so many neurons costs."""
        return _between(self.ffn, width)

    def rest_ms(self, layers: int) -> float:
        """Return what a model of so many layers costs beside attention and FFN."""
        return self.fixed_ms + layers * self.layer_ms

    def predict_ms(self, shapes: Sequence[tuple[int, int]]) -> float:
        """Predict what one call of a model takes.

        Args:
            shapes: Heads and FFN neurons of each layer.

        Returns:
            Milliseconds of one batch: the sum, times what `whole` says at its size.
        """
        dense = (self.attention[-1][0], self.ffn[-1][0])
        total = self.sum_ms(shapes)
        return total * _factor(self.whole, total / self.sum_ms([dense] * len(shapes)))

    def sum_ms(self, shapes: Sequence[tuple[int, int]]) -> float:
        """Return the sum of what the parts of a model cost, which is what a search can share out among layers.

        Args:
            shapes: Heads and FFN neurons of each layer.

        Returns:
            Milliseconds of one batch.
        """
        parts = sum(self.attention_ms(heads) + self.ffn_ms(width) for heads, width in shapes)
        return self.rest_ms(len(shapes)) + parts

    def curve(self, kind: str, units: int, levels: int) -> tuple[float, ...]:
        """Return what a group of a search space costs at each level, never falling, from 0.

        Args:
            kind: "head" or "neuron".
            units: How many units the group has.
            levels: In how many equal steps they are kept.

        Returns:
            Milliseconds of one layer's sub-layer, (levels + 1,).
        """
        cost = self.attention_ms if kind == "head" else self.ffn_ms
        return rising([cost(round(units * level / levels)) for level in range(levels + 1)])

    @property
    def preferred_multiple(self) -> int:
        """The smallest multiple of neurons from which on no width costs more than the line, else the largest."""
        preferred = self.step_costs[-1][0] if self.step_costs else 1
        for multiple, ratio in reversed(self.step_costs):
            if ratio > STEP_COST:
                break
            preferred = multiple
        return preferred


def rising(values: Iterable[float]) -> tuple[float, ...]:
    """Return the running maximum of a curve, from 0 on: what a search needs where noise made it fall.

    Args:
        values: The curve.

    Returns:
        As many values, none smaller than the one before it or than 0.
    """
    return tuple(accumulate((max(0.0, value) for value in values), max))


def costs_of(table: Table, setting: Setting) -> SublayerCosts:
    """Read the costs of one setting off a table; a length between two measured ones is interpolated.

    Args:
        table: The table.
        setting: Runtime, precision, batch, tokens and threads; all but the tokens as they were measured.

    Returns:
        The costs.

    Raises:
        LatencyError: If the table does not hold what is needed.
    """
    lengths = sorted(
        one.tokens
        for one in table.settings()
        if _at(one, setting.tokens) == setting and is_complete(table, one)
    )
    below = [tokens for tokens in lengths if tokens <= setting.tokens]
    above = [tokens for tokens in lengths if tokens >= setting.tokens]
    if not below or not above:
        measured = " and ".join(str(tokens) for tokens in lengths)
        raise LatencyError(
            f"the latency table has no times of {setting.runtime} {setting.precision} with batch {setting.batch}, "
            f"{setting.tokens} tokens and {setting.threads} threads ("
            + (f"only of {measured} tokens" if lengths else "of no length at all")
            + f"): measure them with leanformer latency measure --batch {setting.batch} --tokens {setting.tokens} "
            f"--threads {setting.threads}"
        )
    short = _measured(table, _at(setting, below[-1]))
    if below[-1] == setting.tokens:
        return short
    share = (setting.tokens - below[-1]) / (above[0] - below[-1])
    return _blend(setting, short, _measured(table, _at(setting, above[0])), share)


def is_complete(table: Table, setting: Setting) -> bool:
    """Whether a table tells attention, FFN and the rest apart in a setting."""
    heads, width, layers = table.dense.heads, table.dense.width, table.dense.layers
    anchors = (Shape(0, width, layers), Shape(heads, 0, layers), Shape(heads, width, 1))
    return all((shape, setting) in table.known for shape in anchors)


def _at(setting: Setting, tokens: int) -> Setting:
    return Setting(setting.runtime, setting.precision, setting.batch, tokens, setting.threads)


def _measured(table: Table, setting: Setting) -> SublayerCosts:
    """Solve for the parts: time(heads, width, layers) = fixed + layers * (layer + attention(heads) + ffn(width))."""
    points, dense = table.of(setting), table.dense
    dense_ms = median(point.reference_ms for point in points.values())
    ms = {shape: point.ratio * dense_ms for shape, point in points.items()} | {dense: dense_ms}
    headless, neuronless = Shape(0, dense.width, dense.layers), Shape(dense.heads, 0, dense.layers)
    one_layer = ms[Shape(dense.heads, dense.width, 1)]
    attention = {
        shape.heads: (time - ms[headless]) / dense.layers
        for shape, time in ms.items()
        if (shape.width, shape.layers) == (dense.width, dense.layers)
    }
    ffn = {
        shape.width: (time - ms[neuronless]) / dense.layers
        for shape, time in ms.items()
        if (shape.heads, shape.layers) == (dense.heads, dense.layers)
    }
    whole_layer = (dense_ms - one_layer) / (dense.layers - 1)
    additive = SublayerCosts(
        setting,
        tuple(sorted(attention.items())),
        tuple(sorted(ffn.items())),
        layer_ms=whole_layer - attention[dense.heads] - ffn[dense.width],
        fixed_ms=dense_ms - dense.layers * whole_layer,
        step_costs=_step_costs(ffn, dense.width),
    )
    return replace(additive, whole=_whole(additive, table, ms))


def _whole(additive: SublayerCosts, table: Table, ms: dict[Shape, float]) -> Factors:
    """Compare the layers that are smaller in both parts with the sum of their parts."""
    dense_ms = ms[table.dense]
    sums = {
        shape: additive.sum_ms([(shape.heads, shape.width)] * shape.layers)
        for shape in smaller_layers(table.subject)
        if shape in ms
    }
    found = {total / dense_ms: ms[shape] / total for shape, total in sums.items() if 0 < total < dense_ms}
    return (*sorted(found.items()), (1.0, 1.0))


def _factor(factors: Factors, share: float) -> float:
    """Interpolate; under the smallest measured share its factor holds."""
    return float(np.interp(share, [known for known, _ in factors], [factor for _, factor in factors]))


def _step_costs(ffn: dict[int, float], width: int) -> Knots:
    """Compare the ragged widths with the line through the measured eighths."""
    line = tuple((some, ffn[some]) for some in grid_widths(width) if some in ffn)
    return tuple(
        (multiple, ffn[some] / _between(line, some))
        for multiple, some in ragged_widths(width).items()
        if some in ffn and _between(line, some) > 0
    )


def _blend(setting: Setting, short: SublayerCosts, long: SublayerCosts, share: float) -> SublayerCosts:
    """Return what lies between the costs of two lengths."""

    def mix(a: float, b: float) -> float:
        return (1 - share) * a + share * b

    def knots(a: Knots, b: Knots) -> Knots:
        places = sorted({place for place, _ in (*a, *b)})
        return tuple((place, mix(_between(a, place), _between(b, place))) for place in places)

    shares = sorted({known for known, _ in (*short.whole, *long.whole)})
    whole = tuple((known, mix(_factor(short.whole, known), _factor(long.whole, known))) for known in shares)
    both = {multiple for multiple, _ in short.step_costs} & {multiple for multiple, _ in long.step_costs}
    steps = tuple(
        (multiple, mix(dict(short.step_costs)[multiple], dict(long.step_costs)[multiple]))
        for multiple in sorted(both)
    )
    return SublayerCosts(
        setting,
        knots(short.attention, long.attention),
        knots(short.ffn, long.ffn),
        mix(short.layer_ms, long.layer_ms),
        mix(short.fixed_ms, long.fixed_ms),
        whole,
        steps,
    )


def _between(knots: Knots, place: int) -> float:
    """Interpolate; what lies outside is no shape of the model, and refused with a ValueError."""
    places = [known for known, _ in knots]
    if not places[0] <= place <= places[-1]:
        raise ValueError(f"{place} is outside of the measured {places[0]} to {places[-1]}")
    return float(np.interp(place, places, [ms for _, ms in knots]))
