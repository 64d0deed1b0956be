"""What echo-server's memory costs the kernel, in page faults: a count, whatever else runs."""

import socket
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
