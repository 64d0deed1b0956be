"""The test's own tools, against a fake server and small Python programs."""

import signal
import sys

import pytest

from program import Program, run
from rpc import NO_ANSWER, Closed, Peer, RPCError, error_text
from waiting import eventually

ANNOUNCE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving sums, listening on 0.0.0.0:1234", flush=True)
signal.pause()
"""


def fail(text):
    raise RPCError(text)


def test_calls_return_results_and_errors(fake_server):
    server = fake_server({"sum": lambda x, y: x + y, "fail": lambda: fail([1, "no"])})
    with Peer.connect(server.address) as peer:
        assert peer.call("sum", 1, 2) == 3
        assert peer.error_of("fail") == "no"
        assert "nope" in peer.error_of("nope")
        with pytest.raises(AssertionError, match="not an error"):
            peer.error_of("sum", 1, 2)


def test_answers_may_be_taken_out_of_order(fake_server):
    server = fake_server({"id": lambda x: x})
    with Peer.connect(server.address) as peer:
        first, second = peer.request("id", "a"), peer.request("id", "b")
        assert peer.take(second) == "b"
        assert peer.take(first) == "a"


def test_calls_are_answered_while_a_call_waits(fake_server):
    server = fake_server()
    server.handlers["ask"] = lambda x: server.peers[0].call("double", x) + 1
    with Peer.connect(server.address, {"double": lambda x: 2 * x}) as peer:
        assert peer.call("ask", 20) == 41
        assert peer.calls == [("double", [20])]


def test_a_call_without_answer_ends_at_the_deadline(fake_server):
    server = fake_server({"never": lambda: NO_ANSWER})
    with Peer.connect(server.address) as peer:
        with pytest.raises(AssertionError, match="within 0.05 s"):
            peer.call("never", seconds=0.05)


def test_a_close_is_seen_after_the_last_frame(fake_server):
    server = fake_server(on_connect=lambda peer: (peer.notify("bye"), peer.close()))
    with Peer.connect(server.address) as peer:
        assert peer.read_until_closed() == [[2, "bye", []]]
        with pytest.raises(Closed):
            peer.read_until(lambda: False)


def test_notifications_reach_the_server(fake_server):
    server = fake_server()
    with Peer.connect(server.address) as peer:
        peer.notify("evt", "x", 1)
        eventually(lambda: server.calls == [("evt", ["x", 1])])


@pytest.mark.parametrize("error", [None, "", [1, ""], 5, "at Sources/File.swift:3"])
def test_errors_unfit_for_a_peer_are_refused(error):
    with pytest.raises(AssertionError):
        error_text(error)


def test_a_program_is_found_by_what_it_prints_and_is_ended(tmp_path):
    server = Program([sys.executable, "-c", ANNOUNCE], tmp_path)
    assert server.address == ("127.0.0.1", 1234)
    assert server.resident_bytes > 1 << 20
    assert server.descriptors >= 3
    assert server.stop(signal.SIGTERM) == 0
    assert not server.is_running


def test_a_program_that_ends_early_says_what_it_said(tmp_path):
    program = Program([sys.executable, "-c", "import sys; sys.exit('no port')"], tmp_path)
    with pytest.raises(AssertionError, match="no port"):
        program.address
    assert program.wait() == 1


def test_a_program_that_hangs_fails_the_wait(tmp_path):
    program = Program([sys.executable, "-c", "import signal; signal.pause()"], tmp_path)
    with pytest.raises(AssertionError, match="still running"):
        program.wait(0.05)
    program.kill()
    with pytest.raises(AssertionError, match="still running"):
        run([sys.executable, "-c", "import signal; signal.pause()"], tmp_path, seconds=0.05)


def test_a_reset_is_a_close(fake_server):
    server = fake_server()
    peer = Peer.connect(server.address)
    peer.notify("hello")
    eventually(lambda: server.calls)
    peer.reset()
    eventually(lambda: server.peers[0].is_closed)


def test_eventually_names_what_did_not_come():
    with pytest.raises(AssertionError, match="the moon"):
        eventually(lambda: False, 0.02, "the moon")


def test_a_closed_port_refuses(fake_server):
    server = fake_server()
    server.close()
    with pytest.raises(ConnectionError):
        Peer.connect(server.address)
