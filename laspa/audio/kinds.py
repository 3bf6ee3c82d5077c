"""What a file is, by its first bytes; a suffix counts only where sound has no header."""

import os
from pathlib import Path

HEAD = 64  # bytes that tell
# Files with other suffixes are looked into, to tell whether they hold sound.
SUFFIXES = {
    ".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".m4a",
    ".mp4", ".mov", ".3gp", ".aac", ".amr", ".webm", ".mka", ".wma", ".aif", ".aiff", ".aifc",
    ".au", ".snd", ".caf", ".sph", ".nist", ".g722",
}  # fmt: skip
HEADERLESS = ".g722"
# First bytes of what libsndfile reads, W64 third, and of what takes FFmpeg.
LIBSNDFILE = (
    b"RIFF",
    b"RF64",
    b"riff.\x91\xcf\x11",
    b"fLaC",
    b"OggS",
    b"FORM",
    b".snd",
    b"caff",
    b"NIST_1A",
)
MPEG = b"ID3"
# AMR, Matroska and WebM, ASF (WMA), WavPack, Monkey's Audio, True Audio, Flash.
FFMPEG = (b"#!AMR", b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"wvpk", b"MAC ", b"TTA1", b"FLV\1")
BOXES = (b"ftyp", b"moov", b"mdat", b"wide")  # at byte 4: MP4, M4A, 3GP, QuickTime

# What people find in place of a recording, and what helps.
IN_PLACE_OF_SOUND = {
    b"version https://git-lfs": "a pointer of Git LFS; run git lfs pull to have the recording",
    b"/annex/objects/": "a pointer of git-annex; run git annex get to have the recording",
    b"<!doctype": "a web page; download the recording again",
    b"<html": "a web page; download the recording again",
    b"pk\3\4": "a zip archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
}


def has_mark(head: bytes) -> bool:
    """Whether it begins with the mark of a kind with sound; MPEG sound has only a few set bits."""
    return head.startswith((*LIBSNDFILE, MPEG, *FFMPEG)) or head[4:8] in BOXES


def needs_ffmpeg(head: bytes) -> bool:
    """Whether it begins as a kind that libsndfile does not know."""
    is_adts = is_mpeg_frame(head) and head[1] & 0xF6 == 0xF0  # AAC
    return head.startswith(FFMPEG) or head[4:8] in BOXES or is_adts


def is_mpeg_frame(first: bytes) -> bool:
    """A frame of MPEG sound begins with eleven set bits."""
    return len(first) > 1 and first[0] == 0xFF and first[1] >= 0xE0


def is_recording(path: Path | str) -> bool:
    """Whether to take a file for a recording: by its suffix, else by its first bytes.

    Hidden files are none: macOS writes `._1.wav` beside `1.wav`.
    """
    name = os.path.basename(path)
    if name.startswith("."):
        return False
    if os.path.splitext(name)[1].lower() in SUFFIXES:
        return True
    try:
        head = first_bytes(path)
    except OSError:
        return False
    return has_mark(head) or (is_mpeg_frame(head) and head[1] & 6 != 6)  # text in UTF-16 begins with FF FE


def first_bytes(path: Path | str) -> bytes:
    """As many as tell the kind."""
    with open(path, "rb") as file:
        return file.read(HEAD)
