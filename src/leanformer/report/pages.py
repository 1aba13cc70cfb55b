"""What the pages share: templates, style sheets, and files that are written whole or not at all."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leanformer.report import numbers


def fill(template: str, **context: Any) -> str:
    """Fill in one of the templates.

    Args:
        template: Its file name.
        **context: What it shows; text is escaped.

    Returns:
        HTML.
    """
    environment = Environment(
        loader=PackageLoader("leanformer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["numbers"] = numbers
    return environment.get_template(template).render(context)


def assets(*names: str) -> Markup:
    """Return style sheets or scripts that lie beside the templates, one after the other."""
    folder = files("leanformer.report").joinpath("templates")
    return Markup("".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names))


def write_whole(path: Path, text: str) -> Path:
    """Write a file whole or not at all.

    Args:
        path: The file; its folder is there.
        text: Its content.

    Returns:
        The file.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # a resumed run removes what a kill left
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
