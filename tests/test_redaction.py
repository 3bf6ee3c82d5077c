"""What may be secret is taken out of texts and addresses."""

import pytest

from laspa.redaction import address_without_credentials, without_credentials


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:secret@host/path?x=1", "https://host/path?x=1"),
        ("s3://bucket/key?access_token=abc&x=1", "s3://bucket/key?access_token=…&x=1"),
        ("postgresql://u:p%40@db:5432/m failed", "postgresql://db:5432/m failed"),
        ("user@host and /a/path", "user@host and /a/path"),
    ],
)
def test_credentials_are_taken_out_of_a_text(text: str, clean: str) -> None:
    assert without_credentials(text) == clean


def test_an_address_keeps_host_and_path_alone() -> None:
    assert address_without_credentials("https://ann:pw@a.org/x?key=y#z") == "https://a.org/x"
