"""The manifest: what is kept, skipped or refused, and speakers in one split each."""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from laspa.audio.quality import AudioInfo, check_audio
from laspa.errors import LaspaError
from laspa.manifest import build as build_module
from laspa.manifest.build import build_manifest
from laspa.manifest.tables import copied_from
from laspa.params.data import Manifest

OPTIONS = Manifest(on_bad_audio="fail", min_seconds=0.5, dev_share=0.2, test_share=0.2, split_seed=1)
COLUMNS = ["path", "speaker", "language", "gender", "split"]


def write(folder: Path, name: str, seconds: float = 0.6, rate: int = 16_000) -> None:
    """A recording of noise that its name determines."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * rate)), rate)


def corpus(folder: Path, speakers: int = 10, split: bool = False) -> pd.DataFrame:
    """An index of `speakers` with two recordings each."""
    rows = []
    for index in range(speakers):
        for number in range(2):
            name = f"s{index}/{number}.wav"
            write(folder, name)
            rows.append(
                (name, f"s{index}", "en", "fm"[index % 2], ("train", "dev", "test")[index % 3] * split)
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def build(
    folder: Path, index: pd.DataFrame, workers: int = 2, **changes: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    options = OPTIONS.model_copy(update=changes)
    return build_manifest(index, "folder", options, lambda path: folder / path, workers, folder / "partial")


def test_a_row_says_what_its_file_holds(tmp_path: Path) -> None:
    index = corpus(tmp_path, split=True)
    write(tmp_path, "s0/0.wav", seconds=1.5, rate=44_100)
    manifest, skipped = build(tmp_path, index)
    assert list(manifest.columns) == [
        "utterance_id", "speaker", "language", "gender", "corpus", "split", "path",
        "sample_rate", "num_samples", "sha256",
    ]  # fmt: skip
    assert manifest["utterance_id"].tolist() == sorted(f"s{i}/en/{n}" for i in range(10) for n in (0, 1))
    row = manifest.iloc[0]
    assert row["utterance_id"] == "s0/en/0"
    assert (row["sample_rate"], row["num_samples"]) == (44_100, 66_150)
    assert row["sha256"] == hashlib.sha256((tmp_path / "s0/0.wav").read_bytes()).hexdigest()
    assert (row["gender"], row["corpus"], row["split"]) == ("f", "folder", "train")
    assert manifest.dtypes[["sample_rate", "num_samples"]].astype(str).tolist() == ["int32", "int64"]
    assert skipped.empty
    assert list(skipped.columns) == ["path", "reason"]


def test_neither_workers_nor_the_order_of_the_index_change_the_manifest(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    expected, _ = build(tmp_path, index, workers=1)
    found, _ = build(tmp_path, index.sample(frac=1, random_state=3), workers=4)
    pd.testing.assert_frame_equal(found, expected)


def break_three(folder: Path) -> None:
    (folder / "s1/0.wav").write_bytes(b"")
    soundfile.write(folder / "s2/1.wav", np.zeros(16_000), 16_000)
    (folder / "s3/0.wav").unlink()


def test_bad_recordings_fail_with_each_one_named(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    break_three(tmp_path)
    with pytest.raises(LaspaError) as raised:
        build(tmp_path, index)
    assert str(raised.value) == (
        "3 of 20 recordings cannot be used:\n"
        f"  {tmp_path}/s1/0.wav: the file is empty\n"
        f"  {tmp_path}/s2/1.wav: silent from end to end\n"
        f"  {tmp_path}/s3/0.wav: cannot be read (No such file or directory)\n"
        "repair or remove them, or set manifest.on_bad_audio to skip in params.yaml"
    )


def test_bad_recordings_are_skipped_and_listed_where_asked(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    whole, _ = build(tmp_path, index)
    break_three(tmp_path)
    manifest, skipped = build(tmp_path, index, on_bad_audio="skip")
    assert skipped.values.tolist() == [
        ["s1/0.wav", "the file is empty"],
        ["s2/1.wav", "silent from end to end"],
        ["s3/0.wav", "cannot be read (No such file or directory)"],
    ]
    left = whole[~whole["path"].isin(skipped["path"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(manifest, left)


def test_clipped_recordings_are_counted_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = corpus(tmp_path)
    loud = np.full(16_000, 0.1)
    loud[:160] = 1
    soundfile.write(tmp_path / "s4/1.wav", loud, 16_000)
    manifest, skipped = build(tmp_path, index)
    assert len(manifest) == len(index)
    assert skipped.empty
    assert capsys.readouterr().out == (
        "1 of 20 recordings have 0.1% or more of their samples at full scale and may be clipped, "
        "most of all s4/1.wav (1.0%); they are kept\n"
    )


def test_a_file_shorter_than_a_frame_is_refused_or_skipped(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    soundfile.write(tmp_path / "s4/1.wav", np.full(399, 0.1), 16_000)  # a frame is 400 samples
    message = r"s4/1\.wav: 399 samples at 16000 Hz are shorter than manifest\.min_seconds, 0\.1 s"
    with pytest.raises(LaspaError, match=message):
        build(tmp_path, index, min_seconds=0.1)  # as small as it may be
    manifest, skipped = build(tmp_path, index, min_seconds=0.1, on_bad_audio="skip")
    assert skipped["path"].tolist() == ["s4/1.wav"]
    assert len(manifest) == 19


def test_a_missing_decoder_stops_even_where_bad_recordings_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = corpus(tmp_path)
    (tmp_path / "s4/1.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    index["path"] = index["path"].replace("s4/1.wav", "s4/1.m4a")
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    with pytest.raises(LaspaError, match=r"s4/1\.m4a: needs PyAV.*pip install 'laspa\[codecs\]'"):
        build(tmp_path, index, on_bad_audio="skip")


def test_many_bad_recordings_are_counted(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    for name in index["path"]:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(LaspaError, match=r"20 of 20 .*(\n  .*){10}\n  and 10 more\n"):
        build(tmp_path, index)


def test_random_splits_are_disjoint_and_seeded(tmp_path: Path) -> None:
    index = corpus(tmp_path, speakers=20)
    manifest, _ = build(tmp_path, index)
    speakers = {split: set(rows["speaker"]) for split, rows in manifest.groupby("split")}
    assert {split: len(names) for split, names in speakers.items()} == {"train": 12, "dev": 4, "test": 4}
    assert len(set.union(*speakers.values())) == 20
    again, _ = build(tmp_path, index)
    other, _ = build(tmp_path, index, split_seed=2)
    assert again["split"].tolist() == manifest["split"].tolist() != other["split"].tolist()


def test_splits_of_the_corpus_are_kept(tmp_path: Path) -> None:
    index = corpus(tmp_path, split=True)
    manifest, _ = build(tmp_path, index, dev_share=0.0)
    expected = dict(zip(index["speaker"], index["split"], strict=True))
    assert manifest["split"].tolist() == [expected[speaker] for speaker in manifest["speaker"]]


def test_an_unknown_gender_is_null(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    index.loc[index["speaker"] == "s3", "gender"] = ""
    manifest, _ = build(tmp_path, index)
    unknown = manifest["gender"].isna()
    assert manifest["speaker"][unknown].unique().tolist() == ["s3"]
    assert set(manifest["gender"][~unknown]) == {"f", "m"}


def test_recordings_of_one_name_get_ids_of_their_own(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    write(tmp_path, "s0/session2/0.wav")
    extra = pd.DataFrame([("s0/session2/0.wav", "s0", "en", "f", "")], columns=COLUMNS)
    manifest, _ = build(tmp_path, pd.concat([index, extra]))
    assert manifest["utterance_id"].is_unique
    assert {"s0/en/s0/0.wav", "s0/en/s0/session2/0.wav", "s0/en/1"} <= set(manifest["utterance_id"])


def test_a_recording_in_two_splits_is_refused(tmp_path: Path) -> None:
    index = corpus(tmp_path, split=True)
    (tmp_path / "s1/0.wav").write_bytes((tmp_path / "s0/1.wav").read_bytes())
    message = r"2 of 20 .*\n.*s0/1\.wav: the same bytes as s1/0\.wav, of speaker s1 in en in dev\n"
    with pytest.raises(LaspaError, match=message):
        build(tmp_path, index)


@pytest.mark.parametrize("change", ["speaker", "language"])
def test_of_copies_under_two_labels_none_is_right(tmp_path: Path, change: str) -> None:
    index = corpus(tmp_path)
    (tmp_path / "s1/1.wav").write_bytes((tmp_path / "s1/0.wav").read_bytes())
    index.loc[index["path"] == "s1/1.wav", change] = {"speaker": "s2", "language": "de"}[change]
    with pytest.raises(
        LaspaError, match=r"2 of 20 .*\n.*s1/0\.wav: the same bytes as s1/1\.wav, of speaker s"
    ):
        build(tmp_path, index)
    manifest, skipped = build(tmp_path, index, on_bad_audio="skip")
    assert skipped["path"].tolist() == ["s1/0.wav", "s1/1.wav"]
    assert len(manifest) == 18


def test_a_copy_counts_once_and_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = corpus(tmp_path)
    for name in ("s1/9.wav", "s1/8.wav"):
        (tmp_path / name).write_bytes((tmp_path / "s1/1.wav").read_bytes())
        index.loc[len(index)] = (name, "s1", "en", "m", "")
    manifest, skipped = build(tmp_path, index)
    assert manifest["sha256"].is_unique
    assert len(manifest) == 20
    reason = "the same bytes and labels as s1/1.wav"
    assert skipped.values.tolist() == [["s1/9.wav", reason], ["s1/8.wav", reason]]
    assert (
        "2 of 22 recordings are copies of others, byte by byte, such as s1/9.wav" in capsys.readouterr().out
    )
    skipped.to_csv(tmp_path / "skipped.csv", index=False)
    assert copied_from(tmp_path / "skipped.csv") == {"s1/9.wav": "s1/1.wav", "s1/8.wav": "s1/1.wav"}


def test_wrong_headers_and_channels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = corpus(tmp_path)
    content = bytearray((tmp_path / "s1/1.wav").read_bytes())
    content[40:44] = bytes(4)
    (tmp_path / "s1/1.wav").write_bytes(content)
    two = np.random.default_rng(0).uniform(-0.3, 0.3, (16_000, 2))
    soundfile.write(tmp_path / "s2/1.wav", two, 16_000)
    build(tmp_path, index)
    out = capsys.readouterr().out
    assert "1 of 20 recordings have a header that names another length than there is" in out
    assert "such as s1/1.wav" in out
    assert "1 of 20 recordings have channels that differ and are averaged" in out


def test_nothing_usable_is_told(tmp_path: Path) -> None:
    index = corpus(tmp_path)
    for name in index["path"]:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(LaspaError, match="none of 20 recordings can be used; the first: the file is empty"):
        build(tmp_path, index, on_bad_audio="skip")


def test_a_speaker_in_two_splits_is_refused(tmp_path: Path) -> None:
    index = corpus(tmp_path, split=True)
    index.loc[1, "split"] = "test"
    with pytest.raises(LaspaError, match=r"the same speaker is in test and train: .*s0/0\.wav and .*s0/1"):
        build(tmp_path, index)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    index = corpus(tmp_path, split=True)
    index.loc[0, "split"] = "training"
    with pytest.raises(LaspaError, match="split 'training' should be one of train, dev, test"):
        build(tmp_path, index)


@pytest.mark.parametrize(
    ("speakers", "changes", "message"),
    [
        (5, {}, r"split train has 1 speaker\(s\), 2 or more are needed"),
        (10, {"dev_share": 0.9, "test_share": 0.9}, r"split train has 0 speaker\(s\)"),
    ],
)
def test_too_few_speakers_for_a_split_are_refused(
    tmp_path: Path, speakers: int, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LaspaError, match=message):
        build(tmp_path, corpus(tmp_path, speakers), **changes)


def test_a_killed_run_resumes_and_looks_again_at_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = corpus(tmp_path, split=True)
    monkeypatch.setattr(build_module, "FILES_AT_A_TIME", 5)
    whole, _ = build(tmp_path, index)
    shutil.rmtree(tmp_path / "partial")
    looked: list[Path] = []

    class Killed(BaseException):
        pass

    def check(path: Path, *given: Any) -> AudioInfo:
        looked.append(path)
        if kill and len(looked) == 13:
            raise Killed
        return check_audio(path, *given)

    monkeypatch.setattr(build_module, "check_audio", check)
    kill = True
    with pytest.raises(Killed):
        build(tmp_path, index, workers=1)
    kill = False
    looked.clear()
    resumed, _ = build(tmp_path, index, workers=1)
    assert [path.name for path in looked] == [Path(name).name for name in index["path"][10:]]
    pd.testing.assert_frame_equal(resumed, whole)

    looked.clear()
    write(tmp_path, index["path"][6], seconds=0.7)
    changed, _ = build(tmp_path, index, workers=1)
    assert len(looked) == 5  # its piece alone
    assert (changed["sha256"] != whole["sha256"]).sum() == 1
    looked.clear()
    build(tmp_path, index, workers=1, min_seconds=0.2)
    assert len(looked) == 20
