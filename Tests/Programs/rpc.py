"""A MessagePack-RPC peer over a blocking socket: it calls, and it answers calls.

One thread, one connection. While it waits for anything it reads frames and answers the calls among
them, so calls nest in both directions. It knows nothing of the project's own code.
"""

import select
import socket
import struct
import time

import msgpack

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2
#: What a handler returns in order never to answer.
NO_ANSWER = object()


class RPCError(Exception):
    """The error object of an answer."""

    def __init__(self, error):
        super().__init__(error)
        self.error = error
        self.text = error_text(error)


class Closed(Exception):
    """The other side closed, or reset, the connection."""


def error_text(error):
    """The message of an error object: a string, or [code, message]. It must be fit for a peer."""
    text = error[1] if isinstance(error, (list, tuple)) else error
    assert isinstance(text, str) and text, f"an error without a message: {error!r}"
    assert ".swift" not in text and "/Sources/" not in text, f"an error with a path: {text!r}"
    return text


def is_error(frame):
    return isinstance(frame, list) and len(frame) == 4 and frame[0] == RESPONSE \
        and frame[2] is not None


class Peer:
    """One end of a connection.

    handlers: method name -> function of the arguments; what it returns is the answer, an RPCError
    that it raises the error answer. Calls of unknown methods get an error.
    """

    def __init__(self, sock, handlers=None):
        self.socket = sock
        self.handlers = dict(handlers or {})
        self.calls = []  # (method, params) of every request and notification that came in
        self.frames = []  # every frame that came in
        self.answers = {}  # id -> (error, result) that nobody has taken yet
        self.is_closed = False
        self._next_id = 1000  # Clear of the ids that tests write by hand.
        self._unpacker = msgpack.Unpacker(raw=False, strict_map_key=False,
                                          max_buffer_size=256 << 20)

    @classmethod
    def connect(cls, address, handlers=None, receive_buffer=None):
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(10)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, handlers)

    # -- sending --

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send(self, frame):
        self.send_bytes(msgpack.packb(frame))

    def request(self, method, *params):
        """Sends a request and returns its id; take() waits for the answer."""
        number = self._next_id
        self._next_id += 1
        self.send([REQUEST, number, method, list(params)])
        return number

    def notify(self, method, *params):
        self.send([NOTIFICATION, method, list(params)])

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    # -- waiting --

    def call(self, method, *params, seconds=10.0):
        return self.take(self.request(method, *params), seconds)

    def take(self, number, seconds=10.0):
        """The result of a request; raises RPCError, Closed, or fails when the time is over."""
        self.read_until(lambda: number in self.answers, seconds, f"the answer to request {number}")
        error, result = self.answers.pop(number)
        if error is not None:
            raise RPCError(error)
        return result

    def error_of(self, method, *params):
        """The message of the error that the call gets; fails when it gets none."""
        try:
            result = self.call(method, *params)
        except RPCError as error:
            return error.text
        raise AssertionError(f"{method}{params!r} returned {result!r}, not an error")

    def read_until(self, condition, seconds=10.0, what="the state"):
        """Reads and answers until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.is_closed:
                raise Closed(f"closed while waiting for {what}; frames: {self.frames[-3:]!r}")
            if not self._read(deadline):
                raise AssertionError(f"{what} did not come within {seconds} s")

    def read_until_closed(self, seconds=10.0):
        """Every frame up to the end of the connection."""
        first = len(self.frames)
        self.read_until(lambda: self.is_closed, seconds, "the close")
        return self.frames[first:]

    def read_for(self, seconds):
        """Reads and answers for a length of time: only where a limit of time is the matter."""
        deadline = time.monotonic() + seconds
        while not self.is_closed and self._read(deadline):
            pass

    def _read(self, deadline):
        """Handles what comes in once; False when the deadline passed."""
        ready, _, _ = select.select([self.socket], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            self.is_closed = True
            return True
        self._unpacker.feed(data)
        for frame in self._unpacker:
            self._handle(frame)
        return True

    def _handle(self, frame):
        self.frames.append(frame)
        assert isinstance(frame, list), f"a frame that is no array: {frame!r}"
        if frame[0] == RESPONSE:
            _, number, error, result = frame
            self.answers[number] = (error, result)
            return
        method, params = frame[-2:]
        self.calls.append((method, params))
        handler = self.handlers.get(method)
        if frame[0] == NOTIFICATION:
            if handler:
                handler(*params)
            return
        try:
            if handler is None:
                raise RPCError(f"unknown method {method}")
            error, result = None, handler(*params)
        except RPCError as failure:
            error, result = failure.error, None
        if result is not NO_ANSWER:
            self.send([RESPONSE, frame[1], error, result])

    # -- ending --

    def close(self):
        self.is_closed = True
        self.socket.close()

    def reset(self):
        """Closes with a reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
