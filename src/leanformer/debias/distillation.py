"""A run of fair-distillation: a student of an even teacher, and its twin that learned the same without the groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leanformer.audit.compare import Found, side_by_side
from leanformer.audit.figure import Figure, change, mean_figure
from leanformer.audit.groups import OWN_GROUPS, TokenGroups, read_groups, token_groups
from leanformer.audit.masked import Question, answer, require_mask
from leanformer.audit.models import Asked, load_asked
from leanformer.audit.read import read_suite
from leanformer.audit.vectors import check_whole
from leanformer.auditing import figures_of, lines_of
from leanformer.debias.job import DebiasJob, DebiasRun
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import DataError, ModelError
from leanformer.methods.fair_distillation import Lesson, distilled, student_layers
from leanformer.tasks.encode import model_max_tokens
from leanformer.training.blanks import blank_rows

if TYPE_CHECKING:
    from leanformer.audit.read import SuiteData

Facts = dict[str, Any]
HELD_OUT = 200  # texts that no student reads
COPIES_ON_DISK = 8  # two students, and checkpoints with the optimiser's state
FEWEST_WORDS = 8  # of a text
LOSS, GAP = "loss of masked words", "words of a group apart"


def fair_distillation(run: DebiasRun) -> Facts:
    """Do what a run has left to do.

    Args:
        run: The run.

    Returns:
        What the method adds to debias.json.
    """
    job: DebiasJob = run.asked
    suite = None if job.suite_data is None else read_suite(Path(job.suite_data), job.most)
    teacher = load_asked(job.model, job.trust_remote_code)
    _check(teacher)
    groups = token_groups(
        OWN_GROUPS if job.groups is None else read_groups(Path(job.groups)), teacher.tokenizer
    )
    texts, held_out = read_texts(job)
    with_groups = _texts_with(teacher, texts, groups)
    if not with_groups:
        raise DataError(
            f"none of the {len(texts)} texts of {job.corpus} has a word of the {len(groups.ids)} groups, so there is "
            "nothing to make equal: name another text with --corpus, or other words with --groups"
        )
    run.require_disk(COPIES_ON_DISK * sum(one.numel() * 4 for one in teacher.model.parameters()) / 1e6)
    lesson = Lesson(
        teacher.model, teacher.tokenizer, texts, groups.ids, _options(job, teacher), job.seed, run.folder
    )
    facts = {"student": _taught(run, lesson, "model", "Student")}
    if job.options["control"] == "yes":
        facts["control"] = _taught(run, replace(lesson, groups=()), "control", "Control")
    names = {"teacher": teacher} | {
        name: load_asked(str(run.artefact(place)))
        for name, place in (("control", "control"), ("student", "model"))
        if name in facts
    }
    measured = run.stage("figures", lambda _: _figures(names, held_out, groups, job, suite))
    return {
        **facts,
        "groups": {"words": [list(group) for group in groups.words], "left_out": list(groups.left_out)},
        "texts": {"read": len(texts), "with_groups": with_groups, "held_out": len(held_out)},
        "layers": {
            "teacher": EncoderView(teacher.model).n_layers,
            "student": len(student_layers(teacher.model, int(job.options["layers"]))),
        },
        **measured,
    }


def read_texts(job: DebiasJob) -> tuple[list[str], list[str]]:
    """Read the first texts of the corpus, and those that no student reads.

    Args:
        job: Names the corpus, and how many texts are read.

    Returns:
        Texts to learn from, and held-out ones: from the beginning, where the corpus has more than are asked for.

    Raises:
        DataError: If there are too few.
    """
    wanted = int(job.options["rows"]) + HELD_OUT
    lines = (line.strip() for line in lines_of(Path(job.corpus)))
    found = list(islice((line for line in lines if line.count(" ") >= FEWEST_WORDS - 1), wanted))
    held_out = min(HELD_OUT, len(found) // 5)
    if not held_out:
        raise DataError(
            f"{job.corpus} has {len(found)} texts of {FEWEST_WORDS} words or more, and 5 are the fewest to learn "
            "from: name a longer text with --corpus"
        )
    return found[held_out:], found[:held_out]


def _check(teacher: Asked) -> None:
    try:
        require_mask(teacher)
    except ModelError as error:
        raise ModelError(
            f"fair-distillation takes a masked LM, and {teacher.folder} is none: {error}"
        ) from error
    check_whole(teacher.model)


def _options(job: DebiasJob, teacher: Asked) -> Facts:
    longest = model_max_tokens(teacher.model, teacher.tokenizer)
    return {**job.options, "tokens": min(int(job.options["tokens"]), longest)}


def _texts_with(teacher: Asked, texts: Sequence[str], groups: TokenGroups) -> int:
    wanted = {token for group in groups.ids for token in group}
    encoded = teacher.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return sum(not wanted.isdisjoint(ids) for ids in encoded)


def _taught(run: DebiasRun, lesson: Lesson, artefact: str, name: str) -> Facts:
    """Teach a student and keep it."""
    here = replace(lesson, folder=run.folder / ".checkpoints" / artefact)

    def work(target: Path) -> Facts:
        student, facts = distilled(here, name)
        return {**facts, "door": save_model(student, lesson.tokenizer, target)}

    facts = run.stage(name.lower(), work, artefact)
    run.clear(here.folder)
    return facts


def _figures(
    models: dict[str, Asked],
    held_out: Sequence[str],
    groups: TokenGroups,
    job: DebiasJob,
    suite: SuiteData | None,
) -> Facts:
    """Measure all models on the same items."""
    seen = {
        name: [*_on_blanks(asked, held_out, groups, job), *figures_of(asked, suite)]
        for name, asked in models.items()
    }
    pairs = {"bias": ("teacher", "student"), "against_control": ("control", "student")}
    facts: Facts = {
        key: side_by_side(names, [seen[name] for name in names])
        for key, names in pairs.items()
        if set(names) <= set(seen)
    }
    return {**facts, "loss_change": _change(seen["teacher"], seen["student"])}


def _change(first: Found, other: Found) -> Facts:
    both = [
        next(one for one in found if isinstance(one, Figure) and one.metric == LOSS)
        for found in (first, other)
    ]
    apart = change(*both)
    return {"value": apart.value, "low": apart.low, "high": apart.high, "beyond": apart.beyond}


def _on_blanks(asked: Asked, texts: Sequence[str], groups: TokenGroups, job: DebiasJob) -> list[Figure]:
    """Ask for masked words of texts that no student has read, and how far a group's words lie apart there."""
    rows = blank_rows(texts, asked.tokenizer, int(_options(job, asked)["tokens"]), job.seed)
    table = zip(rows["input_ids"][:], rows["starts"][:], rows["label"][:], strict=True)
    blanks = [(ids, [place for place in places if place >= 0], labels) for ids, places, labels in table]
    plain = [Question(tuple(ids), tuple(at), tuple(labels[: len(at)])) for ids, at, labels in blanks if at]
    lost = [-float(one.mean()) for one in answer(asked, plain, "Masked words")]
    figures = [mean_figure(LOSS, "held-out texts, nats", np.array(lost), "texts")]
    pairs = [(one, group[0], group[1]) for one in plain for group in groups.ids[:1]]
    firsts = answer(asked, [replace(one, wanted=(a,) * len(one.positions)) for one, a, _ in pairs])
    seconds = answer(asked, [replace(one, wanted=(b,) * len(one.positions)) for one, _, b in pairs])
    apart = [float(np.abs(a - b).mean()) for a, b in zip(firsts, seconds, strict=True)]
    words = " and ".join(groups.words[0][:2])
    return [*figures, mean_figure(GAP, f"{words}: |log P / P|, held-out texts", np.array(apart), "texts")]
