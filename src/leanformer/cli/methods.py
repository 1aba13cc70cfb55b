"""leanformer methods: what there is to choose from."""

from __future__ import annotations

from dataclasses import asdict

from leanformer.cli.verb import Answer, verb


@verb
def methods() -> Answer:
    """List the compression methods, their papers and what they remove."""
    from rich.table import Table

    from leanformer.methods.registry import METHODS

    table = Table(box=None, header_style="bold", padding=(0, 2, 1, 0))
    table.add_column("method", no_wrap=True, style="bold")
    table.add_column("removes")
    table.add_column("the rest is")
    table.add_column("paper")
    for method in METHODS.values():
        removes = f"{method.removes} (granularity {' or '.join(method.granularities)})"
        options = [f"--option {one.name}={one.default}: {one.text}" for one in method.options]
        removes = "\n".join([removes, *options])
        table.add_row(method.name, removes, method.trains, f"{method.paper}, {method.year}")
    record = [
        {key: value for key, value in asdict(method).items() if key != "entry"} for method in METHODS.values()
    ]
    return Answer(record, table)
