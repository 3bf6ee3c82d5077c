"""The other family of voices: as documented, independent of the first, and kept out of the corpus at home."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import signal

from laspa.corpora.prepare import prepare
from laspa.corpora.synthetic import espeak, other, synthesis
from laspa.corpora.synthetic.other import MU, _companded, record
from laspa.corpora.synthetic.voices import generator_for
from laspa.manifest.index import read_index
from laspa.params import Params, load_params, with_overrides

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
DEFAULT = PARAMS.synthetic_other
TINY = {
    "synthetic.train_speakers": 2,
    "synthetic.dev_speakers": 2,
    "synthetic.test_speakers": 2,
    "synthetic.train_utterances": 1,
    "synthetic.eval_utterances": 1,
    "synthetic.seconds": 1.0,
    "synthetic_other.speakers": 3,
    "synthetic_other.languages_per_speaker": 2,
    "synthetic_other.utterances": 2,
    "synthetic_other.seconds": 1.2,
}
RATE = 16_000


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


@pytest.fixture(scope="module")
def params() -> Params:
    return with_overrides(PARAMS, TINY)


@pytest.fixture(scope="module")
def joined(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both families, small, under `raw`; not to be written to."""
    folder = tmp_path_factory.mktemp("joined")
    prepare(params, folder, folder / "raw")
    return folder / "raw"


def test_both_families_are_the_default_and_the_first_is_as_it_is_alone(
    params: Params, joined: Path, tmp_path: Path
) -> None:
    assert PARAMS.corpora == ["synthetic", "synthetic_other"]
    prepare(params.model_copy(update={"corpus": "synthetic"}), tmp_path, tmp_path / "raw")
    alone, both = read_index(tmp_path / "raw"), read_index(joined)
    home = both[both["corpus"] == "synthetic"]
    columns = ["path", "speaker", "language", "gender", "split"]
    alone = alone.assign(path="synthetic/" + alone["path"]).sort_values("path", ignore_index=True)
    pd.testing.assert_frame_equal(home[columns].reset_index(drop=True), alone[columns])
    assert contents(joined / "synthetic") == contents(tmp_path / "raw")
    others = both[both["corpus"] == "synthetic_other"]
    assert set(others["split"]) == {"test"}
    assert set(others["speaker"]) == {f"synthetic_other-test000{number}" for number in range(3)}
    assert len(others) == 3 * 2 * 2
    assert set(others["language"]) <= set(DEFAULT.languages)


def test_a_speaker_made_alone_is_the_same(params: Params, joined: Path, tmp_path: Path) -> None:
    options = params.synthetic_other
    last = list(other.speakers(options))[-1:]
    assert len(list(synthesis._each_in_a_process(other.recipe(options), last, tmp_path, 1))) == 1
    assert contents(tmp_path / last[0].name) == contents(joined / "synthetic_other" / last[0].name)


def test_recordings_are_audible_and_of_the_length_asked_for(params: Params, joined: Path) -> None:
    read = [soundfile.read(path) for path in (joined / "synthetic_other").rglob("*.wav")]
    assert {rate for _, rate in read} == {RATE}
    seconds = [len(samples) / RATE for samples, _ in read]
    assert np.mean(seconds) == pytest.approx(params.synthetic_other.seconds, rel=0.25)
    for samples, _ in read:
        assert np.abs(samples).max() <= 1
        level = 20 * np.log10(samples[: len(samples) // 400 * 400].reshape(-1, 400).std(axis=1) + 1e-6)
        assert np.percentile(level, 95) - np.percentile(level, 5) > 6  # louder and softer moments


def test_the_default_is_as_documented() -> None:
    everyone = list(other.speakers(DEFAULT))
    assert len({speaker.name for speaker in everyone}) == len(everyone) == 50
    assert Counter(speaker.gender for speaker in everyone) == {"f": 25, "m": 25}
    for speaker in everyone:
        assert (speaker.split, speaker.utterances) == ("test", 5)
        assert len(set(speaker.languages)) == 3
    spoken = Counter(language for speaker in everyone for language in speaker.languages)
    assert set(spoken) == set(DEFAULT.languages) <= espeak.languages()
    assert min(spoken.values()) >= 8  # enough for non-targets within each language
    synthetic = PARAMS.synthetic
    assert len(set(DEFAULT.languages) & set(synthetic.languages)) == 6
    assert not set(DEFAULT.languages) & set(synthetic.unseen_languages)


def test_offsets_have_the_deviations_named_and_are_shared_by_the_speakers_of_a_language() -> None:
    zero = {kind: np.zeros(size) for kind, size in other.SIZES.items()}
    moves = [other.voice_in(zero, "seed", f"s{number}", f"l{number}") for number in range(1500)]
    for kind in other.SIZES:
        expected = np.hypot(other.SHARED[kind], other.PERSONAL[kind])
        assert np.std([move[kind] for move in moves]) == pytest.approx(expected, rel=0.08), kind
    within = [other.voice_in(zero, "seed", f"s{number}", "en")["range"][0] for number in range(1500)]
    assert np.std(within) == pytest.approx(other.PERSONAL["range"], rel=0.08)


def test_the_offsets_are_not_those_of_the_first_family() -> None:
    ours, first = (generator_for(seed, "language", "en").normal(size=8) for seed in (other._seed(DEFAULT), 1))
    assert not np.isclose(ours, first).any()


def test_a_voice_file_asks_for_the_klatt_synthesiser_and_moves_rhythm_with_the_language() -> None:
    speaker = next(other.speakers(DEFAULT))
    english, hindi = (other.voice_file("seed", speaker, language).splitlines() for language in ("en", "hi"))
    assert english[1:3] == ["language en", "gender female"]
    words = [line.split()[0] for line in english]
    expected = "name language gender klatt pitch intonation flutter consonants speed stressLength stressAmp"
    assert " ".join(words) == expected + 5 * " formant"
    assert int(english[3].split()[1]) in other.SOURCES
    same = {word for word, one, two in zip(words, english, hindi, strict=True) if one == two}
    assert {"name", "gender", "klatt", "flutter", "consonants", "stressAmp"} <= same
    assert same.isdisjoint({"language", "pitch", "speed", "stressLength", "formant"})


def test_channels_keep_the_shape_and_vary_band_and_level() -> None:
    generator = np.random.default_rng(7)
    said = (0.1 * generator.standard_normal(2 * RATE)).astype(np.float32)
    levels, highs = [], []
    for seed in range(30):
        heard = record(said, np.random.default_rng(seed))
        assert (heard.shape, heard.dtype) == (said.shape, np.float32)
        assert np.abs(heard).max() <= 1
        hertz, power = signal.welch(heard, RATE, nperseg=512)
        middle = power[(hertz > 500) & (hertz < 3000)].mean()
        highs.append(10 * np.log10(power[(hertz > 5000) & (hertz < 5400)].mean() / middle))
        levels.append(20 * np.log10(heard.std()))
    assert -35 < min(levels) < -30
    assert -22 < max(levels) < -18
    telephone = np.array(highs) < -20
    assert 4 <= telephone.sum() <= 18  # a third of 30
    assert np.array_equal(record(said, np.random.default_rng(3)), record(said, np.random.default_rng(3)))


def test_companding_has_255_steps_that_are_finer_for_soft_samples() -> None:
    ramp = np.linspace(-1, 1, 100_001)
    heard = _companded(ramp)
    assert len(np.unique(heard)) == 255
    assert np.abs(heard).max() == pytest.approx(1)
    # By hand: the step next to |x| = 1 is 1/127 of ln(1 + μ) below: (1 + μ)^(126/127) / μ − 1/μ.
    largest = np.diff(np.unique(heard))[-1]
    assert largest == pytest.approx(1 - ((1 + MU) ** (126 / 127) / MU - 1 / MU), rel=1e-6)
    assert np.abs(heard - ramp)[np.abs(ramp) < 0.01].max() < 0.001
