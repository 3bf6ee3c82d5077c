"""Rooms: the image method against a naive sum over images, against hand-worked arrivals, and its decay."""

import numpy as np
import pytest

from laspa.audio import reverberation as rooms
from laspa.audio.reverberation import SPEED_OF_SOUND, image_response, room_response

SIDES, TALKER, MICROPHONE = np.array([5.0, 4.0, 3.0]), np.array([1.0, 1.5, 1.2]), np.array([3.5, 2.0, 1.6])


def naive(seconds: float, reach: float) -> dict[int, float]:
    """Image by image, as Allen and Berkley write it: p and q in {0, 1}, m any whole number, on each axis."""
    volume = 5 * 4 * 3
    surface = 2 * (5 * 4 + 4 * 3 + 5 * 3)
    beta = np.sqrt(1 - 0.161 * volume / (surface * seconds))
    direct = np.sqrt(2.5**2 + 0.5**2 + 0.4**2)
    arrivals: dict[int, float] = {}
    most = int(reach / 3) + 2
    for mx in range(-most, most + 1):
        for my in range(-most, most + 1):
            for mz in range(-most, most + 1):
                for flips in np.ndindex(2, 2, 2):
                    turns = list(zip((mx, my, mz), flips, strict=True))
                    axes = zip(turns, TALKER, SIDES, strict=True)
                    where = [(1 - 2 * q) * s + 2 * m * side for (m, q), s, side in axes]
                    distance = float(np.linalg.norm(np.array(where) - MICROPHONE))
                    if distance >= reach:
                        continue
                    bounces = sum(abs(m) + abs(m - q) for m, q in turns)
                    delay = round((distance - direct) * 16000 / SPEED_OF_SOUND)
                    arrivals[delay] = arrivals.get(delay, 0.0) + beta**bounces * direct / distance
    return arrivals


def test_equals_a_naive_sum_over_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MOST_SECONDS", 0.05)
    response = image_response(SIDES, TALKER, MICROPHONE, 0.3)
    expected = naive(0.3, SPEED_OF_SOUND * 0.05)
    assert len(response) == max(expected) + 1
    dense = np.zeros(len(response))
    for delay, amplitude in expected.items():
        dense[delay] += amplitude
    np.testing.assert_allclose(response, dense, rtol=1e-5, atol=1e-6)


def test_the_direct_path_and_the_floors_echo_by_hand() -> None:
    response = image_response(SIDES, TALKER, MICROPHONE, 0.5)
    assert response[0] == pytest.approx(1.0)
    # Straight 2.580 m; by the floor, with the talker's image at -1.2 m, √(2.5² + 0.5² + 2.8²) = 3.787 m:
    # 1.207 m later, 56.3 samples; √(1 - 0.161 · 60 / (94 · 0.5)) = 0.891 of it, thinned by 2.580 / 3.787.
    assert response[56] == pytest.approx(0.891 * 2.580 / 3.787, rel=2e-3)
    assert not response[1:50].any()


@pytest.mark.parametrize("seconds", [0.2, 0.3, 0.4])
def test_energy_decays_by_60_db_in_about_the_time_asked_for(seconds: float) -> None:
    response = image_response(SIDES, TALKER, MICROPHONE, seconds).astype(np.float64)
    left_db = 10 * np.log10(np.cumsum(np.square(response)[::-1])[::-1] / np.square(response).sum())
    # Schroeder's line between 5 and 25 dB, drawn out to 60. Sabine's time holds where sound goes all ways
    # alike; along the longest side of a box it meets fewer walls and lasts longer.
    fast, slow = np.argmax(left_db < -5), np.argmax(left_db < -25)
    assert 0.9 * seconds < (slow - fast) / 16000 * 3 < 1.5 * seconds


def test_random_rooms_differ_and_their_seed_decides() -> None:
    one, again, other = (room_response(np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert len(one) != len(other) or not np.array_equal(one, other)
    assert all(room.dtype == np.float32 and room[0] == pytest.approx(1, abs=0.2) for room in (one, other))
