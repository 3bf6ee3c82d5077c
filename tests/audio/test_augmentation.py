"""Augmented copies: what each kind does to the samples, what is drawn, and what it depends on."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from laspa.audio.augmentation import (
    Augmentation,
    Recording,
    RecordingPool,
    at_snr,
    augment,
    draw_augmentation,
)
from laspa.errors import LaspaError
from laspa.features.augmented_copies import recording_pools
from laspa.params import load_params
from laspa.params.data import Augment

RATE = 16_000
OPTIONS = load_params(Path(__file__).parents[2] / "params.yaml").augment


def options(**changes: object) -> Augment:
    return Augment.model_validate(OPTIONS.model_dump() | changes)


def speech(samples: int = 16_000, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def power_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Recording:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return Recording(path, path.name, path.stem)


def test_the_ratio_of_powers_by_hand() -> None:
    mixed = at_snr(np.array([2.0, -2.0], np.float32), np.array([1.0, 1.0], np.float32), 20.0)
    # Powers 4 and 1: the noise is scaled by √(4 / 100).
    np.testing.assert_allclose(mixed, [2.2, -1.8], rtol=1e-6)
    silence = np.zeros(2, np.float32)
    np.testing.assert_array_equal(at_snr(mixed, silence, 0.0), mixed)
    np.testing.assert_array_equal(at_snr(silence, mixed, 0.0), silence)


@pytest.mark.parametrize("kind", ["noise", "music"])
def test_what_is_added_is_as_loud_as_asked_for_made_up_or_recorded(kind: str, tmp_path: Path) -> None:
    signal = speech()
    recorded = write(tmp_path / "long.wav", speech(50_000, seed=9))
    for augmentation in (Augmentation(kind, 3, snr_db=7.0), Augmentation(kind, 3, (recorded,), (0.5,), 7.0)):
        added = augment(signal, augmentation) - signal
        assert power_db(signal) - power_db(added) == pytest.approx(7.0, abs=0.01)


def test_an_excerpt_begins_where_it_is_drawn_and_a_short_recording_is_repeated(tmp_path: Path) -> None:
    ramp = np.arange(1, 41, dtype=np.float32) / 100
    long, short = write(tmp_path / "long.wav", ramp), write(tmp_path / "short.wav", ramp[:3])
    signal = np.full(10, 0.001, np.float32)
    for source, start, expected in ((long, 0.5, ramp[15:25]), (short, 0.5, np.resize(ramp[:3], 10))):
        added = augment(signal, Augmentation("noise", 0, (source,), (start,), 0.0)) - signal
        np.testing.assert_allclose(added / added[0], expected / expected[0], rtol=1e-3)


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100).astype(np.float32)
    source = write(tmp_path / "tone.wav", tone, 44_100)
    added = augment(speech(8000), Augmentation("noise", 0, (source,), (0.3,), 0.0)) - speech(8000)
    assert np.argmax(np.abs(np.fft.rfft(added))) == 500  # bins of 2 Hz


def test_babble_is_all_talkers_alike_however_loud_they_were(tmp_path: Path) -> None:
    tones = [np.sin(2 * np.pi * hz * np.arange(16_000) / RATE) for hz in (500, 1000, 2000)]
    sources = [write(tmp_path / f"{i}.wav", 10.0**-i * tone) for i, tone in enumerate(tones)]
    augmentation = Augmentation("babble", 0, tuple(sources), (0.0, 0.0, 0.0), 13.0)
    added = augment(speech(), augmentation) - speech()
    assert power_db(speech()) - power_db(added) == pytest.approx(13.0, abs=0.01)
    spectrum = np.abs(np.fft.rfft(added))[[500, 1000, 2000]]
    np.testing.assert_allclose(spectrum, spectrum[0], rtol=1e-3)


def test_a_room_delays_nothing_and_keeps_length_and_power(tmp_path: Path) -> None:
    response = np.zeros(400, np.float32)
    response[[100, 260]] = 0.5, 0.25  # the direct path after 100 samples, an echo 160 later
    source = write(tmp_path / "room.wav", response)
    click = np.zeros(1000, np.float32)
    click[300] = 0.5
    heard = augment(click, Augmentation("reverb", 0, (source,), (0.0,)))
    assert len(heard) == 1000
    assert power_db(heard) == pytest.approx(power_db(click), abs=1e-3)
    assert np.flatnonzero(np.abs(heard) > 1e-4).tolist() == [300, 460]
    assert heard[460] / heard[300] == pytest.approx(0.5, rel=1e-5)


def test_of_several_microphones_the_first_counts(tmp_path: Path) -> None:
    channels = np.zeros((50, 2), np.float32)
    channels[0, 0], channels[20, 1] = 1.0, 1.0
    source = write(tmp_path / "array.wav", channels)
    signal = speech(500)
    np.testing.assert_allclose(
        augment(signal, Augmentation("reverb", 0, (source,), (0.0,))), signal, atol=1e-5
    )


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_another_speed_moves_length_and_pitch(speed: float) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(32_000) / RATE).astype(np.float32)
    heard = augment(tone, Augmentation("speed", 0, speed=speed))
    assert len(heard) == round(32_000 / speed)
    middle = heard[8000:24_000]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(1000 * speed, abs=1)


def test_nothing_leaves_full_scale() -> None:
    loud = np.sign(speech()) * np.float32(0.98)
    for kind in ("noise", "music", "reverb"):
        assert np.abs(augment(loud, Augmentation(kind, 1))).max() <= 0.99 + 1e-6


def test_a_draw_depends_on_utterance_copy_and_seed_alone_and_keeps_to_its_ranges(tmp_path: Path) -> None:
    training = [Recording(tmp_path / f"{i}.wav", f"sha{i}", f"s{i % 7}") for i in range(70)]
    pools = recording_pools(OPTIONS, tmp_path, training)
    names = [f"s{i % 7}/en/{i}" for i in range(600)]
    draws = {name: draw_augmentation(name, name[:2], 1, OPTIONS, pools) for name in names}
    again = {name: draw_augmentation(name, name[:2], 1, OPTIONS, pools) for name in reversed(names)}
    assert draws == again
    assert draws != {name: draw_augmentation(name, name[:2], 2, OPTIONS, pools) for name in names}
    kinds = np.array([augmentation.kind for augmentation in draws.values()])
    for kind in OPTIONS.kinds:
        assert np.mean(kinds == kind) == pytest.approx(0.2, abs=0.05)
    for name, augmentation in draws.items():
        if augmentation.kind == "babble":
            assert 3 <= len(augmentation.recordings) <= 7
            assert name[:2] not in {source.speaker for source in augmentation.recordings}
            assert 13 <= augmentation.snr_db <= 20
        elif augmentation.kind == "speed":
            assert augmentation.speed in (0.9, 1.1)
        elif augmentation.kind == "noise":
            assert 0 <= augmentation.snr_db <= 15
            assert not augmentation.recordings
    assert (
        len({augmentation.key for augmentation in draws.values() if augmentation.kind == "noise"})
        == (kinds == "noise").sum()
    )


def test_a_new_recording_changes_few_draws(tmp_path: Path) -> None:
    sources = [Recording(tmp_path / f"{i}", f"sha{i}") for i in range(101)]
    before, after = RecordingPool(sources[:100]), RecordingPool(sources)
    pairs = [
        tuple(pool.draw(np.random.default_rng(seed)) for pool in (before, after)) for seed in range(2000)
    ]
    moved = [after for before, after in pairs if before != after]
    assert set(moved) == {sources[100]}
    assert len(moved) < 200


def test_a_lone_speaker_babbles_with_himself(tmp_path: Path) -> None:
    pool = RecordingPool([Recording(tmp_path / "a", "a", "s0")])
    assert pool.draw(np.random.default_rng(0), "s0").name == "a"


def test_musan_and_rirs_noises_are_read_in_their_own_layout(tmp_path: Path) -> None:
    for name in ("noise/free-sound/n.wav", "music/fma/m.wav", "speech/librivox/s.wav"):
        write(tmp_path / "musan" / name, speech(3000))
    for name in ("simulated_rirs/smallroom/Room001/r.wav", "real_rirs_isotropic_noises/a_rir_b.wav"):
        write(tmp_path / "RIRS_NOISES" / name, speech(300))
    for name in ("real_rirs_isotropic_noises/RVB2014_type1_noise_x.wav", "pointsource_noises/p.wav"):
        write(tmp_path / "RIRS_NOISES" / name, speech(300))
    pools = recording_pools(options(musan="musan", rirs="RIRS_NOISES"), tmp_path, [])
    names = {
        kind: sorted(one.path.name for one in pool.recordings)
        for kind, pool in pools.items()
        if pool.recordings
    }
    assert names == {
        "noise": ["n.wav"],
        "music": ["m.wav"],
        "babble": ["s.wav"],
        "reverb": ["a_rir_b.wav", "r.wav"],
    }
    for number in range(20):
        augmentation = draw_augmentation(
            f"u{number}", "s", 1, options(musan="musan", rirs="RIRS_NOISES"), pools
        )
        assert augment(speech(5000), augmentation).dtype == np.float32


@pytest.mark.parametrize(("key", "name"), [("musan", "musan"), ("rirs", "rirs_noises")])
def test_a_wrong_folder_is_named(key: str, name: str, tmp_path: Path) -> None:
    message = rf"params\.yaml: augment\.{key}: .*nowhere: not {name}, which has the folders"
    with pytest.raises(LaspaError, match=message):
        recording_pools(options(**{key: "nowhere"}), tmp_path, [])


def test_a_silent_room_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "silent.wav", np.zeros(100, np.float32))
    with pytest.raises(LaspaError, match=r"silent\.wav: a silent impulse response"):
        augment(speech(), Augmentation("reverb", 0, (source,), (0.0,)))


def test_ranges_upside_down_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"noise_snr is \[15\.0, 0\.0\] but its first value should be at most"
    ):
        options(noise_snr=[15, 0])
    with pytest.raises(ValueError, match=r"speeds holds 1\.0, which is the utterance itself"):
        options(speeds=[0.9, 1.0])
