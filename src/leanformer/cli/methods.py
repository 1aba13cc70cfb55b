"""leanformer methods: what there is to choose from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leanformer.cli.verb import Answer, verb

if TYPE_CHECKING:
    from rich.console import RenderableType

    from leanformer.methods.method import Method


@verb
def methods(
    name: Annotated[
        str | None, typer.Argument(help="One method, to read of its paper and of what is ours.")
    ] = None,
) -> Answer:
    """List the methods of compress and of debias, their papers, what they remove and take; or tell of one.

    leanformer methods

    leanformer methods movement
    """
    from leanformer.methods.debias_registry import DEBIAS_METHODS
    from leanformer.methods.registry import METHODS, find_method

    if name is not None:
        method = DEBIAS_METHODS[name] if name in DEBIAS_METHODS else find_method(name)
        return Answer({**_facts(method), "account": method.account()}, _told(method))
    listed = [*METHODS.values(), *DEBIAS_METHODS.values()]
    return Answer([_facts(method) for method in listed], _listed(listed))


def _facts(method: Method) -> dict[str, Any]:
    return {key: value for key, value in asdict(method).items() if key != "entry"}


def _name(method: Method) -> str:
    """Return a method's name, and the verb that takes it where that is not compress."""
    from leanformer.methods.debias_registry import DEBIAS_METHODS

    return (
        f"{method.name}\n[not bold](leanformer debias)[/]" if method.name in DEBIAS_METHODS else method.name
    )


def _removes(method: Method) -> str:
    """Say what a method removes, at which granularities, and which settings it has."""
    usual = {one.name: "PATH" if one.is_path and not one.default else one.default for one in method.options}
    options = [f"--option {one.name}={usual[one.name]}: {one.text}" for one in method.options]
    return "\n".join([f"{method.removes} (granularity {' or '.join(method.granularities)})", *options])


def _listed(listed: Any) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 1, 0))
    table.add_column("method", no_wrap=True, style="bold")
    for column in ("removes", "the rest is", "paper"):
        table.add_column(column)
    for method in listed:
        paper = f"{method.paper}, {method.year}"
        table.add_row(_name(method), _removes(method), f"{method.trains}\n(takes {method.cost})", paper)
    return table


def _told(method: Method) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for label, words in (
        ("paper", f"{method.paper}, {method.year}"),
        ("removes", _removes(method)),
        ("the rest is", method.trains),
        ("takes", method.cost),
    ):
        table.add_row(label, words)
    return Group(table, Text(f"\n{method.account()}"))
