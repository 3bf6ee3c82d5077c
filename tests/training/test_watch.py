"""The checks that training watches: what warns, what does not, and that watching moves no weight."""

import pytest
import torch

from laspa.params import with_overrides
from laspa.training import loop
from laspa.training.watch import out_of_range
from tests.small_training import run, run_until_killed, small_data, small_params


@pytest.fixture(scope="module")
def params():
    return small_params()


def record(**changes):
    healthy = {
        "attention": {"speaker": 0.3, "language": 0.6},
        "flow": {"speaker": 0.01, "language": 0.02},
        "gradient": {"aam": 1.0, "nll": 0.5, "mapc": 0.1, "mse": 0.1},
        "grad_norm": 1.2,
        "mapc": 0.5,
    }
    return healthy | changes


def test_a_healthy_epoch_says_nothing_and_each_check_is_named(params):
    assert out_of_range(record(), params) == {}
    collapsed = out_of_range(record(attention={"speaker": 0.995, "language": 0.001}), params)
    assert list(collapsed) == ["attention of the speaker tuner", "attention of the language tuner"]
    assert "collapsed onto the prefix" in collapsed["attention of the speaker tuner"]
    assert "ignores the prefix" in collapsed["attention of the language tuner"]
    blocked = out_of_range(record(flow={"speaker": 0.0, "language": 0.1}), params)
    assert list(blocked) == ["gradient through the speaker tuner"]
    drowned = out_of_range(record(gradient={"aam": 5.0, "mse": 0.004}), params)
    assert list(drowned) == ["gradient of mse"]
    # Batches of 8 independent pairs: E|r| = Γ(3.5) / (√π Γ(4)) = 0.3125.
    assert list(out_of_range(record(mapc=0.31), params)) == ["mapc"]
    assert out_of_range(record(mapc=0.32), params) == {}
    without_prefix = with_overrides(params, {"prefix_len": 0})
    assert out_of_range(record(attention={"speaker": 0.0, "language": 0.0}), without_prefix) == {}
    assert out_of_range(record(attention={}, flow={}, mapc=None), params) == {}


def test_training_records_the_flow_and_warns_once_also_when_resumed(params, tmp_path, capsys, monkeypatch):
    held = {"speaker": lambda _, given: (given[0], given[1].detach(), *given[2:])}
    real = loop.Laspa

    def cut(*given, **named):
        model = real(*given, **named)
        model.fusion["speaker"].register_forward_pre_hook(held["speaker"])
        return model

    data = small_data()
    whole = run(params, data, tmp_path / "whole")
    assert all(record["flow"]["speaker"] > 0 < record["flow"]["language"] for record in whole.history)
    monkeypatch.setattr(loop, "Laspa", cut)
    capsys.readouterr()

    run_until_killed(params, data, tmp_path / "cut")
    resumed = run(params, data, tmp_path / "cut")
    told = capsys.readouterr().err.count("gradient through the speaker tuner: 0; no loss reaches")
    assert told == 1
    assert [bool(record["warnings"]) for record in resumed.history][:1] == [True]


def test_watching_moves_no_weight(params, tmp_path, monkeypatch):
    data = small_data()
    watched = run(params, data, tmp_path / "watched")
    monkeypatch.setattr(loop, "_gradient_norms", lambda *given: ({}, {}))
    monkeypatch.setattr(loop, "out_of_range", lambda *given: {})
    blind = run(params, data, tmp_path / "blind")
    assert all(torch.equal(value, blind.last[name]) for name, value in watched.last.items())
