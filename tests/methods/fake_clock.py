"""A clock and a latency table for the tiny model, without a machine."""

from __future__ import annotations

from dataclasses import replace

from leanformer.budget import Budget
from leanformer.encoders.view import EncoderView
from leanformer.measure.latency.costs import SublayerCosts
from leanformer.measure.latency.table import Setting
from leanformer.measure.stopwatch import Timing
from leanformer.methods.pace import Pace
from leanformer.search.pricing import Price

COSTS = SublayerCosts(
    Setting("torch", "fp32", 1, 32, 1),
    ((0, 0.0), (4, 2.0)),
    ((0, 0.0), (48, 2.0)),
    layer_ms=0.0,
    fixed_ms=1.0,
)


class FakeClock:
    """A machine on which everything takes `factor` times as long as the table says; choosing tokens may take time."""

    def __init__(self, factor: float, choosing_ms: float = 0.0) -> None:
        self.factor, self.choosing_ms, self.calls = factor, choosing_ms, 0

    def __call__(self, models):
        self.calls += 1
        timings = {}
        for name, model in models.items():
            view, read = EncoderView(model), 1.0
            took = COSTS.predict_ms([(0, 0)] * view.n_layers)
            for layer in range(view.n_layers):
                took += read * COSTS.attention_ms(view.heads(layer))
                took += self.choosing_ms * (view.kept_tokens(layer) < read)
                read = view.kept_tokens(layer)
                took += read * COSTS.ffn_ms(view.width(layer))
            took *= self.factor
            timings[name] = Timing(took, 9.0 / took, 8.9 / took, 9.1 / took)
        return timings


SHORTER = replace(
    COSTS,
    setting=replace(COSTS.setting, tokens=8),
    attention=((0, 0.0), (4, 0.5)),
    ffn=((0, 0.0), (48, 0.5)),
)
"""What a quarter of a text costs."""


def pace(clock: FakeClock, shorter: bool = False, **limits: float) -> Pace:
    budget = Budget(**limits)
    deadline = limits.get("latency_ms") or 9.0 / limits["speedup"]
    return Pace(budget, Price(COSTS, deadline, (SHORTER,) if shorter else ()), clock)
