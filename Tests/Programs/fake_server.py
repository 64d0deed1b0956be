"""A MessagePack-RPC server in a thread of the test: what our client is tested against, and what
the test's own peer is tested against."""

import socket
import threading

from rpc import Closed, Peer


class FakeServer:
    """Serves every connection with a Peer of its own, until it is closed.

    on_connect: called with each Peer before its first frame, on the connection's thread.
    """

    def __init__(self, handlers=None, on_connect=None):
        self.handlers = handlers or {}
        self.on_connect = on_connect
        self.peers = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def name(self):
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def calls(self):
        return [call for peer in self.peers for call in peer.calls]

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(sock, self.handlers)
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer):
        try:
            if self.on_connect:
                self.on_connect(peer)
            peer.read_until(lambda: peer.is_closed, seconds=60)
        except (Closed, OSError, ValueError):
            pass
        finally:
            peer.close()

    def close(self):
        if self._listener.fileno() < 0:
            return
        # shutdown wakes the thread that waits in accept; close alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            try:
                peer.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(timeout=10)
