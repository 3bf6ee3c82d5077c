"""Corpora as they are found: conversions beside originals, odd suffixes, other names, broken rows."""

import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from laspa.corpora import prepare as preparation
from laspa.corpora.disk import files, one_format_each, without_suffix
from laspa.errors import LaspaError
from laspa.manifest.index import locator
from laspa.params import load_params, with_overrides

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def prepare(root: Path, **changes: Any) -> pd.DataFrame:
    chosen = with_overrides(PARAMS, {name.replace("__", "."): value for name, value in changes.items()})
    preparation.prepare(chosen, root, root / "raw")
    index = pd.read_csv(root / "raw/index.csv", dtype=str, keep_default_na=False)
    assert all(locator(root / "raw", root)(path).is_file() for path in index["path"])
    return index


def folder(root: Path, manifest: str | bytes | None = None, name: str = "manifest.csv") -> pd.DataFrame:
    (root / "mine").mkdir(exist_ok=True)
    if manifest is not None:
        content = manifest if isinstance(manifest, bytes) else manifest.encode()
        (root / "mine" / name).write_bytes(content)
    return prepare(root, corpus="folder", folder__paths=["mine"])


def refused(root: Path, manifest: str) -> str:
    with pytest.raises(LaspaError) as raised:
        folder(root, manifest)
    return str(raised.value)


# --- one recording listed twice


def test_of_a_recording_and_its_conversion_the_wav_is_taken(tmp_path: Path, capsys) -> None:
    touch(
        tmp_path / "mine",
        "a/en/1.m4a",
        "a/en/1.wav",
        "a/en/1.FLAC",
        "a/en/2.mp3",
        "a/en/2.flac",
        "a/en/3.ogg",
    )
    touch(tmp_path / "mine", "a/en/4.1.wav", "a/en/4.2.wav", "a/es/1.m4a")
    names = ["a/en/1.wav", "a/en/2.flac", "a/en/3.ogg", "a/en/4.1.wav", "a/en/4.2.wav", "a/es/1.m4a"]
    assert folder(tmp_path)["path"].tolist() == [f"0/{name}" for name in names]
    said = (
        "folder: 3 of 9 recordings are left out, because they are there in another format too, such "
        "as 0/a/en/1.FLAC"
    )
    assert said in capsys.readouterr().out


def test_one_name_in_two_formats_under_two_speakers_is_refused() -> None:
    rows = pd.DataFrame({"path": ["1.m4a", "1.wav"], "speaker": ["a", "b"], "language": ["en", "en"]})
    with pytest.raises(LaspaError, match=r"1\.m4a and 1\.wav have one name in two formats, but two speakers"):
        one_format_each(rows, without_suffix(rows["path"]), "folder")


def test_voxceleb_converted_into_a_folder_of_its_own_counts_once(tmp_path: Path, capsys) -> None:
    touch(
        tmp_path / "vox",
        "dev/aac/id00012/v/00001.m4a",
        "dev/wav/id00012/v/00001.wav",
        "dev/wav/id00012/v/00002.wav",
    )
    touch(tmp_path / "vox", "dev/aac/id00012/v/00001.txt", "extra/interview.wav", "test/id00017/v/00001.opus")
    (tmp_path / "vox/vox2_meta.csv").write_text(VOX2)
    index = prepare(tmp_path, corpus="voxceleb2", voxceleb2__path="vox")
    assert index["path"].tolist() == [
        "voxceleb2/dev/wav/id00012/v/00001.wav",
        "voxceleb2/dev/wav/id00012/v/00002.wav",
        "voxceleb2/test/id00017/v/00001.opus",
    ]
    out = capsys.readouterr().out
    assert "1 of 4 recordings are left out, because they are there in another format too" in out
    assert (
        "1 files are passed over, which are not named idNNNNN/VIDEO/NNNNN (.wav 1), such as extra/inter"
        in out
    )


@pytest.mark.parametrize("other", ["./1.wav", "a/../1.wav", "a//../1.wav", "{folder}/1.wav", ".\\1.wav"])
def test_two_spellings_of_a_path_are_one_recording(tmp_path: Path, other: str) -> None:
    touch(tmp_path / "mine", "1.wav", "a/2.wav")
    other = other.format(folder=tmp_path / "mine")
    message = refused(tmp_path, f"path,speaker,language\n1.wav,ann,en\na/2.wav,bob,en\n{other},ann,en\n")
    assert "manifest.csv:4: lists 1.wav again, as line 2 does; list a recording once" in message


# --- recordings passed over


def test_any_suffix_depth_and_link_is_read_and_the_rest_is_counted(tmp_path: Path, capsys) -> None:
    mine, sound = tmp_path / "mine", 0.1 * np.ones(800)
    touch(mine, "a/en/1.opus", "a/en/2.AIFF", "a/en/day/3.sph", "b/en/._1.wav", "b/en/notes.txt", "stray.wav")
    touch(mine, "a/en/.DS_Store", "b/en/x.raw")
    soundfile.write(mine / "b/en/call", sound, 16_000, format="WAV")
    touch(tmp_path / "elsewhere", "en/9.mp3")
    (mine / "c").symlink_to(tmp_path / "elsewhere")
    (mine / "a/loop").symlink_to(mine)
    (mine / "a/en/annexed.wav").symlink_to("../../.git/annex/objects/gone.wav")
    index = folder(tmp_path)
    names = ["a/en/1.opus", "a/en/2.AIFF", "a/en/day/3.sph", "b/en/call", "c/en/9.mp3"]
    assert index["path"].tolist() == [f"0/{name}" for name in names]
    assert set(index["language"]) == {"eng"}
    out = capsys.readouterr().out
    assert "which are links that lead nowhere (.wav 1), such as a/en/annexed.wav" in out
    assert (
        "4 files are passed over, which hold no sound that is known (no suffix 1, .wav 1, .txt 1, .raw 1)"
        in out
    )
    assert (
        "1 files are passed over, which do not stand in SPEAKER/LANGUAGE/ (.wav 1), such as stray.wav" in out
    )


@pytest.mark.parametrize("channels", [1, 2])
def test_a_column_channel_is_refused_where_there_are_channels(tmp_path: Path, channels: int) -> None:
    (tmp_path / "mine").mkdir()
    soundfile.write(tmp_path / "mine/1.sph", np.zeros((800, channels)), 8_000, format="NIST")
    touch(tmp_path / "mine", "2.wav")
    text = "path,speaker,language,channel\n2.wav,bob,en,A\n1.sph,ann,en,A\n"
    if channels == 1:
        assert len(folder(tmp_path, text)) == 2
        return
    text += "1.sph,bob,en,B\n"
    assert ":3: channel is 'A' of 1.sph, which has 2 channels, but one channel" in refused(tmp_path, text)


# --- names and text


def test_one_person_is_one_however_the_accents_are_written(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "José")
    touch(tmp_path / "mine", f"{decomposed}/en/1.wav", "José/es/1.wav")
    assert folder(tmp_path)["speaker"].unique().tolist() == ["mine-José"]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_manifest_finds_files_whose_accents_are_written_otherwise(
    tmp_path: Path, forms: tuple[Any, Any]
) -> None:
    listed, there = (unicodedata.normalize(form, "é/ü 1.wav") for form in forms)
    touch(tmp_path / "mine", there)
    assert folder(tmp_path, f"path,speaker,language\n{listed},ann,en\n")["path"].tolist() == [f"0/{there}"]


@pytest.mark.parametrize(
    "manifest",
    [
        b"path,speaker,language,\nd/1.wav,ann,en,\n",
        b"path,speaker,language\nd/1.wav,ann,en,,\n",
        b"path;speaker;language\r\nd/1.wav;ann;en\r\n",
        "path\tspeaker\tlanguage\r\nd\\1.wav\tann\ten\r\n".encode("utf-16"),
        b"\xef\xbb\xbfpath,speaker,language\nd\\1.wav,ann,en\n\n",
        b'"path","speaker","language","note"\n"./d/1.wav","ann","en","a ""b"", c\nd"\n',
    ],
)
def test_a_manifest_is_read_as_spreadsheets_save_it(tmp_path: Path, manifest: bytes) -> None:
    touch(tmp_path / "mine", "d/1.wav")
    index = folder(tmp_path, manifest)
    assert index[["path", "speaker", "language"]].values.tolist() == [["0/d/1.wav", "mine-ann", "eng"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "1.wav,ann,en,f,checked\n",
            "manifest.csv:2: more or fewer fields than the header names (1 such line(s))",
        ),
        ("1.wav,ann\n", "manifest.csv:2: more or fewer fields"),
        ("1.wav,ann,en,female\n", "manifest.csv:2: gender is 'female'; write f, m, or leave it empty"),
        ("1.wav,,en,f\n", "manifest.csv:2: speaker is empty"),
        (
            "../1.wav,ann,en,f\n",
            "manifest.csv:2: ../1.wav lies outside the folder; write its whole path, or move it",
        ),
        ("d,ann,en,f\n", "manifest.csv:2: d is a folder, a recording was expected"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_told_with_its_line(
    tmp_path: Path, rows: str, message: str
) -> None:
    touch(tmp_path / "mine", "1.wav", "d/2.wav")
    touch(tmp_path, "1.wav")
    assert message in refused(tmp_path, "path,speaker,language,gender\n" + rows)


def test_names_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "mine", "a/en/1.wav")
    try:
        os.rename(
            os.fsencode(tmp_path / "mine/a/en/1.wav"), os.fsencode(tmp_path / "mine/a/en") + b"/caf\xe9.wav"
        )
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    with pytest.raises(
        LaspaError, match=r"1 file\(s\) whose names are not UTF-8, such as a/en/caf\\xe9\.wav; rename"
    ):
        folder(tmp_path)


def test_files_come_in_one_order_and_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a/c.wav", "a/b/d.wav")
    (tmp_path / "a/up").symlink_to(tmp_path)
    assert [name for name, _ in files(tmp_path)] == ["b.wav", "a/c.wav", "a/b/d.wav"]


# --- publishers' data of which a part is missing

VOX2 = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n000017 ,f ,test \n"


def test_an_absent_or_unlisted_speaker_can_be_left_out(tmp_path: Path, capsys) -> None:
    touch(tmp_path / "vox", "id00012/v/00001.wav", "id00017/v/00001.wav", "id09999/v/00001.wav")
    (tmp_path / "vox/vox2_meta.csv").write_text(VOX2 + "id00013 ,n000013 ,m ,dev \n")
    settings: dict[str, Any] = {"corpus": "voxceleb2", "voxceleb2__path": "vox"}
    with pytest.raises(
        LaspaError, match=r"id09999 is not in vox2_meta.csv; .* set voxceleb2.on_absent_speaker"
    ):
        prepare(tmp_path, **settings)
    index = prepare(tmp_path, **settings, voxceleb2__on_absent_speaker="skip")
    assert index["speaker"].tolist() == ["id00012", "id00017"]
    out = capsys.readouterr().out
    assert "1 speakers are left out, who are not in vox2_meta.csv: id09999" in out
    assert "1 of 2 train speakers of vox2_meta.csv have no recording: id00013; they are left out" in out
    (tmp_path / "vox/id09999/v/00001.wav").unlink()
    with pytest.raises(
        LaspaError, match=r"1 of 2 train speakers .* or set voxceleb2.on_absent_speaker to skip"
    ):
        prepare(tmp_path, **settings)


CV = "client_id\tpath\tsentence\tage\tgender\tlocale\n"


def common_voice(
    root: Path, rows: str, locale: str = "en", clips: tuple[str, ...] = ("1.mp3", "2.mp3")
) -> None:
    release = touch(root / "cv" / locale / "clips", *clips).parent
    (release / "validated.tsv").write_bytes((CV + rows).encode())


def test_rows_of_common_voice_that_say_too_little_are_left_out_and_counted(tmp_path: Path, capsys) -> None:
    rows = 'aa\t1.mp3\tsaid "so\t\tfemale_feminine\ten\t\nbb\t2.mp3\ta\rb\u2028c\t\t\ten\r\n'
    rows += "\t1.mp3\tno client\t\t\ten\naa\t1.mp3\ta tab\there\t\t\ten\naa\t2.mp3\tcut\n"
    common_voice(tmp_path, rows)
    index = prepare(tmp_path, corpus="common_voice", common_voice__paths=["cv"])
    assert index[["path", "speaker", "gender"]].values.tolist() == [
        ["common_voice-0/en/clips/1.mp3", "aa", "f"],
        ["common_voice-0/en/clips/2.mp3", "bb", ""],
    ]
    out = capsys.readouterr().out
    assert "2 of 5 lines of validated.tsv are left out: they have more or fewer fields" in out
    assert "the first is line 5" in out
    assert "1 of 3 clips are left out, which have no client_id or no path" in out


def test_clips_that_were_converted_or_are_listed_without_a_suffix_are_found(tmp_path: Path) -> None:
    rows = "aa\t1.mp3\ts\t\t\ten\nbb\t2\ts\t\t\ten\n"
    common_voice(tmp_path, rows, clips=("1.wav", "2.mp3"))
    index = prepare(tmp_path, corpus="common_voice", common_voice__paths=["cv"])
    assert index["path"].tolist() == ["common_voice-0/en/clips/1.wav", "common_voice-0/en/clips/2.mp3"]


def test_a_locale_without_a_code_can_be_left_out(tmp_path: Path, capsys) -> None:
    common_voice(tmp_path, "aa\t1.mp3\ts\t\t\ten\n")
    common_voice(tmp_path, "aa\t1.mp3\ts\t\t\tqqq\n", locale="xx-none")
    settings: dict[str, Any] = {"corpus": "common_voice", "common_voice__paths": ["cv"]}
    with pytest.raises(
        LaspaError, match=r"'xx-none' \(1 recordings\).*common_voice\.on_unknown_locale to skip"
    ):
        prepare(tmp_path, **settings)
    index = prepare(tmp_path, **settings, common_voice__on_unknown_locale="skip")
    assert index["language"].tolist() == ["eng"]
    assert "left out whose language has no ISO 639 code: 'xx-none' (1 recordings)" in capsys.readouterr().out
