"""Bad input gets a clear error, and nothing is lost: the leaderboard stays up, only the connection
that broke its framing is closed, a bystander notices nothing, and memory and descriptors return."""

import select
import struct
import time

import msgpack
import pytest

from rpc import Closed, Peer, error_text, is_error
from waiting import eventually

MIB = 1 << 20
pack = msgpack.packb


def errors(frames):
    """The messages of the error answers among the frames, whatever their id."""
    return [error_text(frame[2]) for frame in frames if is_error(frame)]


def still_answers(peer):
    """Whether the connection still frames: a fresh call comes back."""
    return peer.call("sum", 40, 2) == 42


def told(peer, seconds=10.0):
    """The first error that the peer is told; fails when it is told none."""
    try:
        peer.read_until(lambda: errors(peer.frames), seconds, "an error")
    except Closed:
        raise AssertionError(f"closed without an error: {peer.frames!r}") from None
    return errors(peer.frames)[0]


def told_and_closed(peer):
    """The error that the peer is told before its connection is closed."""
    frames = peer.read_until_closed()
    assert errors(frames), f"closed without an error: {frames!r}"
    return errors(frames)[-1]


def send_all(peer, data):
    """Sends what the other side takes: it may close in the middle."""
    try:
        peer.send_bytes(data)
    except ConnectionError:
        pass


# -- frames --


@pytest.mark.parametrize("data", [
    b"\xc1", b"\x94\x00\x01\xa3sum\xc1", b"\xc1" * 1000, pack([0, 1, "sum", [1, 2]]) + b"\xc1",
], ids=["reserved byte", "inside a request", "many", "after a request"])
def test_what_is_not_messagepack_is_told_and_closed(board, bystander, data):
    peer = board.connect()
    peer.send_bytes(data)
    frames = peer.read_until_closed()
    assert errors(frames)
    if data.startswith(pack([0, 1, "sum", [1, 2]])):
        assert frames[0] == [1, 1, None, 3], "what came before is answered"


@pytest.mark.parametrize("data", [
    pack(7), pack("sum"), pack(None), pack({"method": "sum"}), b"GET / HTTP/1.1\r\n\r\n",
], ids=["integer", "string", "nil", "map", "http"])
def test_a_frame_that_is_no_array_is_told(board, bystander, data):
    peer = board.connect()
    peer.send_bytes(data)
    assert "array" in told(peer)


@pytest.mark.parametrize("frame", [
    [], [0], [0, 1, "sum"], [0, 1, "sum", [1, 2], 5], [2, "sum"], [1, 1, None], ["sum", 1, 2],
    [None, 1, "sum", [1, 2]],
], ids=repr)
def test_an_array_of_another_shape_is_told(board, bystander, frame):
    peer = board.connect()
    peer.send(frame)
    assert told(peer)


@pytest.mark.parametrize("kind", [3, 4, 127, -1, 2**63])
def test_an_unknown_message_type_is_told_and_the_connection_stays(board, bystander, kind):
    peer = board.connect()
    peer.send([kind, 1, "sum", [1, 2]])
    assert "type" in told(peer)
    assert still_answers(peer)


@pytest.mark.parametrize("number", [-1, "1", 2**32, 2**64 - 1, None, 1.5, [1]], ids=repr)
def test_a_wrong_request_id_is_told_and_the_connection_stays(board, bystander, number):
    peer = board.connect()
    peer.send([0, number, "sum", [1, 2]])
    assert "id" in told(peer).lower()
    assert still_answers(peer)
    assert all(is_error(frame) or frame[3] == 42 for frame in peer.frames), "it is not called"


@pytest.mark.parametrize("number", [0, 1, 2**32 - 1])
def test_every_id_of_32_bits_is_answered(board, number):
    peer = board.connect()
    peer.send([0, number, "sum", [1, 2]])
    assert peer.take(number) == 3


@pytest.mark.parametrize("frame", [
    [1, 12345, None, "late"], [1, 0, "error", None], [1, 2**32 - 1, None, None], [1, -1, None, 1],
    [1, "x", None, 1],
], ids=repr)
def test_an_answer_with_an_unknown_id_is_dropped_and_the_connection_stays(board, bystander, frame):
    peer = board.connect()
    peer.send(frame)
    assert still_answers(peer)


def test_a_notification_is_never_answered(board, bystander):
    peer = board.connect()
    for method, params in (("nope", []), ("sum", ["x"]), ("sum", [1, 2]), ("submit", [1])):
        peer.notify(method, *params)
    assert still_answers(peer)
    assert len(peer.frames) == 1, peer.frames


# -- calls --


def test_an_unknown_method_is_named(board):
    peer = board.connect()
    assert "frobnicate" in peer.error_of("frobnicate", 1)
    assert peer.error_of("")
    assert peer.error_of("x" * 100_000)
    assert still_answers(peer)


@pytest.mark.parametrize("method", [5, None, ["sum"], {}], ids=repr)
def test_a_method_that_is_no_string_is_told(board, bystander, method):
    peer = board.connect()
    peer.send([0, 1, method, [1, 2]])
    assert told(peer)


@pytest.mark.parametrize("params", [5, None, "xy", {"x": 1, "y": 2}], ids=repr)
def test_params_that_are_no_array_are_told(board, bystander, params):
    peer = board.connect()
    peer.send([0, 1, "sum", params])
    assert told(peer)


@pytest.mark.parametrize("method, params", [
    ("sum", []), ("sum", [1]), ("sum", [1, 2, 3]), ("login", []), ("login", ["a", "b"]),
    ("top", []), ("rank", []), ("submit", []), ("stats", [1]),
])
def test_a_wrong_number_of_arguments_is_told(board, method, params):
    peer = board.connect()
    assert "argument" in peer.error_of(method, *params)
    assert still_answers(peer)


@pytest.mark.parametrize("method, params", [
    ("sum", ["1", 2]), ("sum", [1, None]), ("sum", [1, [2]]), ("sum", [1, {}]), ("sum", [2**63, 1]),
    ("sum", [1.5, 1]), ("sum", [1, msgpack.ExtType(5, b"x")]), ("top", ["ten"]), ("rank", [5]),
])
def test_a_wrong_argument_type_is_told(board, method, params):
    peer = board.connect()
    assert peer.error_of(method, *params)
    assert still_answers(peer)


# -- the game's own rules --


@pytest.mark.parametrize("uid", ["", "x" * 10240, 42, None, ["ann"], {}, True], ids=[
    "empty", "10 KiB", "integer", "nil", "array", "map", "boolean"])
def test_a_bad_uid_is_told_and_names_nobody(board, uid):
    peer = board.connect()
    text = peer.error_of("login", uid)
    if isinstance(uid, str):
        assert "uid" in text
    assert len(text) < 1000, "an error does not send the input back"
    assert "login" in peer.error_of("submit", 1)
    assert board.stats["online"] == 0 and board.stats["players"] == 0


def test_a_bad_login_keeps_the_name_that_the_connection_has(board):
    peer = board.login("ann")
    peer.error_of("login", "")
    assert peer.call("submit", 5) == 1
    assert board.top == [["ann", 5]]


def test_submit_before_login_is_told(board):
    peer = board.connect()
    assert "login" in peer.error_of("submit", 10)
    assert board.top == []
    peer.call("login", "ann")
    assert peer.call("submit", 10) == 1


@pytest.mark.parametrize("score", [
    "10", float("nan"), float("inf"), 1.5, 2**63, 2**64 - 1, None, [1], {}, True, b"1",
], ids=repr)
def test_a_score_that_is_no_integer_of_64_bits_is_told_and_not_kept(board, score):
    peer = board.login("ann", score=1)
    assert peer.error_of("submit", score)
    assert board.top == [["ann", 1]]
    assert peer.call("submit", 2) == 1


# -- limits --


def nested(depth):
    return b"\x91" * depth + b"\xc0"


def test_nesting_of_65_is_told_and_closed(board, bystander):
    # The frame and its params are two levels, the argument has the rest.
    peer = board.connect()
    peer.send_bytes(b"\x94\x00\x01" + pack("sum") + b"\x92" + nested(63) + b"\x01")
    assert "nest" in told_and_closed(peer).lower() or "depth" in errors(peer.frames)[-1].lower()


def test_nesting_of_64_is_a_call_like_others(board, bystander):
    peer = board.connect()
    peer.send_bytes(b"\x94\x00\x01" + pack("sum") + b"\x92" + nested(62) + b"\x01")
    assert told(peer)
    assert still_answers(peer)


def test_nesting_of_a_million_is_told_and_closed(board, bystander):
    peer = board.connect()
    send_all(peer, nested(1_000_000))
    assert told_and_closed(peer)


@pytest.mark.parametrize("data", [
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01",
], ids=["array", "map", "binary", "string", "extension"])
@pytest.mark.parametrize("prefix", [b"", b"\x94\x00\x01" + pack("sum") + b"\x92"],
                         ids=["frame", "argument"])
def test_a_declared_length_of_4_billion_is_told_and_closed(board, bystander, prefix, data):
    before = board.resident_bytes
    peer = board.connect()
    peer.send_bytes(prefix + data)
    assert told_and_closed(peer)
    assert board.resident_bytes < before + 8 * MIB


def big_binary(size):
    return b"\x94\x00\x01" + pack("sum") + b"\x92" + b"\xc6" + struct.pack(">I", size) + bytes(size)


def big_array(size):
    """A message whose size shows only as it comes in: no length in it is large."""
    count = size // 1024
    item = b"\xc5" + struct.pack(">H", 1021) + bytes(1021)
    return b"\x94\x00\x01" + pack("sum") + b"\x92\xdd" + struct.pack(">I", count) + item * count


@pytest.mark.parametrize("message", [big_binary, big_array])
def test_a_message_of_17_mib_is_told_and_closed_and_its_memory_returns(board, bystander, message):
    before = board.resident_bytes
    peer = board.connect()
    send_all(peer, message(17 * MIB))
    assert told_and_closed(peer)
    peer.close()
    eventually(lambda: board.resident_bytes < before + 6 * MIB,
               what=f"the return of memory from {before}")


@pytest.mark.parametrize("message", [big_binary, big_array])
def test_a_message_of_15_mib_is_a_call_and_its_memory_returns(board, bystander, message):
    before = board.resident_bytes
    peer = board.connect()
    peer.send_bytes(message(15 * MIB) + b"\x01")
    assert told(peer)
    assert still_answers(peer)
    eventually(lambda: board.resident_bytes < before + 6 * MIB,
               what=f"the return of memory from {before} with the connection open")


# -- connections --


def test_half_a_frame_and_then_silence_harms_nobody(board, bystander):
    halves = [board.connect() for _ in range(50)]
    for index, peer in enumerate(halves):
        peer.send_bytes(pack([0, 1, "sum", [1, 2]])[: 1 + index % 8])
    for _ in range(100):
        assert bystander.call("sum", 1, 2) == 3


def test_half_a_frame_is_completed_later(board, bystander):
    peer = board.connect()
    frame = pack([0, 1, "sum", [1000, 2]])
    for index in range(len(frame)):
        peer.send_bytes(frame[index:index + 1])
        assert bystander.call("sum", 1, 2) == 3
    assert peer.take(1) == 1002


def test_half_a_frame_and_then_close_is_forgotten(board, bystander):
    before = board.descriptors
    for end in (Peer.close, Peer.reset):
        peers = [board.connect() for _ in range(7)]
        for index, peer in enumerate(peers):
            peer.send_bytes(pack([0, 1, "sum", [1, 2]])[: 1 + index])
        eventually(lambda: board.descriptors >= before + 7, what="seven accepted connections")
        for peer in peers:
            end(peer)
        eventually(lambda: board.descriptors <= before, what=f"{before} descriptors")


def test_a_half_closed_client_still_gets_its_answers(board, bystander):
    peer = board.connect()
    first = peer.request("login", "ann")
    numbers = [peer.request("submit", score) for score in range(1, 51)]
    numbers += [peer.request("sum", i, i) for i in range(1000)]
    peer.half_close()
    frames = peer.read_until_closed()
    assert errors(frames) == []
    assert {frame[1] for frame in frames} == {first, *numbers}
    assert board.top == [["ann", 50]]


def test_a_thousand_connections_opened_and_reset_at_once_leave_nothing(board, bystander):
    def wave(data):
        peers = [Peer.connect(board.address) for _ in range(1000)]
        for peer in peers:
            peer.send_bytes(data)
        eventually(lambda: board.descriptors >= descriptors + 1000, 30, "1,000 connections")
        for peer in peers:
            peer.reset()
        eventually(lambda: board.descriptors <= descriptors, 30, f"{descriptors} descriptors")

    descriptors = board.descriptors
    started = board.resident_bytes
    wave(pack([0, 1, "sum", [1, 2]]))
    warm = board.resident_bytes
    for _ in range(3):
        wave(pack([0, 1, "sum", [1, 2]])[:5])
        assert bystander.call("sum", 1, 2) == 3
    assert board.resident_bytes < warm + 4 * MIB, "each wave leaves something"
    assert board.resident_bytes < started + 24 * MIB, "the memory does not return"


def is_cut(peer):
    """Whether the connection was cut, told without reading what is in it."""
    poll = select.poll()
    poll.register(peer.socket, 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


def test_a_client_that_never_reads_is_closed_and_nobody_notices(board, bystander):
    before = board.resident_bytes
    peer = board.connect(receive_buffer=4096)
    peer.socket.setblocking(False)
    requests = pack([0, 1, "rpc.methods", []]) * 1000
    pending = b""
    peak = before
    slowest = 0.0
    deadline = time.monotonic() + 60
    while not is_cut(peer):
        assert time.monotonic() < deadline, "it is still connected"
        pending = pending or requests
        try:
            pending = pending[peer.socket.send(pending):]
        except BlockingIOError:
            pass
        except ConnectionError:
            break
        started = time.monotonic()
        assert bystander.call("sum", 1, 2) == 3
        slowest = max(slowest, time.monotonic() - started)
        peak = max(peak, board.resident_bytes)
    assert slowest < 1.0, f"the bystander waited {slowest} s"
    assert peak < before + 64 * MIB, f"{peak - before} bytes were held for it"
    eventually(lambda: board.resident_bytes < before + 8 * MIB,
               what=f"the return of memory from {before}")


def test_a_lost_connection_frees_its_name(board, bystander):
    for _ in range(20):
        peer = board.login("ann")
        peer.send_bytes(b"\xc1")
        peer.read_until_closed()
    eventually(lambda: board.stats["online"] == 0, what="ann going offline")


def test_many_requests_with_long_answers_and_then_a_reset_leave_nothing(board, bystander):
    # More answers than the server holds back, to requests that all came before the reset.
    flood = b"".join(pack([0, id, "rpc.describe", []]) for id in range(8_000))
    for _ in range(5):
        peer = board.connect()
        peer.socket.setblocking(False)
        try:
            peer.socket.send(flood)
        except BlockingIOError:
            pass
        peer.reset()
        assert still_answers(bystander)
