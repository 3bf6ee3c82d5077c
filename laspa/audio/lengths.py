"""How much sound a file's own header names, and how much is there: cut files, and headers that are wrong.

Decoders read a cut file without an error, and stop where a wrong header says.
"""

import os
import re
from mmap import ACCESS_READ, mmap
from pathlib import Path

from laspa.audio.kinds import BOXES, MPEG, is_mpeg_frame

Content = bytes | mmap
UNKNOWN_LENGTH = 0x7FFFF000  # a WAV length from here on was written by a program that did not know it
UNKNOWN_LONG = 2**62  # the same where a length has 64 bits
WAV_CHUNKS = 12  # offset of the first chunk, after RIFF, a size and WAVE
LEAST_SOUND = 256  # bytes behind the named end that count as sound: an ID3 tag has 128 (our choice)
OGG_PAGE, OGG_HEADER = b"OggS", 27  # a page's first bytes, and how many its header has
OGG_FIRST, OGG_LATER = b"OggS\0\2", b"OggS\0\0"  # the first page of a recording, and one of the others
ID3_HEADER = 10  # bytes; the last four are the size of what follows, 7 bits in each
XING_FRAMES, XING_BYTES = 1, 2  # flags of the Xing tag in an MP3's first frame: which counts follow
XING_PLACES = (13, 21, 36)  # of the tag in that frame, by MPEG version and channels
XING_REACH = 1 << 16  # bytes searched for the tag: a picture may precede the sound
SPHERE_NUMBER = rb"^%s -i (\d+)"
SPHERE_HEADER = 1024  # bytes


def cut_short(content: Content) -> str:
    """What is missing by the file's own header; empty if nothing, or if it does not say.

    A cut FLAC is found while it is decoded. G.722, AMR, WebM, CAF, and MP3 without a Xing tag (as LAME writes
    it), do not say how long they are. An OGG that ends with a whole page is whole: phones do not mark the
    last one.
    """
    head = content[:SPHERE_HEADER]
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _wav_cut(content)
    if head[:4] == OGG_PAGE:
        return _ogg(content)
    if head[:3] == MPEG or is_mpeg_frame(head[:2]):
        tag = _xing(content)
        return _lacking(len(content) - tag[0], tag[1]) if tag else ""
    if head[4:8] in BOXES:
        return _boxes(content)
    return _lacking(len(content), _named_size(head), "the file")


def wrong_header(content: Content) -> bool:
    """Whether a WAV or MP3 names another length than there is, and all sound is there nevertheless."""
    if _data(content) is not None:
        return not _wav_cut(content) and _unnamed(content) != 0
    return _stale_tag(content)


class ReadInPart(ValueError):
    """libsndfile would read a part of it only."""


def with_all_sound(path: Path | str, content: bytes | None) -> bytes | None:
    """`content` as libsndfile reads it whole: a WAV with its true length, and no ID3 tag before WAV and FLAC.

    Returns:
        None if there is nothing to correct in the file at `path` and `content` was not given.

    Raises:
        ReadInPart: several OGGs or MP3s one behind the other, or an MP3 that does not say how long it is.
    """
    if content is not None:
        return _corrected(content) or content
    if not os.path.getsize(path):
        return None
    with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        return _corrected(mapped)


def _corrected(content: Content) -> bytes | None:
    if content[:4] == OGG_PAGE:
        later = content.find(OGG_LATER)
        if 0 <= later < content.find(OGG_FIRST, later):
            raise ReadInPart("several recordings one behind the other")
    if content[:3] == MPEG:
        start = ID3_HEADER + sum(
            (byte & 127) << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=False)
        )
        if content[start : start + 4] in (b"fLaC", b"RIFF"):
            return _corrected(content[start:]) or content[start:]
    if content[:3] == MPEG or is_mpeg_frame(content[:2]):
        if _xing(content) is None:
            raise ReadInPart("an MP3 that does not say how long it is")
        if _stale_tag(content):
            raise ReadInPart("an MP3 that is longer than it says")
    if (behind := _unnamed(content)) > 0:
        place, size = _data(content) or (0, 0)
        true = min(size + behind, 0xFFFFFFFF).to_bytes(4, "little")
        return content[: place + 4] + true + content[place + 8 :]
    return None


def _data(content: Content) -> tuple[int, int] | None:
    """Where a WAV's chunk of sound begins, and the size that it names."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return None
    place = WAV_CHUNKS
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == b"data":
            return place, size
        place += 8 + size + size % 2  # chunks are padded to even lengths
    return None


def _unnamed(content: Content) -> int:
    """Bytes of sound behind the end that a WAV's header names; negative where it names more than there is."""
    found = _data(content)
    if found is None or found[1] >= UNKNOWN_LENGTH:
        return 0
    place, size = found
    there = len(content) - place - 8
    if there <= size:
        return there - size
    if there - size < LEAST_SOUND or _chunks_follow(content, place + 8 + size):
        return 0
    rest = content[place + 8 + size :]
    return there - size if rest.strip(b"\0") else 0


def _chunks_follow(content: Content, place: int) -> bool:
    """Whether what follows is a chunk of another kind, which ends in the file."""
    place += place % 2
    name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
    # RIFF: a second WAV, joined to the first.
    is_chunk = name != b"RIFF" and re.fullmatch(rb"[A-Za-z0-9_ ]{4}", name)
    return bool(is_chunk) and place + 8 + size <= len(content) + 1


def _wav_cut(content: Content) -> str:
    """A file that is as long as RIFF says, or whose size of sound counts the header in, is whole."""
    found, size = _data(content), len(content)
    whole = int.from_bytes(content[4:8], "little")
    if found is None or found[1] >= UNKNOWN_LENGTH or size in (whole + 8, found[1], found[1] + 8):
        return ""
    return _lacking(size - found[0] - 8, found[1])


def _ogg(content: Content) -> str:
    """A page: 27 bytes, of which the last is the number of segments; then their sizes; then the segments."""
    place = content.rfind(OGG_PAGE)
    header = content[place : place + OGG_HEADER]
    if len(header) < OGG_HEADER:
        return "cut short: its last page is missing"
    sizes = content[place + OGG_HEADER : place + OGG_HEADER + header[-1]]
    return _lacking(len(content) - place, OGG_HEADER + header[-1] + sum(sizes), "its last page")


def _stale_tag(content: Content) -> bool:
    """Whether the tag of an MP3 names less sound than follows: MP3s that were joined."""
    if content[:3] != MPEG and not is_mpeg_frame(content[:2]):
        return False
    tag = _xing(content)
    behind = content[tag[0] + tag[1] : tag[0] + tag[1] + 4] if tag else b""
    return behind[:3] == MPEG or is_mpeg_frame(behind)


def _xing(content: Content) -> tuple[int, int] | None:
    """Where the sound of an MP3 begins, and how many bytes of it its tag names.

    The tag: Xing or Info, flags, then the counts that the flags name, 4 bytes each.
    """
    places = [content.find(tag, 0, XING_REACH) for tag in (b"Xing", b"Info")]
    place = min((place for place in places if place > 0), default=0)
    starts = (place - before for before in XING_PLACES if place >= before)
    start = next((start for start in starts if is_mpeg_frame(content[start : start + 2])), None)
    flags = int.from_bytes(content[place + 4 : place + 8], "big")
    if start is None or not flags & XING_BYTES:
        return None
    count = place + 8 + 4 * (flags & XING_FRAMES)
    return start, int.from_bytes(content[count : count + 4], "big")


def _boxes(content: Content) -> str:
    """MP4: a sequence of boxes, each with its size; 1 for a long size behind the name, 0 for the rest."""
    place = 0
    while place + 8 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(content[place + 8 : place + 16], "big")
        if size < 8:
            return ""
        place += size
    return _lacking(len(content), place, "the file")


def _named_size(head: bytes) -> int:
    """Bytes that the whole file should have, 0 if unknown: AIFF, RF64, W64, AU, and unpacked SPHERE."""
    if head[:4] == b"FORM":
        return _known(int.from_bytes(head[4:8], "big"), UNKNOWN_LENGTH, 8)
    if head[:4] == b"RF64" and head[12:16] == b"ds64":
        return _known(int.from_bytes(head[20:28], "little"), UNKNOWN_LONG, 8)
    if head[:4] == b"riff":
        return _known(int.from_bytes(head[16:24], "little"), UNKNOWN_LONG, 0)
    if head[:4] == b".snd":
        return _known(int.from_bytes(head[8:12], "big"), UNKNOWN_LENGTH, int.from_bytes(head[4:8], "big"))
    if head[:7] == b"NIST_1A" and b"shorten" not in head:
        keys = (b"sample_count", b"sample_n_bytes", b"channel_count")
        found = [re.search(SPHERE_NUMBER % key, head, re.MULTILINE) for key in keys]
        count, width, channels = (int(match[1]) if match else 0 for match in found)
        return SPHERE_HEADER + count * width * (channels or 1)
    return 0


def _known(size: int, unknown: int, header: int) -> int:
    return size + header if size < unknown else 0


def _lacking(there: int, size: int, of: str = "sound") -> str:
    return f"cut short: {there:,} of {size:,} bytes of {of}" if there < size else ""
