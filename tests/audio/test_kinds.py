"""Sound is told by content, whatever the suffix; whatever a decoder raises is a bad recording with a name."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from laspa.audio import decoders
from laspa.audio.kinds import is_recording
from laspa.audio.quality import CHANNELS_DIFFER, check_audio, correlation
from laspa.audio.reading import read_audio
from laspa.audio.streaming import open_recording
from laspa.errors import LaspaError

RATE = 16_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)


def encoded(form: str, subtype: str, rate: int = RATE, samples: np.ndarray = TONE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def by_ffmpeg(form: str, codec: str, rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", bit_rate=64_000)
        whole = np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)[None] * 16_000
        frame = av.AudioFrame.from_ndarray(whole.astype(np.int16), "s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, frame_size=stream.codec_context.frame_size or 0)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype", "rate"),
    [
        ("WAV", "GSM610", 8_000),
        ("WAV", "ULAW", 8_000),
        ("WAV", "ALAW", 8_000),
        ("WAV", "IMA_ADPCM", 11_025),
        ("WAV", "MS_ADPCM", 16_000),
        ("WAV", "PCM_U8", 8_000),
        ("WAV", "PCM_24", 192_000),
        ("WAV", "DOUBLE", 48_000),
        ("WAVEX", "PCM_16", 16_000),
        ("RF64", "PCM_16", 16_000),
        ("W64", "PCM_16", 16_000),
        ("AIFF", "PCM_16", 44_100),
        ("AU", "ULAW", 8_000),
        ("CAF", "ALAC_16", 44_100),
        ("NIST", "PCM_16", 16_000),
        ("OGG", "OPUS", 48_000),
        ("MP3", "MPEG_LAYER_III", 44_100),
    ],
)
@pytest.mark.parametrize("name", ["a", "a.wav", "a.m4a", "a.g722"])
def test_libsndfile_reads_it_whatever_the_suffix(form, subtype, rate, name, tmp_path) -> None:
    if name == "a.g722" and form == "MP3":
        pytest.skip("bytes of G.722 may begin as MPEG sound does")
    content = encoded(form, subtype, rate, np.resize(TONE, 2 * rate))
    info = check_audio(name, content, 0.5)
    assert (info.sample_rate, info.problem) == (rate, "")
    assert info.num_samples == pytest.approx(2 * rate, rel=0.1)
    (tmp_path / name).write_bytes(content)
    assert is_recording(tmp_path / name)
    assert len(read_audio(tmp_path / name)) == pytest.approx(2 * RATE, rel=0.1)
    assert open_recording(tmp_path / name).rate == rate


@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [("mp4", "aac", 16_000), ("adts", "aac", 16_000), ("webm", "libopus", 48_000), ("asf", "wmav2", 16_000)],
)
@pytest.mark.parametrize("name", ["a", "a.wav", "a.mp3"])
def test_ffmpeg_reads_the_rest(form, codec, rate, name, tmp_path) -> None:
    content = by_ffmpeg(form, codec, rate)
    info = check_audio(name, content, 0.5)
    assert (info.sample_rate, info.problem) == (rate, "")
    (tmp_path / name).write_bytes(content)
    assert is_recording(tmp_path / name)


def test_amr_of_phones_is_read() -> None:
    """Frames of 12.2 kbit/s, 20 ms each: a head of one byte and 31 of sound, any of which can be decoded."""
    frames = (b"\x3c" + np.random.default_rng(0).bytes(31) for _ in range(100))
    info = check_audio("call.amr", b"#!AMR\n" + b"".join(frames), 0.5)
    assert (info.sample_rate, info.problem) == (8_000, "")
    assert info.num_samples == pytest.approx(16_000, rel=0.05)


def test_a_damaged_header_prints_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    for form, subtype in (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("W64", "PCM_16")):
        whole = np.frombuffer(encoded(form, subtype), np.uint8)
        for _ in range(50):
            content = whole.copy()
            content[generator.integers(0, 300, 8)] = generator.integers(0, 256, 8)
            check_audio("a", content[: generator.integers(20, len(content))].tobytes(), 0.5)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html><title>404 Not Found</title></html>" * 50,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/hostname\n",
        b"\x89PNG\r\n\x1a\n" + bytes(999),
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\xff\xfb\x90\x64" + bytes(2_000),
        b"ID3\x04" + bytes(2_000),
        b"OggS" + bytes(2_000),
        b"fLaC" + bytes(2_000),
        b"\0\0\0\x18ftypM4A " + bytes(2_000),
        b"NIST_1A\n   1024\nsample_count -i 99999999999\nend_head\n",
        b"#!AMR\n" + bytes(3),
        np.random.default_rng(0).bytes(100_000),
    ],
)
def test_what_is_no_sound_is_a_bad_recording_with_a_name(content: bytes, tmp_path: Path) -> None:
    for suffix in (".wav", ".mp3", ".m4a", ".ogg", ""):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        assert check_audio(path, content, 0.5).problem
        for read in (read_audio, open_recording):
            with pytest.raises(LaspaError, match=r"a(\.\w+)?: "):
                len(read(path)) or pytest.fail("no samples")  # the recogniser refuses what holds none


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "is a pointer of Git LFS; run git",
        ),
        (b"/annex/objects/SHA256E-s1--0.wav\n", "is a pointer of git-annex; run git annex get"),
        (b"\n<!DOCTYPE html><html></html>", "is a web page; download the recording again"),
        (b"PK\3\4" + bytes(99), "is a zip archive; unpack it"),
    ],
)
def test_what_stands_in_place_of_a_recording_is_told(content: bytes, what: str) -> None:
    assert what in check_audio("a.wav", content, 0.5).problem


def test_whatever_a_decoder_raises_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_):
        raise MemoryError("a header names 9 TB")

    monkeypatch.setattr(decoders, "_libsndfile", broken)
    monkeypatch.setattr(decoders, "_ffmpeg", broken)
    assert "cannot be decoded (a header names 9 TB)" in check_audio("a.wav", b"RIFF" + bytes(99), 0.5).problem


@pytest.mark.parametrize("rate", [1, 4_000, 400_000, 2_000_000_000])
def test_a_rate_that_no_speech_has_is_a_damaged_header(rate: int) -> None:
    content = bytearray(encoded("WAV", "PCM_16"))
    content[24:28] = rate.to_bytes(4, "little")
    assert f"its header says {rate} Hz" in check_audio("a.wav", bytes(content), 0.5).problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [(1e30, "a sample of 1e+30, where full scale is 1"), (np.nan, "not finite"), (32_767.0, "")],
)
def test_samples_beyond_all_sound_are_found(value: float, problem: str) -> None:
    samples = TONE.copy()
    samples[100] = value
    assert problem in check_audio("a.wav", encoded("WAV", "FLOAT", samples=samples), 0.5).problem


def test_a_constant_is_silence() -> None:
    info = check_audio("a.wav", encoded("WAV", "PCM_16", samples=np.full(RATE, 0.25)), 0.5)
    assert info.problem == "silent from end to end, at 0.25 throughout"


def test_channels_that_differ_are_told() -> None:
    other = 0.5 * np.sin(2 * np.pi * 700 * np.arange(2 * RATE) / RATE)
    for second, notes in ((TONE, ()), (0 * TONE, ()), (other, (CHANNELS_DIFFER,))):
        content = encoded("WAV", "PCM_16", samples=np.stack([TONE, second], axis=1))
        assert check_audio("a.wav", content, 0.5).notes == notes
    assert correlation([np.stack([TONE, other], axis=1)]) == pytest.approx(0, abs=0.01)


def test_files_that_are_no_recordings_are_told_apart(tmp_path: Path) -> None:
    for name, content, wanted in (
        ("._1.wav", b"\0\5\x16\7", False),
        (".DS_Store", b"", False),
        ("notes.txt", b"hello", False),
        ("call.raw", bytes(99), False),
        ("1.WAV", b"", True),
        ("call", encoded("WAV", "PCM_16"), True),
    ):
        (tmp_path / name).write_bytes(content)
        assert is_recording(tmp_path / name) is wanted
    assert not is_recording(tmp_path / "gone")
