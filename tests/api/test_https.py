"""HTTPS by settings: served with the certificate, refused in words when a file is missing or does not fit."""

from __future__ import annotations

import importlib.util
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from processes import running

from keepwell.access import certificate_of
from keepwell.errors import SettingInvalid
from keepwell.settings import ServeSection

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates of these tests"),
    pytest.mark.sqlite("no store makes a difference to a certificate"),
]


GRPC = "grpc_port = 0\n" if importlib.util.find_spec("grpc") else ""


def _infers_by_grpc(port: int, certificate: Path) -> bool:
    """A call over TLS with the token is answered, one without is not."""
    import grpc

    from keepwell.api.grpc_messages import message_class

    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    request = message_class("ModelInferRequest")(model_name="tiny")
    request.parameters["entity"].string_param = "north"
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        reads = message_class("ModelInferResponse").FromString
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", lambda sent: sent.SerializeToString(), reads)
        with pytest.raises(grpc.RpcError) as refused:
            ask(request, timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        return len(ask(request, timeout=10, metadata=[("authorization", "Bearer t")]).outputs) == 2


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of localhost, its key, the key under a passphrase, and another key."""
    folder = tmp_path_factory.mktemp("keys")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    for line in (
        ["req", "-x509", *curve, "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", *subject],
        ["ecparam", "-genkey", "-name", "prime256v1", "-out", "other.pem"],
        ["ec", "-in", "key.pem", "-aes128", "-passout", "pass:secret", "-out", "locked.pem"],
    ):
        subprocess.run(["openssl", *line], cwd=folder, check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return folder


@pytest.mark.parametrize(
    ("certificate", "key", "setting", "problem"),
    [
        ("gone.pem", "key.pem", "serve.certificate", "cannot be read .No such file"),
        ("cert.pem", "gone.pem", "serve.key", "cannot be read .No such file"),
        ("cert.pem", None, "serve.certificate", "PEM form|cannot be used"),
        ("key.pem", "cert.pem", "serve.certificate", "PEM form|cannot be used"),
        ("cert.pem", "other.pem", "serve.certificate", "the key is not the one of the certificate"),
        ("cert.pem", "locked.pem", "serve.certificate", "asks for a passphrase"),
        (None, "key.pem", "serve.key", "no serve.certificate"),
    ],
)
def test_files_that_do_not_fit_are_told(keys: Path, certificate: str | None, key: str | None, setting: str, problem: str) -> None:
    with pytest.raises(SettingInvalid, match=problem) as found:
        certificate_of(ServeSection(certificate=certificate, key=key), keys)
    assert found.value.facts["setting"] == setting


def test_files_that_fit(keys: Path) -> None:
    assert certificate_of(ServeSection(), keys) is None
    assert certificate_of(ServeSection(certificate="cert.pem", key="key.pem"), keys) == (str(keys / "cert.pem"), str(keys / "key.pem"))
    assert certificate_of(ServeSection(certificate="both.pem"), keys) == (str(keys / "both.pem"),) * 2


def test_a_server_with_a_certificate_speaks_https_and_its_cookies_are_secure(tiny: Path, keys: Path) -> None:
    with (tiny / "keepwell.toml").open("a") as file:
        file.write(f'\n[serve]\nport = 0\ntoken = "t"\ncertificate = "{keys}/cert.pem"\n{GRPC}key = "{keys}/key.pem"\n')
    with running(tiny, "serve") as (_, line):
        address = re.search(r"https://\S+?:\d+", line)
        assert address, line
        trusted = ssl.create_default_context(cafile=str(keys / "cert.pem"))
        with httpx.Client(base_url=address.group(), verify=trusted, timeout=10) as client:
            rows = {"rows": [{"warmth": 9.5, "cloud": 0.4}]}
            assert client.post("/models/tiny/predict", json=rows, headers={"authorization": "Bearer t"}).status_code == 200
            port = client.get("/v2", headers={"authorization": "Bearer t"}).json().get("grpc_port")
            assert bool(port) == bool(GRPC), "it listens where the extra is installed"
            if port:
                assert _infers_by_grpc(port, keys / "cert.pem")
                _refuses_others_by_grpc(port, keys / "cert.pem")
            signed = client.post("/sign-in", data={"token": "t"}, headers={"origin": address.group(), "accept": "text/html"})
            assert signed.status_code == 303 and "Secure" in signed.headers["set-cookie"]
        with pytest.raises(httpx.HTTPError):
            httpx.get(address.group().replace("https", "http"), timeout=5)


def _refuses_others_by_grpc(port: int, trusted: Path) -> None:
    import grpc

    call, asked = "/inference.GRPCInferenceService/ServerMetadata", b""
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(trusted.read_bytes())) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(call)(asked, timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, "no token"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(call)(asked, timeout=3)
    assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), "not encrypted"
