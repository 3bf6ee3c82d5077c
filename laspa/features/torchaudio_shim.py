"""Makes `import torchaudio` work beside a CPU build of torch.

torchaudio's compiled extension wants the libraries of a CUDA build of torch, and without them the import
fails. The project uses no compiled part of it: where the extension cannot load, a stand-in takes its place
and says that it is not available. Import this module before torchaudio.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

EXTENSION = "torchaudio._extension"


def _stand_in() -> ModuleType:
    """A module with the three names that the rest of torchaudio takes from its extension."""

    def unavailable(function: Callable[..., Any]) -> Callable[..., Any]:
        def fail(*_: Any, **__: Any) -> Any:
            raise RuntimeError(
                f"{function.__name__} needs torchaudio's compiled extension, which does not load here"
            )

        return fail

    module = ModuleType(EXTENSION)
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    module._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    module.fail_if_no_align = unavailable  # type: ignore[attr-defined]
    return module


def _load() -> None:
    with contextlib.suppress(OSError, ImportError, RuntimeError):
        importlib.import_module("torchaudio")
        return
    # The failed import leaves submodules behind, which must not mix with those of the second try.
    for name in [name for name in sys.modules if name == "torchaudio" or name.startswith("torchaudio.")]:
        del sys.modules[name]
    sys.modules[EXTENSION] = _stand_in()
    importlib.import_module("torchaudio")


_load()

from torchaudio.functional import melscale_fbanks  # noqa: E402

__all__ = ["melscale_fbanks"]
