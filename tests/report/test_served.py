"""What to serve after a climb: the headline where nothing was removed, a note where something was."""

from __future__ import annotations

from typing import Any

import pytest
from report_example import example_climb, example_result

from leanformer.report.card import model_card
from leanformer.report.cards import cards
from leanformer.report.loading import export_doors
from leanformer.report.method import method_words
from leanformer.report.page import render
from leanformer.report.served import end_words, nothing_removed, served
from leanformer.report.words import verdict

NO_GAIN = {
    "best_plain": "openvino int8",
    "best_compressed": "openvino int8",
    "ratio": 1.0,
    "low": 0.98,
    "high": 1.02,
}


def with_bench_row(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Give the bench a row of the variant to serve."""
    row = result["serve"] | {"model": "compressed", "batch": 1, "latency_ms": 3.4, "size_mb": 25.0, "n": 408}
    row |= {"ratio": 3.3, "ratio_low": 3.1, "ratio_high": 3.5, "score": 0.7990} | others
    result["bench"].append(row)
    return result


def headline(result: dict[str, Any]) -> str:
    return verdict(result).headline.replace("\u00a0", " ")


def test_nothing_removed_is_no_failure() -> None:
    result = with_bench_row(example_climb(rungs=2)) | {"gain": {"1": NO_GAIN | {"gain": False}}}
    assert headline(result) == (
        "Nothing had to be removed. Serve the original in OpenVINO int8 first-token: it answers 3.3 times as fast as "
        "in PyTorch fp32 at batch 1 (95% interval 3.10 to 3.50), with accuracy 79.9 instead of 80.1 (n = 408)."
    )
    said = verdict(result)
    assert said.tone == "good"
    assert "instead (" not in " ".join(said.notes)
    assert "no gain" not in " ".join((*said.notes, end_words(result)))
    assert any("the climb ended at “fewer bits”" in note for note in said.notes)


def test_without_a_row_of_the_bench_the_ladders_figures_are_named_as_such() -> None:
    result = example_climb(rungs=2)
    assert served(result).rows == "on 512 held-out rows"
    assert "86.1 (on 512 held-out rows)" in headline(result)


def test_a_retrained_model_is_not_called_the_original() -> None:
    result = example_climb(rungs=3)
    result["ladder"]["chosen"] = [2, 0]
    assert "Serve the retrained model in" in headline(result)
    assert "as fast as the original in PyTorch fp32" in headline(result)


@pytest.mark.parametrize(
    ("row", "tone", "words"),
    [
        ({"score": 0.75}, "bad", "These rows say 5.1 points lost"),
        (
            {"score": 0.785},
            "mixed",
            "These rows say 1.6 points lost; on the 512 held-out rows that chose it",
        ),
        (
            {"ratio": 1.0, "ratio_low": 0.9, "ratio_high": 1.1},
            "mixed",
            "it is not measurably faster than in PyTorch",
        ),
        ({"ratio": 0.8, "ratio_low": 0.7, "ratio_high": 0.9}, "mixed", "it is slower than in PyTorch fp32"),
    ],
)
def test_what_validation_rows_say_is_told(row: dict[str, Any], tone: str, words: str) -> None:
    said = verdict(with_bench_row(example_climb(rungs=2), **row))
    assert said.tone == tone
    assert words in " ".join((said.headline, *said.notes))


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("knee", "Nothing was gained: the original as it is"),
        ("missed", "At most 20 MB was out of reach: the original"),
    ],
)
def test_the_original_as_it_is_may_be_the_best(why: str, words: str) -> None:
    result = example_climb(why, rungs=1)
    result["ladder"] |= {"chosen": [0, 0], "asked": "at most 20 MB"}
    result["serve"] = {"runtime": "torch", "precision": "fp32", "form": ""}
    assert headline(result).startswith(words)
    assert headline(result).endswith("found with accuracy 80.1 as before (n = 408).")
    assert verdict(result).tone == "mixed"


def test_a_missed_budget_is_said() -> None:
    result = example_climb("missed", rungs=2)
    assert headline(result).startswith(
        "Nothing was removed, and 9 times faster was out of reach. Nearest is the orig"
    )
    assert verdict(result).tone == "mixed"
    pruned = example_climb("missed")
    assert any("no rung meets it" in note for note in verdict(pruned).notes)
    assert verdict(pruned).tone == "mixed"


def test_the_headline_of_a_pruned_model_is_of_the_variant_to_serve() -> None:
    result = with_bench_row(example_climb(), ratio=5.0, ratio_low=4.8, ratio_high=5.2)
    said, alone = headline(result), headline(example_result())
    assert said.startswith(alone.split(";")[0])
    assert (
        ". Serve it in OpenVINO int8 first-token: it answers 5.0 times as fast as the original in PyTorch fp32"
        in said
    )
    assert "accuracy 79.9 instead of 80.1 (n = 408)" in said
    notes = [note.replace("\u00a0", " ") for note in verdict(result).notes]
    assert "In PyTorch fp32" + alone[alone.index(";") + 1 :] in notes
    assert verdict(result).tone == "good"
    assert end_words(result).count("OpenVINO int8 first-token") == 1


@pytest.mark.parametrize("ladder", [None, {}])
def test_other_methods_have_no_ladder(ladder: Any) -> None:
    result = example_result() | {"ladder": ladder}
    assert not nothing_removed(result)
    assert 'id="ladder"' not in render(result)
    assert "Serve it in" not in model_card(result)


def test_the_speed_card_shows_what_is_served() -> None:
    (speed,) = (card for card in cards(with_bench_row(example_climb(rungs=2))) if card.name == "speed")
    assert speed.value == "3.3×"
    assert "OpenVINO int8 first-token, 95% interval" in speed.details


@pytest.mark.parametrize(
    ("rungs", "words"),
    [
        (2, "rung “fewer bits” of leanformer's ladder: int8 and bf16"),
        (7, "rung “ae-bert, 50% pruned” of leanformer's"),
    ],
)
def test_the_model_card_says_how_to_serve_it_and_which_rung_it_came_from(rungs: int, words: str) -> None:
    card = model_card(example_climb(rungs=rungs))
    assert "**Serve it in OpenVINO int8 first-token.**" in card
    assert words in card
    assert ("Pruning ratio asked" in card) == (rungs == 7)


def test_the_method_of_the_last_rung_is_named_too() -> None:
    assert "arXiv 2206.10461" in method_words(example_climb())
    assert "arXiv" not in method_words(example_climb(rungs=2))


def test_the_code_to_load_is_of_the_variant_to_serve() -> None:
    result = example_climb(rungs=1) | {"serve": {"runtime": "openvino", "precision": "fp32", "form": ""}}
    assert {door.name for door in export_doors(result, "small")} == {"OpenVINO, fp32", "ONNX Runtime, int8"}
