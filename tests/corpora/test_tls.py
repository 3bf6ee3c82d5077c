"""Downloads over TLS: a certificate that is no proof of the host is refused, and said why, at once."""

import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from laspa.corpora.corpus import RemoteFile
from laspa.corpora.download.fetch import fetch
from laspa.errors import LaspaError
from laspa.params import Download
from tests.bad_server import BadServer, bad_server

CONTENT = np.random.default_rng(0).bytes(3000)
OPTIONS: dict[str, Any] = {"folder": "x", "accept_licences": [], "mirrors": {}, "parallel": 1, "retries": 1}
OPTIONS |= {"stall_seconds": 5.0, "wait_seconds": 0.01}
DAY = timedelta(days=1)


def certificate(file: Path, host: str = "127.0.0.1", ends: timedelta = DAY) -> Path:
    """A self-signed certificate of an address, which ends so long from now, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - 9 * DAY).not_valid_after(now + ends)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    signed = builder.sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(signed.public_bytes(pem) + private)
    return file


def get(server: BadServer, folder: Path, url: str = "") -> bytes:
    server.files["/a.bin"] = CONTENT
    checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    file = RemoteFile(url or f"{server.url}/a.bin", "a.bin", checksum=checksum)
    (path,) = fetch([file], folder, folder / "checksums.json", Download(**OPTIONS), "test")
    return path.read_bytes()


def test_a_trusted_certificate_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path / "good.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with bad_server(pem) as server:
        assert get(server, tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("known", "host", "ends", "words"),
    [
        (False, "127.0.0.1", DAY, "self-signed certificate"),
        (True, "127.0.0.1", -DAY, "certificate has expired"),
        (True, "127.0.0.2", DAY, "IP address mismatch"),
    ],
)
def test_other_certificates_are_refused(
    known: bool, host: str, ends: timedelta, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path / "bad.pem", host, ends)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem if known else certificate(tmp_path / "other.pem")))
    with bad_server(pem) as server:
        with pytest.raises(LaspaError, match=rf"not trusted \({words}.*REQUESTS_CA_BUNDLE"):
            get(server, tmp_path)
        assert server.seen == []
    assert not list(tmp_path.glob("a.bin*"))


def test_a_redirect_to_a_host_that_is_not_trusted(tmp_path: Path) -> None:
    with bad_server(certificate(tmp_path / "bad.pem")) as away, bad_server() as server:
        server.always["/b.bin"] = f"redirect {away.url}/a.bin"
        with pytest.raises(LaspaError, match="not trusted"):
            get(server, tmp_path, f"{server.url}/b.bin")
        assert away.seen == []


def test_a_server_that_speaks_no_tls(tmp_path: Path) -> None:
    """Nor does one that breaks off; both are tried again, as what passes is."""
    with bad_server() as server, pytest.raises(LaspaError, match="no encrypted connection"):
        get(server, tmp_path, server.url.replace("http:", "https:") + "/a.bin")
