"""echo-server on each of the system's pollers, as a black box."""

import os
import resource
import socket
from pathlib import Path

import pytest

from sockets import connect, receive, receive_to_end
from waiting import eventually

POLLERS = ["best", "epoll", "select"]


@pytest.fixture(params=POLLERS)
def echo(request, start):
    server = start("echo-server", "--port", "0", "--poller", request.param)
    server.address
    yield server
    assert server.is_running, "the server did not survive: " + server.describe()


def processor_ticks(server):
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_bytes_come_back(echo):
    data = os.urandom(300_000)
    with connect(echo) as sock:
        # Less than the buffers hold, so that nobody has to read meanwhile.
        for start in range(0, len(data), 50_000):
            part = data[start:start + 50_000]
            sock.sendall(part)
            assert receive(sock, len(part)) == part


def test_300_connections_get_their_own(echo):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1_024:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1_024, hard), hard))
    socks = [connect(echo) for _ in range(300)]
    try:
        for turn in range(3):
            for index, sock in enumerate(socks):
                sock.sendall(b"%04d %d" % (index, turn))
            for index, sock in reversed(list(enumerate(socks))):
                assert receive(sock, 6) == b"%04d %d" % (index, turn)
    finally:
        for sock in socks:
            sock.close()
    eventually(lambda: echo.descriptors < 50, what="the connections' descriptors to be closed")


def test_a_half_closed_client_gets_all_of_its_bytes(echo):
    data = os.urandom(1 << 16)
    with connect(echo) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert receive_to_end(sock) == data


def test_a_reset_frees_the_connection(echo):
    before = echo.descriptors
    with connect(echo) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    eventually(lambda: echo.descriptors <= before, what=f"{before} descriptors")


def test_idle_connections_cost_no_processor_time(echo):
    socks = [connect(echo) for _ in range(20)]
    for sock in socks:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
    before = processor_ticks(echo)
    # What is measured is that nothing happens: no byte comes meanwhile.
    socks[0].settimeout(0.5)
    with pytest.raises(socket.timeout):
        socks[0].recv(1)
    # A tick is 10 ms; a loop that spins would use 50 of them.
    assert processor_ticks(echo) - before <= 2
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("poller", POLLERS)
def test_sigterm_ends_it_with_exit_0(start, poller):
    server = start("echo-server", "--port", "0", "--poller", poller)
    with connect(server) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        sock.shutdown(socket.SHUT_WR)
        assert receive_to_end(sock) == b""
    assert server.stop(seconds=10) == 0


def test_select_on_linux_is_warned_of_once(start):
    server = start("echo-server", "--port", "0", "--poller", "select")
    server.address
    assert server.stop(seconds=10) == 0
    assert server.stderr.count("select") == 1, server.describe()
    assert "warning" in server.stderr and "epoll is better" in server.stderr
    assert "updraft.general" in server.stderr, "it is the library's line"


@pytest.mark.parametrize("poller", ["best", "epoll"])
def test_the_others_are_not_warned_of(start, poller):
    server = start("echo-server", "--port", "0", "--poller", poller)
    server.address
    assert server.stop(seconds=10) == 0
    assert "warning" not in server.stderr and "select" not in server.stderr


def test_a_descriptor_that_select_cannot_watch_ends_that_connection_only(start):
    server = start("echo-server", "--port", "0", "--poller", "select")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_500:
        pytest.skip(f"only {hard} descriptors may be open here")
    address = server.address
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (2_048, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_500), hard))
    socks = [connect(server)]
    try:
        socks[0].sendall(b"first")
        assert receive(socks[0], 5) == b"first"
        socks += [socket.create_connection(address, timeout=10) for _ in range(1_100)]
        # The last ones have numbers that select can't take, and are closed.
        assert receive_to_end(socks[-1]) == b""
        socks[0].sendall(b"again")
        assert receive(socks[0], 5) == b"again"
    finally:
        for sock in socks:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: server.descriptors < 50, what="the connections' descriptors to be closed")
    with connect(server) as sock:
        sock.sendall(b"last")
        assert receive(sock, 4) == b"last"
    assert server.stop(seconds=10) == 0


def test_an_unknown_poller_is_a_usage_error(start):
    server = start("echo-server", "--port", "0", "--poller", "devpoll")
    assert server.wait() == 64
    for word in ("devpoll", "--poller", "epoll", "kqueue", "select"):
        assert word in server.stderr


def test_a_poller_that_the_system_does_not_have_is_a_usage_error(start):
    server = start("echo-server", "--port", "0", "--poller", "kqueue")
    assert server.wait() == 64
    for word in ("no kqueue", "--poller", "epoll", "select"):
        assert word in server.stderr
    assert "listening" not in server.stdout
