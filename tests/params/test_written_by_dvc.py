"""What DVC writes into params.yaml is read as it was meant; `laspa tune show` prints what DVC reads."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from laspa.cli.main import main
from laspa.cli.tune import _hydra, with_values
from laspa.params import load_params, with_overrides
from laspa.params.dotted import get
from laspa.params.loading import read_yaml, yaml_scalar

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63)
# Without what no YAML file can hold, what OmegaConf takes for a reference to another param, and what DVC's
# own library, ruamel.yaml, does not read at the start of a line of a list.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=120).filter(
    lambda text: "$" not in text and not text.startswith("?")
)
SCALARS = NUMBERS | st.booleans() | TEXTS
TRAPS = [1e-05, 1e16, 5e-324, -0.0, "no", "on", "1e5", "0o17", "1_000", "1:30", "2026-01-01", "null", "~", ""]
TRAPS += [
    "a b, c=[d]",
    "O'Brien",
    'two "words"',
    "back\\slash\\",
    "\\'",
    "../pre model/" * 12,
    "%",
    "{x: y}",
    " ",
]


def same(found: Any, expected: Any) -> bool:
    return (found, type(found)) == (expected, type(expected))


@given(st.lists(SCALARS, min_size=20, max_size=60))
@example(TRAPS)
@settings(max_examples=40)
def test_what_dvc_writes_is_read(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    from dvc.utils.serialize import modify_yaml

    file = tmp_path_factory.mktemp("written") / "params.yaml"
    file.write_text("# a comment\nvalues: []\nflow: [1]\n", encoding="utf-8")
    with modify_yaml(file) as document:
        document["values"] = values
        document["flow"][:] = values
    found = read_yaml(file)
    assert all(map(same, found["values"], values))
    assert all(map(same, found["flow"], values))


@given(st.lists(SCALARS, min_size=10, max_size=30))
@example(TRAPS)
@settings(max_examples=40)
def test_what_the_sweep_prints_is_what_dvc_sets(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    from dvc.utils.hydra import apply_overrides

    file = tmp_path_factory.mktemp("shown") / "params.yaml"
    names = [f"key{number}" for number in range(len(values))]
    file.write_text("".join(f"{name}: 0\n" for name in names), encoding="utf-8")
    line = " ".join(shlex.quote(f"{name}={_hydra(value)}") for name, value in zip(names, values, strict=True))
    apply_overrides(file, shlex.split(line))
    found = read_yaml(file)
    assert all(same(found[name], value) for name, value in zip(names, values, strict=True))


@given(SCALARS)
@settings(max_examples=200)
def test_a_scalar_is_the_same_by_both_versions_of_yaml_and_in_place(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    written = yaml_scalar(value)
    assert "\n" not in written
    assert same(yaml.safe_load(written), value)
    file = tmp_path_factory.getbasetemp() / "scalar.yaml"
    file.write_text(f"key: {written}  # a comment\n", encoding="utf-8")
    assert same(read_yaml(file)["key"], value)
    file.write_text(with_values("key: 1  # a comment\n", {"key": value}), encoding="utf-8")
    assert same(read_yaml(file)["key"], value)


@given(
    st.floats(1e-12, 1e-2),
    st.floats(0.0, 0.01),
    st.integers(0, 512),
    st.sampled_from(["prefix", "concat"]),
    st.booleans(),
)
@example(1e-05, 1e-05, 0, "concat", False)
@settings(max_examples=5)
def test_the_line_works_for_a_draw_of_a_sweep(
    tmp_path_factory: pytest.TempPathFactory, rate: float, decay: float, prefix: int, fusion: str, same: bool
) -> None:
    from dvc.utils.hydra import apply_overrides

    best = {"train.learning_rate": rate, "train.weight_decay": decay, "prefix_len": prefix}
    best |= {"model.fusion": fusion, "train.deterministic": same, "train.warp": decay}
    folder = tmp_path_factory.mktemp("draw")
    (folder / "best.yaml").write_text("".join(f"{name}: {yaml_scalar(best[name])}\n" for name in best))
    file = folder / "params.yaml"
    file.write_bytes(PARAMS_FILE.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        shown: list[str] = []
        patch.setattr("builtins.print", lambda *words: shown.extend(words))
        assert main(["tune", "show", "--best", str(folder / "best.yaml"), "--params", str(file)]) == 0
    apply_overrides(file, shlex.split(" ".join(shown))[4::2])
    resolved = load_params(file).resolve("laspa")
    assert {name: get(resolved.model_dump(), name) for name in best} == best
    assert resolved == with_overrides(
        load_params(PARAMS_FILE).resolve("laspa"), best | {"systems": resolved.systems}
    )


@pytest.mark.parametrize(
    "text", [b"a: \xe9", b"? [a]\n: 1", b"[" * 5000, b"a: !!int x", b"a: 0x", b"&a [*a]"]
)
def test_a_file_that_is_no_yaml_is_one_line(tmp_path: Path, text: bytes) -> None:
    from laspa.errors import LaspaError

    file = tmp_path / "params.yaml"
    file.write_bytes(text)
    with pytest.raises(LaspaError, match=r"params\.yaml"):
        load_params(file)


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + PARAMS_FILE.read_bytes().replace(b"\n", b"\r\n"))
    assert load_params(file) == load_params(PARAMS_FILE)
