"""What of a model is audited, and what no audit could use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leanformer.errors import DataError

if TYPE_CHECKING:
    from leanformer.tasks.load import DataSpec


@dataclass(frozen=True)
class Suite:
    """What of a model is audited, besides what needs nothing.

    Attributes:
        suite_data: Folder of the public data sets.
        most: Items a data set at most.
        scan: A large text, for the attention detector and for CEAT's contexts.
        group: Column of the data whose two groups' true-positive rates are compared; their gender words by default.
        flow: Whether the detector looks at every position of the encoder, too: minutes.
    """

    suite_data: Path | None = None
    most: int | None = None
    scan: Path | None = None
    group: str | None = None
    flow: bool = False


def check_suite(suite: Suite, spec: DataSpec | None) -> None:
    """Refuse what no audit could use, before anything is measured.

    Args:
        suite: What is audited.
        spec: The task data, where any are named.

    Raises:
        DataError: If an option lacks what it needs, or there is no such text.
    """
    if suite.group is not None and spec is None:
        raise DataError(f"--group {suite.group} is a column of task data, but none are named: add --data")
    if suite.most is not None and suite.most < 1:
        raise DataError(f"--most {suite.most} leaves nothing to measure: give a positive number")
    if suite.flow and suite.scan is None:
        raise DataError("--flow follows gender words and occupations of a text: name one with --scan")
    if suite.scan is not None and not suite.scan.is_file():
        raise DataError(f"there is no text {suite.scan}: give --scan a file with English text")
