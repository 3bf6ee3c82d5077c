"""The files of trials: found again by their key, whatever their number."""

from pathlib import Path
from typing import Any

from laspa.tuning.trial_files import FINISHED, RUNNING, WAITING, Trial, TrialFiles


def record(epoch: int, eer: float) -> dict[str, Any]:
    return {"epoch": epoch, "dev": {"eer_cross_same": eer, "eer_all": 0.5}}


def test_a_trial_is_found_as_it_was_left(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    trial = files.load(2, "abc", {"prefix_len": 4})
    assert trial == Trial(2, "abc", {"prefix_len": 4})
    trial.status = FINISHED
    trial.add(record(1, 0.3))
    files.save(trial)
    again = files.load(5, "abc", {"prefix_len": 4})
    assert (again.number, again.status, again.history) == (5, FINISHED, [record(1, 0.3)])


def test_what_was_under_way_waits_again_with_its_history(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    files.save(Trial(1, "abc", {}, RUNNING, [record(1, 0.3)], retries=1))
    again = files.load(1, "abc", {})
    assert (again.status, len(again.history), again.retries) == (WAITING, 1, 1)


def test_epochs_that_are_repeated_count_once() -> None:
    trial = Trial(1, "abc", {})
    repeated = [record(epoch, eer) for epoch, eer in ((1, 0.4), (2, 0.2), (1, 0.4), (2, 0.2), (3, 0.3))]
    assert [trial.add(item) for item in repeated] == [True, True, False, False, True]
    assert trial.best == 0.2
    assert Trial(2, "def", {}).best is None


def test_a_trial_that_is_read_again_has_the_same_rate(tmp_path: Path) -> None:
    """Its file has sorted keys, in which eer_all comes before eer_cross_same."""
    files = TrialFiles(tmp_path)
    trial = Trial(1, "abc", {}, FINISHED, [record(1, 0.3), record(2, 0.2)])
    files.save(trial)
    assert files.load(1, "abc", {}).best == trial.best == 0.2
    assert [kept.best for kept in files.load_all()] == [0.2]
