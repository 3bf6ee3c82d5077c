"""Texts and addresses without passwords, tokens and keys, for messages, logs and files."""

import re
from urllib.parse import urlsplit, urlunsplit


def without_credentials(text: str) -> str:
    """`text` without user and password in its URIs, nor values of query fields that name a secret."""
    text = re.sub(r"(://)[^/@\s]*@", r"\1", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:token|password|secret|key|signature)[^=&\s]*=)[^&\s]+", r"\1…", text)


def address_without_credentials(url: str) -> str:
    """One address without user, password, query and fragment: in a query any field may be a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
