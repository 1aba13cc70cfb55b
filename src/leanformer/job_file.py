"""The file of a job: settings as TOML, read back with a sentence for everything that does not fit."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from leanformer.errors import RunError


def settings_apart(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return in which settings two jobs differ.

    Args:
        own: The one job's, by name.
        other: The other's.

    Returns:
        For example "seed (0, now 1)".
    """
    mine, theirs = _flat(own), _flat(other)
    names = [name for name in mine if mine[name] != theirs.get(name)]
    return [f"{name} ({_shown(mine[name])}, now {_shown(theirs.get(name))})" for name in names]


def toml_text(header: str, settings: Mapping[str, Any]) -> str:
    """Write a job as TOML.

    Args:
        header: A comment on top.
        settings: By name; mappings become tables, what is None is left out.

    Returns:
        The text.
    """
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    tables = {name: value for name, value in settings.items() if isinstance(value, Mapping)}
    parts = [header, _toml_lines(plain)]
    parts += [f"\n[{name}]\n{_toml_lines(table)}" for name, table in tables.items()]
    return "".join(parts)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a job's file.

    Args:
        path: The file.

    Returns:
        Its settings by name.

    Raises:
        RunError: If it is missing, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"the job file {path} can not be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"the job file {path} is not TOML: {error}") from error


def built(kind: type, settings: Mapping[str, Any], path: Path) -> Any:
    """Build a dataclass from the settings of a job file.

    Args:
        kind: The dataclass.
        settings: Its fields by name.
        path: Where they come from, for the message.

    Returns:
        The instance.

    Raises:
        RunError: If a setting is unknown or of another type, or one lacks.
    """
    if not isinstance(settings, Mapping):
        raise RunError(f"{path}: [{kind.__name__.lower()}] has to be a table")
    known = {item.name: item for item in fields(kind)}
    for name, value in settings.items():
        if name not in known:
            raise RunError(f"{path}: unknown setting '{name}'; known are {', '.join(known)}")
        if not _fits(value, str(known[name].type)):
            raise RunError(
                f"{path}: '{name}' has to be of type {known[name].type}, not {type(value).__name__}"
            )
    try:
        return kind(**settings)
    except TypeError as error:
        raise RunError(f"{path}: {kind.__name__.lower()} lacks a setting: {error}") from error


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else None
        flat.update({name: value} if inner is None else inner)
    return flat


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)


def _toml_lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {_toml_value(value)}\n" for name, value in table.items() if value is not None)


def _toml_value(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists are TOML too, but for the one control character below.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value read from TOML fits a field's annotation, for example "str | None"."""
    wanted = {part.strip().split("[")[0] for part in annotation.split("|")}
    name = type(value).__name__
    alike = {"int": "float", "dict": "Mapping"}
    return name in wanted or alike.get(name) in wanted
