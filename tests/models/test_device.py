"""What a device may compute in."""

import pytest
import torch

from laspa.arithmetic import PORTABLE
from laspa.errors import LaspaError
from laspa.models import device
from laspa.models.device import check_precision

CPU = torch.device("cpu")


def test_a_gpu_computes_in_each_and_a_cpu_in_float32() -> None:
    for precision in (torch.float32, torch.bfloat16, torch.float16):
        check_precision(precision, torch.device("cuda"))
    check_precision(torch.float32, CPU)


def test_bfloat16_on_a_cpu_needs_its_instructions_and_native_arithmetic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", PORTABLE["ONEDNN_MAX_CPU_ISA"])
    with pytest.raises(
        LaspaError, match=r"bfloat16, .*portable takes ten .* choose float32, or on a CPU with A"
    ):
        check_precision(torch.bfloat16, CPU)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "DEFAULT")
    check_precision(torch.bfloat16, CPU)
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(LaspaError, match=r"bfloat16, which on this CPU, without AVX-512 or AMX, takes ten"):
        check_precision(torch.bfloat16, CPU)


def test_torch_says_whether_it_has_bfloat16_for_this_cpu() -> None:
    capable = torch.cpu.get_capabilities()
    if capable.get("architecture") != "x86_64":
        pytest.skip("other processors name their instructions otherwise")
    if not capable["avx512_bw"] and not capable["avx_ne_convert"]:
        assert not device.cpu_has_bfloat16()
