"""The flags of echo-server over real sockets: where it listens, how many connections it takes, what
they may do, whom it believes, and how long its end takes."""

import os
import select
import signal
import socket
import stat
import struct
import time
from pathlib import Path

import pytest

from program import is_alive
from sockets import connect, receive, receive_to_end_or_reset
from waiting import eventually

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TEXT = b"PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n"
TEXT6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n"
UNKNOWN = b"PROXY UNKNOWN\r\n"


def binary(block=b"", command=0x21, family=0x11):
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


IPV4 = socket.inet_aton("198.51.100.7") + socket.inet_aton("192.0.2.1") + struct.pack(
    "!HH", 50000, 443)
IPV6 = (socket.inet_pton(socket.AF_INET6, "2001:db8::7")
        + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack("!HH", 50000, 443))
LOCAL = binary(command=0x20, family=0)
BINARY = binary(IPV4)
BINARY6 = binary(IPV6 + b"\x04\x00\x03pad", family=0x21)

HEADERS = {"text": TEXT, "text6": TEXT6, "unknown": UNKNOWN, "binary": BINARY,
           "binary6": BINARY6, "local": LOCAL}


def echoes(sock, data=b"ping\n"):
    sock.sendall(data)
    return receive(sock, len(data)) == data


def has_nothing(sock):
    return not select.select([sock], [], [], 0)[0]


def start_echo(start, *options):
    server = start("echo-server", "--port", "0", *options)
    server.address
    return server


# -- PROXY headers --


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_proxys_header_is_not_echoed(start, header):
    server = start_echo(start, "--proxy-protocol", "127.0.0.0/8")
    with connect(server) as sock:
        sock.sendall(header + b"first")
        assert receive(sock, 5) == b"first"
        assert echoes(sock, header), "there is only one header"


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_may_come_byte_by_byte(start, header):
    server = start_echo(start, "--proxy-protocol", "127.0.0.0/8")
    with connect(server) as sock:
        for index in range(len(header)):
            sock.sendall(header[index:index + 1])
        assert echoes(sock)


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_from_elsewhere_is_echoed(start, header):
    server = start_echo(start, "--proxy-protocol", "127.0.0.2")
    with connect(server) as stranger, connect(server, "127.0.0.2") as proxy:
        assert echoes(stranger, header + b"data")
        proxy.sendall(header + b"data")
        assert receive(proxy, 4) == b"data"


def test_several_networks_are_proxies(start):
    server = start_echo(
        start, "--proxy-protocol", "127.0.0.2/32", "--proxy-protocol", "127.0.0.3/32")
    for source in ("127.0.0.2", "127.0.0.3"):
        with connect(server, source) as sock:
            sock.sendall(TEXT + b"x")
            assert receive(sock, 1) == b"x"
    with connect(server, "127.0.0.4") as sock:
        assert echoes(sock)


@pytest.mark.parametrize("data", [
    b"hello\n", b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY " + b"x" * 200,
    SIGNATURE + b"\x31\x11\x00\x00", binary(IPV4[:-1]), binary(b"x" * 65535),
    binary(IPV4 + b"\x03\x00\x04\x00\x00\x00\x00")])
def test_a_proxy_without_a_header_is_closed_and_others_live_on(start, data):
    server = start_echo(start, "--proxy-protocol", "127.0.0.2")
    with connect(server) as other, connect(server, "127.0.0.2") as sock:
        assert echoes(other)
        sock.sendall(data)
        assert receive_to_end_or_reset(sock) == b""
        assert echoes(other)
    assert server.stop() == 0, server.describe()


@pytest.mark.parametrize("header,client", [
    (TEXT, "198.51.100.7:50000"), (BINARY, "198.51.100.7:50000"),
    (BINARY6, "[2001:db8::7]:50000")])
def test_the_client_is_named_in_log_lines(start, header, client):
    server = start_echo(
        start, "--line", "--drain", "0.2", "--proxy-protocol", "127.0.0.0/8")
    with connect(server) as sock:
        sock.sendall(header + b"whole\nhalf")
        assert receive(sock, 6) == b"whole\n"
        assert server.stop() == 1
    assert f"cut: connection from {client}" in server.stderr, server.describe()


# -- lines and time --


def test_a_line_above_max_line_closes_its_connection_alone(start):
    server = start_echo(start, "--line", "--max-line", "10")
    with connect(server) as other, connect(server) as sock:
        assert echoes(other, b"123456789\n")
        sock.sendall(b"short\n" + b"x" * 10 + b"\n")
        # What was whole is answered.
        assert receive_to_end_or_reset(sock) == b"short\n"
        assert echoes(other, b"123456789\n")
    with connect(server) as sock:
        sock.sendall(b"1234567890")
        assert receive_to_end_or_reset(sock) == b"", "it is too long before its end has come"


@pytest.mark.parametrize("options", [["--line"], []], ids=["with --line", "alone"])
def test_lines_up_to_max_line_are_echoed(start, options):
    server = start_echo(start, "--max-line", "200000", *options)
    with connect(server) as sock:
        assert echoes(sock, b"x" * 199_999 + b"\n")
        # Lines, not bytes as they come.
        sock.sendall(b"no line yet")
        for _ in range(20):
            with connect(server) as other:
                assert echoes(other)
        assert has_nothing(sock)


@pytest.mark.parametrize("options", [[], ["--line"]])
def test_an_idle_connection_is_closed_and_a_busy_one_is_not(start, options):
    server = start_echo(start, "--idle-timeout", "0.5", *options)
    with connect(server) as idle, connect(server) as busy:
        begin = time.monotonic()
        assert echoes(idle)
        idle.setblocking(False)
        while not select.select([idle], [], [], 0.05)[0]:
            assert echoes(busy)
            assert time.monotonic() < begin + 10, "the idle connection is still open"
        assert time.monotonic() >= begin + 0.4
        idle.setblocking(True)
        assert receive_to_end_or_reset(idle) == b""
        assert echoes(busy)


def test_without_the_flag_an_idle_connection_stays(start):
    server = start_echo(start)
    with connect(server) as sock:
        assert echoes(sock)
        assert not select.select([sock], [], [], 0.7)[0]
        assert echoes(sock)


# -- how many --


def test_when_full_refuse_closes_what_is_too_much(start):
    server = start_echo(start, "--max-connections", "2", "--when-full", "refuse")
    with connect(server) as first, connect(server) as second:
        assert echoes(first) and echoes(second)
        with connect(server) as third:
            assert receive_to_end_or_reset(third) == b""
        assert echoes(first) and echoes(second)
        first.close()

        def is_served():
            with connect(server) as sock:
                try:
                    sock.sendall(b"x")
                    return sock.recv(1) == b"x"
                except ConnectionError:
                    return False

        eventually(is_served, what="room for another")


@pytest.mark.parametrize("policy", [[], ["--when-full", "wait"]])
def test_when_full_wait_serves_later(start, policy):
    server = start_echo(start, "--max-connections", "1", *policy)
    with connect(server) as first:
        assert echoes(first)
        with connect(server) as second:
            second.sendall(b"later")
            for _ in range(50):
                assert echoes(first)
            assert has_nothing(second), "it was served although it is one too many"
            first.close()
            assert receive(second, 5) == b"later"


# -- a Unix socket --


def connect_unix(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(str(path))
    return sock


def start_unix(start, path, *options):
    server = start("echo-server", "--unix", path, *options)

    def says():
        assert server.is_running, server.describe()
        return "listening on " in server.stdout

    eventually(says, what="the line: " + server.describe())
    return server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "echo.sock"


def test_a_unix_socket_is_served_and_its_file_removed(start, path):
    server = start_unix(start, path)
    assert server.stdout == f"listening on {path}\n"
    with connect_unix(path) as one, connect_unix(path) as two:
        assert echoes(one) and echoes(two, os.urandom(1 << 16))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.stop() == 0
    assert not path.exists()


def test_a_stale_file_is_replaced(start, path):
    start_unix(start, path).kill()
    assert path.exists(), "a killed server leaves its file"
    server = start_unix(start, path)
    with connect_unix(path) as sock:
        assert echoes(sock)
    assert server.stop() == 0


def test_a_served_socket_is_not_taken_away(start, path):
    first = start_unix(start, path)
    second = start("echo-server", "--unix", path)
    assert second.wait() == 1
    assert str(path) in second.stderr
    with connect_unix(path) as sock:
        assert echoes(sock)
    assert first.is_running


def test_a_file_that_is_no_socket_is_not_taken_away(start, path):
    path.write_text("precious")
    server = start("echo-server", "--unix", path)
    assert server.wait() == 1
    assert str(path) in server.stderr
    assert path.read_text() == "precious"


def test_several_loops_serve_one_unix_socket(start, path):
    server = start_unix(start, path, "--loops", "3")
    assert server.stdout == f"listening on {path}\n"
    socks = [connect_unix(path) for _ in range(60)]
    for index, sock in enumerate(socks):
        assert echoes(sock, b"%04d\n" % index)
    for sock in socks:
        sock.close()
    assert server.stop() == 0, server.describe()
    assert not path.exists()


def children(server):
    pids = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return {int(pid) for pid in pids}


def inodes(pid):
    """The sockets of a process."""
    links = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.parametrize("options", [[], ["--loops", "2"]], ids=["a loop", "loops"])
def test_several_processes_serve_one_unix_socket(start, tmp_path, options):
    path = tmp_path / "a, b%20@c.sock"
    server = start_unix(start, path, "--processes", "3", *options)
    assert server.stdout == f"listening on {path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    workers = children(server)
    assert len(workers) == 3
    assert set.intersection(*map(inodes, workers | {server.pid})), "they have one socket"
    socks = [connect_unix(path) for _ in range(60)]
    for index, sock in enumerate(socks):
        assert echoes(sock, b"%04d\n" % index)
    for sock in socks:
        sock.close()
    assert server.stop() == 0, server.describe()
    assert not path.exists()


def test_a_unix_socket_outlives_its_workers(start, path):
    server = start_unix(start, path, "--processes", "2")
    inode = path.stat().st_ino

    def is_served():
        for _ in range(20):
            with connect_unix(path) as sock:
                assert echoes(sock)
        return path.stat().st_ino == inode

    killed, kept = children(server)
    os.kill(killed, signal.SIGKILL)
    assert is_served()
    eventually(lambda: len(children(server) - {killed, kept}) == 1,
               what="a new worker: " + server.describe())
    # What ends with 0 is gone for good; the new one is alone then.
    os.kill(kept, signal.SIGTERM)
    eventually(lambda: kept not in children(server), what="its end")
    assert is_served()
    os.kill(children(server).pop(), signal.SIGTERM)
    assert server.wait() == 0, server.describe()
    assert not path.exists(), "the last worker has ended"


def test_a_served_path_is_not_taken_away_by_processes(start, path):
    first = start_unix(start, path)
    second = start("echo-server", "--unix", path, "--processes", "2")
    assert second.wait() == 1
    assert str(path) in second.stderr and "listening" not in second.stdout
    with connect_unix(path) as sock:
        assert echoes(sock)
    assert first.stop() == 0


def test_a_killed_supervisor_leaves_a_file_that_is_replaced(start, path):
    first = start_unix(start, path, "--processes", "2")
    workers = children(first)
    first.kill()
    eventually(lambda: not any(map(is_alive, workers)), what="the workers' end")
    second = start_unix(start, path, "--processes", "2")
    with connect_unix(path) as sock:
        assert echoes(sock)
    assert second.stop() == 0 and not path.exists()


def test_a_proxy_may_connect_through_a_unix_socket(start, path):
    server = start_unix(start, path, "--proxy-protocol", "unix")
    with connect_unix(path) as sock:
        sock.sendall(BINARY + b"x")
        assert receive(sock, 1) == b"x"
    with connect_unix(path) as sock:
        sock.sendall(b"no header at all\n")
        assert receive_to_end_or_reset(sock) == b""
    assert server.stop() == 0


def test_a_unix_socket_is_in_no_network(start, path):
    start_unix(start, path, "--proxy-protocol", "0.0.0.0/0", "--proxy-protocol", "::/0")
    with connect_unix(path) as sock:
        assert echoes(sock, BINARY)


# -- the end --


def half_a_line(server):
    sock = connect(server)
    sock.sendall(b"whole\nhalf")
    assert receive(sock, 6) == b"whole\n"
    return sock


def test_what_ends_within_the_drain_is_not_cut(start):
    server = start_echo(start, "--line", "--drain", "30")
    with half_a_line(server) as sock:
        server.send_signal(signal.SIGTERM)
        eventually(lambda: "1 connection to drain within 30" in server.stderr,
                   what="the line: " + server.describe())
        sock.sendall(b" a line\n")
        assert receive_to_end_or_reset(sock) == b"half a line\n"
        assert server.wait(5) == 0, server.describe()


@pytest.mark.parametrize("options", [[], ["--loops", "2"]])
def test_what_outlasts_the_drain_is_cut(start, options):
    server = start_echo(start, "--line", "--drain", "0.3", *options)
    with half_a_line(server) as sock:
        begin = time.monotonic()
        assert server.stop(seconds=4) == 1
        assert time.monotonic() >= begin + 0.25
        assert receive_to_end_or_reset(sock) == b""
    assert "1 connection was cut in the middle of its work." in server.stderr.splitlines()[-1]


@pytest.mark.parametrize("options", [[], ["--processes", "2"]], ids=["one", "processes"])
def test_a_drain_of_0_cuts_at_once(start, options):
    server = start_echo(start, "--line", "--drain", "0", *options)
    with half_a_line(server) as sock:
        assert server.stop(seconds=4) == 1, server.describe()
        assert receive_to_end_or_reset(sock) == b""
    assert "1 connection was cut in the middle of its work." in server.stderr, server.describe()


def test_a_drain_of_0_has_nothing_to_cut_between_lines(start):
    server = start_echo(start, "--line", "--drain", "0")
    with connect(server) as sock:
        assert echoes(sock)
        assert server.stop(seconds=4) == 0, server.describe()


@pytest.mark.parametrize("part", [b"", b"PROXY TCP4 198.51.", BINARY[:20]],
                         ids=["nothing", "text", "binary"])
def test_a_header_that_is_still_to_come_does_not_hold_up_the_end(start, part):
    server = start_echo(start, "--drain", "30", "--proxy-protocol", "127.0.0.1")
    with connect(server) as pending, connect(server) as served:
        served.sendall(TEXT)
        assert echoes(served)
        pending.sendall(part)
        # No handler has it, so nothing is cut.
        assert server.stop(seconds=5) == 0, server.describe()
        assert "2 connections to drain" in server.stderr, server.describe()
        assert receive_to_end_or_reset(pending) == b""
        assert receive_to_end_or_reset(served) == b""


def test_the_drain_is_not_waited_for_in_vain(start):
    server = start_echo(start, "--line", "--drain", "600")
    with connect(server) as sock:
        assert echoes(sock)
        assert server.stop(seconds=5) == 0


def test_processes_drain_for_as_long(start):
    server = start_echo(start, "--line", "--drain", "0.3", "--processes", "2")
    with half_a_line(server):
        assert server.stop(seconds=8) == 1, server.describe()


# -- what can't be --


@pytest.mark.parametrize("options,text", [
    (["--unix", "a.sock", "--port", "0"], "--port"),
    (["--unix", "a.sock", "--host", "::1"], "--host"),
    (["--unix", ""], "--unix"),
    (["--unix", "x" * 108], "107"),
    (["--line", "--max-line", "0"], "--max-line"),
    (["--max-line", "0"], "--max-line"),
    (["--line", "--max-line", "-1"], "--max-line"),
    (["--line", "--max-line", "104857601"], "104857600"),
    (["--host", ""], "--host needs an address"),
    (["--max-connections", "0"], "--max-connections"),
    (["--max-connections", "1000001"], "1000000"),
    (["--when-full", "refuse"], "--max-connections"),
    (["--max-connections", "5", "--when-full", "panic"], "panic"),
    (["--idle-timeout=0"], "above 0, up to 86400"),
    (["--idle-timeout=-1"], "--idle-timeout"),
    (["--idle-timeout=nan"], "--idle-timeout"),
    (["--drain=-1"], "--drain"),
    (["--drain=inf"], "from 0 up to 86400"),
    (["--drain=soon"], "--drain"),
    (["--proxy-protocol", "10.0.0.0/33"], "between 0 and 32"),
    (["--proxy-protocol", "10.1.2.3/8"], "10.0.0.0/8"),
    (["--proxy-protocol", "proxy.example"], "proxy.example"),
    (["--tls-cert", "a.pem"], "--tls-key"),
])
def test_what_can_not_be_is_a_usage_error(start, options, text):
    server = start("echo-server", *options)
    assert server.wait() == 64, server.describe()
    assert text in server.stderr
    assert "listening" not in server.stdout
