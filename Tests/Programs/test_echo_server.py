"""echo-server as a black box."""

import os
import select
import signal
import socket
from pathlib import Path

import pytest

from sockets import connect, receive, receive_to_end
from waiting import eventually


@pytest.fixture
def echo(start):
    server = start("echo-server", "--port", "0")
    server.address
    yield server
    assert server.is_running, "the server did not survive: " + server.describe()


@pytest.fixture
def line_echo(start):
    server = start("echo-server", "--port", "0", "--line")
    server.address
    yield server
    assert server.is_running, "the server did not survive: " + server.describe()


def test_it_listens_on_the_loopback_by_default(echo):
    assert echo.address[0] == "127.0.0.1" and echo.address[1] > 0


def test_bytes_come_back(echo):
    with connect(echo) as sock:
        for data in (b"a", b"\x00\xff\n" * 10, os.urandom(100_000)):
            sock.sendall(data)
            assert receive(sock, len(data)) == data


def test_connections_do_not_mix(echo):
    socks = [connect(echo) for _ in range(50)]
    for index, sock in enumerate(socks):
        sock.sendall(b"%04d" % index)
    for index, sock in reversed(list(enumerate(socks))):
        assert receive(sock, 4) == b"%04d" % index
        sock.close()


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_zero_loops_are_one_for_each_processor_s1(start, asked):
    server = start("echo-server", "--port", "0", "--loops", asked)
    with connect(server) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
    names = [path.read_text().strip() for path in Path(f"/proc/{server.pid}/task").glob("*/comm")]
    loops = [name for name in names if name.startswith("loop-")]
    # The first one runs on the main thread.
    assert len(loops) + 1 == (asked or len(os.sched_getaffinity(0))), names


def test_a_half_closed_client_gets_all_of_its_bytes(echo):
    data = os.urandom(1 << 16)
    with connect(echo) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert receive_to_end(sock) == data


def test_more_than_the_buffers_hold_comes_back(echo):
    """Back-pressure: the sender goes on only as the receiver takes."""
    data = os.urandom(1 << 20) * 16
    sent = 0
    received = bytearray()
    with connect(echo) as sock:
        sock.setblocking(False)
        while len(received) < len(data):
            wants = [sock] if sent < len(data) else []
            readable, writable, _ = select.select([sock], wants, [], 10)
            assert readable or writable, f"stuck after {sent} sent, {len(received)} received"
            if writable:
                sent += sock.send(data[sent:sent + (1 << 18)])
            if readable:
                part = sock.recv(1 << 18)
                assert part, f"closed after {len(received)} bytes"
                received += part
    assert received == data


def test_a_sender_that_does_not_read_is_held_back(echo):
    """The server holds a bounded part of what it cannot send."""
    before = echo.resident_bytes
    block = bytes(1 << 20)
    with connect(echo) as sock:
        sock.setblocking(False)
        sent = 0
        # Until the sender is stopped, and stays so.
        while select.select([], [sock], [], 0.5)[1] and sent < 256 << 20:
            sent += sock.send(block)
        assert sent < 64 << 20, f"{sent} bytes were taken"
        assert echo.resident_bytes < before + (32 << 20)


def test_connections_that_end_leave_no_descriptor(echo):
    before = echo.descriptors
    for _ in range(100):
        with connect(echo) as sock:
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"
    eventually(lambda: echo.descriptors <= before, what=f"{before} descriptors")


def test_a_line_comes_back_when_it_has_ended(line_echo):
    with connect(line_echo) as sock:
        sock.sendall(b"one\ntwo")
        assert receive(sock, 4) == b"one\n"
        sock.sendall(b"\n\nthree\n")
        assert receive(sock, 11) == b"two\n\nthree\n"


def test_what_comes_after_the_last_newline_is_no_line(line_echo):
    with connect(line_echo) as sock:
        sock.sendall(b"whole\ntail")
        sock.shutdown(socket.SHUT_WR)
        assert receive_to_end(sock) == b"whole\n"


def test_lines_keep_their_bytes(line_echo):
    lines = b"".join(os.urandom(200).replace(b"\n", b"") + b"\n" for _ in range(1000))
    with connect(line_echo) as sock:
        sock.sendall(b"\r\n\x00\n" + lines)
        assert receive(sock, 4 + len(lines)) == b"\r\n\x00\n" + lines


def test_an_unfinished_line_is_not_echoed(line_echo):
    with connect(line_echo) as sock:
        sock.sendall(b"first\n")
        assert receive(sock, 6) == b"first\n"
        sock.sendall(b"second")
        # Another connection's answer comes after what the first one sent was read.
        with connect(line_echo) as other:
            for _ in range(10):
                other.sendall(b"x\n")
                assert receive(other, 2) == b"x\n"
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_0(start, number):
    server = start("echo-server", "--port", "0")
    server.address
    assert server.stop(number, seconds=10) == 0


def test_sigterm_drains(start):
    server = start("echo-server", "--port", "0")
    data = os.urandom(1 << 18)
    with connect(server) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 1) == data[:1]
        server.send_signal(signal.SIGTERM)
        assert receive_to_end(sock) == data[1:]
    assert server.wait(10) == 0


def test_a_taken_port_is_a_clear_error(start):
    first = start("echo-server", "--port", "0")
    port = first.address[1]
    second = start("echo-server", "--port", port)
    assert second.wait() == 1
    assert str(port) in second.stderr and "use" in second.stderr.lower()
    assert first.is_running


def test_an_address_that_is_not_ours_is_a_clear_error(start):
    server = start("echo-server", "--host", "203.0.113.1", "--port", "0")
    assert server.wait() == 1
    assert "203.0.113.1" in server.stderr


@pytest.mark.parametrize("options", [["--nope"], ["--port", "x"], ["--port", "70000"], ["extra"]])
def test_a_wrong_option_is_a_usage_error(start, options):
    server = start("echo-server", *options)
    assert server.wait() == 64
    assert options[-1] in server.stderr


def test_a_blocked_turn_is_logged_with_its_stack(start):
    """The server is stopped while much becomes ready at once: a long turn follows."""
    server = start("echo-server", "--port", "0", "--log-blocking", "0.001")
    line = "has been blocked for "
    # A stack that was taken deep in the standard library may not reach down to the loop.
    for _ in range(20):
        make_a_long_turn(server)
        eventually(lambda: line in server.stderr, what="the line: " + server.describe())
        if "IOLoop" in server.stderr.split(line, 1)[1]:
            break
    assert "IOLoop" in server.stderr.split(line, 1)[1], server.describe()
    assert "(threshold 1.0 ms)" in server.stderr
    assert server.is_running, server.describe()


def make_a_long_turn(server):
    socks = [connect(server) for _ in range(200)]
    try:
        for sock in socks:
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"
        server.send_signal(signal.SIGSTOP)
        for sock in socks:
            sock.setblocking(False)
            sock.send(bytes(1 << 16))
    finally:
        server.send_signal(signal.SIGCONT)
        # Answered: the turn is over.
        for sock in socks:
            sock.settimeout(10)
            receive(sock, 1)
            sock.close()


def test_an_idle_server_logs_no_blocked_turn(start):
    server = start("echo-server", "--port", "0", "--log-blocking", "5")
    with connect(server) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
    assert server.stop() == 0
    assert "blocked" not in server.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_threshold_that_is_no_time_is_refused(start, seconds):
    server = start("echo-server", "--port", "0", f"--log-blocking={seconds}")
    assert server.wait() == 64
    assert "--log-blocking" in server.stderr
