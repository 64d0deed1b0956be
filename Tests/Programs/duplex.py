"""A TLS client that sends while it receives, in one thread.

Two threads on one SSLSocket would be a race of the client's own: until Python 3.13 nothing keeps
both out of the same connection of OpenSSL at once, and it ends early with any server.
"""

import select
import socket
import ssl
import time

CHUNK = 65536


class DuplexClient:
    """A TLS connection whose records are made in memory, so that neither way waits for the other."""

    def __init__(self, address, context, host="localhost"):
        self.sock = socket.create_connection(address, timeout=10)
        self.sock.setblocking(False)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.unsent = b""
        self.complete(self.tls.do_handshake)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def exchange(self, data):
        """Sends `data` and receives as many bytes. Also: how many had come before all was sent."""
        received, sent, early = bytearray(), 0, 0
        deadline = time.monotonic() + 30
        while len(received) < len(data):
            assert time.monotonic() < deadline, f"{len(received)} of {len(data)} bytes came"
            if not self.unsent and sent < len(data):
                sent += self.tls.write(data[sent:sent + CHUNK])
            self.transfer()
            try:
                while part := self.tls.read(CHUNK):
                    received += part
                    if sent < len(data) or self.unsent:
                        early = len(received)
            except ssl.SSLWantReadError:
                continue
            raise AssertionError(f"closed after {len(received)} of {len(data)} bytes")
        return bytes(received), early

    def close(self):
        """close_notify both ways; what the server sends besides is an error."""
        self.complete(self.tls.unwrap)

    def complete(self, step):
        while True:
            try:
                step()
                break
            except ssl.SSLWantReadError:
                self.transfer()
        while self.unsent or self.outgoing.pending:
            self.transfer(reads=False)

    def transfer(self, reads=True):
        """Waits until the socket takes or has bytes, and moves what it can, both ways."""
        self.unsent += self.outgoing.read()
        readable, writable, _ = select.select(
            [self.sock] if reads else [], [self.sock] if self.unsent else [], [], 10)
        assert readable or writable, "nothing moved for 10 s"
        if writable:
            self.unsent = self.unsent[self.sock.send(self.unsent):]
        if readable:
            part = self.sock.recv(CHUNK)
            if part:
                self.incoming.write(part)
            else:
                self.incoming.write_eof()
