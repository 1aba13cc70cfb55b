"""A latency table whose figures follow from a known law, for the tests of everything that reads one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leanformer.measure.latency.plan import probes
from leanformer.measure.latency.table import Point, Setting, Shape, Subject, Table

SUBJECT = Subject("Test CPU 9000", "bert", 64, 16, 4, 128, 3)
SESSION = {
    "machine": {"cpu": "Test CPU 9000", "cores": 2, "flags": ["avx2"], "versions": {"torch": "1.0"}},
    "seed": 0,
    "created": "2026-01-01 00:00+00:00",
}
SETTING = Setting("torch", "fp32", 8, 32, 2)


@dataclass(frozen=True)
class Law:
    """Milliseconds of each part; an FFN of an odd width pays extra, as ragged widths do."""

    fixed_ms: float = 0.7
    layer_ms: float = 0.05
    odd_ms: float = 0.0

    def attention_ms(self, heads: int, tokens: int) -> float:
        return 0.2 * heads + 0.001 * tokens * heads

    def ffn_ms(self, width: int, tokens: int) -> float:
        return 0.0003 * width * tokens + self.odd_ms * (width % 2)

    def model_ms(self, shapes: list[tuple[int, int]], tokens: int) -> float:
        parts = sum(self.attention_ms(heads, tokens) + self.ffn_ms(width, tokens) for heads, width in shapes)
        return self.fixed_ms + self.layer_ms * len(shapes) + parts

    def probe_ms(self, shape: Shape, tokens: int) -> float:
        return self.model_ms([(shape.heads, shape.width)] * shape.layers, tokens)


def example_table(
    law: Law = Law(), settings: tuple[Setting, ...] = (SETTING,), subject: Subject = SUBJECT
) -> Table:
    """Return a complete table that obeys the law exactly."""
    dense = Table(subject).dense
    points = []
    for setting in settings:
        dense_ms = law.probe_ms(dense, setting.tokens)
        for shape in probes(subject):
            ratio = law.probe_ms(shape, setting.tokens) / dense_ms
            points.append(Point(shape, setting, ratio, 0.99 * ratio, 1.01 * ratio, dense_ms, 12, 0))
    return Table(subject, (SESSION,), tuple(points))


def at(setting: Setting, **changes: int | str) -> Setting:
    """Return the setting with some fields changed."""
    return replace(setting, **changes)
