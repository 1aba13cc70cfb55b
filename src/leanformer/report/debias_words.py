"""A debiasing in words and rows: what it lowered, what that cost, and at which level."""

from __future__ import annotations

from typing import Any

from leanformer.report import numbers
from leanformer.report.bias import bias_rows

Facts = dict[str, Any]
MOVEMENT = "debias-movement"
DECIMALS = 2
"""Of an effect size."""


def measured_by(record: Facts) -> str:
    """Return the key of the tests that a level is shown by: the public ones where they were there, else our own."""
    return "own" if record["dense"]["public"] is None else "public"


def tests_name(record: Facts) -> str:
    """Return what these tests are called."""
    return str(record["dense"][measured_by(record)]["subject"])


def effect(facts: Facts) -> str:
    """Write a mean effect size."""
    return numbers.signed(facts["value"], DECIMALS)


def effect_interval(facts: Facts) -> str:
    """Write its interval."""
    return f"{numbers.signed(facts['low'], DECIMALS)} to {numbers.signed(facts['high'], DECIMALS)}"


def headline(record: Facts) -> str:
    """Say in a sentence what a debiasing came to.

    Args:
        record: The content of debias.json.

    Returns:
        The sentence.
    """
    return _of_movement(record) if record["method"] == MOVEMENT else _of_distillation(record)


def _of_movement(record: Facts) -> str:
    level, key = record["levels"][record["chosen"]], measured_by(record)
    before, after, apart = record["dense"][key], level[key], level[f"{key}_change"]
    verb = "fell" if after["value"] < before["value"] else "did not fall: it went"
    score = level["score"]
    lost = numbers.signed(score["drop_points"], DECIMALS)
    metric = numbers.metric_name(record["metric"])
    return (
        f"The mean absolute effect size of {tests_name(record)} {verb} from {effect(before)} to {effect(after)} "
        f"({numbers.signed(100 * apart['share'], 0)}% less), for {lost} points of {metric} on "
        f"{numbers.count(record['n'])} validation rows."
    )


def _of_distillation(record: Facts) -> str:
    key = "against_control" if "against_control" in record else "bias"
    rows = [row for row in bias_rows(record[key]) if row.change]
    apart = next(row for row in rows if row.metric == "words of a group apart")
    other = "a student of the same lessons without the groups" if key == "against_control" else "the teacher"
    (before, _), (after, _) = apart.values
    layers = record["layers"]
    return (
        f"A student of {layers['student']} of {layers['teacher']} layers tells the words of a group apart by {after} "
        f"nats where {other} does by {before} (difference {apart.change_interval})."
    )


def notes(record: Facts) -> list[str]:
    """Say what a reader has to know besides.

    Args:
        record: The content of debias.json.

    Returns:
        Sentences.
    """
    return _notes_of_movement(record) if record["method"] == MOVEMENT else _notes_of_distillation(record)


def _notes_of_movement(record: Facts) -> list[str]:
    level, key = record["levels"][record["chosen"]], measured_by(record)
    apart, score, words = level[f"{key}_change"], level["score"], record["words"]
    bound = f"{numbers.points_words(record['max_drop_points'])} on {numbers.count(record['judged_n'])} rows of train"
    within = (
        f"Level {level['level']:g} was chosen: the smallest effect on our own word tests among the levels that lose "
        f"at most {bound}."
        if record["within"]
        else f"No level loses at most {bound}: level {level['level']:g} loses least there. Give smaller --levels, or "
        "a larger --max-drop."
    )
    beyond = "beyond" if apart["beyond"] else "not beyond"
    found = [
        within,
        f"The difference of the effect is {effect_interval(apart)}, {beyond} chance; that of the score "
        f"{numbers.drop_interval(score['drop_interval'])} points lost.",
        f"{numbers.percent(level['closed']['share'])} of the encoder's weights are closed: {closed_words(level)}. "
        "All others are what they were.",
        f"Learned from {_counts(words['sentences'])} of {numbers.place(record['corpus'])}; "
        f"{words['targets']} target words.",
    ]
    if words["targets_of_seat"]:
        found.append(
            f"{len(words['targets_of_seat'])} of the target words are asked about by SEAT 6, 7 or 8, too: "
            f"{', '.join(words['targets_of_seat'])}."
        )
    if key == "own":
        found.append(
            "The level was chosen by the same word tests, which flatters it: name the public ones with --suite-data."
        )
    return found


def _notes_of_distillation(record: Facts) -> list[str]:
    texts, groups, change = record["texts"], record["groups"], record["loss_change"]
    found = [
        f"{len(groups['words'])} groups of words with one logit in the teacher; "
        f"{numbers.count(texts['with_groups'])} of {numbers.count(texts['read'])} texts have a word of them.",
        f"Becoming smaller cost {numbers.signed(change['value'], DECIMALS)} nats a masked word "
        f"({effect_interval(change)}) on {numbers.count(texts['held_out'])} texts that no student has read.",
    ]
    if groups["left_out"]:
        found.append(f"In pieces in this vocabulary, and left out: {', '.join(groups['left_out'])}.")
    if "against_control" not in record:
        found.append(
            "There is no control: what the groups did can not be told from what becoming smaller did."
        )
    return found


def closed_words(level: Facts) -> str:
    """Say what of each kind is closed."""
    names = {"head": "heads", "neuron": "neurons"}
    return ", ".join(
        f"{numbers.count(one['closed'])} of {numbers.count(one['of'])} {names.get(kind, f'weights of {kind}')}"
        for kind, one in level["closed"]["kinds"].items()
    )


def _counts(sentences: Facts) -> str:
    named = {"male": "with a male word", "female": "with a female one", "target": "with a target word"}
    parts = [f"{numbers.count(sentences[kind])} {words}" for kind, words in named.items()]
    return f"sentences, {', '.join(parts[:-1])} and {parts[-1]},"


def level_rows(record: Facts) -> list[Facts]:
    """Return one row a level, the dense model first.

    Args:
        record: The content of debias.json.

    Returns:
        Rows of text: `name`, `closed`, `effect`, `effect_interval`, `share`, `own`, `judged`, `score`,
        `score_interval`, `lost`, `lost_interval`, `tests` (the effect of each test), `chosen`.
    """
    key, dense = measured_by(record), record["dense"]
    first = {
        "name": "original",
        "closed": "",
        "share": "",
        "judged": "",
        "lost": "",
        "lost_interval": "",
        "chosen": False,
        **_shown(dense, key),
    }
    return [first, *(_level_row(record, number, key) for number in range(len(record["levels"])))]


def _level_row(record: Facts, number: int, key: str) -> Facts:
    level = record["levels"][number]
    return {
        "name": f"{level['level']:g}",
        "closed": numbers.percent(level["closed"]["share"]),
        "share": f"{numbers.signed(-100 * level[f'{key}_change']['share'], 0)}%",
        "judged": numbers.signed(level["judged"]["drop_points"], DECIMALS),
        "lost": numbers.signed(level["score"]["drop_points"], DECIMALS),
        "lost_interval": numbers.drop_interval(level["score"]["drop_interval"]),
        "chosen": number == record["chosen"],
        **_shown(level, key),
    }


def _shown(facts: Facts, key: str) -> Facts:
    score = facts["score"]
    return {
        "effect": effect(facts[key]),
        "effect_interval": effect_interval(facts[key]),
        "own": effect(facts["own"]),
        "score": numbers.points(score["score"]),
        "score_interval": numbers.points_interval(score["low"], score["high"]),
        "tests": [(one["subject"], numbers.signed(one["value"], DECIMALS)) for one in facts[key]["tests"]],
    }
