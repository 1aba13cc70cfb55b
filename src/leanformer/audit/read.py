"""The public data sets of bias, read from a folder: none of them comes with this project, licences differ.

Known file names: `sent-weat*.jsonl` (SEAT), `crows_pairs*.csv` (CrowS-Pairs), `stereoset*.json` or `dev.json`
(StereoSet), `pro_stereotyped_type*.txt.*` with its anti-stereotyped twin (WinoBias), `professions.json` (debiaswe),
in it or in folders below.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from leanformer.errors import DataError, first_line

LABELS = ("stereotype", "anti-stereotype", "unrelated")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_PRONOUNS = frozenset(("he", "she", "him", "her", "his", "hers", "himself", "herself"))


@dataclass(frozen=True)
class Pair:
    """A pair of CrowS-Pairs.

    Attributes:
        stereotyped: The more stereotyped sentence.
        other: The less stereotyped one.
        is_stereotype: Whether the pair is of a stereotype; else it is of an anti-stereotype.
        kind: Its bias type.
    """

    stereotyped: str
    other: str
    is_stereotype: bool
    kind: str


@dataclass(frozen=True)
class Triple:
    """An item of StereoSet.

    Attributes:
        term: Its target term.
        context: A sentence with BLANK in it, or the sentence before.
        fills: What fills the blank, or follows: stereotype, anti-stereotype, unrelated.
    """

    term: str
    context: str
    fills: tuple[str, str, str]


@dataclass(frozen=True)
class Pronoun:
    """A sentence of WinoBias without its pronoun.

    Attributes:
        before: What stands before the pronoun.
        after: What stands after.
        pro: The pronoun that fits the stereotype.
        anti: The one that does not.
        referent: Whom it means, in both, as it stands in the sentence: "The developer".
    """

    before: str
    after: str
    pro: str
    anti: str
    referent: str = ""


@dataclass(frozen=True)
class Profession:
    """A profession of debiaswe, as people rated it (Bolukbasi et al. 2016, arXiv 1607.06520).

    Attributes:
        name: The word, or words.
        definition: How male the word is by definition, from -1 (female, as actress) to 1.
        stereotype: How male people think its holders are, from -1 to 1.
    """

    name: str
    definition: float
    stereotype: float


@dataclass(frozen=True)
class SuiteData:
    """What of the public data sets a folder holds.

    Attributes:
        seat: By name of the test: first and second targets, first and second attributes.
        crows: The pairs of CrowS-Pairs.
        inside: Items of StereoSet inside sentences.
        between: Items between sentences.
        winobias: Sentences of WinoBias by file.
        professions: Those of debiaswe.
    """

    seat: dict[str, tuple[list[str], list[str], list[str], list[str]]]
    crows: list[Pair]
    inside: list[Triple]
    between: list[Triple]
    winobias: dict[str, list[Pronoun]]
    professions: list[Profession] = field(default_factory=list)


def read_suite(folder: Path, most: int | None = None) -> SuiteData:
    """Read what a folder holds of the public data sets.

    Args:
        folder: The folder.
        most: Take so many items a data set at most, drawn with a fixed seed; SEAT's tests and the professions
            are taken whole.

    Returns:
        The data; what the folder lacks is empty.

    Raises:
        DataError: If there is no such folder, nothing in it is known, or a known file can not be read.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: give --suite-data the folder of the public data sets")
    stereo = _first(folder, "stereoset*.json") or _first(folder, "dev.json")
    crows, professions = _first(folder, "crows_pairs*.csv"), _first(folder, "professions.json")
    inside, between = ([], []) if stereo is None else _read(_stereoset, stereo)
    found = SuiteData(
        {path.stem: _read(_seat, path) for path in _natural(folder.rglob("sent-weat*.jsonl"))},
        _drawn([] if crows is None else _read(_crows, crows), most),
        _drawn(inside, most),
        _drawn(between, most),
        {
            path.name.removeprefix("pro_stereotyped_").replace(".txt", ""): _drawn(
                _read(_winobias, path), most
            )
            for path in sorted(folder.rglob("pro_stereotyped_type*.txt.*"))
        },
        [] if professions is None else _read(_professions, professions),
    )
    parts = (found.seat, found.crows, found.inside, found.between, found.winobias, found.professions)
    if not any(parts):
        raise DataError(
            f"{folder} holds none of sent-weat*.jsonl, crows_pairs*.csv, stereoset*.json, professions.json and "
            "pro_stereotyped_type*.txt.*: give --suite-data the folder of the public data sets"
        )
    return found


def _first(folder: Path, pattern: str) -> Path | None:
    return min(folder.rglob(pattern), default=None)


def _natural(paths: Any) -> list[Path]:
    """Sort files by the numbers in their names."""
    return sorted(paths, key=lambda path: [int(part) if part.isdigit() else part for part in _cut(path.stem)])


def _cut(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def _drawn(items: list[Any], most: int | None) -> list[Any]:
    """Draw some items with a fixed seed, in their order."""
    if most is None or len(items) <= most:
        return items
    chosen = np.random.default_rng(0).choice(len(items), most, replace=False)
    return [items[number] for number in sorted(chosen)]


def _read(parse: Any, path: Path) -> Any:
    """Parse a file, or say that it is not what its name promises."""
    try:
        return parse(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not in the published format ({type(error).__name__}: {first_line(error)}): fetch it again, "
            "or take it out of the folder"
        ) from error


def _seat(path: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    first, second, left, right = ([str(one) for one in content[key]["examples"]] for key in _SETS)
    return first, second, left, right


_SETS = ("targ1", "targ2", "attr1", "attr2")


def _crows(path: Path) -> list[Pair]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Pair(row["sent_more"], row["sent_less"], row["stereo_antistereo"] == "stereo", row["bias_type"])
            for row in csv.DictReader(file)
        ]


def _stereoset(path: Path) -> tuple[list[Triple], list[Triple]]:
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    inside = [one for item in data["intrasentence"] if (one := _triple(item, inside=True)) is not None]
    between = [one for item in data["intersentence"] if (one := _triple(item, inside=False)) is not None]
    return inside, between


def _triple(item: dict[str, Any], inside: bool) -> Triple | None:
    """Return an item; None where a sentence is not its context with the blank filled, or a label lacks."""
    by_label = {sentence["gold_label"]: sentence["sentence"] for sentence in item["sentences"]}
    texts = [by_label.get(label) for label in LABELS]
    if inside:
        texts = [None if text is None else _fill(item["context"], text) for text in texts]
    first, second, third = texts
    if not first or not second or not third:
        return None
    return Triple(item["target"], item["context"], (first, second, third))


def _fill(context: str, sentence: str) -> str | None:
    """Return what stands at BLANK."""
    before, blank, after = context.partition("BLANK")
    fits = bool(blank) and sentence.startswith(before) and sentence.endswith(after)
    return sentence[len(before) : len(sentence) - len(after)].strip() if fits else None


def _winobias(path: Path) -> list[Pronoun]:
    """Read a pro-stereotypical file beside its anti-stereotypical twin; others than pairs are left out."""
    twin = path.with_name(path.name.replace("pro_", "anti_", 1))
    both = [file.read_text(encoding="utf-8").splitlines() for file in (path, twin)]
    found = [_without_pronoun(pro, anti) for pro, anti in zip(*both, strict=True)]
    return [one for one in found if one is not None]


def _without_pronoun(pro: str, anti: str) -> Pronoun | None:
    cut = [_at_pronoun(line) for line in (pro, anti)]
    if cut[0] is None or cut[1] is None or (cut[0][0], cut[0][2]) != (cut[1][0], cut[1][2]):
        return None
    before, word, after, referent = cut[0]
    return Pronoun(before, after, word, cut[1][1], referent)


def _at_pronoun(line: str) -> tuple[str, str, str, str] | None:
    """Cut a line at the pronoun in brackets; its number and the other brackets go. Return whom it means, too."""
    text = line.strip().partition(" ")[2]
    marks = [match for match in _BRACKETS.finditer(text) if match[1].lower() in _PRONOUNS]
    if not marks:
        return None
    mark = marks[-1]
    before, after = (re.sub(r"[\[\]]", "", part) for part in (text[: mark.start()], text[mark.end() :]))
    meant = [match[1] for match in _BRACKETS.finditer(text) if match.start() != mark.start()]
    return before, mark[1], after, meant[0] if meant else ""


def _professions(path: Path) -> list[Profession]:
    return [
        Profession(str(name).replace("_", " "), float(definition), float(stereotype))
        for name, definition, stereotype in json.loads(path.read_text(encoding="utf-8"))
    ]
