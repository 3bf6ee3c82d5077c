"""Whether a recording is cut short by what its own header says; decoders read a cut file without an error."""

from mmap import mmap

UNKNOWN_LENGTH = 0x7FFFF000  # a WAV length from here on was written by a program that did not know it
WAV_CHUNKS = 12  # offset of the first chunk, after RIFF, a size and WAVE
OGG_PAGE, OGG_LAST, OGG_HEADER = (
    b"OggS",
    4,
    27,
)  # a page's first bytes, the flag of the last page, header bytes
XING_FRAMES, XING_BYTES = 1, 2  # flags of the Xing tag in an MP3's first frame: which counts follow
XING_PLACES = (13, 21, 36)  # of the tag in that frame, by MPEG version and channels
XING_REACH = 1 << 16  # bytes searched for the tag: a picture may precede the sound


def cut_short(content: bytes | mmap) -> str:
    """What is missing of a WAV, an OGG, or an MP3 with a Xing tag (as LAME writes it); empty if nothing.

    libsndfile itself refuses a cut FLAC, and FFmpeg a cut M4A. G.722, and MP3 without the tag, do not say
    how long they are.
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return _wav(content)
    if content[:4] == OGG_PAGE:
        return _ogg(content)
    if content[:3] == b"ID3" or _is_frame(content[:2]):
        return _mp3(content)
    return ""


def _wav(content: bytes | mmap) -> str:
    place = WAV_CHUNKS
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == b"data":
            return _lacking(len(content) - place - 8, size) if size < UNKNOWN_LENGTH else ""
        place += 8 + size + size % 2  # chunks are padded to even lengths
    return ""


def _ogg(content: bytes | mmap) -> str:
    """A page: 27 bytes, of which the last is the number of segments; then their sizes; then the segments."""
    place = content.rfind(OGG_PAGE)
    header = content[place : place + OGG_HEADER]
    if len(header) == OGG_HEADER and header[5] & OGG_LAST:
        sizes = content[place + OGG_HEADER : place + OGG_HEADER + header[-1]]
        return _lacking(len(content) - place, OGG_HEADER + header[-1] + sum(sizes), "its last page")
    return "cut short: its last page is missing"


def _mp3(content: bytes | mmap) -> str:
    """The tag: Xing or Info, flags, then the counts that the flags name, 4 bytes each."""
    places = [content.find(tag, 0, XING_REACH) for tag in (b"Xing", b"Info")]
    place = min((place for place in places if place > 0), default=0)
    starts = (place - before for before in XING_PLACES if place >= before)
    start = next((start for start in starts if _is_frame(content[start : start + 2])), None)
    flags = int.from_bytes(content[place + 4 : place + 8], "big")
    if start is None or not flags & XING_BYTES:
        return ""
    count = place + 8 + 4 * (flags & XING_FRAMES)
    return _lacking(len(content) - start, int.from_bytes(content[count : count + 4], "big"))


def _is_frame(first: bytes) -> bool:
    """A frame of MPEG sound begins with eleven set bits."""
    return len(first) == 2 and first[0] == 0xFF and first[1] >= 0xE0


def _lacking(there: int, size: int, of: str = "sound") -> str:
    return f"cut short: {there:,} of {size:,} bytes of {of}" if there < size else ""
