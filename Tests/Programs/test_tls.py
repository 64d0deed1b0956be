"""TLS against other implementations: Python's ssl and the openssl command, both ways round."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

import program
from duplex import DuplexClient
from sockets import receive
from waiting import eventually


def openssl(*arguments, cwd, input=None):
    return subprocess.run(
        ["openssl", *map(str, arguments)], cwd=cwd, input=input, capture_output=True, timeout=30)


def make_certificate(folder, name, names="DNS:localhost,IP:127.0.0.1"):
    """A self-signed certificate NAME.pem with its key NAME.key, new in each run."""
    done = openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}",
        "-addext", f"subjectAltName={names}", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / f"{name}.pem", folder / f"{name}.key"


# What a test does with an old version is what it is about.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")


@pytest.fixture
def identity(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return make_certificate(tmp_path, "server")


@pytest.fixture
def echo(start, identity):
    server = start("echo-server", "--port", 0, "--tls-cert", identity[0], "--tls-key", identity[1])
    server.address
    yield server
    assert server.is_running, "the server did not survive: " + server.describe()


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate))


def connect(server, context, **options):
    sock = socket.create_connection(server.address, timeout=10)
    return context.wrap_socket(sock, server_hostname="localhost", **options)


# -- our server --


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_python_is_echoed(echo, identity, version):
    context = trusting(identity[0])
    context.minimum_version = context.maximum_version = version
    with connect(echo, context) as sock:
        assert sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        for data in (b"a", b"line\n", os.urandom(60_000)):
            sock.sendall(data)
            assert receive(sock, len(data)) == data
        # close_notify both ways.
        sock.unwrap().close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_sends_while_it_receives_is_echoed(echo, identity, version):
    context = trusting(identity[0])
    context.minimum_version = context.maximum_version = version
    with DuplexClient(echo.address, context) as client:
        for data in (b"a", b"line\n", os.urandom(300_000), os.urandom(20_000_000)):
            received, early = client.exchange(data)
            assert received == data
        assert early > 0, "the two ways took turns"
        client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_python_resumes_its_session(echo, identity, version):
    context = trusting(identity[0])
    context.minimum_version = context.maximum_version = version
    with connect(echo, context) as first:
        first.sendall(b"x")
        assert receive(first, 1) == b"x"
        session = first.session
        assert not first.session_reused
        first.unwrap()
    with connect(echo, context, session=session) as second:
        assert second.session_reused
        second.sendall(b"y")
        assert receive(second, 1) == b"y"


def test_a_unix_socket_is_served_with_tls(start, identity, tmp_path):
    path = tmp_path / "echo.sock"
    server = start(
        "echo-server", "--unix", path, "--tls-cert", identity[0], "--tls-key", identity[1])
    eventually(lambda: "listening on " in server.stdout, what="the line: " + server.describe())
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plain:
            plain.settimeout(10)
            plain.connect(str(path))
            with trusting(identity[0]).wrap_socket(plain, server_hostname="localhost") as sock:
                assert sock.version() == "TLSv1.3"
                data = os.urandom(60_000)
                sock.sendall(data)
                assert receive(sock, len(data)) == data
                sock.unwrap().close()
    # Who does not speak TLS is not answered as if there were none.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plain:
        plain.settimeout(10)
        plain.connect(str(path))
        plain.sendall(b"hello\n")
        assert b"hello" not in plain.recv(100)
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not path.exists()


def test_versions_before_1_2_are_refused(echo):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        connect(echo, context)


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_the_openssl_client_is_echoed(echo, identity, option, tmp_path):
    host, port = echo.address
    # K asks both ends for new keys (TLS 1.3); R renegotiates, which TLS 1.2 must not do here.
    lines = b"hello\nK\nagain\n" if option == "-tls1_3" else b"hello\nagain\n"
    client = subprocess.Popen(
        ["openssl", "s_client", option, "-connect", f"{host}:{port}", "-CAfile",
         str(identity[0]), "-verify_return_error"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path)
    try:
        seen = b""
        for line in lines.splitlines(keepends=True):
            client.stdin.write(line)
            client.stdin.flush()
            if line == b"K\n":
                while b"KEYUPDATE" not in seen:
                    seen += os.read(client.stdout.fileno(), 65536)
                continue
            count = seen.count(line)
            while seen.count(line) <= count:
                part = os.read(client.stdout.fileno(), 65536)
                assert part, seen
                seen += part
        assert b"Verification: OK" in seen and b"Compression: NONE" in seen
    finally:
        client.kill()
        client.wait()


def test_renegotiation_is_refused(echo, identity, tmp_path):
    host, port = echo.address
    client = subprocess.Popen(
        ["openssl", "s_client", "-tls1_2", "-connect", f"{host}:{port}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path)
    output = client.communicate(b"R\n", timeout=20)[0]
    assert b"no renegotiation" in output


def test_a_plain_client_and_a_scan_do_no_harm(echo, identity):
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(5_000), b"\x16\x03\x01"):
        with socket.create_connection(echo.address, timeout=10) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    with connect(echo, trusting(identity[0])) as sock:
        sock.sendall(b"fine")
        assert receive(sock, 4) == b"fine"
    assert echo.stderr == ""


def test_silent_clients_do_not_keep_others_waiting(echo, identity):
    silent = [socket.create_connection(echo.address, timeout=10) for _ in range(50)]
    with connect(echo, trusting(identity[0])) as sock:
        sock.sendall(b"quick")
        assert receive(sock, 5) == b"quick"
    for each in silent:
        each.close()


def test_sighup_reads_the_certificate_again(echo, identity, tmp_path):
    def subject():
        context = ssl.create_default_context(cafile=str(identity[0]))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with connect(echo, context) as sock:
            return ssl.DER_cert_to_PEM_cert(sock.getpeercert(binary_form=True))

    old = subject()
    with connect(echo, trusting(identity[0])) as kept:
        make_certificate(tmp_path, "server")
        assert subject() == old
        echo.send_signal(signal.SIGHUP)
        eventually(lambda: "read again" in echo.stderr, what="the new certificate")
        assert subject() == identity[0].read_text() != old
        kept.sendall(b"still here")
        assert receive(kept, 10) == b"still here"
    identity[1].write_text("broken")
    echo.send_signal(signal.SIGHUP)
    eventually(lambda: "old certificate stays" in echo.stderr, what="the refusal")
    assert subject() == identity[0].read_text()


def test_sigterm_ends_tls_connections_properly(start, identity):
    server = start("echo-server", "--port", 0, "--tls-cert", identity[0], "--tls-key", identity[1])
    with connect(server, trusting(identity[0])) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        server.send_signal(signal.SIGTERM)
        # An end with close_notify: without, Python raises SSLEOFError.
        assert sock.recv(1) == b""
    assert server.wait() == 0, server.describe()


@pytest.mark.parametrize("options, code, text", [
    (["--tls-cert", "server.pem"], 64, "need each other"),
    (["--tls-cert", "nowhere.pem", "--tls-key", "server.key"], 1, "nowhere.pem"),
    (["--tls-cert", "server.pem", "--tls-key", "nowhere.key"], 1, "nowhere.key"),
    (["--tls-cert", "server.pem", "--tls-key", "other.key"], 1, "does not belong"),
])
def test_wrong_files_are_named_at_the_start(identity, tmp_path, options, code, text):
    make_certificate(tmp_path, "other")
    done = program.run([program.binary("echo-server"), "--port", "0", *options], tmp_path)
    assert done.returncode == code and text in done.stderr


# -- our client --


class PythonServer:
    """Upper-cases a line for each connection, on a thread."""

    def __init__(self, identity, answers_close=True):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*identity)
        self.answers_close = answers_close
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
                plain.settimeout(10)
                sock = self.context.wrap_socket(plain, server_side=True)
                sock.sendall(sock.recv(1000).upper())
                if self.answers_close:
                    sock.unwrap().close()
                else:
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(1000):
                        pass
                    sock.close()
            except OSError:
                if self.listener.fileno() < 0:
                    return


@pytest.fixture
def python_server(identity):
    started = []

    def start(**options):
        started.append(PythonServer(identity, **options))
        return started[-1]

    yield start
    for each in started:
        each.listener.close()


def call(tmp_path, port, certificate, host="localhost", text="hello"):
    return call_and_log(tmp_path, port, certificate, host, text).stdout


def call_and_log(tmp_path, port, certificate, host="localhost", text="hello"):
    return program.run([program.binary("tls-client"), host, port, certificate, text], tmp_path)


def test_a_python_server_is_called(python_server, identity, tmp_path):
    output = call(tmp_path, python_server().port, identity[0])
    assert output.startswith("TLS 1.3 TLS_") and "CN=server" in output
    assert "HELLO\nend\n" in output


def test_a_truncation_is_told_from_an_end(python_server, identity, tmp_path):
    output = call(tmp_path, python_server(answers_close=False).port, identity[0])
    assert "HELLO" in output and "close_notify" in output and "end\n" not in output


def test_a_server_that_nobody_vouches_for_is_refused(python_server, tmp_path):
    certificate, _ = make_certificate(tmp_path, "other")
    output = call(tmp_path, python_server().port, certificate)
    assert "error:" in output and "not trusted" in output


def test_a_server_with_another_name_is_refused(identity, tmp_path):
    """3.2.46: it is rejected, and that is logged."""
    other = make_certificate(tmp_path, "elsewhere", "DNS:elsewhere.example")
    server = PythonServer(other)
    done = call_and_log(tmp_path, server.port, other[0])
    server.listener.close()
    assert "error:" in done.stdout and "another host" in done.stdout
    assert "a TLS handshake failed" in done.stderr, "it is logged"


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_the_openssl_server_is_called(start_peer, identity, tmp_path, option):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = start_peer(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", identity[0], "-key",
         identity[1], option, "-rev"])
    eventually(lambda: "ACCEPT" in server.stdout, what="s_server")
    output = call(tmp_path, port, identity[0])
    assert {"-tls1_2": "TLS 1.2", "-tls1_3": "TLS 1.3"}[option] in output
    assert "olleh" in output
