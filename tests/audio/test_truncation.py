"""A recording that ends before its header says is no shorter recording."""

import io
from itertools import product

import av
import numpy as np
import pytest
import soundfile

from laspa.audio.quality import check_audio
from laspa.audio.truncation import cut_short


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
def test_an_ogg_that_ends_with_a_whole_page_may_lack_others(subtype: str) -> None:
    content = encoded("OGG", subtype)
    assert cut_short(bytes(content[: content.rfind(b"OggS")])) == "cut short: its last page is missing"


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
