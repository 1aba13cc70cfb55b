"""What a latency table holds, and how it is written: one entry a probe and a setting, in plain JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from leanformer.errors import LatencyError

FORMAT = "leanformer latency tables"
VERSION = 2
"""Counts what the times depend on beside the runtimes: since 2, int8 files for ONNX Runtime carry no shapes."""

Facts = dict[str, Any]


@dataclass(frozen=True, order=True)
class Subject:
    """What a table is of: a processor and the dense shape of an encoder; models that share both share the table.

    Attributes:
        cpu: The processor's name.
        family: The model family.
        hidden_size: Size of a token's state.
        head_size: Size of one head.
        heads: Heads of a dense layer.
        width: FFN neurons of a dense layer.
        layers: Layers of a probe.
    """

    cpu: str
    family: str
    hidden_size: int
    head_size: int
    heads: int
    width: int
    layers: int


@dataclass(frozen=True, order=True)
class Setting:
    """Under what a time was taken.

    Attributes:
        runtime: "torch", "onnxruntime" or "openvino".
        precision: "fp32", "bf16" or "int8".
        batch: Texts a batch.
        tokens: Length of each text.
        threads: Threads of the runtime.
    """

    runtime: str
    precision: str
    batch: int
    tokens: int
    threads: int


@dataclass(frozen=True, order=True)
class Shape:
    """A probe: a whole small model whose layers are all alike.

    Attributes:
        heads: Heads of each layer.
        width: FFN neurons of each layer.
        layers: How many layers.
    """

    heads: int
    width: int
    layers: int


@dataclass(frozen=True)
class Point:
    """One probe in one setting, timed side by side with the dense probe.

    Attributes:
        shape: The probe.
        setting: Under what it was timed.
        ratio: Its time divided by that of the dense probe in the same rounds.
        ratio_low: Lower end of the ratio's 95% interval.
        ratio_high: Upper end.
        reference_ms: Median time of the dense probe in these rounds.
        rounds: How many rounds there were.
        session: Position of the session in the table's list.
    """

    shape: Shape
    setting: Setting
    ratio: float
    ratio_low: float
    ratio_high: float
    reference_ms: float
    rounds: int
    session: int


@dataclass(frozen=True)
class Table:
    """All that was measured of one subject.

    Attributes:
        subject: What the table is of.
        sessions: What was said of each time that measuring was started: machine, seed, date.
        points: What was measured.
    """

    subject: Subject
    sessions: tuple[Facts, ...] = ()
    points: tuple[Point, ...] = ()

    @cached_property
    def known(self) -> frozenset[tuple[Shape, Setting]]:
        """The probes and settings that are measured."""
        return frozenset((point.shape, point.setting) for point in self.points)

    @property
    def dense(self) -> Shape:
        """The probe that all others are timed against."""
        return Shape(self.subject.heads, self.subject.width, self.subject.layers)

    def settings(self) -> list[Setting]:
        """Return the settings of all points, sorted."""
        return sorted({point.setting for point in self.points})

    def of(self, setting: Setting) -> dict[Shape, Point]:
        """Return the points of one setting by probe."""
        return {point.shape: point for point in self.points if point.setting == setting}

    def without_stale(self, versions: Mapping[str, str]) -> Table:
        """Return the table without points of another version of their runtime: they are measured anew.

        Args:
            versions: The installed version of each runtime.

        Returns:
            The table, or a smaller one.
        """

        def is_current(point: Point) -> bool:
            seen = self.sessions[point.session]["machine"]["versions"]
            return bool(seen.get(point.setting.runtime) == versions.get(point.setting.runtime))

        return Table(self.subject, self.sessions, tuple(filter(is_current, self.points)))

    def merged(self, other: Table) -> Table:
        """Return this table with the points of another one of the same subject that it does not have.

        Args:
            other: The other table.

        Returns:
            The union; what both have measured stays as it is here.
        """
        shift = len(self.sessions)
        added = [
            Point(**{**_shallow(point), "session": point.session + shift})
            for point in other.points
            if (point.shape, point.setting) not in self.known
        ]
        if not added:
            return self
        return Table(self.subject, self.sessions + other.sessions, (*self.points, *added))


def _shallow(one: Any) -> Facts:
    return {field.name: getattr(one, field.name) for field in fields(one)}


def to_json(tables: Iterable[Table]) -> Facts:
    """Return tables as what is written into a file."""
    return {"format": FORMAT, "version": VERSION, "tables": [_table_json(table) for table in tables]}


def _table_json(table: Table) -> Facts:
    points = [
        {**asdict(point.shape), **asdict(point.setting), **_own_fields(point)} for point in table.points
    ]
    return {"subject": asdict(table.subject), "sessions": list(table.sessions), "points": points}


def _own_fields(point: Point) -> Facts:
    return {name: value for name, value in _shallow(point).items() if name not in ("shape", "setting")}


def from_json(content: Any, place: str) -> list[Table]:
    """Read tables from the content of a file, and refuse whatever is not one.

    Args:
        content: What the JSON file holds.
        place: The file's name, for the message.

    Returns:
        The tables.

    Raises:
        LatencyError: If it is not a file of latency tables, or a figure in it can not be true.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LatencyError(
            f"{place} is no latency table: give a file that leanformer latency export has written"
        )
    if content.get("version") != VERSION:
        raise LatencyError(
            f"{place} is a latency table of version {content.get('version')!r}, and this leanformer reads version "
            f"{VERSION}: export it again with this version"
        )
    try:
        return [_table_from(one) for one in content["tables"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LatencyError(
            f"{place} is a damaged latency table ({type(error).__name__}: {error}): export it again"
        ) from error


def _table_from(content: Facts) -> Table:
    sessions = tuple(content["sessions"])
    for session in sessions:
        session["machine"]["versions"].get("torch")  # raises where a session is none
    points = tuple(_point_from(point, len(sessions)) for point in content["points"])
    return Table(_filled(Subject, content["subject"]), sessions, points)


def _point_from(content: Facts, sessions: int) -> Point:
    own = {
        field.name: content[field.name] for field in fields(Point) if field.name not in ("shape", "setting")
    }
    for name, value in own.items():
        _check(name, value, int if name in ("rounds", "session") else float)
    if own["session"] >= sessions:
        raise ValueError(f"a point names session {own['session']} of {sessions}")
    return Point(_filled(Shape, content), _filled(Setting, content), **own)


def _filled(kind: Any, content: Facts) -> Any:
    """Make a dataclass of numbers and words from a dictionary, each checked."""
    values = {field.name: content[field.name] for field in fields(kind)}
    for field in fields(kind):
        _check(field.name, values[field.name], str if field.type == "str" else int)
    return kind(**values)


def _check(name: str, value: Any, kind: type) -> None:
    """Refuse what is of another type, negative, or not a number."""
    allowed = (int, float) if kind is float else (kind,)
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise ValueError(f"{name} is {value!r}")
    number: Any = value
    if kind is not str and not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} is {value!r}")
