"""Handshakes in memory, with certificates as clusters have them."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ferryman.errors import UserError
from ferryman.runtime.tls import TLSSettings, client_context

PEM = serialization.Encoding.PEM


class Holder:
    """A name, its key and its certificate, as minimal as EKS makes them: no key identifiers."""

    def __init__(self, name: str, issuer: "Holder | None" = None, *, authority: bool) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signer = issuer or self
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )
        if authority:
            constraints = x509.BasicConstraints(ca=True, path_length=None)
            builder = builder.add_extension(constraints, critical=True)
        else:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        self.certificate = builder.sign(signer.key, hashes.SHA256()).public_bytes(PEM)

    @property
    def secret(self) -> bytes:
        plain = serialization.NoEncryption()
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain)


def server(folder: Path, *chain: Holder) -> ssl.SSLContext:
    path = folder / "server.pem"
    path.write_bytes(b"".join(h.certificate for h in chain) + chain[0].secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def shake_hands(settings: TLSSettings, serving: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """The server's side of a handshake that went well; raises ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(settings).wrap_bio(down, up, server_hostname=name)
    accepted = serving.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (client, accepted):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return accepted


ROOT = Holder("kubernetes", authority=True)
INTERMEDIATE = Holder("intermediate", ROOT, authority=True)
SERVER = Holder("api.example", ROOT, authority=False)
BELOW = Holder("api.example", INTERMEDIATE, authority=False)


def test_a_clusters_minimal_certificates_are_trusted(tmp_path: Path) -> None:
    shake_hands(TLSSettings(ROOT.certificate), server(tmp_path, SERVER), "api.example")


def test_an_intermediate_in_the_kubeconfig_is_an_anchor(tmp_path: Path) -> None:
    shake_hands(TLSSettings(INTERMEDIATE.certificate), server(tmp_path, BELOW), "api.example")


@pytest.mark.parametrize(
    ("authority", "name"), [(SERVER, "other.example"), (INTERMEDIATE, "api.example")]
)
def test_a_server_of_another_name_or_authority_is_not_trusted(
    tmp_path: Path, authority: Holder, name: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(TLSSettings(authority.certificate), server(tmp_path, SERVER), name)


def test_insecure_trusts_anybody(tmp_path: Path) -> None:
    shake_hands(TLSSettings(insecure=True), server(tmp_path, SERVER), "other.example")


def test_a_client_certificate_is_shown_and_its_file_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    jane = Holder("jane", ROOT, authority=False)
    serving = server(tmp_path, SERVER)
    serving.load_verify_locations(cadata=ROOT.certificate.decode())
    serving.verify_mode = ssl.CERT_REQUIRED
    settings = TLSSettings(ROOT.certificate, jane.certificate, jane.secret)
    assert shake_hands(settings, serving, "api.example").getpeercert()
    assert list(folder.iterdir()) == []
    assert "PRIVATE" not in repr(settings)


@pytest.mark.parametrize(
    "settings",
    [
        TLSSettings(b"not PEM"),
        TLSSettings(b"\xff"),
        TLSSettings(ROOT.certificate, b"not PEM", b"neither"),
        TLSSettings(ROOT.certificate, SERVER.certificate, ROOT.secret),
    ],
)
def test_what_is_no_certificate_is_the_users_to_change(settings: TLSSettings) -> None:
    with pytest.raises(UserError, match="not usable"):
        client_context(settings)
