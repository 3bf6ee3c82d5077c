"""Which frames count as speech."""

import importlib.util

import numpy as np
import pytest

from laspa.audio.speech import AROUND_FRAMES, FRAME, energy_gate, silero, speech_of
from laspa.errors import LaspaError


def blocks_of(*frames: float, repeat: int = 20, size: int = 1000):
    """A reader of blocks: each number is the level of `repeat` frames."""
    sound = np.repeat(np.array(frames, dtype=np.float32), FRAME * repeat)
    return lambda: (sound[start : start + size] for start in range(0, len(sound), size))


def test_frames_far_below_the_loud_ones_are_left_out_but_for_those_around():
    speech = energy_gate(blocks_of(0.0, 0.5, 0.001, 0.02, 0.001))
    wanted = np.zeros(100, dtype=bool)
    wanted[20 - AROUND_FRAMES : 40 + AROUND_FRAMES] = True  # −54 dB is silence
    wanted[60 - AROUND_FRAMES : 80 + AROUND_FRAMES] = True  # −28 dB is not
    np.testing.assert_array_equal(speech, wanted)


def test_the_level_of_the_recording_does_not_matter_and_a_click_does_not_hide_speech():
    levels = (0.1, 0.0005, 0.1)
    quiet = energy_gate(blocks_of(*(level / 20 for level in levels)))
    np.testing.assert_array_equal(energy_gate(blocks_of(*levels)), quiet)
    sound = np.concatenate(list(blocks_of(*levels)()))
    sound[:FRAME] = 1.0
    assert energy_gate(lambda: iter([sound]))[15 : 20 - AROUND_FRAMES].all()


def test_the_kept_samples_are_those_of_the_frames():
    sound = np.arange(FRAME * 3 + 10, dtype=np.float32)
    kept = np.concatenate(
        list(speech_of(iter([sound[:700], sound[700:]]), np.array([1, 0, 0, 1], dtype=bool)))
    )
    np.testing.assert_array_equal(kept, np.append(sound[:FRAME], sound[3 * FRAME :]))


def test_what_cannot_be_used_is_refused():
    for reader, message in (
        (blocks_of(0.0), "silent from end to end"),
        (lambda: iter(()), "holds no samples"),
        (blocks_of(0.5, np.inf), "NaN or infinite in 20 of 40 frames, the first at 0.64 s"),
    ):
        with pytest.raises(LaspaError, match=message):
            energy_gate(reader)


@pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="extra vad is not installed")
def test_silero_does_not_take_noise_for_speech():
    noise = np.random.default_rng(0).standard_normal(FRAME * 40).astype(np.float32) * 0.1
    assert not silero(lambda: iter([noise])).any()
