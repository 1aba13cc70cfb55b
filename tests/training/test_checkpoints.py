"""Which checkpoint a killed training goes on from."""

import pytest

from leanformer.training.finetune import last_whole_checkpoint


@pytest.fixture
def folder(tmp_path):
    for step in (10, 20):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text('{"global_step": 1}')
    return tmp_path


def test_newest_whole_checkpoint_is_taken(folder):
    assert last_whole_checkpoint(folder) == str(folder / "checkpoint-20")


@pytest.mark.parametrize("state", [None, "", '{"global_'])
def test_checkpoint_that_a_kill_cut_short_is_passed_over_and_removed(folder, state):
    newest = folder / "checkpoint-20"
    (newest / "trainer_state.json").unlink()
    if state is not None:
        (newest / "trainer_state.json").write_text(state)
    assert last_whole_checkpoint(folder) == str(folder / "checkpoint-10")
    assert not newest.exists()


def test_no_checkpoint(tmp_path):
    assert last_whole_checkpoint(tmp_path) is None
    assert last_whole_checkpoint(tmp_path / "absent") is None


def test_of_several_processes_each_has_to_have_written(folder, monkeypatch):
    for rank, steps in ((0, (10, 20)), (1, (10,))):
        for step in steps:
            (folder / f"checkpoint-{step}" / f"rng_state_{rank}.pth").touch()
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert last_whole_checkpoint(folder) == str(folder / "checkpoint-10")
