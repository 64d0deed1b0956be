"""How a program ends: contract rows P1 to P3 and the row "gaps" below them. The shutdown-probe is
Tests/Shutdown."""

import signal
import socket

import msgpack
import pytest

from sockets import connect
from waiting import eventually


def hang(server):
    """A connection whose request is never answered."""
    sock = connect(server)
    sock.sendall(b"before\nhang\n")
    assert sock.recv(7) == b"before\n"
    return sock


def refuses(address):
    try:
        socket.create_connection(address).close()
        return False
    except ConnectionError:
        return True


def first_signal(server):
    """Sends it and waits until it is heard."""
    server.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping on SIGTERM" in server.stderr, what="the line: " + server.describe())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("way", ["one-loop", "several-loops"])
def test_a_clean_stop_runs_hooks_and_callbacks_and_exits_with_0_p1_p3(start, way, number):
    server = start("shutdown-probe", way)
    with connect(server) as sock:
        sock.sendall(b"hello\n")
        assert sock.recv(6) == b"hello\n"
        assert server.stop(number) == 0, server.describe()
        assert sock.recv(1) == b""
    loops = 1 if way == "one-loop" else 3
    assert server.stdout.count("the last callback has run") == loops
    assert server.stderr.count(f"stopping on {number.name}") == loops


def test_a_cut_connection_is_one_line_and_exit_1_gaps(start):
    server = start("shutdown-probe", "quick")
    with hang(server) as sock:
        port = sock.getsockname()[1]
        assert server.stop() == 1, server.describe()
    line = ("shutdown-probe: Not everything was finished: "
            "1 connection was cut in the middle of its work.")
    assert server.stderr.splitlines()[-1] == line
    assert f"cut: connection from 127.0.0.1:{port}: waits for a time" in server.stderr
    assert "the last callback has run" in server.stdout


def test_a_failing_hook_is_one_line_and_exit_1_p2(start):
    server = start("shutdown-probe", "hook-fails")
    server.address
    assert server.stop() == 1
    line = ("shutdown-probe: Not everything was finished: "
            "the stop hook 'store' failed: the disk is full.")
    assert server.stderr.splitlines()[-1] == line


def test_an_error_of_the_body_is_one_line_and_exit_1(start):
    server = start("shutdown-probe", "body-throws")
    assert server.wait() == 1
    assert server.stderr == "shutdown-probe: the body failed\n"


@pytest.mark.parametrize("way", ["one-loop", "several-loops"])
def test_a_second_signal_forces_while_a_connection_never_ends_gaps(start, way):
    server = start("shutdown-probe", way)
    with hang(server):
        first_signal(server)
        eventually(lambda: refuses(server.address), what="the listener's end")
        assert server.is_running
        server.send_signal(signal.SIGTERM)
        assert server.wait(2) == -signal.SIGTERM


@pytest.mark.parametrize("way", ["hook-waits", "hook-blocks"])
def test_a_second_signal_forces_while_a_hook_hangs_gaps(start, way):
    server = start("shutdown-probe", way)
    server.address
    server.send_signal(signal.SIGTERM)
    eventually(lambda: "hook begins" in server.stdout, what="the hook: " + server.describe())
    assert server.is_running
    server.send_signal(signal.SIGTERM)
    assert server.wait(2) == -signal.SIGTERM


@pytest.mark.parametrize("way", ["one-loop", "several-loops", "own-handler"])
def test_a_second_signal_forces_although_a_loop_is_blocked_gaps(start, way):
    """The blocked loop never hears of the first one, nor does a handler keep the second away that
    the program has taken back."""
    server = start("shutdown-probe", way)
    with connect(server) as sock:
        sock.sendall(b"block\n")
        assert sock.recv(9) == b"blocking\n"
        server.send_signal(signal.SIGTERM)
        if way == "several-loops":
            eventually(lambda: server.stderr.count("stopping on SIGTERM") == 2,
                       what="the other loops' lines: " + server.describe())
        else:
            # A signal that is pending would be one with the next.
            eventually(lambda: caught(server, signal.SIGTERM) is False, what="the first signal")
        assert server.is_running
        server.send_signal(signal.SIGTERM)
        assert server.wait(2) == -signal.SIGTERM


def caught(server, number):
    """Whether the process has a handler for the signal."""
    with open(f"/proc/{server.pid}/status") as status:
        masks = dict(line.split(":\t") for line in status.read().splitlines() if ":\t" in line)
    return bool(int(masks["SigCgt"], 16) >> (number - 1) & 1)


def test_what_it_still_waits_for_is_logged_gaps(start):
    server = start("shutdown-probe", "one-loop")
    with hang(server) as sock:
        port = sock.getsockname()[1]
        server.send_signal(signal.SIGTERM)
        line = f"still waiting for 1 connection: connection from 127.0.0.1:{port}: waits for a time"
        eventually(lambda: server.stderr.count(line) >= 2, what=line + server.describe())
        server.send_signal(signal.SIGTERM)
        server.wait(2)


# -- the examples --


def test_the_echo_server_that_cut_nothing_exits_with_0_gaps(start):
    server = start("echo-server", "--port", "0", "--line")
    with connect(server) as sock:
        sock.sendall(b"whole\n")
        assert sock.recv(6) == b"whole\n"
        assert server.stop() == 0
    assert "finished" not in server.stderr


def test_the_echo_server_that_cut_a_connection_exits_with_a_line_gaps(start):
    """A connection in the middle of a line is in flight for the whole five seconds."""
    server = start("echo-server", "--port", "0", "--line")
    with connect(server) as sock:
        sock.sendall(b"whole\nhalf a line")
        assert sock.recv(6) == b"whole\n"
        assert server.stop(seconds=10) == 1
    assert "1 connection was cut in the middle of its work." in server.stderr.splitlines()[-1]


def test_the_leaderboards_exit_code_says_whether_it_cut_a_connection_gaps(start_leaderboard):
    """Answers that nobody reads are in flight, but it is the kernel's choice how many it takes."""
    server = start_leaderboard()
    stuck = server.connect(receive_buffer=4096)
    size = len(msgpack.packb(stuck.call("rpc.methods")))
    try:
        stuck.send_bytes(msgpack.packb([0, 1, "rpc.methods", []]) * (3_200_000 // size))
    except (TimeoutError, ConnectionError):
        pass  # A server that stops reading has enough to send.
    code = server.stop(seconds=5)
    line = server.stderr.splitlines()[-1]
    if "cut: connection from" in server.stderr:
        assert "bytes unsent" in server.stderr and code == 1, server.describe()
        assert line.startswith("leaderboard: Not everything was finished: 1 connection was cut")
    else:
        assert "finished" not in line and code == 0, server.describe()
