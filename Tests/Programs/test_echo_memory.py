"""What echo-server's memory costs the kernel, in page faults: a count, whatever else runs."""

import contextlib
import socket
import threading
from pathlib import Path

SIZE = 1 << 18


def minor_faults(server):
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[7])


def echo_once(sock, message):
    sock.sendall(message)
    received = bytearray()
    while len(received) < len(message):
        part = sock.recv(len(message))
        assert part, f"closed after {len(received)} bytes"
        received += part
    assert received == message


def test_large_messages_find_the_memory_of_earlier_ones(start):
    """A message has 64 pages. Memory that is given back to the kernel after each and asked for
    again is faulted in page by page, at more than the price of the message."""
    server = start("echo-server", "--port", "0")
    message = bytes(range(256)) * (SIZE // 256)
    with socket.create_connection(server.address, timeout=10) as sock:
        for _ in range(10):
            echo_once(sock, message)
        before = minor_faults(server)
        for _ in range(80):
            echo_once(sock, message)
        assert (minor_faults(server) - before) / 80 < 8


def test_large_messages_of_many_connections_find_it_too(start):
    """What has come in a turn leaves as soon as it is a share: its memory is the next connection's,
    not one block for each that malloc would keep only a few of."""
    server = start("echo-server", "--port", "0")
    message = bytes(range(256)) * (SIZE // 256)
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(server.address, timeout=10))
                 for _ in range(32)]

        def echo_from_all(rounds):
            threads = [threading.Thread(target=lambda sock=sock: [
                echo_once(sock, message) for _ in range(rounds)]) for sock in socks]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        echo_from_all(3)
        before = minor_faults(server)
        echo_from_all(10)
        assert (minor_faults(server) - before) / 320 < 8
