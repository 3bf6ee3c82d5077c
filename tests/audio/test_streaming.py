"""Block by block is the same as at once."""

import numpy as np
import pytest
import soundfile

from laspa.audio import decoders, streaming
from laspa.audio.reading import read_audio
from laspa.audio.streaming import mono_blocks, open_recording, pieces


@pytest.mark.parametrize(("rate", "tolerance"), [(16_000, 0), (44_100, 1e-4)])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_blocks_make_up_the_recording(rate, tolerance, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "BLOCK_SECONDS", 1)
    monkeypatch.setattr(streaming, "KEPT_SAMPLES", 4 * rate)
    sound = 0.3 * np.sin(2 * np.pi * 300 * np.arange(int(4.3 * rate)) / rate)
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.stack([sound, sound], axis=1), rate)
    read = mono_blocks(open_recording(path))
    for _ in range(2):  # a second pass gives the same
        joined = np.concatenate(list(read()))
        wanted = read_audio(path)
        assert abs(len(joined) - len(wanted)) <= 1
        size = min(len(joined), len(wanted))
        np.testing.assert_allclose(joined[:size], wanted[:size], atol=tolerance)


def test_a_short_recording_is_decoded_once_however_small_its_blocks_are(tmp_path, monkeypatch):
    blocks = [np.zeros((1024, 1), np.float32)] * 200  # as FFmpeg gives them
    decoded = []
    monkeypatch.setattr(streaming, "open_stream", lambda path: decoded.append(path) or (8_000, iter(blocks)))
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0" * 64)
    for kept, times in [(1024 * 200, 1), (1024 * 200 - 1, 3)]:
        monkeypatch.setattr(streaming, "KEPT_SAMPLES", kept)
        decoded.clear()
        recording = open_recording(path)
        assert [len(list(recording.blocks())) for _ in range(2)] == [200, 200]
        assert len(decoded) == times


def test_pieces_are_of_one_size_but_for_the_last():
    blocks = [np.arange(3), np.arange(3, 4), np.arange(4, 11)]
    found = [list(piece) for piece in pieces(blocks, 4)]
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert list(pieces([], 4)) == []
