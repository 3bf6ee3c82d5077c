"""The embedded corpus: the same bytes however it is made, splits as documented, clear refusals."""

import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from laspa.corpora import prepare as preparation
from laspa.corpora.synthetic import corpus as synthetic
from laspa.corpora.synthetic import espeak, synthesis
from laspa.corpora.synthetic.corpus import speakers
from laspa.corpora.synthetic.synthesis import SAMPLE_RATE, Recipe, Speaker
from laspa.errors import LaspaError
from laspa.params import load_params
from laspa.params.corpora import Synthetic

ROOT = Path(__file__).parents[2]
DEFAULT = load_params(ROOT / "params.yaml").synthetic
TINY = DEFAULT.model_copy(
    update={
        "train_speakers": 3,
        "dev_speakers": 2,
        "test_speakers": 2,
        "bilingual_share": 0.34,
        "languages": ["en", "es", "hi"],
        "unseen_languages": ["pt"],
        "languages_per_speaker": 2,
        "train_utterances": 2,
        "eval_utterances": 2,
        "seconds": 1.2,
    }
)


def prepare(options: Synthetic, folder: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    params = params.model_copy(update={"corpus": "synthetic", "synthetic": options})
    preparation.prepare(params, folder.parent, folder)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, hidden ones included, and every folder's name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus; not to be written to."""
    folder = tmp_path_factory.mktemp("corpus")
    prepare(TINY, folder)
    return folder


def test_the_number_of_workers_changes_no_byte(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = digests(corpus)
    for workers in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda workers=workers: workers)
        prepare(TINY, tmp_path / str(workers))
        assert digests(tmp_path / str(workers)) == expected


def test_a_speaker_made_alone_is_the_same(corpus: Path, tmp_path: Path) -> None:
    alone = [speaker for speaker in speakers(TINY) if speaker.name == "test0001"]
    recipe = synthetic.recipe(TINY)
    assert [speaker.name for speaker in synthesis._each_in_a_process(recipe, alone, tmp_path, 1)] == [
        "test0001"
    ]
    assert digests(tmp_path / "test0001") == digests(corpus / "test0001")


def test_more_speakers_leave_those_that_were_there_as_they_are(corpus: Path, tmp_path: Path) -> None:
    prepare(TINY.model_copy(update={"dev_speakers": 3}), tmp_path)
    for name in ("dev0000", "test0000"):
        assert digests(tmp_path / name) == digests(corpus / name)


def test_another_seed_gives_other_recordings(corpus: Path, tmp_path: Path) -> None:
    prepare(TINY.model_copy(update={"seed": 2, "train_speakers": 2}), tmp_path)
    ours = {digest for name, digest in digests(tmp_path).items() if name.endswith(".wav")}
    assert ours.isdisjoint(digests(corpus).values())


def test_the_index_lists_every_recording_and_nothing_else(corpus: Path) -> None:
    index = pd.read_csv(corpus / "index.csv", dtype=str, keep_default_na=False)
    assert list(index.columns) == ["path", "speaker", "language", "gender", "split"]
    assert set(index["path"]) == {str(path.relative_to(corpus)) for path in corpus.rglob("*.wav")}
    assert index["path"].is_unique
    # 4 (one of three bilingual) + 2·2 + 2·2 pairs of speaker and language, 2 utterances each.
    assert len(index) == 24
    assert index.groupby("split")["speaker"].nunique().to_dict() == {"dev": 2, "test": 2, "train": 3}
    assert [path.split("/")[:2] for path in index["path"]] == index[["speaker", "language"]].values.tolist()


def test_recordings_are_speech_of_the_right_length_without_clipping_or_silent_ends(corpus: Path) -> None:
    seconds = []
    for path in corpus.rglob("*.wav"):
        samples, rate = soundfile.read(path)
        assert rate == SAMPLE_RATE
        assert samples.ndim == 1
        seconds.append(len(samples) / rate)
        assert np.abs(samples).max() < 1
        assert samples[-rate // 10 :].any()
        # Speech: louder and softer moments, and most energy under 4 kHz.
        level = 20 * np.log10(np.sqrt((samples[: len(samples) // 400 * 400].reshape(-1, 400) ** 2).mean(1)))
        assert np.percentile(level, 95) - np.percentile(level, 5) > 6
        power = np.abs(np.fft.rfft(samples)) ** 2
        assert power[: len(power) // 2].sum() > power[len(power) // 2 :].sum()
    assert min(seconds) >= synthesis.SECONDS_AT_LEAST * 0.9
    assert np.mean(seconds) == pytest.approx(TINY.seconds, rel=0.15)


def test_a_speaker_that_is_there_is_kept_and_a_half_written_one_is_not_taken_for_whole(
    corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "train0000").mkdir()
    (tmp_path / "train0000" / "kept").write_text("made before")
    (tmp_path / ".dev0000.123.tmp" / "en").mkdir(parents=True)
    (tmp_path / ".dev0000.123.tmp" / "en" / "000.wav").write_bytes(b"half")
    prepare(TINY, tmp_path)
    assert [path.name for path in (tmp_path / "train0000").iterdir()] == ["kept"]
    expected = {name: value for name, value in digests(corpus).items() if not name.startswith("train0000")}
    found = {name: value for name, value in digests(tmp_path).items() if not name.startswith("train0000")}
    assert found == expected


def test_a_killed_run_goes_on_to_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from laspa.params.corpora import Synthetic; "
        "os.cpu_count = lambda: 1; "  # one after another, so that some are left when the first is there
        "from laspa.corpora.synthetic.corpus import make; "
        "make(Synthetic.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, TINY.model_dump_json(), str(tmp_path / "cut")]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cut/train*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut/index.csv").exists()
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").glob("train*")}
    assert there
    prepare(TINY, tmp_path / "cut")
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert digests(tmp_path / "cut") == digests(corpus)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.2, 48), (0.333, 79), (0.29, 69), (1.0, 240)])
def test_the_bilingual_share_of_the_training_speakers_is_exact(share: float, count: int) -> None:
    options = DEFAULT.model_copy(update={"bilingual_share": share})
    train = [speaker for speaker in speakers(options) if speaker.split == "train"]
    spoken = Counter(len(set(speaker.languages)) for speaker in train)
    assert spoken == Counter({1: 240 - count, 2: count}) - Counter()
    few = DEFAULT.model_copy(update={"bilingual_share": 0.29, "train_speakers": 100})  # 28.999… in binary
    assert sum(len(speaker.languages) == 2 for speaker in speakers(few) if speaker.split == "train") == 29
    # Spread over the speakers, not one after another: any 60 hold a quarter of them.
    for start in range(0, 240, 60):
        some = sum(len(speaker.languages) == 2 for speaker in train[start : start + 60])
        assert some == pytest.approx(count / 4, abs=1)


def test_the_default_corpus_is_as_documented() -> None:
    everyone = list(speakers(DEFAULT))
    assert len({speaker.name for speaker in everyone}) == len(everyone) == 360
    seen, unseen = set(DEFAULT.languages), set(DEFAULT.unseen_languages)
    assert len(seen) >= 8
    assert len(unseen) >= 4
    by_split = {split: [s for s in everyone if s.split == split] for split in ("train", "dev", "test")}
    assert {split: len(rows) for split, rows in by_split.items()} == {"train": 240, "dev": 60, "test": 60}
    for split in ("dev", "test"):
        for speaker in by_split[split]:
            assert len(set(speaker.languages)) == DEFAULT.languages_per_speaker
            assert len(unseen & set(speaker.languages)) == (split == "test")
    for speaker in everyone:
        assert set(speaker.languages) <= (seen | unseen if speaker.split == "test" else seen)
    # Each language, gender and pair of both in training about as often as any other.
    for what in (
        lambda speaker: speaker.languages[0],
        lambda speaker: speaker.gender,
        lambda speaker: (speaker.languages[0], speaker.gender),
    ):
        counts = Counter(map(what, by_split["train"])).values()
        assert max(counts) == min(counts)
    # 60 test speakers, two by two over the 4 unseen languages: as many women as men in each.
    last = Counter((speaker.languages[-1], speaker.gender) for speaker in by_split["test"])
    assert last == {
        (language, g): 8 if language in DEFAULT.unseen_languages[:2] else 7
        for language in unseen
        for g in "fm"
    }
    hours = sum(len(s.languages) * s.utterances for s in everyone) * DEFAULT.seconds / 3600
    assert hours >= 6


def test_without_unseen_languages_test_speakers_speak_seen_ones() -> None:
    options = DEFAULT.model_copy(update={"unseen_languages": []})
    spoken = itertools.chain.from_iterable(s.languages for s in speakers(options) if s.split == "test")
    assert set(spoken) == set(DEFAULT.languages)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": ["en", "xx"]}, "the language 'xx', which CLDR does not know"),
        ({"languages": ["en", "english"]}, "the language 'english', which CLDR does not know"),
        (
            {"unseen_languages": ["so"]},
            "the language 'so', which espeak-ng does not speak; it speaks af, am,",
        ),
        ({"languages": ["en", "zh"]}, "the language 'zh', which espeak-ng does not speak"),
    ],
)
def test_a_language_nobody_knows_is_named_before_anything_is_made(
    tmp_path: Path, change: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(LaspaError) as raised:
        prepare(TINY.model_copy(update=change), tmp_path / "corpus")
    assert str(raised.value).startswith("params.yaml: synthetic has ")
    assert message in str(raised.value)
    assert not (tmp_path / "corpus").exists()


def test_a_process_that_dies_ends_the_run_with_its_speaker_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(recipe: Recipe, speaker: Speaker, folder: Path) -> None:
        if speaker.name == "dev0001":
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / speaker.name).mkdir()

    monkeypatch.setattr(synthesis, "_make_speaker", die)
    with pytest.raises(LaspaError, match=r"made speaker dev0001 died \(status -9\), speaking \w\w, \w\w"):
        prepare(TINY, tmp_path)
    assert not (tmp_path / "index.csv").exists()


def test_a_failure_in_a_process_is_raised_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(recipe: Recipe, speaker: Speaker, folder: Path) -> None:
        raise OSError(28, "No space left on device", str(folder / speaker.name))

    monkeypatch.setattr(synthesis, "_make_speaker", full)
    with pytest.raises(OSError, match=r"No space left on device: .*train000\d"):
        prepare(TINY, tmp_path)


def test_espeak_refuses_a_voice_without_sound(tmp_path: Path) -> None:
    voice = tmp_path / "voice"
    voice.write_text("name laspa\nlanguage so\n", encoding="utf-8")
    program = (
        "import sys; from pathlib import Path; from laspa.corpora.synthetic.espeak import Espeak; "
        "Espeak().say('soomaali', Path(sys.argv[1]), 1)"
    )
    command = [sys.executable, "-c", program, str(voice)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert re.search(r"LaspaError: espeak-ng: (cannot use the voice|no sound from the text)", ended.stderr)


def test_every_default_language_is_one_that_espeak_speaks() -> None:
    assert {*DEFAULT.languages, *DEFAULT.unseen_languages} <= espeak.languages()
