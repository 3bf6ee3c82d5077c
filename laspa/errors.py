"""The one exception for bad input: its message is complete and meant for the user."""

import errno
import os
import re

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


# Control characters and line ends but LF: what a file holds must not move a terminal's cursor or part a line.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class LaspaError(Exception):
    """Bad input. The message names the file, the field, the value and what would be right."""

    def __init__(self, message: object) -> None:
        super().__init__(_UNSEEN.sub(lambda found: ascii(found[0])[1:-1], str(message)))


def one_line(text: object) -> str:
    """An error's text, or another's, without line ends and runs of blanks."""
    return " ".join(str(text).split())


def system_fault(error: Exception) -> str:
    """What the system says is wrong, by file and reason; empty for an error that is not the system's.

    Some libraries wrap a full disk in an error of their own, and pyarrow's are only a message.
    """
    if isinstance(error, FileNotFoundError) and not error.strerror:
        return f"{error}: no such file"
    if isinstance(error, OSError):
        return f"{error.filename or 'writing'}: {error.strerror}" if error.strerror else one_line(error)
    reason = next(filter(str(error).__contains__, map(os.strerror, _DISK)), "")
    return reason and f"writing: {reason}"
