"""The tables of README.md and docs/speed.md: the demo, and what the aims of the speed contract measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from markdown_tables import MISSING, RESULTS, Facts, interval, processor, read, source, table

FORMS = ("", "first-token", "eager-attention", "first-token+eager-attention")


def demo_table() -> str:
    """The summary of a full demo run."""
    facts = read(RESULTS / "demo.json")
    if facts is None:
        return MISSING
    dense, small = facts["dense"], facts["compressed"]
    rows = [
        [
            facts["metric"],
            *(f"{100 * side['score']:.1f}" for side in (dense, small)),
            interval(facts["drop_interval"], "points lost"),
        ],
        on_test(facts),
        ["encoder parameters", *(f"{side['encoder_parameters'] / 1e6:.2f} M" for side in (dense, small)), ""],
        ["size on disk", *(f"{side['size_mb']:.0f} MB" for side in (dense, small)), ""],
    ]
    for row in facts["bench"]:
        if row["model"] == "compressed":
            name = f"{row['runtime']} {row['precision']}, batch {row['batch']}"
            score = f"{facts['metric']} {100 * row['score']:.1f}"
            rows.append([name, "1x = dense torch fp32", times(ratio_of(row)), score])
    seconds = sum(stage["seconds"] for stage in facts["stages"])
    note = (
        f"\n\nRotten Tomatoes sentences, n = {facts['n']}, seed {facts['seed']}, `{facts['command']}`, commit "
        f"{facts['commit']}, {processor(facts)}, {facts['machine']['threads']} threads, {seconds / 60:.1f} minutes."
    )
    return table(["", "dense MiniLM", "compressed", "95% interval, or score"], rows) + note


def on_test(facts: Facts) -> list[str]:
    """Return the row of the demo's test rows, which nothing was chosen on either."""
    test = facts["test"]
    scores = [f"{100 * test[side]:.1f}" for side in ("dense", "compressed")]
    return [f"on {test['n']} test rows", *scores, interval(test["drop_interval"], "points lost")]


def ratio_of(row: Facts, name: str = "ratio") -> list[float]:
    """Return a ratio with its interval."""
    return [row[name], row["ratio_low"], row["ratio_high"]]


def times(ratio: Sequence[float]) -> str:
    """Return a ratio and its interval in words."""
    return f"{ratio[0]:.2f}x ({ratio[1]:.2f} to {ratio[2]:.2f})"


def clock_table() -> str:
    """An identical copy against the model itself."""
    facts = read(RESULTS / "clock_noise.json")
    if facts is None:
        return MISSING
    rows = []
    for name, ones in facts["by_variant"].items():
        ratios = [one["ratio"] for one in ones]
        widest = max((one["high"] - one["low"]) / 2 / one["ratio"] for one in ones)
        rows.append(
            [
                name,
                f"{median(ratios):.3f}",
                f"{min(ratios):.3f} to {max(ratios):.3f}",
                f"{sum(one['settled'] for one in ones)} of {len(ones)}",
                f"{sum(one['one_is_inside'] for one in ones)} of {len(ones)}",
                f"{100 * widest:.1f}%",
                f"{min(one['rounds'] for one in ones)} to {max(one['rounds'] for one in ones)}",
            ]
        )
    header = [
        *("runtime and batch", "median ratio", "least to most", "interval within 5%", "1.00 inside it"),
        *("widest interval, ±", "rounds"),
    ]
    return table(header, rows) + source(
        facts, f"{facts['repeats']} repeats, both models loaded anew for each"
    )


def prediction_table() -> str:
    """Predicted against measured speed-up of random pruned models, a table for each run of the benchmark."""
    return "\n\n".join(map(prediction_of, results_of("latency_prediction"))) or MISSING


def prediction_of(facts: Facts) -> str:
    """Return the table of one run."""
    rows = [
        [
            f"{row['runtime']} {row['precision']}",
            str(row["batch"]),
            f"{100 * row['median_relative_error']:.1f}%",
            f"{100 * row['largest_relative_error']:.1f}%",
            f"{100 * row['median_relative_error_of_the_sum']:.1f}%",
        ]
        for row in facts["summary"]
    ]
    header = ["runtime", "batch", "median error", "largest error", "median error of the plain sum"]
    ratios = [model["pruning_ratio"] for model in facts["models"]]
    about = (
        f"{len(facts['models'])} random models of {facts['model']}",
        f"{facts.get('plan', 'full')} table",
        f"pruning ratios {min(ratios):.2f} to {max(ratios):.2f}",
        f"{' and '.join(map(str, facts['tokens']))} tokens",
    )
    return table(header, rows) + source(facts, *about)


def results_of(folder: str) -> Iterator[Facts]:
    """Yield the results in a folder."""
    for path in sorted((RESULTS / folder).glob("*.json")):
        if (facts := read(path)) is not None:
            yield facts


def best_forms_table() -> str:
    """The fastest of all forms against the fastest plain variant."""
    rows = [
        [facts["task"], str(one["batch"]), spelt(one["best_plain"]), spelt(one["best"]), times(ratio_of(one))]
        for facts in results_of("exact_forms")
        for one in facts["best"]
    ]
    header = ["task", "batch", "fastest plain variant", "fastest of all", "ratio"]
    return table(header, rows) if rows else MISSING


def spelt(variant: Sequence[str]) -> str:
    """Return the name of a variant."""
    return " ".join(filter(None, variant))


def forms_table() -> str:
    """Each form over the plain one in the same runtime and precision."""
    found = list(results_of("exact_forms"))
    rows = [row for facts in found for row in form_rows(facts)]
    header = ["task", "batch", "runtime", "plain, ms", *FORMS[1:], "largest difference of a logit"]
    notes = [source(facts, facts["task"], f"n = {facts['n']}", f"{rounds(facts)} rounds") for facts in found]
    return table(header, rows) + "".join(notes) if rows else MISSING


def rounds(facts: Facts) -> int:
    """Return how often each form was timed."""
    return min(row["rounds"] for row in facts["rows"])


def form_rows(facts: Facts) -> Iterator[list[str]]:
    """Yield a row for each runtime, precision and batch size."""
    every = {(row["batch"], row["runtime"], row["precision"], row["form"]): row for row in facts["rows"]}
    for batch, runtime, precision in dict.fromkeys(key[:3] for key in every):
        own = {form: every.get((batch, runtime, precision, form)) for form in FORMS}
        ratios = [times(ratio_of(row, "ratio_to_plain")) if row else "" for row in list(own.values())[1:]]
        largest = max(row["max_difference"] for row in own.values() if row)
        plain = own[""]
        shown = f"{plain['latency_ms']:.1f}" if plain else ""
        yield [facts["task"], str(batch), f"{runtime} {precision}", shown, *ratios, f"{largest:.1g}"]


def int8_table() -> str:
    """Every int8 variant: score, distance, size and speed."""
    parts = []
    for facts in results_of("int8"):
        rows = []
        for name, one in facts["variants"].items():
            if "score" in one:
                lost = 100 * (facts["torch_score"] - one["score"])
                speeds = [times(facts["speed_ratio_by_batch"][size][name]) for size in ("1", "8")]
                stayed = len(one.get("float_sublayers", ()))
                held = f"{one['held_out']['drop_points']:+.1f}" if "held_out" in one else ""
                rows.append(
                    [
                        *(name, f"{one['size_mb']:.0f}", f"{100 * one['score']:.1f}", f"{lost:+.1f}", held),
                        *(f"{one['divergence']:.2g}", str(stayed or ""), *speeds),
                    ]
                )
        header = [
            *("variant", "MB", facts["metric"], "points lost", "lost on held-out train", "KL"),
            *("sub-layers in float", "batch 1", "batch 8"),
        ]
        about = f"{facts['name']}: torch scores {100 * facts['torch_score']:.1f}"
        note = source(
            facts, about, f"n = {facts['validation_rows']}", f"bound {facts['bound_points']:g} points"
        )
        parts.append(table(header, rows) + note)
    return "\n\n".join(parts) or MISSING


def training_table() -> str:
    """An epoch plainly and by default, and the score that came of it."""
    facts = read(RESULTS / "training_speed.json")
    if facts is None:
        return MISSING
    whole = facts["whole"]
    rows = [
        [
            name,
            f"{whole[name]['seconds_an_epoch']:.0f}",
            f"{100 * whole[name]['padding_share']:.0f}%",
            f"{100 * whole[name]['score']:.1f}",
        ]
        for name in ("plain", "defaults")
    ]
    ratio = f"{whole['ratio']:.2f}x faster"
    rows.append(["defaults against plain", ratio, "", interval(whole["drop_interval"], "points lost")])
    header = ["training", "seconds an epoch", "padding", f"{whole['metric']} after {whole['epochs']} epochs"]
    about = (f"{facts['model']} on {facts['task']}", f"{facts['rows']} rows", f"n = {whole['n']}")
    return table(header, rows) + source(facts, *about)


def choices_table() -> str:
    """What each choice of the training defaults is worth."""
    facts = read(RESULTS / "training_speed.json")
    if facts is None:
        return MISSING
    rows = [
        [
            name,
            f"{one['seconds']:.1f}",
            times(one["times_the_defaults"]),
            f"{one['trained_parameters'] / 1e6:.1f} M",
            f"{100 * one['padding_share']:.0f}%",
        ]
        for name, one in facts["each"].items()
    ]
    header = ["training", "seconds", "times the defaults", "parameters that train", "padding"]
    repeats = len(next(iter(facts["each"].values()))["rounds_s"])
    return table(header, rows) + f"\n\n{facts['short_rows']} rows, one epoch, {repeats} rounds in turns."


def auto_table() -> str:
    """What auto chose, and what it is worth on rows that nothing was chosen on."""
    found = list(results_of("auto"))
    rows = [auto_row(facts) for facts in found]
    header = [
        *("model and task", "batch", "rung", "served in", "points lost on validation", "on further rows"),
        *("over the best dense variant, our exact forms included", "over the best plain one", "minutes"),
    ]
    notes = [source(facts, facts["name"], f"n = {rows_of(facts)}") for facts in found]
    return table(header, rows) + "".join(notes) if rows else MISSING


def auto_row(facts: Facts) -> list[str]:
    """Return the row of one climb; points are those of the variant that is served, on validation rows."""
    ladder, serve, batch = facts["ladder"], facts["serve"], facts["ladder"]["batch"]
    rung = ladder["rungs"][ladder["chosen"][0]]
    ratio = f", {100 * rung['pruning_ratio']:.0f}% pruned" if rung["pruning_ratio"] else ""
    served = spelt([serve["runtime"], serve["precision"], serve["form"]])
    test = facts["test"]
    on_test = f"{100 * (test['dense'] - test['compressed']):+.1f} (PyTorch fp32)" if test else ""
    if test and test.get("served"):
        low, high = test["served"]["drop_interval"]
        on_test = f"{test['served']['drop_points']:+.1f} ({low:+.1f} to {high:+.1f})"
    over = facts["gain"][str(batch)]
    return [
        *(facts["name"], str(batch), rung["name"] + ratio, served),
        *(f"{facts['served_drop_points']:+.1f}", on_test),
        f"{over['ratio']:.2f}x ({over['low']:.2f} to {over['high']:.2f}) over {over['best_plain']}",
        plain_words(facts.get("over_plain")),
        f"{facts['wall_s'] / 60:.0f}",
    ]


def plain_words(over: Facts | None) -> str:
    """Return how much faster than the best variant without exact forms; older results did not keep it."""
    return f"{over['ratio']:.2f}x over {over['variant']}" if over else ""


def rows_of(facts: Facts) -> str:
    """Return how many rows the figures are of."""
    return f"{facts['n']} and {facts['test']['n']}" if facts["test"] else str(facts["n"])


def ladder_table() -> str:
    """The rungs of each climb: what each cost, and the best that it gave."""
    found = list(results_of("auto"))
    rows = [
        [facts["name"], rung["name"], *rung_cells(rung)]
        for facts in found
        for rung in facts["ladder"]["rungs"]
        if rung["steps"]
    ]
    header = [
        "climb",
        "rung",
        "pruned",
        "seconds",
        "fastest that is sound, else fastest",
        "speed",
        "points lost",
    ]
    return table(header, rows) if rows else MISSING


def rung_cells(rung: Facts) -> list[str]:
    """Return the cells of a rung: its fastest sound step, or its fastest where none is."""
    best = max(rung["steps"], key=lambda step: (step["sound"], step["ratio"]))
    return [
        f"{100 * rung['pruning_ratio']:.0f}%",
        f"{rung['seconds']:.0f}",
        spelt([best["runtime"], best["precision"], best["form"]]),
        times(ratio_of(best)),
        f"{best['drop_points']:+.1f}{'' if best['sound'] else ', too much'}",
    ]


def kills_table() -> str:
    """What came of killed runs, by the stage in which they were killed."""
    facts = read(RESULTS / "kills.json")
    if facts is None:
        return MISSING
    stages = Counter(kill["stage"] for kill in facts["kills"])
    fine = Counter(kill["stage"] for kill in facts["kills"] if kill["fine"])
    rows = [[stage, str(count), str(fine[stage])] for stage, count in stages.items()]
    rows.append(["all", str(sum(stages.values())), str(sum(fine.values()))])
    about = f"a whole run takes {facts['whole_seconds']:.0f} s"
    return table(["killed", "runs", "the same after --resume"], rows) + source(facts, about)


TABLES: dict[str, Callable[[], str]] = {
    "demo": demo_table,
    "clock": clock_table,
    "prediction": prediction_table,
    "best_forms": best_forms_table,
    "forms": forms_table,
    "int8": int8_table,
    "training": training_table,
    "choices": choices_table,
    "kills": kills_table,
    "auto": auto_table,
    "ladder": ladder_table,
}
