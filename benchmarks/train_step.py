"""Training steps of the published backbones, alternating with SpeechBrain's ECAPA-TDNN in one run.

python benchmarks/train_step.py [--device cuda] [--batch 16] [--seconds 2] [--turns 3]

SpeechBrain is not a dependency: `pip install --no-deps speechbrain hyperpyyaml` beside this project.
Every system has the same batch, crop, AAM-softmax head and fused AdamW. A step is forward, loss, backward and
update on a batch that is already on the device; the fastest of the turns counts. On one thread of a CPU the
thread's own time is measured, so waiting for a shared core does not count.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from memory import own_peak
from torch import Tensor, nn

from laspa.features import torchaudio_shim  # noqa: F401 (lets SpeechBrain's import of torchaudio succeed)
from laspa.models.encoders import ENCODERS
from laspa.models.losses import AAMSoftmax

MELS, SPEAKERS, DIM = 80, 1000, 192
SYSTEMS = {  # name: (encoder, bfloat16 autocast)
    "speechbrain ECAPA-512, float32": ("speechbrain_512", False),
    "speechbrain ECAPA-512, bfloat16": ("speechbrain_512", True),
    "laspa ECAPA-512, float32": ("ecapa_512", False),
    "laspa ECAPA-512, bfloat16": ("ecapa_512", True),
    "speechbrain ECAPA-1024, float32": ("speechbrain_1024", False),
    "speechbrain ECAPA-1024, bfloat16": ("speechbrain_1024", True),
    "laspa ECAPA-1024, float32": ("ecapa_1024", False),
    "laspa ECAPA-1024, bfloat16": ("ecapa_1024", True),
    "laspa ResNet-34 L, float32": ("resnet34_l", False),
    "laspa ResNet-34 L, bfloat16": ("resnet34_l", True),
}


class SpeechBrain(nn.Module):
    """Their ECAPA-TDNN with the interface of our encoders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

        widths = [channels] * 4 + [1536]
        self.net = ECAPA_TDNN(input_size=MELS, channels=widths, lin_neurons=DIM)

    def forward(self, mel: Tensor) -> tuple[Tensor, None]:
        """`(batch, frames, mels)` → `(batch, 192)`."""
        return self.net(mel)[:, 0], None


def stepper(name: str, options: argparse.Namespace) -> Callable[[], None]:
    """A function that makes one training step of the system."""
    encoder_name, half = SYSTEMS[name]
    torch.manual_seed(0)
    device = torch.device(options.device)
    if encoder_name.startswith("speechbrain"):
        encoder: nn.Module = SpeechBrain(int(encoder_name.partition("_")[2]))
    else:
        encoder = ENCODERS[encoder_name](MELS, DIM)
    net = nn.ModuleDict({"encoder": encoder, "head": AAMSoftmax(DIM, SPEAKERS)}).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    mel = torch.randn(options.batch, int(100 * options.seconds), MELS, device=device)
    label = torch.randint(SPEAKERS, (options.batch,), device=device)
    forward = torch.compile(net["encoder"]) if options.compile else net["encoder"]

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            loss = net["head"](forward(mel)[0], label, 0.2, 30.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def peak_memory(name: str, options: argparse.Namespace) -> float:
    """Peak memory of two steps in GiB: the GPU's allocations, or on a CPU a process of its own."""
    if options.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step = stepper(name, options)
        step()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**30
    command = [sys.executable, __file__, "--memory", name, "--batch", str(options.batch)]
    command += ["--seconds", str(options.seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="systems whose name contains this")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        step = stepper(options.memory, options)
        step()
        step()
        print(own_peak())
        return
    names = [name for name in SYSTEMS if options.only in name]
    steps = {name: stepper(name, options) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    clock = time.process_time if options.device == "cpu" and options.threads == 1 else time.perf_counter
    for turn in range(options.turns + 1):
        for name, step in steps.items():
            start = clock()
            step()
            if turn:  # the first warms up
                times[name].append(clock() - start)
    threads = torch.get_num_threads()
    print(
        f"batch {options.batch} × {options.seconds} s, {options.device}, {threads} threads, "
        f"torch {torch.__version__}, best of {options.turns}"
    )
    print(f"{'system':<34} {'utt/s':>8} {'× SpeechBrain':>14} {'× float32':>10}", flush=True)
    for name in names:
        net, _, precision = name.partition(", ")
        size = net.partition("-")[2]
        theirs = times.get(f"speechbrain ECAPA-{size}, {precision}")
        single = times.get(f"{net}, float32") if precision != "float32" else None
        ratios = [f"{min(other) / min(times[name]):.2f}" if other else "–" for other in (theirs, single)]
        rate = options.batch / min(times[name])
        print(f"{name:<34} {rate:>8.1f} {ratios[0]:>14} {ratios[1]:>10}", flush=True)
    print("peak memory in GiB, of a process of its own on a CPU")
    for name in names:
        print(f"{name:<34} {peak_memory(name, options):>8.2f}", flush=True)


if __name__ == "__main__":
    main()
