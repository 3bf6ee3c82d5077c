"""Corpora from disk on miniatures with their real names and list formats, and each way they can be broken."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from G722 import G722

from laspa.corpora import common_voice, tidyvoice
from laspa.corpora import prepare as preparation
from laspa.corpora.check import compare
from laspa.errors import LaspaError
from laspa.manifest.index import locator
from laspa.params import load_params, with_overrides
from laspa.trials.lists import read_list

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
VOX1_META = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA.J._Buckley\tm\tIreland\tdev\nid10002\tA.R._Rahman\tm\tIndia\tdev\n"
    "id10270\tEartha_Kitt\tf\tUSA\ttest\n"
)
VOX2_META = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n000017 ,f ,test \n"
LABELS = (
    "filename,label\nid10001/1zcIwhmdeo4/00001.wav,English\nid10001/1zcIwhmdeo4/00002.wav,English\n"
    "id10002/6WO410QOeuo/00001.wav,Tamil\nid10270/5r0dWxy17C8/00001.wav,en\n"
)
VOX1_FILES = [line.partition(",")[0] for line in LABELS.splitlines()[1:]]


def touch(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1234")


def prepare(root: Path, **changes: Any) -> pd.DataFrame:
    chosen = with_overrides(PARAMS, {name.replace("__", "."): value for name, value in changes.items()})
    preparation.prepare(chosen, root, root / "raw")
    index = pd.read_csv(root / "raw/index.csv", dtype=str, keep_default_na=False)
    locate = locator(root / "raw", root)
    assert all(locate(path).is_file() for path in index["path"])
    return index


def vox1(root: Path, files: list[str] = VOX1_FILES, labels: str = LABELS, meta: str = VOX1_META) -> Path:
    folder = root / "vox1"
    touch(folder, [f"wav/{name}" for name in files])
    (folder / "vox1_meta.csv").write_text(meta)
    (folder / "vox1_lang_label.csv").write_text(labels)
    return folder


def test_voxceleb1_has_its_official_splits_genders_and_labels(tmp_path: Path) -> None:
    vox1(tmp_path)
    index = prepare(tmp_path, corpus="voxceleb1", voxceleb1__path="vox1")
    columns = ["path", "speaker", "language", "gender", "split", "bytes"]
    assert index[columns].values.tolist() == [
        ["voxceleb1/wav/id10001/1zcIwhmdeo4/00001.wav", "id10001", "eng", "m", "train", "4"],
        ["voxceleb1/wav/id10001/1zcIwhmdeo4/00002.wav", "id10001", "eng", "m", "train", "4"],
        ["voxceleb1/wav/id10002/6WO410QOeuo/00001.wav", "id10002", "tam", "m", "train", "4"],
        ["voxceleb1/wav/id10270/5r0dWxy17C8/00001.wav", "id10270", "eng", "f", "test", "4"],
    ]


def test_voxceleb2_is_read_as_m4a_and_left_to_be_labelled_or_labelled_by_video_or_speaker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["dev/aac/id00012/21Uxsk56VDQ/00001.m4a", "test/aac/id00017/01dfn2spqyE/00001.m4a"]
    touch(tmp_path / "vox2", names)
    (tmp_path / "vox2/vox2_meta.csv").write_text(VOX2_META)
    index = prepare(tmp_path, corpus="voxceleb2", voxceleb2__path="vox2")
    assert index[["speaker", "language", "gender", "split"]].values.tolist() == [
        ["id00012", "und", "m", "train"],
        ["id00017", "und", "f", "test"],
    ]
    assert "no labels of language; the stage label gives them" in capsys.readouterr().out
    (tmp_path / "mine.csv").write_text("video,lang\nid00012/21Uxsk56VDQ,fr\n")
    settings = {"corpus": "voxceleb2", "voxceleb2__path": "vox2", "voxceleb2__languages": "mine.csv"}
    assert prepare(tmp_path, **settings)["language"].tolist() == ["fra", "und"]
    assert "1 of 2 recordings have no label" in capsys.readouterr().out
    (tmp_path / "mine.csv").write_text("speaker,language\nid00012,fr\nid00017,de\n")
    assert prepare(tmp_path, **settings)["language"].tolist() == ["fra", "deu"]


def test_both_voxcelebs_joined_are_told_apart(tmp_path: Path) -> None:
    vox1(tmp_path)
    touch(tmp_path / "vox2", [f"aac/{name}/v/00001.m4a" for name in ("id00012", "id00017")])
    (tmp_path / "vox2/vox2_meta.csv").write_text(VOX2_META)
    index = prepare(
        tmp_path, corpus=["voxceleb2", "voxceleb1"], voxceleb1__path="vox1", voxceleb2__path="vox2"
    )
    ones = [f"voxceleb1-{name}" for name in ("id10001", "id10002", "id10270")]
    assert index["speaker"].unique().tolist() == [*ones, "voxceleb2-id00012", "voxceleb2-id00017"]


O_LIST = "1 id10270/5r0dWxy17C8/00001.wav id10270/5r0dWxy17C8/00001.wav\n"
E_LIST = O_LIST + "0 id10001/1zcIwhmdeo4/00002.wav id10270/5r0dWxy17C8/00001.wav\n"


def test_official_lists_beside_voxceleb_are_between_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = vox1(tmp_path)
    (folder / "veri_test2.txt").write_text(O_LIST)
    (tmp_path / "list_test_all2.txt").write_text(E_LIST)  # beside the folder
    (folder / "list_test_hard2.txt").write_text(E_LIST + "0 id10001/gone/00001.wav id10270/gone/00002.wav\n")
    (folder / "voxsrc2021_val.txt").write_text(E_LIST.replace("id1", "voxceleb1/id1"))
    index = prepare(tmp_path, corpus="voxceleb1", voxceleb1__path="vox1", voxceleb1__splits="test")
    assert set(index["split"]) == {"test"}
    lists = {file.stem: pd.read_parquet(file) for file in (tmp_path / "raw/lists").iterdir()}
    assert set(lists) == {"voxceleb1-o", "voxceleb1-e", "voxsrc2021-val"}
    test = "voxceleb1/wav/id10270/5r0dWxy17C8/00001.wav"
    expected = [[test, test, True], ["voxceleb1/wav/id10001/1zcIwhmdeo4/00002.wav", test, False]]
    assert lists["voxceleb1-e"].values.tolist() == lists["voxsrc2021-val"].values.tolist() == expected
    of_lines = "id10270/5r0dWxy17C8/00001.wav id10270/5r0dWxy17C8/00001.wav 1\n"
    assert (
        read_list(tmp_path / "raw/lists/voxceleb1-o.parquet").sha256()
        == hashlib.sha256(of_lines.encode()).hexdigest()
    )
    out = capsys.readouterr().out
    assert (
        "voxceleb1-h is left out: 2 of its 4 recordings are not there, such as id10001/gone/00001.wav" in out
    )
    assert "voxceleb1-b is left out: list_test_bilingual.txt is neither in" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": ""}, "params.yaml: corpus has voxceleb1 but voxceleb1.path is empty"),
        ({"path": "nowhere"}, "params.yaml: voxceleb1.path is 'nowhere', but "),
        (
            {"path": "empty"},
            "no recording idNNNNN/VIDEO/NNNNN, such as id10001/1zcIwhmdeo4/00001.wav, at any depth",
        ),
        (
            {"files": VOX1_FILES[2:]},
            "1 of 2 train speakers of vox1_meta.csv have no recording: id10001; unpack",
        ),
        (
            {"files": [*VOX1_FILES, "id00012/x/00001.wav"]},
            "id00012 is not in vox1_meta.csv; is this voxceleb1?",
        ),
        ({"labels": "file,tongue\na,b\n"}, "vox1_lang_label.csv: needs a column of filename, file, path, "),
        ({"labels": LABELS.replace("Tamil", "Tamilese")}, "no language is called 'Tamilese' (1 recordings)"),
        (
            {"meta": "VoxCeleb1 ID\tGender\nid10001\tm\n"},
            "vox1_meta.csv: no column set; it has VoxCeleb1 ID, ",
        ),
        (
            {"meta": VOX1_META.replace("\ttest", "\teval")},
            ":4: 'id10270', 'f', 'eval' should be a speaker",
        ),
    ],
)
def test_a_broken_voxceleb_is_told_what_is_wrong(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = change.pop("path", "vox1")
    vox1(tmp_path, **change)
    (tmp_path / "empty").mkdir()
    for name in ("vox1_meta.csv", "vox1_lang_label.csv"):
        (tmp_path / "empty" / name).write_bytes((tmp_path / "vox1" / name).read_bytes())
    with pytest.raises(LaspaError) as raised:
        prepare(tmp_path, corpus="voxceleb1", voxceleb1__path=path)
    assert message in str(raised.value)
    assert not (tmp_path / "raw").exists()


HEADER = "client_id\tpath\tsentence_id\tsentence\tup_votes\tage\tgender\tlocale\n"


def release(root: Path, language: str, rows: list[tuple[str, str, str]], table: str = "validated") -> Path:
    """`rows`: client, clip, gender."""
    folder = root / "cv-corpus-21.0-2025-03-14" / language
    lines = [
        f'{client * 128}\t{clip}\t1\tHe said "so\t2\t\t{gender}\t{language}\n'
        for client, clip, gender in rows
    ]
    touch(folder / "clips", [clip for _, clip, _ in rows])
    (folder / f"{table}.tsv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return folder


def test_a_client_of_common_voice_is_one_speaker_in_every_language(tmp_path: Path) -> None:
    release(
        tmp_path,
        "en",
        [("a", "common_voice_en_1.mp3", "female_feminine"), ("b", "common_voice_en_2.mp3", "")],
    )
    release(tmp_path, "zh-HK", [("a", "common_voice_zh-HK_1.mp3", "")])
    release(tmp_path, "en", [("c", "common_voice_en_3.mp3", "male_masculine")], table="other")
    settings = {"corpus": "common_voice", "common_voice__paths": ["cv-corpus-21.0-2025-03-14"]}
    index = prepare(tmp_path, **settings)
    assert index[["speaker", "language", "gender", "split"]].values.tolist() == [
        ["a" * 16, "eng", "f", ""],
        ["b" * 16, "eng", "", ""],
        ["a" * 16, "yue", "f", ""],
    ]
    assert index["path"][0] == "common_voice-0/en/clips/common_voice_en_1.mp3"
    assert len(prepare(tmp_path, **settings, common_voice__clips="all")) == 4


def test_a_broken_common_voice_is_told_what_is_wrong(tmp_path: Path) -> None:
    options = PARAMS.common_voice
    with pytest.raises(LaspaError, match=r"common_voice\.paths is empty; list a release's folder"):
        common_voice.list_recordings(options, tmp_path)
    options = options.model_copy(update={"paths": ["cv-corpus-21.0-2025-03-14"]})
    folder = release(tmp_path, "en", [("a", f"{n}.mp3", "") for n in range(3)])
    (folder / "clips/1.mp3").unlink()
    message = r"clips: 1 of 3 clips that validated\.tsv list are missing, such as 1\.mp3; unpack the archive"
    with pytest.raises(LaspaError, match=message):
        common_voice.list_recordings(options, tmp_path)
    (folder / "validated.tsv").write_text("path\tsentence\n0.mp3\tno\n")
    with pytest.raises(LaspaError, match=r"validated\.tsv: no column client_id; it has path, sentence"):
        common_voice.list_recordings(options, tmp_path)
    (folder / "validated.tsv").unlink()
    with pytest.raises(LaspaError, match=r"no LANGUAGE/validated\.tsv; name the release's folder, such as"):
        common_voice.list_recordings(options, tmp_path)


def test_tidyvoice_tests_on_its_dev_speakers(tmp_path: Path) -> None:
    names = ["TidyVoiceX_Train/id000001/en/a.wav", "TidyVoiceX_Dev/id000010/de/b.wav"]
    touch(tmp_path / "data/TidyVoiceX_ASV", names)
    (tmp_path / "data/TidyVoiceX_ASV/TidyVoiceX_Dev.txt").write_text(
        "1 id000010/de/b.wav id000010/de/b.wav\n"
    )
    index = prepare(tmp_path, corpus="tidyvoice", tidyvoice__path="data")
    assert index[["speaker", "language", "split"]].values.tolist() == [
        ["id000010", "deu", "test"],
        ["id000001", "eng", "train"],
    ]
    trial = pd.read_parquet(tmp_path / "raw/lists/tidyvoice-dev.parquet").iloc[0]
    assert trial["enroll"] == trial["test"] == f"tidyvoice/TidyVoiceX_ASV/{names[1]}"


def test_a_tidyvoice_that_is_half_unpacked_is_told_what_to_unpack(tmp_path: Path) -> None:
    touch(tmp_path, ["TidyVoiceX_Train/id000001/en/a.wav", "TidyVoiceX_Dev.tar.gz"])
    message = r"no recordings SPEAKER/LANGUAGE/NAME in a folder of dev; unpack TidyVoiceX_Dev\.tar\.gz"
    with pytest.raises(LaspaError, match=message):
        tidyvoice.list_recordings(".", tmp_path)
    (tmp_path / "TidyVoiceX_Dev.tar.gz").unlink()
    with pytest.raises(LaspaError, match="name the folder that holds TidyVoiceX_Train and TidyVoiceX_Dev"):
        tidyvoice.list_recordings(".", tmp_path)


def test_asterisks_prompts_of_a_second_or_more_are_listed_from_an_unpacked_folder(tmp_path: Path) -> None:
    sounds = tmp_path / "unpacked/usr/share/asterisk/sounds"
    silence = np.zeros(16_000, np.int16)
    prompt = bytes(G722(16_000, 64_000).encode(silence))
    for name, content in {
        "en_US_f_Allison/demo-congrats.g722": prompt,
        "en_US_f_Allison/digits/1.g722": prompt[:4_000],
        "en_US_f_Allison/beep.g722": prompt,
        "en_US_f_Allison/silence/10.g722": prompt,
        "es_MX_f_Allison/demo-congrats.g722": prompt,
        "ru_RU_f_IvrvoiceRU/digits/20.g722": prompt,
    }.items():
        (sounds / name).parent.mkdir(parents=True, exist_ok=True)
        (sounds / name).write_bytes(content)
    (sounds / "en").symlink_to(sounds / "en_US_f_Allison")
    index = prepare(tmp_path, corpus="asterisk", asterisk__path="unpacked")
    assert index[["speaker", "language", "gender", "split"]].values.tolist() == [
        ["allison", "eng", "f", "test"],
        ["allison", "spa", "f", "test"],
        ["ivrvoice", "rus", "f", "test"],
    ]
    with pytest.raises(LaspaError, match=r"none of en_US_f_Allison, .* apt-get install asterisk-core-sounds"):
        prepare(tmp_path, corpus="asterisk", asterisk__path="raw")


def test_cosines_are_those_of_a_plane() -> None:
    """Unit vectors at angles: the cosine of two is the cosine of the angle between them."""
    degrees = np.array([0, 60, 90, 180])
    vectors = 3 * np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
    found = compare(vectors, pd.Series(["a", "a", "a", "b"]), pd.Series(["en", "en", "es", "en"]))
    assert list(found) == ["a within en", "a across en and es", "a against b"]
    assert found["a within en"] == pytest.approx((0.5, 0, 1))
    assert found["a across en and es"] == pytest.approx(((0 + np.sqrt(3) / 2) / 2, np.sqrt(3) / 4, 2))
    assert found["a against b"].mean == pytest.approx((-1 - 0.5 + 0) / 3)
    assert found["a against b"].pairs == 3
    with pytest.raises(LaspaError, match="nobody in this corpus speaks two languages"):
        compare(vectors[:2], pd.Series(["a", "b"]), pd.Series(["en", "es"]))
