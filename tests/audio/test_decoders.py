"""Decoders beside libsndfile's, against sines that were encoded here, and what is said without them."""

import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from G722 import G722

from laspa.audio.quality import AudioInfo, check_audio
from laspa.audio.reading import read_audio
from laspa.errors import LaspaError

RATE = 16_000


def sine(rate: int, hertz: float, seconds: float = 1.0) -> np.ndarray:
    """Amplitude a half."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def m4a(channels: list[np.ndarray], rate: int) -> bytes:
    """AAC in MP4, as VoxCeleb2 comes."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo" if len(channels) == 2 else "mono")
        frame = av.AudioFrame.from_ndarray(
            np.stack(channels).astype(np.float32), "fltp", layout=stream.layout.name
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


def loudest(samples: np.ndarray, rate: int = RATE) -> float:
    """The frequency of the highest peak of the spectrum."""
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_m4a_is_read_at_its_level_and_frequency(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(m4a([sine(rate, 1000)], rate))
    info = check_audio(path, path.read_bytes(), 0.5)
    assert (info.sample_rate, info.problem) == (rate, "")
    assert info.num_samples == pytest.approx(rate, rel=0.1)  # whole frames of 1,024, and the coder's delay
    samples = read_audio(path)
    assert loudest(samples) == pytest.approx(1000, abs=3)
    assert np.std(samples[3000:-3000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_channels_of_an_m4a_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(m4a([sine(RATE, 1000), -sine(RATE, 1000)], RATE))
    assert np.abs(read_audio(path)[3000:-3000]).max() < 0.02


def test_g722_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.g722"
    samples = (sine(RATE, 700) * 32767).astype(np.int16)
    path.write_bytes(bytes(G722(RATE, 64_000).encode(samples)))
    assert path.stat().st_size == 8_000  # 64 kbit/s
    assert check_audio(path, path.read_bytes(), 0.5) == AudioInfo(RATE, RATE, "")
    decoded = read_audio(path)
    assert loudest(decoded) == pytest.approx(700, abs=1)
    assert np.std(decoded) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(("name", "module", "wheel"), [("a.m4a", "av", "PyAV"), ("a.g722", "G722", "G722")])
def test_without_its_decoder_a_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, wheel: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    content = b"\0\0\0\x20ftypM4A " if module == "av" else b"1234"  # G.722 has no header
    (tmp_path / name).write_bytes(content)
    advice = f"needs {wheel} to be decoded; pip install 'laspa[codecs]'"
    for use in (read_audio, lambda path: check_audio(path, content, 0.5)):
        with pytest.raises(LaspaError) as raised:
            use(tmp_path / name)
        assert str(raised.value) == f"{tmp_path / name}: {advice}"


def test_a_damaged_m4a_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(b"not audio at all" * 99)
    assert check_audio(path, path.read_bytes(), 0.5).problem.startswith("cannot be decoded (")
    with pytest.raises(LaspaError, match=r"gone\.m4a: no such file$"):
        read_audio(tmp_path / "gone.m4a")


def test_samples_at_full_scale_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    loud = sine(RATE, 100)
    loud[:160] = 1.0
    soundfile.write(path, loud, RATE, "PCM_16")
    assert check_audio(path, path.read_bytes(), 0.5) == AudioInfo(RATE, RATE, "", 0.01)
