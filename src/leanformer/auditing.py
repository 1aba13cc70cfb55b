"""An audit of a model that exists already, alone or beside another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.audit.answering import Answering, of_model
from leanformer.audit.answers import (
    KINDS,
    RATES,
    SWAP,
    changed_by_group,
    group_names,
    make_twins,
    rate_figures,
    swap_figures,
)
from leanformer.audit.associations import CEAT, ceat, seat, seat_of_sentences, weat
from leanformer.audit.compare import Found, side_by_side
from leanformer.audit.coreference import coreference_gap
from leanformer.audit.detector import RELATION, degree_figure, detect
from leanformer.audit.figure import Figure, Unmeasured
from leanformer.audit.flow import FLOW, chosen_sightings, flow_figures, measure_flow
from leanformer.audit.flow_facts import flow_facts
from leanformer.audit.masked import require_mask
from leanformer.audit.models import Asked, load_asked
from leanformer.audit.parts import NOTHING_KEPT, Parts, fingerprint, open_parts
from leanformer.audit.preferences import crows_pairs, name_fills, occupations_bias, pronouns, stereo_set
from leanformer.audit.professions import STEREOTYPES, stereotypes
from leanformer.audit.read import SuiteData, read_suite
from leanformer.audit.sightings import contexts, sentences
from leanformer.audit.suite import Suite, check_suite
from leanformer.audit.vectors import check_whole
from leanformer.audit.words import TESTS
from leanformer.errors import DataError, LeanformerError, ModelError
from leanformer.exported import exported_file, open_exported
from leanformer.progress import bar, say
from leanformer.reading import model_folder, with_head
from leanformer.run import is_run
from leanformer.tasks.encode import longest_input
from leanformer.tasks.sources import read_source

if TYPE_CHECKING:
    from leanformer.reading import Reading
    from leanformer.tasks.task import TaskData

MASKED = "CrowS-Pairs, AUL, StereoSet inside sentences, LPBS, DisCo, WinoBias"
VECTORS = "WEAT, SEAT, CEAT, StereoSet between sentences"
PUBLIC = "SEAT's own tests, StereoSet, CrowS-Pairs, AUL, WinoBias, professions' stereotypes"
ANSWERS_ALONE = "an exported file gives answers and nothing else: audit the model folder that it was made of"
Facts = dict[str, Any]


def parts_of(model: str, against: str | None, suite: Suite, folder: Path, resume: bool) -> Parts:
    """Open what keeps a long audit's parts: those of the scan and of the flow.

    Args:
        model: A run, a model folder or a hub id.
        against: Another one, or None.
        suite: What is audited.
        folder: Where the parts lie until the audit is written.
        resume: Whether to go on with those of an audit that was interrupted.

    Returns:
        The parts; without a scan nothing is kept.

    Raises:
        DataError: If there is nothing that could be gone on with.
        RunError: If the interrupted audit is of something else.
    """
    if suite.scan is None:
        if resume:
            raise DataError("--resume goes on with an interrupted scan: name its text with --scan")
        return NOTHING_KEPT
    return open_parts(folder, fingerprint(*_named(model, against).values(), suite.scan), resume)


def audit(
    model: str, against: str | None, reading: Reading, suite: Suite, parts: Parts = NOTHING_KEPT
) -> Facts:
    """Audit a model, or two on the same items.

    Args:
        model: A run, a model folder or a hub id; a run alone stands for its dense and its compressed model. Or an
            exported file, of whose answers alone an audit can be made.
        against: Another one, or None.
        reading: The task data, for what is measured on answers.
        suite: What is audited.
        parts: Keeps what the scan and the flow have measured; what it holds is not measured again.

    Returns:
        What `leanformer.audit.compare.side_by_side` returns, and under "detector" and "flow" one entry a model: a
        `leanformer.audit.detector.Detected` as a dictionary, and what `leanformer.audit.flow_facts.flow_facts`
        returns; None where it did not run.

    Raises:
        LeanformerError: If a model or a file that is named can not be used.
    """
    import torch

    reading = reading.beside(model)
    torch.set_num_threads(reading.threads or 1)
    check_suite(suite, reading.spec)
    models = {
        name: (folder, None if exported_file(Path(folder)) else load_asked(folder, reading.trust_remote_code))
        for name, folder in _named(model, against).items()
    }
    data = None if suite.suite_data is None else read_suite(suite.suite_data, suite.most)
    task = None if reading.spec is None else reading.load(model)
    groups = np.empty(0, dtype=str) if task is None else _groups(task, reading, suite.group)
    seen = None if suite.scan is None else _contexts(suite.scan)
    found: list[Found] = []
    detected: list[Facts | None] = []
    flows: list[Facts | None] = []
    answers: list[Any] = []
    for number, (name, (folder, asked)) in enumerate(models.items()):
        own = parts.of(f"{number}-")
        say(f"audit of {name}")
        swaps, logits = _answers(folder, task, groups, reading, suite.group, data)
        answers.append(logits)
        scanned, flowed = _scanned(asked, suite.scan, own), _flowed(asked, suite, own)
        detected.append(scanned[0])
        flows.append(flowed[0])
        found.append([*figures_of(asked, data, seen), *swaps, *scanned[1], *flowed[1]])
    both = [logits for logits in answers if logits is not None]
    between = changed_by_group(both[0], both[1], groups) if len(both) == 2 else []
    return {**side_by_side(list(models), found, between), "detector": detected, "flow": flows}


def figures_of(asked: Asked | None, data: SuiteData | None, seen: Any = None) -> list[Figure | Unmeasured]:
    """Measure what needs no task: vectors, and what fills blanks.

    Args:
        asked: The model; None for an exported file.
        data: The public data sets, where there are any.
        seen: Contexts of words from a text, where there is one, see `leanformer.audit.sightings.contexts`.

    Returns:
        The figures; why there is none where something can not be measured.
    """
    if asked is None:
        return [Unmeasured(f"{VECTORS}, {MASKED}", ANSWERS_ALONE)]
    return [*_encoder(asked, data, seen), *_masked(asked, data)]


def _named(model: str, against: str | None) -> dict[str, str]:
    """Return the models by the names that they are shown under."""
    if against is None:
        path = Path(model)
        return (
            {"dense": str(path / "teacher"), "compressed": str(path / "model")}
            if is_run(path)
            else {model: model}
        )
    if against == model:
        raise ModelError(f"{model} can not be compared with itself: give --against another model")
    return {one: model_folder(one) for one in (model, against)}


def lines_of(path: Path, stage: str | None = None) -> Iterator[str]:
    """Read a text line by line.

    Args:
        path: The text.
        stage: Name of a bar of kilobytes; none is shown without it.

    Yields:
        The lines.
    """
    with bar() as progress, path.open(encoding="utf-8", errors="replace") as file:
        shown = progress.add_task(
            f"{stage} (kB)", total=max(1, path.stat().st_size // 1000), visible=stage is not None
        )
        read = 0
        for number, line in enumerate(file):
            read += len(line.encode())
            if number % 100 == 0:
                progress.update(shown, completed=read // 1000)
            yield line
        progress.update(shown, completed=read // 1000)


def _contexts(scan: Path) -> Any:
    words = [word for test in TESTS for part in (*test.targets, *test.attributes) for word in part]
    return contexts(sentences(lines_of(scan)), words)


def _encoder(asked: Asked, data: SuiteData | None, seen: Any) -> list[Figure | Unmeasured]:
    """Measure what any encoder has: vectors."""
    try:
        check_whole(asked.model)
    except ModelError as error:
        return [Unmeasured(VECTORS, str(error))]
    found: list[Figure | Unmeasured] = [
        *weat(asked, TESTS),
        *seat(asked, TESTS),
        *seat(asked, TESTS, of_word=True),
    ]
    if seen is None:
        found.append(Unmeasured(CEAT, "it takes words in real sentences: name a text with --scan"))
    else:
        found += ceat(asked, TESTS, seen)
    if data is None:
        reason = "they do not come with the project: name the folder that they lie in with --suite-data"
        return [*found, Unmeasured(PUBLIC, reason)]
    found += seat_of_sentences(asked, data.seat)
    if data.professions:
        found += stereotypes(asked, data.professions)
    if data.between:
        found += stereo_set(asked, data.between, inside=False)
    lacks = {
        "SEAT's own tests": data.seat,
        "CrowS-Pairs, AUL": data.crows,
        "StereoSet": data.inside,
        "WinoBias": data.winobias,
        STEREOTYPES: data.professions,
    }
    missing = ", ".join(name for name, part in lacks.items() if not part)
    return [*found, Unmeasured(missing, "the folder of --suite-data has no such file")] if missing else found


def _masked(asked: Asked, data: SuiteData | None) -> list[Figure | Unmeasured]:
    """Measure what takes a head for masked words."""
    try:
        require_mask(asked)
    except ModelError as error:
        return [Unmeasured(MASKED, str(error))]
    found = [*occupations_bias(asked), *name_fills(asked)]
    if data is not None and data.crows:
        found += crows_pairs(asked, data.crows)
    if data is not None and data.inside:
        found += stereo_set(asked, data.inside, inside=True)
    for name, part in (data.winobias if data is not None else {}).items():
        found += pronouns(asked, part, name)
    return found


def _groups(task: TaskData, reading: Reading, column: str | None) -> Any:
    """Return the group of each validation row: a column's, or that of its gender words."""
    if column is None:
        return make_twins(task.validation).groups
    assert reading.spec is not None  # task data were loaded
    tables = read_source(reading.spec).tables
    table = tables.get("validation", tables["train"])
    if column not in table.columns:
        raise DataError(
            f"{table.source} has no column '{column}': it has {', '.join(table.columns)}; choose one with --group"
        )
    values = dict(zip(table.rows, table.columns[column], strict=True))
    return group_names([values[row] for row in task.validation["row"][:]])


def _answers(
    folder: str,
    task: TaskData | None,
    groups: Any,
    reading: Reading,
    group: str | None,
    public: SuiteData | None,
) -> tuple[list[Figure | Unmeasured], Any]:
    """Measure what a task model answers; return its logits, too, None where it has none."""
    if task is None:
        reason = "they are measured on a task's own texts: name them with --data"
        return [Unmeasured(f"{SWAP}, {RATES}", reason)], None
    try:
        asked = _answering(folder, task, reading)
    except ModelError as error:
        if exported_file(Path(folder)) is not None:
            raise  # it has nothing else that could be audited
        return [Unmeasured(f"{SWAP}, {RATES}", str(error))], None
    say("answers to the validation texts and their twins")
    logits = asked(task.validation)
    swaps = swap_figures(asked, make_twins(task.validation), task.task)
    rates = rate_figures(logits, np.asarray(task.validation["label"][:]), groups, task.task, group)
    gaps = [
        one
        for name, part in (public.winobias if public is not None else {}).items()
        for one in coreference_gap(asked, part, name, task.task)
    ]
    return [*swaps, *rates, *dict.fromkeys(gaps)], logits if task.task.kind in KINDS else None


def _answering(folder: str, task: TaskData, reading: Reading) -> Answering:
    """Load a model, or an exported file, with its head."""
    if (file := exported_file(Path(folder))) is not None:
        opened = open_exported(file, task.task, reading.threads)
        longest = longest_input(opened.shape, opened.tokenizer, reading.max_tokens)
        return Answering(opened.answer, opened.tokenizer, longest)
    return of_model(*with_head(folder, task.task, reading), reading.max_tokens)


def _scanned(
    asked: Asked | None, scan: Path | None, parts: Parts
) -> tuple[Facts | None, list[Figure | Unmeasured]]:
    """Run the attention detector."""
    if scan is None:
        return None, [Unmeasured(RELATION, "it scans a large text: name one with --scan")]
    if asked is None:
        return None, [Unmeasured(RELATION, ANSWERS_ALONE)]
    try:
        found = detect(asked, sentences(lines_of(scan, "Scan")), parts=parts)
    except LeanformerError as error:
        return None, [Unmeasured(RELATION, str(error))]
    return asdict(found), [degree_figure(found)]


def _flowed(asked: Asked | None, suite: Suite, parts: Parts) -> tuple[Facts | None, Found]:
    """Run the detector at every position."""
    if not suite.flow or suite.scan is None:
        return None, []
    if asked is None:
        return None, [Unmeasured(FLOW, ANSWERS_ALONE)]
    try:
        chosen = chosen_sightings(sentences(lines_of(suite.scan, "Scan for the flow")))
        flow = measure_flow(asked, chosen, stage="Flow", parts=parts)
    except LeanformerError as error:
        return None, [Unmeasured(FLOW, str(error))]
    return flow_facts(flow), flow_figures(flow)
