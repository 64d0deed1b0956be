"""A signal finds a program ready for it from the moment when it says that it listens."""

import signal
import socket
import subprocess

import pytest

from program import binary, environment
from waiting import eventually


def refuses(address):
    try:
        socket.create_connection(address).close()
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("name", ["echo-server", "leaderboard"])
def test_a_signal_right_after_the_line_drains(tmp_path, name):
    for _ in range(10):
        # A pipe: a file would be looked at too late to see the race.
        process = subprocess.Popen(
            [binary(name), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=tmp_path, env=environment())
        try:
            assert b"listening on" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_the_second_of_two_signals_ends_it_where_the_first_would_wait(start):
    """A connection in the middle of something holds the echo server's drain."""
    server = start("echo-server", "--port", "0", "--line")
    with socket.create_connection(server.address) as sock:
        sock.sendall(b"whole\nhalf a line")
        assert sock.recv(6) == b"whole\n"
        server.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(server.address), seconds=5, what="the listener's end")
        assert server.is_running
        server.send_signal(signal.SIGTERM)
        assert server.wait(1) == -signal.SIGTERM
