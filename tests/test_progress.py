"""The log of long work: what it yields, how often it speaks, and what it says."""

import sys

import pytest

from laspa import progress as module
from laspa.progress import progress


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_log_gets_a_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for item in progress(range(40), 40, "mels", "utt"):
        seen.append(item)
        clock.now += 1
    assert seen == list(range(40))
    assert capsys.readouterr().err.splitlines() == [
        "mels: 15/40 utt, 1.0 utt/s, 25 s left",
        "mels: 30/40 utt, 1.0 utt/s, 10 s left",
        "mels: 40/40 utt in 40.0 s",
    ]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress("abc", 3, "mels")) == ["a", "b", "c"]
    assert "mels: 100%" in capsys.readouterr().err


def test_nothing_to_do_is_said_too(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([], 0, "mels")) == []
    assert capsys.readouterr().err == "mels: 0/0 it in 0.0 s\n"
