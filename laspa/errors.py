"""The one exception for bad input: its message is complete and meant for the user."""


class LaspaError(Exception):
    """Bad input. The message names the file, the field, the value and what would be right."""


def one_line(text: object) -> str:
    """An error's text, or another's, without line ends and runs of blanks."""
    return " ".join(str(text).split())
