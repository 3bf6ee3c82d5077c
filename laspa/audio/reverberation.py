"""Generated rooms: impulse responses of random rectangular rooms by the image method.

Allen and Berkley (1979). Not from a library: a room whose walls all reflect alike takes one page of numpy,
needs nothing compiled and gives the same samples on every machine.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from laspa.audio.reading import SAMPLE_RATE

SPEED_OF_SOUND = 343.0  # m/s, at 20 °C
SABINE = 0.161  # s/m
# Ranges: small rooms to meeting rooms, with up to the reverberation of a hall (our choice).
SIDES = ((3.0, 10.0), (3.0, 8.0), (2.4, 4.0))  # m
SECONDS_TO_60_DB = (0.2, 0.7)
MOST_SECONDS = 0.4  # of a response: by then a tail of 0.7 s is 34 dB down
WALL_DISTANCE = 0.5  # m, at least, of talker and microphone


def room_response(
    generator: np.random.Generator,
    limits: Sequence[tuple[float, float]] = SIDES,
    wall_distance: float = WALL_DISTANCE,
    seconds_to_60_db: tuple[float, float] = SECONDS_TO_60_DB,
) -> np.ndarray:
    """Impulse response of a random room, with sides within `limits`, between two random places in it.

    Returns:
        (samples,) float32 at 16 kHz; the direct path comes first and has an amplitude of 1.
    """
    low, high = np.array(limits).T
    sides = generator.uniform(low, high)
    talker, microphone = generator.uniform(wall_distance, sides - wall_distance, (2, 3))
    return image_response(sides, talker, microphone, generator.uniform(*seconds_to_60_db))


def image_response(
    sides: np.ndarray, talker: np.ndarray, microphone: np.ndarray, seconds: float
) -> np.ndarray:
    """Sum over the images of the talker behind the walls: β^reflections · δ(t − distance / c) / distance.

    β is one for all walls, after Sabine: 1 − β² = 0.161 V / (S · `seconds`). Arrivals are rounded to whole
    samples, as in the paper.

    Args:
        sides, talker, microphone: (3,) in metres.
        seconds: until the energy is down by 60 dB.

    Returns:
        as `room_response`.
    """
    volume = sides.prod()
    surface = 2 * (sides[0] * sides[1] + sides[1] * sides[2] + sides[2] * sides[0])
    absorbed = min(0.99, SABINE * volume / (surface * seconds))
    log_reflection = 0.5 * np.log(1 - absorbed)
    reach = SPEED_OF_SOUND * min(seconds, MOST_SECONDS)
    distances, reflections = zip(
        *(_images(*axis, reach) for axis in zip(sides, talker, microphone, strict=True)), strict=True
    )
    near, count = reduce(np.add.outer, map(np.square, distances)), reduce(np.add.outer, reflections)
    reached = near < reach**2
    distance, count = np.sqrt(near[reached]), count[reached]
    direct = float(np.linalg.norm(talker - microphone))
    delay = np.rint((distance - direct) * SAMPLE_RATE / SPEED_OF_SOUND).astype(np.int64)
    amplitude = np.exp(log_reflection * count) * direct / distance
    return np.bincount(delay, amplitude).astype(np.float32)


def _images(side: float, talker: float, microphone: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: distances of the images within `reach`, and how often each was reflected."""
    order = np.arange(-int(reach / (2 * side)) - 1, int(reach / (2 * side)) + 2)
    distances = np.concatenate([2 * order * side + talker, 2 * order * side - talker]) - microphone
    reflections = np.concatenate([np.abs(2 * order), np.abs(2 * order - 1)])
    within = np.abs(distances) < reach
    return distances[within], reflections[within]
