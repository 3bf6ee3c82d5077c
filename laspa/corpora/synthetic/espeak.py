"""espeak-ng, called in this process through ctypes from the library in the wheel espeakng-loader.

espeak-ng is licensed under the GPL, version 3. It is loaded at run time for the embedded corpus
only; nothing of it is part of this project, which is under the Apache licence 2.0.
"""

import ctypes
from pathlib import Path
from types import ModuleType

import numpy as np

from laspa.errors import LaspaError

SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, in the calling thread
CHARS_UTF8 = 1  # espeakCHARS_UTF8
CHARACTER_POSITION = 1  # espeak_POSITION_TYPE
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def languages() -> set[str]:
    """The languages that espeak-ng has a dictionary for."""
    return {file.name.removesuffix("_dict") for file in Path(_loader().get_data_path()).glob("*_dict")}


def _loader() -> ModuleType:
    """The package that has espeak-ng's library and data: an extra, which only speaking needs."""
    try:
        import espeakng_loader
    except ImportError:
        raise LaspaError("the embedded corpus needs espeak-ng: pip install 'laspa[synthetic]'") from None
    return espeakng_loader


class Espeak:
    """The one synthesiser of a process: the library keeps its state in globals.

    Its output depends on what it has spoken before. The same bytes need a fresh process and the same
    texts in the same order.
    """

    def __init__(self) -> None:
        loader = _loader()
        self._library = ctypes.CDLL(loader.get_library_path())
        self._chunks: list[bytes] = []
        self._callback = CALLBACK(self._receive)
        data = str(loader.get_data_path()).encode()
        self.sample_rate: int = self._library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
        if self.sample_rate <= 0:
            raise LaspaError(
                f"espeak-ng: cannot start with the data folder {data.decode()}; reinstall espeakng-loader"
            )
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]

    def say(self, text: str, voice: Path, seed: int) -> np.ndarray:
        """Speak `text` with the voice file `voice` → float32 samples in [-1, 1] at `sample_rate`.

        Raises:
            LaspaError: a voice that espeak-ng refuses, or a text from which it makes no sound.
        """
        self._chunks.clear()
        if self._library.espeak_ng_SetVoiceByFile(str(voice).encode()) != 0:
            raise LaspaError(
                f"espeak-ng: cannot use the voice {voice.read_text()!r}; is its language spelt right?"
            )
        self._library.espeak_ng_SetRandSeed(seed)
        encoded = text.encode()
        self._library.espeak_ng_Synthesize(
            encoded, len(encoded) + 1, 0, CHARACTER_POSITION, 0, CHARS_UTF8, None, None
        )
        self._library.espeak_ng_Synchronize()
        speech = np.frombuffer(b"".join(self._chunks), dtype=np.int16)
        if not speech.any():
            raise LaspaError(
                f"espeak-ng: no sound from the text {text!r} with the voice {voice.read_text()!r}"
            )
        return speech.astype(np.float32) / 32768

    def _receive(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, count * ctypes.sizeof(ctypes.c_short)))
        return 0
