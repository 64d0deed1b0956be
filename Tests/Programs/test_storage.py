"""What the leaderboard keeps on disk, and how it ends."""

import shutil
import signal

import msgpack
import pytest

from rpc import Peer
from waiting import eventually


def said(server):
    return [line for line in (server.stdout + server.stderr).splitlines() if line.strip()]


def test_scores_survive_a_restart(start_leaderboard):
    first = start_leaderboard()
    for uid, score in (("ann", 10), ("bob", 30), ("cid", -7), ("ann", 20)):
        first.login(uid, score=score)
    expected = first.top
    assert expected == [["bob", 30], ["ann", 20], ["cid", -7]]
    assert first.stop() == 0
    second = start_leaderboard()
    assert second.top == expected
    assert second.stats["players"] == 3
    assert second.login("dan").call("submit", 25) == 2


def test_an_answered_submit_survives_kill_9(start_leaderboard):
    first = start_leaderboard()
    peer = first.login("ann")
    for score in range(1, 101):
        peer.call("submit", score)
    first.kill()
    assert start_leaderboard().top == [["ann", 100]]


def log_of(server, uid, score):
    """Submits, and returns the file that grew by it with its size before."""
    before = server.data_files()
    server.login(uid, score=score)
    grown = [path for path, size in server.data_files().items() if size > before.get(path, 0)]
    assert len(grown) == 1, f"one file holds the records: {grown}"
    return grown[0], before.get(grown[0], 0)


def test_a_torn_last_record_is_dropped_with_one_log_line(start_leaderboard, tmp_path):
    server = start_leaderboard()
    server.login("ann", score=10)
    server.login("bob", score=20)
    log, size_before = log_of(server, "cid", 30)
    server.kill()
    whole = log.read_bytes()
    record = len(whole) - size_before

    clean = start_leaderboard()
    assert clean.top == [["cid", 30], ["bob", 20], ["ann", 10]]
    clean.kill()
    lines_of_a_clean_start = len(said(clean))

    # Every place where a write can have ended: after the first byte, in the middle, one short.
    for kept in sorted({1, record // 2, record - 1}):
        folder = tmp_path / f"torn-{kept}"
        shutil.copytree(server.data, folder)
        (folder / log.relative_to(server.data)).write_bytes(whole[:size_before + kept])

        torn = start_leaderboard(data=folder)
        assert torn.top == [["bob", 20], ["ann", 10]], f"{kept} bytes of the record are left"
        assert len(said(torn)) == lines_of_a_clean_start + 1, torn.describe()
        # What is written after the drop is whole.
        torn.login("dan", score=15)
        torn.kill()

        mended = start_leaderboard(data=folder)
        assert mended.top == [["bob", 20], ["dan", 15], ["ann", 10]]
        assert len(said(mended)) == lines_of_a_clean_start, mended.describe()
        mended.kill()


def test_an_empty_log_is_an_empty_board(start_leaderboard):
    server = start_leaderboard()
    log, _ = log_of(server, "ann", 10)
    server.kill()
    log.write_bytes(b"")
    assert start_leaderboard().top == []


def test_the_log_is_compacted(start_leaderboard):
    """What is superseded goes: the folder's size follows the players, not the submits."""
    server = start_leaderboard()
    peer = server.login("u" * 200)
    written = 0
    for start in range(0, 20_000, 500):
        numbers = [peer.request("submit", score) for score in range(start, start + 500)]
        for number in numbers:
            peer.take(number)
        written += 500 * 200
    assert server.stop() == 0
    restarted = start_leaderboard()
    assert restarted.top == [["u" * 200, 19_999]]
    eventually(lambda: sum(restarted.data_files().values()) < written / 4,
               what=f"compaction of {restarted.data_files()}")
    restarted.kill()
    assert start_leaderboard().top == [["u" * 200, 19_999]]


def test_a_data_folder_in_use_is_a_clear_error(start_leaderboard):
    first = start_leaderboard()
    first.login("ann", score=10)
    second = start_leaderboard()
    assert second.wait() == 1
    assert str(first.data) in second.stderr or first.data.name in second.stderr
    assert "use" in second.stderr.lower()
    assert first.top == [["ann", 10]]


def test_a_data_folder_is_free_again_after_kill_9(start_leaderboard):
    first = start_leaderboard()
    first.login("ann", score=10)
    first.kill()
    assert start_leaderboard().top == [["ann", 10]]


def test_a_data_folder_that_cannot_be_made_is_a_clear_error(start_leaderboard, tmp_path):
    (tmp_path / "file").write_text("no folder")
    server = start_leaderboard(data=tmp_path / "file")
    assert server.wait() == 1
    assert "file" in server.stderr


# -- ports --


def test_a_taken_port_is_a_clear_error_and_never_shared(start_leaderboard, tmp_path):
    first = start_leaderboard()
    port = first.address[1]
    second = start_leaderboard(data=tmp_path / "other", port=port)
    assert second.wait() == 1
    assert str(port) in second.stderr and "use" in second.stderr.lower()
    assert "listening" not in second.stdout
    assert first.connect().call("sum", 1, 2) == 3


def test_a_port_is_free_again_after_a_restart(start_leaderboard):
    first = start_leaderboard()
    port = first.address[1]
    first.login("ann", score=1)
    assert first.stop() == 0
    assert start_leaderboard(port=port).address[1] == port


@pytest.mark.parametrize("options", [["--port", "70000"], ["--port", "x"], ["--nope"]])
def test_a_wrong_option_is_a_usage_error(start, options):
    server = start("leaderboard", *options)
    assert server.wait() == 64
    assert options[-1] in server.stderr


# -- the end --


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_0_within_5_seconds(start_leaderboard, number):
    server = start_leaderboard()
    server.login("ann", score=10)
    half = server.connect()
    half.send_bytes(b"\x94\x00")
    idle = server.connect()
    idle.call("sum", 1, 2)
    assert server.stop(number, seconds=5) == 0
    for peer in (half, idle):
        peer.read_until_closed()


def test_calls_in_flight_at_the_signal_are_answered(start_leaderboard):
    server = start_leaderboard()
    peer = server.login("ann")
    frames = [peer.request("submit", score) for score in range(1, 51)]
    # The first answer comes out of the same bytes as the other requests.
    peer.take(frames[0])
    server.send_signal(signal.SIGTERM)
    assert [peer.take(number) for number in frames[1:]] == [1] * 49
    peer.read_until_closed()
    assert server.wait(5) == 0
    assert start_leaderboard().top == [["ann", 50]]


def test_an_overtaken_player_that_is_silent_does_not_hold_the_end(start_leaderboard):
    server = start_leaderboard()
    ann = server.login("ann", score=10)
    server.login("bob", score=20)
    ann.read_until(lambda: any(frame[0] == 0 for frame in ann.frames))
    assert server.stop(seconds=5) == 0


def refuses(address):
    try:
        Peer.connect(address).close()
        return False
    except ConnectionError:
        return True


def test_no_connection_is_accepted_after_the_signal(start_leaderboard):
    server = start_leaderboard()
    address = server.address
    server.send_signal(signal.SIGTERM)
    eventually(lambda: refuses(address), seconds=5, what="the listener's end")
    assert server.wait(5) == 0


def test_a_second_signal_ends_it_at_once(start_leaderboard):
    server = start_leaderboard()
    address = server.address
    # Answers that nobody reads hold the first signal's flush: more than the kernel's buffers take,
    # which is about 2.6 MB on the loopback, but little more, so that the connection stays.
    stuck = server.connect(receive_buffer=4096)
    size = len(msgpack.packb(stuck.call("rpc.methods")))
    try:
        stuck.send_bytes(msgpack.packb([0, 1, "rpc.methods", []]) * (3_200_000 // size))
    except (TimeoutError, ConnectionError):
        pass  # A server that stops reading, or closes, is one that has enough to flush.
    server.send_signal(signal.SIGTERM)
    eventually(lambda: refuses(address), seconds=5, what="the listener's end")
    if server.is_running:
        server.send_signal(signal.SIGTERM)
    server.wait(1)
