"""A recording that ends before its header says is no shorter recording."""

import io
import sys
from contextlib import nullcontext
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from laspa.audio.lengths import cut_short
from laspa.audio.quality import WRONG_HEADER, check_audio
from laspa.audio.reading import read_audio
from laspa.audio.streaming import open_recording
from laspa.errors import LaspaError


def encoded(
    form: str, subtype: str, rate: int = 16_000, channels: int = 1, seconds: float = 1.0
) -> bytearray:
    """A tone."""
    tone = np.sin(np.arange(int(rate * seconds)) * 0.1) * 0.5
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone] * channels, axis=1), rate, format=form, subtype=subtype)
    return bytearray(file.getvalue())


def mp3_behind_a_tag() -> bytearray:
    """As FFmpeg writes it: the sound follows an ID3 tag."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        container.metadata["title"] = "t" * 5_000
        stream = container.add_stream("libmp3lame", rate=16_000, layout="mono")
        frame = av.AudioFrame(format="s16p", layout="mono", samples=16_000)
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return bytearray(file.getvalue())


@pytest.mark.parametrize(
    ("form", "kept", "problem"),
    [
        ("WAV", 44 + 24_000, "cut short: 24,000 of 32,000 bytes of sound"),
        ("WAV", 44 + 31_999, "cut short: 31,999 of 32,000 bytes of sound"),
        ("WAV", 44 + 32_000, ""),
    ],
)
def test_a_wav_that_ends_before_its_header_says_is_no_shorter_recording(
    form: str, kept: int, problem: str
) -> None:
    assert check_audio("a.wav", bytes(encoded(form, "PCM_16")[:kept]), 0.5).problem == problem


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_as_streams_have_is_whole(size: int) -> None:
    content = encoded("WAV", "PCM_16")
    content[40:44] = size.to_bytes(4, "little")
    info = check_audio("a.wav", bytes(content), 0.5)
    assert (info.problem, info.num_samples) == ("", 16_000)


def test_chunks_before_the_sound_are_passed_over() -> None:
    content = encoded("WAV", "PCM_16")
    content[36:36] = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    assert check_audio("a.wav", bytes(content), 0.5).problem == ""
    assert (
        check_audio("a.wav", bytes(content[:-2]), 0.5).problem == "cut short: 31,998 of 32,000 bytes of sound"
    )


def test_a_flac_that_ends_before_its_header_says_is_no_shorter_recording() -> None:
    content = encoded("FLAC", "PCM_16", seconds=2.0)
    assert check_audio("a.flac", bytes(content), 0.5).problem == ""
    assert "damaged, cut short, or" in check_audio("a.flac", bytes(content[: len(content) // 2]), 0.5).problem
    # As if it had been cut where a frame ends: STREAMINFO's 36 bits announce 8,000 samples more.
    content[21:26] = (int.from_bytes(content[21:26], "big") + 8_000).to_bytes(5, "big")
    assert "damaged, cut short, or" in check_audio("a.flac", bytes(content), 0.5).problem


WITH_LENGTHS = {
    **{
        f"{subtype}, {rate} Hz, {channels} channels": encoded(form, subtype, rate, channels)
        for (form, subtype), rate, channels in product(
            [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")], [16_000, 48_000], [1, 2]
        )
    },
    "MP3 behind an ID3 tag": mp3_behind_a_tag(),
}


@pytest.mark.parametrize("kind", WITH_LENGTHS)
def test_a_compressed_recording_that_was_cut_is_named(kind: str) -> None:
    content = bytes(WITH_LENGTHS[kind])
    assert cut_short(content) == ""
    for kept in (len(content) - 1, len(content) * 9 // 10, len(content) * 2 // 3):
        assert cut_short(content[:kept]).startswith("cut short: ")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_whose_last_page_is_not_marked_as_the_last_is_whole(subtype: str) -> None:
    """Android writes voice messages so; whether a page is missing cannot be told."""
    content = encoded("OGG", subtype, seconds=3.0)
    last = content.rfind(b"OggS")
    content[last + 5] &= ~4
    content[last + 22 : last + 26] = ogg_checksum(content[last:]).to_bytes(4, "little")
    info = check_audio("a.ogg", bytes(content), 0.5)
    assert (info.problem, info.notes) == ("", ())
    assert info.num_samples / info.sample_rate == pytest.approx(3.0, abs=0.1)
    assert cut_short(bytes(content[:-1])).startswith("cut short: ")
    assert cut_short(b"OggS") == "cut short: its last page is missing"


def ogg_checksum(page: bytearray) -> int:
    """RFC 3533: CRC of polynomial 0x04c11db7, with the checksum's own bytes 0."""
    value = 0
    for place, byte in enumerate(page):
        value ^= (0 if 22 <= place < 26 else byte) << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


@pytest.mark.parametrize(
    ("flags", "counts", "size"), [(2, (400,), 400), (3, (7, 400), 400), (1, (7, 10**6), None)]
)
def test_the_tag_of_an_mp3_has_the_counts_that_its_flags_name(
    flags: int, counts: tuple[int, ...], size: int | None
) -> None:
    tag = b"Info" + b"".join(number.to_bytes(4, "big") for number in (flags, *counts))
    content = (b"\xff\xf3" + bytes(11) + tag).ljust(400, b"\0")
    assert cut_short(content) == ""
    assert cut_short(content[:-1]) == (f"cut short: 399 of {size} bytes of sound" if size else "")


def test_what_says_nothing_of_its_length_is_taken_as_it_is() -> None:
    content = WITH_LENGTHS["MPEG_LAYER_III, 16000 Hz, 1 channels"]
    place = max(content.find(b"Xing"), content.find(b"Info"))
    content = content[:place] + b"none" + content[place + 4 :]
    for kept in (len(content), len(content) // 2):
        assert cut_short(bytes(content[:kept])) == ""
    assert cut_short(b"") == ""
    assert cut_short(bytes(range(256))) == ""


def test_the_reason_is_told_when_recordings_are_checked() -> None:
    content = bytes(WITH_LENGTHS["MPEG_LAYER_III, 16000 Hz, 1 channels"])
    problem = check_audio("a.mp3", content[: len(content) // 2], 0.1).problem
    assert problem.startswith("cut short: ")
    assert problem.endswith(" bytes of sound")


def wav(named: int, sound: int = 32_000, riff: int | None = None, behind: bytes = b"") -> bytes:
    """A WAV whose header names `named` bytes of its `sound` bytes."""
    content = encoded("WAV", "PCM_16", seconds=sound / 32_000) + behind
    content[4:8] = (len(content) - 8 if riff is None else riff).to_bytes(4, "little")
    content[40:44] = named.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "samples", "wrong"),
    [
        (wav(32_044), 16_000, True),  # the header is counted in
        (wav(32_044, riff=32_080), 16_000, True),
        (wav(32_016), 16_000, True),  # but RIFF names the right length
        (wav(0), 16_000, True),
        (wav(0, riff=0), 16_000, True),
        (wav(16_000), 16_000, True),
        (wav(32_000, behind=b"LIST" + (300).to_bytes(4, "little") + bytes(300)), 16_000, False),
        (wav(32_000, behind=b"TAG" + b"t" * 125), 16_000, False),
        (wav(32_000, behind=bytes(2_048)), 16_000, False),
        (wav(0xFFFFFFFF), 16_000, False),
    ],
)
def test_sound_behind_a_wrong_size_is_not_lost(content: bytes, samples: int, wrong: bool, tmp_path) -> None:
    info = check_audio("a.wav", content, 0.5)
    assert (info.problem, info.num_samples, info.notes) == ("", samples, (WRONG_HEADER,) * wrong)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_audio(tmp_path / "a.wav")) == samples
    with nullcontext() if not wrong else pytest.warns(UserWarning, match="names another length"):
        recording = open_recording(tmp_path / "a.wav")
    assert sum(map(len, recording.blocks())) == samples


def test_a_wav_with_no_sound_at_all_is_too_short() -> None:
    assert "0 samples at 16000 Hz" in check_audio("a.wav", wav(0, sound=0), 0.5).problem


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("AIFF", "PCM_16"), ("AU", "PCM_16"), ("NIST", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_16")],
)
def test_other_headers_say_their_length_too(form: str, subtype: str) -> None:
    content = bytes(encoded(form, subtype))
    assert check_audio("a", content, 0.5).problem == ""
    assert check_audio("a", content[: len(content) * 2 // 3], 0.1).problem.startswith("cut short: ")


def test_a_cut_m4a_whose_index_stands_first_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32_000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, "fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    content = path.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")
    assert check_audio("a.m4a", content, 0.5).problem == ""
    assert check_audio("a.m4a", content[: len(content) * 2 // 3], 0.1).problem.startswith("cut short: ")


def test_a_flac_written_as_a_stream_does_not_say_how_long_it_is() -> None:
    content = encoded("FLAC", "PCM_16")
    content[21:26] = (int.from_bytes(content[21:26], "big") & ~(2**36 - 1)).to_bytes(5, "big")
    assert check_audio("a.flac", bytes(content), 0.5).problem == ""


@pytest.mark.parametrize(
    ("form", "place", "size"),
    [("AU", 8, b"\xff" * 4), ("AIFF", 4, b"\xff" * 4), ("RF64", 20, b"\xff" * 8), ("AIFF", 4, bytes(4))],
)
def test_what_is_written_as_a_stream_does_not_say_how_long_it_is(form: str, place: int, size: bytes) -> None:
    content = encoded(form, "PCM_16")
    content[place : place + len(size)] = size
    assert cut_short(bytes(content)) == ""


@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")]
)
def test_recordings_joined_byte_by_byte_are_read_whole(form: str, subtype: str, tmp_path: Path) -> None:
    content = bytes(encoded(form, subtype, seconds=2.0))
    (tmp_path / "a").write_bytes(2 * content)
    assert len(read_audio(tmp_path / "a")) == pytest.approx(64_000, rel=0.1)
    info = check_audio("a", 2 * content, 0.5)
    assert (info.problem, info.num_samples) == ("", pytest.approx(64_000, rel=0.1))
    assert info.notes == (() if form == "OGG" else (WRONG_HEADER,))
    assert check_audio("a", content, 0.5).notes == ()


def test_an_mp3_that_does_not_say_how_long_it_is_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """libsndfile takes the first frame's bit rate for that of all: here it reads a quarter."""
    sound = np.concatenate(
        [np.sin(np.arange(64_000) * 0.1) * 0.5, np.random.default_rng(0).uniform(-0.5, 0.5, 64_000)]
    )
    file = io.BytesIO()
    soundfile.write(file, np.append(sound, np.zeros(64_000)), 16_000, format="MP3", subtype="MPEG_LAYER_III")
    content = file.getvalue().replace(b"Xing", b"none", 1)
    info = check_audio("a.mp3", content, 0.5)
    assert (info.problem, info.notes) == ("", ())
    assert info.num_samples == pytest.approx(192_000, rel=0.02)
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    with pytest.raises(LaspaError, match=r"a\.mp3: needs PyAV to be decoded; pip install 'laspa\[codecs\]'"):
        check_audio("a.mp3", content, 0.5)


@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")]
)
def test_sound_behind_an_id3_tag_is_whole(form: str, subtype: str) -> None:
    content = b"ID3\4\0\0\0\0\7\x68" + bytes(1000) + bytes(encoded(form, subtype))
    info = check_audio("a", content, 0.5)
    assert (info.problem, info.num_samples) == ("", 16_000)
