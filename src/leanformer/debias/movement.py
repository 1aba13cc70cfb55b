"""A run of debias-movement: gates at every level, the choice of one, the sliced model, the curve."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanformer.audit.compare import side_by_side
from leanformer.audit.mentions import OWN_WORDS, Mention, Words, mentions, read_words, require_mentions
from leanformer.audit.models import load_asked
from leanformer.audit.read import read_suite
from leanformer.audit.sightings import sentences
from leanformer.auditing import figures_of, lines_of
from leanformer.debias.job import DebiasJob, DebiasRun
from leanformer.debias.judging import SEAT_GENDER, Judge, as_asked, change_facts, own_effects, public_effects
from leanformer.encoders.saving import save_model
from leanformer.encoders.view import EncoderView
from leanformer.errors import ModelError
from leanformer.methods.debias_movement import Case, objective, trained_masks
from leanformer.methods.movement import without_closed
from leanformer.progress import bar, say
from leanformer.record import layer_facts
from leanformer.structure.cost import encoder_weights, removed_weights
from leanformer.structure.mask_files import load_masks, save_masks
from leanformer.tasks.encode import encode, longest_input
from leanformer.tasks.heads import load_model
from leanformer.tasks.load import load_data
from leanformer.tasks.split import split_held_out
from leanformer.training.neutral import anchors_of, mean_terms
from leanformer.training.word_rows import word_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from leanformer.audit.read import SuiteData
    from leanformer.structure.masks import Masks

Facts = dict[str, Any]
LEAST_SENTENCES = 4
"""Of each kind: fewer say nothing of a direction."""

COPIES_ON_DISK = 4
"""Of the model: sliced, and checkpoints of a training."""


def debias_movement(run: DebiasRun) -> Facts:
    """Do what a run has left to do.

    Args:
        run: The run.

    Returns:
        What the method adds to debias.json.
    """
    job: DebiasJob = run.asked
    data = load_data(job.data_named)
    say(data.description)
    suite = None if job.suite_data is None else read_suite(Path(job.suite_data), job.most)
    model, tokenizer = _loaded(job, data.task)
    longest = longest_input(model, tokenizer, job.max_tokens)
    train, validation = (
        encode(rows, tokenizer, longest, job.truncate) for rows in (data.train, data.validation)
    )
    _, held_out = split_held_out(train, validation, data.task, job.seed)
    run.require_disk(COPIES_ON_DISK * sum(one.numel() * 4 for one in model.parameters()) / 1e6)
    words = read_words(Path(str(job.options["words"]))) if job.options["words"] else OWN_WORDS
    found = _mentions(run, words)
    rows = word_rows(found, tokenizer)
    case = Case(
        model,
        tokenizer,
        rows,
        anchors_of(model, tokenizer, rows),
        job.granularity,
        job.options,
        job.seed,
        run.folder / ".checkpoints",
    )
    judge = Judge.of(model, tokenizer, data.task, held_out, job.seed)
    own = own_effects(as_asked(model, tokenizer))
    dense = {"judged": judge.score(), "own": own.facts(), "terms": _terms(case, model)}
    levels = [_level(run, case, level, judge, own) for level in job.levels]
    chosen, within = choice(levels, job.max_drop_points)
    facts = run.stage("model", lambda target: _written(run, case, levels[chosen], target), "model")
    curve = run.stage("curve", lambda _: _curve(run, case, (data.task, validation), suite))
    bias = run.stage("figures", lambda _: _figures(run, suite))
    return {
        "task": {key: asdict(data.task)[key] for key in ("name", "kind", "pair")},
        "metric": data.task.metric,
        "n": curve["dense"]["score"]["n"],
        "judged_n": dense["judged"]["n"],
        "words": _about(words, found, suite),
        "dense": {**dense, **curve["dense"]},
        "levels": [{**level, **more} for level, more in zip(levels, curve["levels"], strict=True)],
        "chosen": chosen,
        "within": within,
        "bias": bias,
        **facts,
    }


def choice(levels: list[Facts], max_drop_points: float) -> tuple[int, bool]:
    """Choose a level by what was measured on rows of train and on our own words.

    Args:
        levels: With the points that each has lost under `judged`, and its mean effect size under `own`.
        max_drop_points: What may be lost.

    Returns:
        The level of the smallest effect among those that lose no more; where none does, the one that loses least, and
        False.
    """
    lost = [level["judged"]["drop_points"] for level in levels]
    within = [number for number, points in enumerate(lost) if points <= max_drop_points]
    if not within:
        return lost.index(min(lost)), False
    return min(within, key=lambda number: levels[number]["own"]["value"]), True


def _loaded(job: DebiasJob, task: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    from leanformer.audit.vectors import check_whole

    model, tokenizer, has_head = load_model(job.model, task, False, job.trust_remote_code)
    if not has_head:
        raise ModelError(
            f"{job.model} has no head for the task, so it has no score to keep: train one with leanformer compress, "
            "or judge its sentence embeddings on pairs of texts with --kind embedding"
        )
    check_whole(model)
    return model, tokenizer


def _mentions(run: DebiasRun, words: Words) -> list[Mention]:
    """Read sentences from the text, once."""
    job = run.asked
    path = Path(job.corpus)
    half = int(job.options["sentences"]) // 2
    most = {"male": half // 2, "female": half // 2, "target": half}

    def work(target: Path) -> Facts:
        with bar() as progress:
            shown = progress.add_task("Sentences", total=sum(most.values()))
            found = mentions(
                sentences(lines_of(path)), words, most, lambda count: progress.update(shown, completed=count)
            )
        require_mentions(found, path, LEAST_SENTENCES)
        lines = [json.dumps(asdict(one), ensure_ascii=False) for one in found]
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"sentences": len(found)}

    run.stage("sentences", work, "sentences.jsonl")
    lines = run.artefact("sentences.jsonl").read_text(encoding="utf-8").splitlines()
    return [Mention(**{**one, "span": tuple(one["span"])}) for one in map(json.loads, lines)]


def _level(run: DebiasRun, case: Case, level: float, judge: Judge, own: Any) -> Facts:
    """Train the gates of one level, keep its masks, and judge it."""
    name = f"level-{level:g}"
    here = replace(case, folder=case.folder / name)

    def work(target: Path) -> Facts:
        masks, training = trained_masks(here, level)
        save_masks(masks, target)
        small, _ = without_closed(case.model, masks, case.granularity)
        effects = own_effects(as_asked(small, case.tokenizer))
        return {
            "level": level,
            "closed": _closed(case, masks),
            "judged": judge.score(small),
            "own": effects.facts(),
            "own_change": change_facts(own, effects),
            "terms": _terms(case, small),
            "training": training,
        }

    facts = run.stage(name, work, f"{name}.safetensors")
    run.clear(here.folder)
    return facts


def _closed(case: Case, masks: Masks) -> Facts:
    """Count what is closed: shares of all weights of the encoder's matrices, and of each kind."""
    kinds: dict[str, list[Any]] = {}
    for (_, kind), mask in masks.items():
        kinds.setdefault(kind, []).append(mask.flatten())
    view = EncoderView(case.model)
    gone = {kind: sum(int((mask == 0).sum()) for mask in found) for kind, found in kinds.items()}
    whole = {kind: sum(mask.numel() for mask in found) for kind, found in kinds.items()}
    by_kind = {kind: {"closed": gone[kind], "of": whole[kind]} for kind in kinds}
    return {"share": removed_weights(view, masks) / encoder_weights(view), "kinds": by_kind}


def _masks(run: DebiasRun, level: Facts) -> Masks:
    return load_masks(run.artefact(f"level-{level['level']:g}.safetensors"))


def _terms(case: Case, model: PreTrainedModel) -> Facts:
    debias, retain = mean_terms(model, case.tokenizer, case.rows, objective(case))
    return {"debias": debias, "retain": retain}


def _written(run: DebiasRun, case: Case, level: Facts, target: Path) -> Facts:
    small, units = without_closed(case.model, _masks(run, level), case.granularity)
    door = save_model(small, case.tokenizer, target)
    return {"door": door, "layers": layer_facts(EncoderView(case.model), units)}


def _curve(run: DebiasRun, case: Case, reported: tuple[Any, Any], suite: SuiteData | None) -> Facts:
    """Read the validation rows and the public tests: for the report, after everything is chosen."""
    task, validation = reported
    judge = Judge.of(case.model, case.tokenizer, task, validation, case.seed)
    dense = public_effects(as_asked(case.model, case.tokenizer), suite)
    levels = []
    for level in (run.finished(f"level-{one:g}") for one in run.asked.levels):
        small, _ = without_closed(case.model, _masks(run, level or {}), case.granularity)
        effects = public_effects(as_asked(small, case.tokenizer), suite)
        levels.append(
            {
                "score": judge.score(small),
                "public": None if effects is None else effects.facts(),
                "public_change": None if effects is None or dense is None else change_facts(dense, effects),
            }
        )
    first = {"score": judge.score(), "public": None if dense is None else dense.facts()}
    return {"dense": first, "levels": levels}


def _figures(run: DebiasRun, suite: SuiteData | None) -> Facts:
    """Measure the dense model and the chosen one as an audit does."""
    places = {"dense": run.asked.model, "debiased": str(run.artefact("model"))}
    found = [figures_of(load_asked(place, run.asked.trust_remote_code), suite) for place in places.values()]
    return side_by_side(list(places), found)


def _about(words: Words, found: list[Mention], suite: SuiteData | None) -> Facts:
    """Say what was learned from, and which of its target words the public tests ask about."""
    asked = {
        word.strip(".").lower()
        for name in SEAT_GENDER
        for part in (suite.seat.get(name, ()) if suite is not None else ())
        for text in part
        for word in text.split()
    }
    targets = {one.word for one in found if one.kind == "target"}
    return {
        "sentences": {kind: sum(one.kind == kind for one in found) for kind in ("male", "female", "target")},
        "targets": len(targets),
        "targets_of_seat": None if suite is None else sorted(targets & asked),
    }
