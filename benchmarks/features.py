"""Features beside the alternatives: the mel alone, kaldi's, end to end, processes, crops, memory.

Usage: python benchmarks/features.py [mel] [kaldi] [end] [processes] [crops] [memory]; all of them by default.

Within a part the systems take turns, so that other load on the machine affects all of them; only the ratios
are meaningful. Values must agree to 1e-5 before anything is timed. Each line shows the aim and whether it is
met.
"""

import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from memory import own_peak

from laspa.audio.reading import SAMPLE_RATE
from laspa.features import store as features
from laspa.features.extraction import Shard, Utterance, compute_shard, extract
from laspa.features.kaldi import fbank
from laspa.features.mel import mel_power
from laspa.features.settings import LOG_FLOOR, framing, mel_settings
from laspa.features.store import FeatureStore, UtteranceMel
from laspa.features.torchaudio_shim import melscale_fbanks
from laspa.params import Features, load_params
from laspa.worker_processes import available_cores

UTTERANCES, SECONDS = 100, 3.2
STUDIO_RATE = 44_100
TOLERANCE = 1e-5
KALDI_TOLERANCE = 1e-3
TURNS = 7
HOURS_BY_PROCESSES = 100  # of audio: long enough that starting the processes hardly counts
CROP_FRAMES, BATCH = 200, 64
CROP_UTTERANCES, CROP_BATCHES, CROP_TURNS = 5_000, 50, 24
MEMORY_HOURS = (1, 10, 100)
MEMORY_PROBE = "--extract"  # how this script calls itself, so that a peak is one extraction's

Seconds = dict[str, float]


def best_of_turns(systems: dict[str, Callable[[], object]], turns: int = TURNS) -> Seconds:
    """Each system's shortest time, in seconds; they alternate."""
    taken: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(turns):
        for name, system in systems.items():
            start = time.perf_counter()
            system()
            taken[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in taken.items()}


def show(part: str, taken: Seconds, hours: float = 0.0) -> None:
    """A table of one part: hours of audio per minute if `hours` is given, and time relative to the first."""
    reference = next(iter(taken.values()))
    print(f"\n{part}")
    for name, seconds in taken.items():
        speed = f"{60 * hours / seconds:8.0f} h a minute" if hours else f"{1000 * seconds:8.1f} ms"
        print(f"  {name:44} {speed}   {reference / seconds:5.2f} × the first")


def judge(what: str, value: float, aim: float, at_least: bool = True) -> None:
    """One line: what was measured, what was aimed at, whether that is met."""
    met = value >= aim if at_least else value <= aim
    wanted = f"at {'least' if at_least else 'most'} {aim:g}"
    print(f"  {what}: {value:.2f}, aim {wanted}: {'met' if met else 'MISSED'}")


def signals(rate: int = SAMPLE_RATE) -> list[np.ndarray]:
    """(samples,) float32 noise, 0.5 to 1.5 times SECONDS long."""
    rng = np.random.default_rng(0)
    lengths = (rate * SECONDS * rng.uniform(0.5, 1.5, UTTERANCES)).astype(int)
    return [0.1 * rng.standard_normal(length, dtype=np.float32) for length in lengths]


def hours_of(found: list[np.ndarray], rate: int = SAMPLE_RATE) -> float:
    """Their length."""
    return sum(map(len, found)) / rate / 3600


def torchaudio_mel(settings: Features) -> torch.nn.Module:
    """The reference for laspa.features.mel."""
    from torchaudio.transforms import MelSpectrogram  # after the shim

    window, hop, size = framing(settings)
    return MelSpectrogram(
        SAMPLE_RATE,
        n_fft=size,
        win_length=window,
        hop_length=hop,
        f_min=settings.low_hz,
        f_max=settings.high_hz,
        n_mels=settings.num_mels,
        center=False,
    )


def time_mel(settings: Features) -> None:
    """In memory, one thread."""
    given = [torch.from_numpy(signal) for signal in signals()]
    (length, hop, size), reference = framing(settings), torchaudio_mel(settings)
    window = torch.hann_window(length)
    bank = (size // 2 + 1, settings.low_hz, settings.high_hz, settings.num_mels, SAMPLE_RATE)
    filters = melscale_fbanks(*bank, norm=None, mel_scale="htk").T.contiguous()

    def by_stft(signal: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(signal, size, hop, len(window), window, center=False, return_complex=True)
        return filters @ torch.view_as_real(spectrum).square().sum(-1)

    for signal in given:
        expected = reference(signal).T
        ours = torch.from_numpy(mel_power(signal.numpy(), settings))
        for found in (ours, by_stft(signal).T):
            torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)

    def all_by(system: Callable[[torch.Tensor], object]) -> Callable[[], object]:
        return lambda: [system(signal) for signal in given]

    taken = best_of_turns(
        {
            "torchaudio MelSpectrogram": all_by(reference),
            "laspa": all_by(lambda signal: mel_power(signal.numpy(), settings)),
            "torch.stft, dense product": all_by(by_stft),
            "FFT alone": all_by(lambda signal: torch.fft.rfft(signal.unfold(0, size, hop))),
        },
        2 * TURNS,
    )
    show("Mel alone, in memory, one thread", taken, hours_of(signals()))
    ours = taken["laspa"]
    judge("times torchaudio's speed", taken["torchaudio MelSpectrogram"] / ours, 1.4)
    judge("times the FFT's time", ours / taken["FFT alone"], 2.5, at_least=False)


def time_kaldi(settings: Features) -> None:
    """Kaldi's filter banks in memory, one thread."""
    import torchaudio.compliance.kaldi as reference  # after the shim

    settings = settings.model_copy(update={"kind": "kaldi", "high_hz": SAMPLE_RATE / 2})
    given = signals()

    def by_torchaudio(signal: np.ndarray) -> np.ndarray:
        samples = torch.from_numpy(signal)[None]
        return np.asarray(reference.fbank(samples, num_mel_bins=settings.num_mels, low_freq=settings.low_hz))

    for signal in given:
        # All but a few values close to the floor, where torchaudio is as far from double precision.
        differences = np.abs(fbank(signal, settings) - by_torchaudio(signal))
        assert np.quantile(differences, 0.999) < KALDI_TOLERANCE
    systems = {
        "torchaudio compliance.kaldi": by_torchaudio,
        "laspa": lambda signal: fbank(signal, settings),
    }
    taken = best_of_turns(
        {name: lambda run=run: [run(signal) for signal in given] for name, run in systems.items()}, 2 * TURNS
    )
    show("Kaldi's filter banks, in memory, one thread", taken, hours_of(signals()))
    judge("times torchaudio's speed", taken["torchaudio compliance.kaldi"] / taken["laspa"], 1.4)


def write_recordings(folder: Path, suffix: str, rate: int) -> list[Path]:
    """16-bit recordings of `signals`."""
    paths = [folder / f"{number}-{rate}{suffix}" for number in range(UTTERANCES)]
    for path, signal in zip(paths, signals(rate), strict=True):
        soundfile.write(path, signal, rate, subtype="PCM_16")
    return paths


def time_end_to_end(settings: Features) -> None:
    """From files to a Parquet shard, one process."""
    from torchaudio.transforms import Resample  # after the shim

    reference, resample = torchaudio_mel(settings), Resample(STUDIO_RATE, SAMPLE_RATE)

    def plain_row(path: Path) -> UtteranceMel:
        samples, rate = soundfile.read(path, dtype="float32")
        signal = torch.from_numpy(samples)
        mel = reference(signal if rate == SAMPLE_RATE else resample(signal)).T
        log = mel.clamp(min=LOG_FLOOR).log()
        return UtteranceMel(path.name, (log - log.mean(dim=0)).half().contiguous().numpy())

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix, rate, aim in (
            (".wav", SAMPLE_RATE, 1.5),
            (".flac", SAMPLE_RATE, 1.2),
            (".wav", STUDIO_RATE, 0),
        ):
            paths = write_recordings(folder, suffix, rate)
            listed = [Utterance(path.name, path, "") for path in paths]
            shard = Shard(folder / "part.parquet", listed, [None] * len(listed), settings)

            def plain(paths: list[Path] = paths) -> None:
                rows = (plain_row(path) for path in paths)
                features.write_shard(folder / "part.parquet", rows, mel_settings(settings))

            def ours(shard: Shard = shard) -> None:
                compute_shard(shard)

            taken = best_of_turns({"soundfile + torchaudio, the same Parquet": plain, "laspa": ours})
            show(f"End to end, {suffix[1:].upper()} at {rate} Hz, one process", taken, hours_of(signals()))
            if aim:
                judge("times soundfile + torchaudio", taken[next(iter(taken))] / taken["laspa"], aim)


def listed_often(paths: list[Path], hours: float) -> list[Utterance]:
    """The recordings again and again under new names, until there are so many hours."""
    count = round(hours / hours_of(signals()) * len(paths))
    return [Utterance(f"u{i}", paths[i % len(paths)], f"{i}") for i in range(count)]


def time_processes(settings: Features) -> None:
    """One worker process against two, WAV to Parquet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        utterances = listed_often(write_recordings(folder, ".wav", SAMPLE_RATE), HOURS_BY_PROCESSES)

        def by(workers: int) -> Callable[[], object]:
            # A folder for each, so that neither reuses the other's log-mels.
            place = folder / str(workers)
            return lambda: extract(utterances, settings, place / "features", place / "partial", workers)

        taken = best_of_turns({"one process": by(1), "two processes": by(2)}, 1)
        show(f"Processes, {HOURS_BY_PROCESSES} hours, their start included", taken, HOURS_BY_PROCESSES)
        judge("times one process", taken["one process"] / taken["two processes"], 1.7)


class Whole:
    """All frames in one array in memory, in place of the store."""

    def __init__(self, store: FeatureStore) -> None:
        self.frames = np.concatenate([store.get(name) for name in store.utterance_ids])
        self.offsets = np.cumsum(store.num_frames) - store.num_frames

    def crops(self, rows: np.ndarray, first: np.ndarray, frames: int) -> np.ndarray:
        """As the store's; no utterance here is shorter than a crop."""
        begin = self.offsets[rows] + first
        return self.frames.take(begin[:, None] + np.arange(frames), axis=0)


class Mapped:
    """One slice a crop from a memory map of the store's only shard."""

    def __init__(self, path: Path, store: FeatureStore) -> None:
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.values = np.frombuffer(self.map, np.uint8)
        self.place, self.frame = store._place, store.num_mels * features.MEL_DTYPE.itemsize

    def crops(self, rows: np.ndarray, first: np.ndarray, frames: int) -> np.ndarray:
        """As the store's; no utterance here is shorter than a crop."""
        made = np.empty((len(rows), frames * self.frame), np.uint8)
        for crop, begin in zip(made, (self.place[rows] + first * self.frame).tolist(), strict=True):
            crop[:] = self.values[begin : begin + frames * self.frame]
        return made.view(features.MEL_DTYPE).reshape(len(rows), frames, -1)


class Calls:
    """The system calls alone: one a crop, into one buffer that is kept."""

    def __init__(self, path: Path, store: FeatureStore) -> None:
        self.file, self.place = os.open(path, os.O_RDONLY), store._place
        self.made = np.empty((BATCH, CROP_FRAMES, store.num_mels), features.MEL_DTYPE)
        self.frame = store.num_mels * features.MEL_DTYPE.itemsize
        whole, size = self.made.reshape(-1).view(np.uint8).data, CROP_FRAMES * self.frame
        self.buffers = [(whole[row * size : (row + 1) * size],) for row in range(BATCH)]

    def crops(self, rows: np.ndarray, first: np.ndarray, frames: int) -> np.ndarray:
        """As the store's, for a batch of this size."""
        for buffer, place in zip(self.buffers, (self.place[rows] + first * self.frame).tolist(), strict=True):
            os.preadv(self.file, buffer, place)
        return self.made


def time_crops(settings: Features) -> None:
    """Batches of crops of 2 s, drawn at random, everything in the page cache: medians of processor time."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(250, 450, CROP_UTTERANCES)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / features.shard_name(0)
        mels = (
            rng.standard_normal((n, settings.num_mels), dtype=np.float32).astype(np.float16) for n in lengths
        )
        rows = (UtteranceMel(str(number), mel) for number, mel in enumerate(mels))
        features.write_shard(path, rows, mel_settings(settings))
        store = FeatureStore(name)
        mapped, fresh = Mapped(path, store), Mapped(path, store)
        systems: dict[str, Whole | Mapped | Calls | FeatureStore] = {
            "all frames in memory": Whole(store),
            "laspa: Parquet read in place": store,
            "the system calls alone": Calls(path, store),
            "a map, pages touched before": mapped,
            "a map, pages touched for the first time": fresh,
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
        for _ in range(CROP_TURNS):
            for name, system in systems.items():
                # Each draws its own: the processor's cache would keep what the one before has read.
                drawn = rng.permutation(len(store))[: CROP_BATCHES * BATCH].reshape(-1, BATCH)
                most = store.num_frames[drawn] - CROP_FRAMES + 1
                first = (rng.random(drawn.shape) * most).astype(np.int64)
                expected = store.crops(drawn[0], first[0], CROP_FRAMES)
                assert np.array_equal(system.crops(drawn[0], first[0], CROP_FRAMES), expected)
                for one, begin in zip(drawn, first, strict=True):
                    if system is fresh:
                        fresh.map.madvise(mmap.MADV_DONTNEED)  # the page tables, not the page cache
                    start = time.thread_time()
                    made = system.crops(one, begin, CROP_FRAMES)
                    cut = time.thread_time()
                    torch.from_numpy(made).float()
                    taken[name].append((cut - start, time.thread_time() - start))
        print(f"\nA batch of {BATCH} crops of 2 s: the crops; the same as float32 tensors")
        medians = {name: np.median(both, axis=0) for name, both in taken.items()}
        memory = medians["all frames in memory"]
        for name, median in medians.items():
            ratio, cell = memory / median, 1e6 * median
            print(f"  {name:40} {cell[0]:5.0f} µs {ratio[0]:5.2f} ×; {cell[1]:5.0f} µs {ratio[1]:5.2f} ×")
        judge("times the speed in memory", memory[0] / medians["laspa: Parquet read in place"][0], 0.9)


def measure_memory() -> None:
    """Peak resident memory of the parent and of its largest worker, by hours of audio."""
    print("\nPeak resident memory by hours of audio, two worker processes")
    with tempfile.TemporaryDirectory() as name:
        write_recordings(Path(name), ".wav", SAMPLE_RATE)
        for hours in MEMORY_HOURS:
            probe = [sys.executable, __file__, MEMORY_PROBE, name, str(hours)]
            done = subprocess.run(probe, check=True, stdout=subprocess.PIPE, text=True)
            peak = json.loads(done.stdout.splitlines()[-1])
            print(
                f"  {hours:4} h: parent {peak['parent']:5.0f} MiB, largest worker {peak['worker']:5.0f} MiB"
            )


def probe_memory(folder: Path, hours: int, settings: Features) -> None:
    """Extract, then print this process's peaks as JSON."""
    utterances = listed_often(sorted(folder.glob("*.wav")), hours)
    extract(utterances, settings, folder / "features", folder / "partial", 2)
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    mebibytes = {"parent": 1024 * own_peak(), "worker": worker}
    print(json.dumps(mebibytes))


def main() -> None:
    """Run the parts that the command line names."""
    settings = load_params(Path(__file__).parents[1] / "params.yaml").features
    torch.set_num_threads(1)
    arguments = sys.argv[1:]
    if arguments[:1] == [MEMORY_PROBE]:
        return probe_memory(Path(arguments[1]), int(arguments[2]), settings)
    parts: dict[str, Callable[[], None]] = {
        "mel": lambda: time_mel(settings),
        "kaldi": lambda: time_kaldi(settings),
        "end": lambda: time_end_to_end(settings),
        "processes": lambda: time_processes(settings),
        "crops": lambda: time_crops(settings),
        "memory": measure_memory,
    }
    unknown = [name for name in arguments if name not in parts]
    if unknown:
        sys.exit(f"no part {unknown[0]}; there are {', '.join(parts)}")
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {available_cores()} usable")
    for name in arguments or parts:
        parts[name]()


if __name__ == "__main__":
    main()
