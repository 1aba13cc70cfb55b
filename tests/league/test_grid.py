"""The grid: which methods take part, and what each is asked for."""

from pathlib import Path

import pytest

from leanformer.budget import Budget
from leanformer.errors import LeanformerError
from leanformer.job import Job
from leanformer.league.grid import contestants, league_of
from leanformer.methods import registry
from leanformer.methods.method import Method
from leanformer.tasks.load import DataSpec

JOB = Job("bert", DataSpec("reviews"), Budget(pruning_ratio=0.6), threads=1, finetune=True)
DENSE = Path("/league/dense/teacher")


def test_every_method_takes_part_but_those_without_a_place_beside_the_others():
    assert set(registry.METHODS) - set(contestants()) == {"auto", "multitask", "token-merge"}


def test_a_method_that_comes_later_appears_by_itself(monkeypatch):
    new = Method("new", "a paper", 2030, ("unit",), "some", "nothing", "an hour", "nowhere:run")
    monkeypatch.setitem(registry.METHODS, "new", new)
    league = league_of(JOB)
    assert league.methods[-1] == "new"
    assert [cell.name for cell in league.cells(DENSE)][-1] == "new-0.6-0"


def test_cells_share_all_but_method_and_seed():
    league = league_of(JOB, ("ae-bert", "drop-layers"), seeds=(3, 1))
    cells = league.cells(DENSE)
    assert [cell.name for cell in cells] == [
        *("ae-bert-0.6-3", "drop-layers-0.6-3"),
        *("ae-bert-0.6-1", "drop-layers-0.6-1"),
    ]
    for cell in cells:
        differences = [line.split(" ")[0] for line in league.job.differences(cell.job)]
        assert set(differences) <= {"model", "method", "granularity", "seed", "finetune", "options.strategy"}
        assert (cell.job.model, cell.job.finetune) == (str(DENSE), False)
        assert (cell.job.exports, cell.job.timing) == ((), False)
    assert league.job.seed == 3


def test_a_method_that_takes_no_ratio_gets_its_own_bound():
    (cell,) = league_of(JOB, ("accuracy-driven",)).cells(DENSE)
    assert cell.job.budget == Budget(max_drop_points=1.0)
    assert cell.name == "accuracy-driven-0"
    for cell in league_of(JOB, ("taylor-heads", "astar-heads")).cells(
        DENSE
    ):  # go by a score, take a ratio too
        assert cell.job.budget == JOB.budget


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"methods": ("magic",)}, "there is no method 'magic'"),
        ({"methods": ("auto",)}, "auto has no row beside the others"),
        ({"methods": ("ae-bert", "ae-bert")}, "--method names ae-bert twice"),
        ({"seeds": (1, 1)}, "--seeds names 1 twice"),
        ({"seeds": (0, -1)}, "the seed -1 lies outside"),
        ({"seeds": ()}, "no seed is given"),
    ],
)
def test_what_can_not_be_played_is_refused(settings, sentence):
    with pytest.raises(LeanformerError, match=sentence):
        league_of(JOB, **settings)
