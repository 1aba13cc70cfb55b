"""The plane of speed-up against points lost: where a point lies, and what frames it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leanformer.report.pictures import svg
from leanformer.report.pictures.labels import ratio_ticks


@dataclass(frozen=True)
class Plane:
    """Where points lie: faster is further right, a loss is further down.

    Attributes:
        x: From speed-ups to pixels.
        y: From points lost to pixels, downwards.
        edge: Points lost above which a point is held at the lower edge, if any is.
        bottom: Pixel of the lower edge.
        width: Pixels of the whole picture.
    """

    x: svg.Scale
    y: svg.Scale
    edge: float | None
    bottom: float
    width: float

    @classmethod
    def around(
        cls,
        ratios: Sequence[float],
        losses: Sequence[float],
        edge: float | None,
        bottom: float,
        width: float,
    ) -> Plane:
        """Return the plane that holds all points, with some room.

        Args:
            ratios: The speed-ups that have to lie within it; the ends of intervals, too.
            losses: Points lost.
            edge: See above.
            bottom: See above.
            width: See above.

        Returns:
            The plane.
        """
        gain, loss = min([0.0, *losses]), edge or max([0.5, *losses])
        slowest, fastest = max(min([1.0, *ratios]), 0.01) / 1.06, max([1.25, *ratios]) * 1.08
        return cls(
            x=svg.Scale(slowest, fastest, 38.0, width - 8, is_log=True),
            y=svg.Scale(gain - 0.1 * (loss - gain), loss, 34.0, bottom - (24 if edge else 12)),
            edge=edge,
            bottom=bottom,
            width=width,
        )

    @property
    def is_narrow(self) -> bool:
        """Whether the picture is that of small screens."""
        return self.width <= svg.NARROW

    def point(self, ratio: float, lost: float) -> tuple[float, float]:
        """Return the pixels of a speed-up and of points lost."""
        is_held = self.edge is not None and lost > self.edge
        return self.x(ratio), self.bottom - 10 if is_held else self.y(lost)

    def frame(self, rows: str, across: str) -> list[Markup]:
        """Draw both axes with their words and ticks.

        Args:
            rows: On what the points are lost, for example "408 rows".
            across: What the speed-up is.

        Returns:
            Parts of an SVG.
        """
        x, y = self.x, self.y
        up = f"Points lost on {rows}"
        up += (
            f"; above {self.edge:g} at the {'edge' if self.is_narrow else 'lower edge'}" if self.edge else ""
        )
        parts = [
            svg.text(0, 12, up, "axis"),
            svg.text(self.width, self.bottom + 38, f"{across} (log scale)", "axis", "end"),
        ]
        for tick in y.ticks(5 if self.is_narrow else 7):
            parts += [
                svg.line(x.start, y(tick), self.width, y(tick)),
                svg.text(32, y(tick) + 4, f"{tick:g}".replace("-", "−"), anchor="end"),
            ]
        if self.edge is not None:
            parts += [
                svg.line(x.start, self.bottom, self.width, self.bottom, "divider"),
                svg.text(32, self.bottom - 6, f">{self.edge:g}", anchor="end"),
            ]
        for ratio in ratio_ticks(x):
            parts += [
                svg.line(x(ratio), y.start - 8, x(ratio), self.bottom),
                svg.text(x(ratio), self.bottom + 18, f"{ratio:g}×", anchor="middle"),
            ]
        return parts
