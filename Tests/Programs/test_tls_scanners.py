"""What the scanners sslscan and testssl say to echo-server with TLS. They take a minute together:
release builds alone."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import program

MINUTE = 60.0
LOOKS_AGAIN = 5

# What a certificate of a public authority has. Without a place of revocation lists testssl blames
# the certificate, of which the server is no author.
EXTENSIONS = """basicConstraints=critical,CA:FALSE
subjectAltName=DNS:localhost,IP:127.0.0.1
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth
crlDistributionPoints=URI:http://crl.example/ca.crl
"""


@pytest.fixture
def is_release():
    folder = Path(program.binary("echo-server")).parent
    if folder.name != "release":
        pytest.skip("the scanners take a minute: they are for release builds alone")


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def openssl(folder, *arguments):
    done = subprocess.run(
        ["openssl", *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def identity(is_release, tmp_path):
    """The certificate and the key of a server, and the certificate of their authority."""
    tool("openssl")
    openssl(tmp_path, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 150, "-subj",
            "/O=Authority of a test/CN=ca", "-keyout", "ca.key", "-out", "ca.pem",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl(tmp_path, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "server.key", "-out", "server.csr")
    (tmp_path / "extensions").write_text(EXTENSIONS)
    openssl(tmp_path, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", 100, "-sha256", "-extfile", "extensions",
            "-out", "server.pem")
    return tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem"


@pytest.fixture
def server(start, identity):
    server = start("echo-server", "--port", 0, "--tls-cert", identity[0], "--tls-key", identity[1])
    server.address
    yield server
    assert server.is_running, "the server did not survive: " + server.describe()
    assert server.stop() == 0, server.describe()


def scan(folder, *command):
    return subprocess.run(
        list(map(str, command)), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=7 * MINUTE, env={**os.environ, "TERM": "dumb"})


def findings(folder, ca, port, *options):
    """What testssl says: the findings, and its output."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    done = scan(folder, tool("testssl"), "--quiet", "--warnings", "off", "--color", 0, *options,
                "--ip", "one", "--add-ca", ca, "--jsonfile", report, f"localhost:{port}")
    assert report.is_file(), done.stdout + done.stderr
    return json.loads(report.read_text()), done.stdout


def is_unchecked_resumption(finding):
    """That testssl has not looked, rather than found something.

    For resumption it starts openssl's client with an empty input, which so hangs up right after
    the handshake: if the server's ticket isn't there in that instant, there is none to come back
    with. It happens in one of some hundred connections, with openssl's own server as well.
    """
    return finding["id"].startswith("sessionresumption") and "connect problem" in finding["finding"]


def test_testssl_finds_nothing_above_low(server, identity, tmp_path):
    found, output = findings(tmp_path, identity[2], server.address[1])
    fine = [each for each in found if each["severity"] in ("OK", "INFO")]
    assert len(fine) >= 80, "it has not looked:\n" + output

    for _ in range(LOOKS_AGAIN):
        if not any(map(is_unchecked_resumption, found)):
            break
        again, _ = findings(tmp_path, identity[2], server.address[1], "--server-defaults")
        found = [each for each in found if not is_unchecked_resumption(each)] + again
    assert "sessionresumption_ticket" in {each["id"] for each in found}

    worse = [f"{each['severity']} {each['id']}: {each['finding']}" for each in found
             if each["severity"] not in ("OK", "INFO", "LOW", "DEBUG")]
    assert not worse, "\n".join(worse)


def test_sslscan_finds_what_is_offered_and_nothing_else(server, tmp_path):
    done = scan(tmp_path, tool("sslscan"), "--no-colour", f"localhost:{server.address[1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout

    versions = dict(re.findall(r"^((?:SSL|TLS)v[\d.]+) +(enabled|disabled)$", output, re.MULTILINE))
    enabled = {name for name, state in versions.items() if state == "enabled"}
    assert enabled == {"TLSv1.2", "TLSv1.3"}, output
    assert len(versions) >= 6, output

    assert "Server supports TLS Fallback SCSV" in output
    assert "Session renegotiation not supported" in output, output
    # A sslscan without zlib can't ask; testssl does.
    assert "Compression enabled" not in output, output
    hearts = re.findall(r"^TLSv1\.[23] (.*) to heartbleed$", output, re.MULTILINE)
    assert hearts == ["not vulnerable"] * 2, output

    ciphers = re.findall(
        r"^(?:Preferred|Accepted) +(TLSv[\d.]+) +\d+ bits +(\S+)", output, re.MULTILINE)
    assert {version for version, _ in ciphers} == enabled, output
    for version, cipher in ciphers:
        assert version == "TLSv1.3" or cipher.startswith(("ECDHE-", "DHE-")), cipher
        assert "GCM" in cipher or "CHACHA20" in cipher, cipher
