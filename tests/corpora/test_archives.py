"""Archives that are split, layered, cut, hostile or too large."""

import gzip
import io
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from laspa.corpora.download import archives
from laspa.corpora.download.archives import Limits, extract
from laspa.errors import LaspaError

FILES = {"RECS/a.wav": np.random.default_rng(1).bytes(5000), "RECS/deep/er/b.wav": b"b" * 70, "c": b""}


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in members:
            info.size = len(content) if info.isfile() else 0
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def plain_tar() -> bytes:
    folder = tarfile.TarInfo("RECS")
    folder.type = tarfile.DIRTYPE
    return tar_of((folder, b""), *((tarfile.TarInfo(name), content) for name, content in FILES.items()))


def plain_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("RECS/", "")
        for name, content in FILES.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def split(content: bytes, folder: Path, count: int) -> list[Path]:
    """Parts aa, ab, … as `split` names them."""
    size = -(-len(content) // count)
    parts = [folder / f"x.part.a{'abcdefghij'[number]}" for number in range(count)]
    for number, part in enumerate(parts):
        part.write_bytes(content[number * size : (number + 1) * size])
    return parts


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.gz.gz", "zip"])
def test_archives_and_their_parts(tmp_path: Path, kind: str, parts: int) -> None:
    content = plain_zip() if kind == "zip" else plain_tar()
    for _ in range(kind.count("gz")):
        content = gzip.compress(content)
    extract(split(content, tmp_path, parts), tmp_path / "out")
    assert found(tmp_path / "out") == FILES


def test_the_system_tar_agrees(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    subprocess.run(["tar", "-czf", "x.tar.gz", "-C", "in", "."], cwd=tmp_path, check=True)
    extract([tmp_path / "x.tar.gz"], tmp_path / "out")
    assert found(tmp_path / "out") == FILES


def test_a_folder_that_is_there_stays_and_leftovers_go(tmp_path: Path) -> None:
    (tmp_path / ".out.unpacking").mkdir()
    (tmp_path / ".out.unpacking" / "half").write_bytes(b"x")
    extract(split(plain_tar(), tmp_path, 1), tmp_path / "out")
    assert found(tmp_path / "out") == FILES
    (tmp_path / "out" / "c").write_bytes(b"mine")
    extract([tmp_path / "gone"], tmp_path / "out")
    assert (tmp_path / "out" / "c").read_bytes() == b"mine"
    assert not list(tmp_path.glob(".*"))


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def device() -> tarfile.TarInfo:
    info = tarfile.TarInfo("null")
    info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
    return info


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (tarfile.TarInfo("../out.wav"), r"'\.\./out\.wav' lies outside"),
        (tarfile.TarInfo("a/../../out.wav"), "lies outside"),
        (tarfile.TarInfo("/tmp/out.wav"), "lies outside"),
        (tarfile.TarInfo("C:/out.wav"), "lies outside"),
        (link("l", "/etc/passwd", tarfile.SYMTYPE), "'l' is a link"),
        (link("l", "RECS", tarfile.SYMTYPE), "'l' is a link"),
        (link("l", "../x", tarfile.LNKTYPE), "'l' is a link"),
        (device(), "'null' is neither file nor folder"),
        (link("f", "", tarfile.FIFOTYPE), "'f' is neither file nor folder"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_hostile_tars_leave_nothing(tmp_path: Path, member: tarfile.TarInfo, words: str) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of((tarfile.TarInfo("good.wav"), b"1"), (member, b"2")))
    (tmp_path / "in").mkdir()
    with pytest.raises(LaspaError, match=words):
        extract([tmp_path / "x.tar"], tmp_path / "in" / "out")
    assert not list((tmp_path / "in").iterdir())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x.tar"]


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("../out.wav", stat.S_IFREG, "lies outside"),
        ("/out.wav", 0, "lies outside"),
        ("l", stat.S_IFLNK, "'l' is a link"),
        ("d", stat.S_IFBLK, "neither file nor folder"),
    ],
)
def test_hostile_zips_leave_nothing(tmp_path: Path, name: str, mode: int, words: str) -> None:
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(LaspaError, match=words):
        extract([tmp_path / "x.zip"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_cut_archives_leave_nothing(tmp_path: Path, kind: str, kept: float) -> None:
    content = {"tar": plain_tar(), "tar.gz": gzip.compress(plain_tar()), "zip": plain_zip()}[kind]
    content = content[: int(len(content) * kept)] if kind != "tar" else content[: 1024 + int(5000 * kept)]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LaspaError, match="damaged or cut off"):
        extract([tmp_path / "x"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_flipped_bit_is_found(tmp_path: Path, kind: str) -> None:
    content = bytearray(gzip.compress(plain_tar()) if kind == "tar.gz" else plain_zip())
    content[len(content) // 3] ^= 1
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LaspaError, match="damaged or cut off"):
        extract([tmp_path / "x"], tmp_path / "out")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (6, b"\xff"),  # of the central directory: the version that unpacks it, 25.5
        (10, b"\x63"),  # method 99
        (46, b"\0"),  # a name that begins with NUL is an empty name to zipfile
        (9, b"\x08\0\0"),  # the name is UTF-8, which it is not
    ],
)
def test_zips_that_zipfile_stumbles_over_leave_nothing(tmp_path: Path, place: int, value: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("\xff.wav" if place == 9 else "a.wav", b"sound")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    start = content.rindex(b"PK\x01\x02")
    content[start + place : start + place + len(value)] = value
    if place == 9:
        content[start + 46 : start + 47] = b"\xcb"
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(LaspaError, match=r"x\.zip: damaged or cut off \(.+\); delete it"):
        extract([tmp_path / "x.zip"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("content", [plain_tar(), gzip.compress(plain_tar()), plain_zip()])
def test_limits(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LaspaError, match="more than 3 members"):
        extract([tmp_path / "x"], tmp_path / "out", Limits(files=3))
    with pytest.raises(LaspaError, match=r"unpacks to more than 4\.9 KiB"):
        extract([tmp_path / "x"], tmp_path / "out", Limits(bytes=5050))
    assert not (tmp_path / "out").exists()
    extract([tmp_path / "x"], tmp_path / "out", Limits(files=4, bytes=5070))
    assert found(tmp_path / "out") == FILES


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    """16 MiB of zeros, 16 KiB in gzip: tarfile would read them all for the name of a member."""
    bomb = tarfile.TarInfo("a")
    bomb.type, bomb.size = kind, 2**24
    content = bomb.tobuf(tarfile.USTAR_FORMAT) + bytes(bomb.size + 1024)
    (tmp_path / "x").write_bytes(gzip.compress(content))
    with pytest.raises(LaspaError, match=r"damaged or cut off \(a header of 16\.0 MiB\)"):
        extract([tmp_path / "x"], tmp_path / "out")


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(plain_tar())
    usage = type("Usage", (), {"free": archives.SPARE_BYTES + 4999})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LaspaError, match=r"RECS/a\.wav would take 4\.9 KiB, but .* free .*; make room"):
        extract([tmp_path / "x"], tmp_path / "out")


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    with pytest.raises(LaspaError, match="damaged or cut off"):
        extract([tmp_path / "x"], tmp_path / "out")
