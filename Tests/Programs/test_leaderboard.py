"""What the leaderboard's methods answer."""

import re
import time

import pytest

from rpc import NO_ANSWER, RPCError
from waiting import eventually

MAX, MIN = 2**63 - 1, -(2**63)


def uids(top):
    return [uid for uid, _ in top]


def test_it_prints_one_line_with_its_address_and_how_to_call_it(board):
    lines = [line for line in board.stdout.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert re.search(r"listening on \S+:\d+", lines[0])
    assert "sum" in lines[0], "the line says how to call it"


def test_the_data_folder_is_in_the_current_folder_by_default(start, tmp_path):
    server = start("leaderboard", "--port", "0")
    server.address
    assert (tmp_path / "out" / "leaderboard-data").is_dir()


# -- sum --


@pytest.mark.parametrize("x, y", [(1, 2), (-5, 3), (0, 0), (MAX, 0), (MIN, MAX), (300, 70000)])
def test_sum_adds_two_integers(board, x, y):
    assert board.connect().call("sum", x, y) == x + y


@pytest.mark.parametrize("x, y", [(MAX, 1), (MIN, -1)])
def test_a_sum_that_overflows_is_an_error_and_no_crash(board, bystander, x, y):
    assert board.connect().error_of("sum", x, y)


def test_pipelined_calls_are_all_answered(board):
    peer = board.connect()
    numbers = [peer.request("sum", i, i) for i in range(1000)]
    assert [peer.take(number) for number in numbers] == [2 * i for i in range(1000)]


def test_methods_are_listed_by_introspection(board):
    assert {"sum", "login", "submit", "top", "rank", "stats"} <= set(
        map(str, board.connect().call("rpc.methods")))


# -- login --


def test_a_second_login_closes_the_older_connection(board):
    old = board.login("ann", score=10)
    new = board.login("ann")
    old.read_until_closed()
    assert new.call("rank", "ann") == 1
    assert eventually(lambda: board.stats["online"] == 1)
    assert new.call("submit", 11) == 1


def test_the_close_of_the_older_connection_leaves_the_newer_one_named(board):
    old = board.login("ann", score=10)
    new = board.login("ann", {"overtaken": lambda *_: None})
    old.read_until_closed()
    board.login("bob", score=20)
    new.read_until(lambda: new.calls, what="the call of overtaken")
    assert new.calls == [("overtaken", ["bob", 20, 2])]


def test_a_login_of_the_same_name_on_the_same_connection_keeps_it(board):
    peer = board.login("ann")
    peer.call("login", "ann")
    assert peer.call("submit", 1) == 1
    assert board.stats["online"] == 1


def test_a_closed_connection_is_no_longer_online(board):
    peer = board.login("ann")
    assert board.stats["online"] == 1
    peer.close()
    eventually(lambda: board.stats["online"] == 0, what="ann going offline")


def test_a_reset_connection_is_no_longer_online(board):
    board.login("ann").reset()
    eventually(lambda: board.stats["online"] == 0, what="ann going offline")


# -- submit, top, rank --


def test_equal_scores_share_the_better_rank(board):
    assert board.login("ann").call("submit", 10) == 1
    assert board.login("bob").call("submit", 10) == 1
    peer = board.login("cid")
    assert peer.call("submit", 5) == 3
    assert [peer.call("rank", uid) for uid in ("ann", "bob", "cid")] == [1, 1, 3]


def test_the_best_score_is_kept(board):
    ann = board.login("ann", score=10)
    assert ann.call("submit", 3) == 1
    assert board.top == [["ann", 10]]
    assert ann.call("submit", 12) == 1
    assert board.top == [["ann", 12]]


def test_a_worse_score_leaves_the_rank(board):
    board.login("ann", score=10)
    bob = board.login("bob", score=20)
    assert bob.call("submit", 5) == 1
    assert board.top == [["bob", 20], ["ann", 10]]


def test_a_rank_follows_the_others(board):
    ann = board.login("ann", score=10)
    for number in range(5):
        board.login(f"p{number}", score=100 + number)
        assert ann.call("rank", "ann") == number + 2


@pytest.mark.parametrize("score", [0, -1, MAX, MIN, 2**32, -(2**31) - 1])
def test_every_integer_of_64_bits_is_a_score(board, score):
    assert board.login("ann").call("submit", score) == 1
    assert board.top == [["ann", score]]


def test_top_gives_the_best_first_and_no_more_than_asked(board):
    scores = {"ann": 10, "bob": 30, "cid": 20, "dan": -5}
    for uid, score in scores.items():
        board.login(uid, score=score)
    peer = board.connect()
    expected = [["bob", 30], ["cid", 20], ["ann", 10], ["dan", -5]]
    for count in range(6):
        assert peer.call("top", count) == expected[:count]


def test_a_top_of_a_negative_count_harms_nobody(board, bystander):
    peer = board.connect()
    try:
        assert peer.call("top", -1) == []
    except RPCError as error:
        assert error.text
    assert peer.call("sum", 1, 1) == 2


def test_who_never_scored_has_no_rank(board):
    board.login("ann", score=10)
    board.login("bob")
    peer = board.connect()
    for uid in ("bob", "nobody"):
        try:
            assert peer.call("rank", uid) is None
        except RPCError as error:
            assert uid in error.text
    assert uids(board.top) == ["ann"]


def test_uids_keep_their_letters(board):
    for uid in ("ä", "日本", "a b", "\n", "💚", "x" * 64):
        board.login(uid, score=1)
    assert set(uids(board.top)) == {"ä", "日本", "a b", "\n", "💚", "x" * 64}


# -- stats --


def test_stats_count_players_connections_and_calls(board):
    before = board.stats
    assert set(before) >= {"players", "online", "calls", "overtakenAcked", "uptimeSeconds"}
    assert (before["players"], before["online"], before["overtakenAcked"]) == (0, 0, 0)
    ann = board.login("ann", score=10)
    for _ in range(10):
        ann.call("sum", 1, 2)
    after = ann.call("stats")
    assert (after["players"], after["online"]) == (1, 1)
    assert after["calls"] >= before["calls"] + 12
    assert 0 <= before["uptimeSeconds"] <= after["uptimeSeconds"] < 60


# -- overtaken: the server calls the client --


def test_every_overtaken_player_is_called_with_its_own_rank(board):
    ann = board.login("ann", {"overtaken": lambda *_: True}, score=10)
    cid = board.login("cid", {"overtaken": lambda *_: None}, score=5)
    bob = board.login("bob", score=20)
    for peer, rank in ((ann, 2), (cid, 3)):
        peer.read_until(lambda: peer.calls, what="the call of overtaken")
        assert peer.calls == [("overtaken", ["bob", 20, rank])]
    eventually(lambda: bob.call("stats")["overtakenAcked"] == 2, what="two acknowledgements")


def test_only_who_loses_a_rank_is_called_and_only_once(board):
    ann = board.login("ann", {"overtaken": lambda *_: True}, score=10)
    bob = board.login("bob", {"overtaken": lambda *_: True}, score=10)
    ann.call("stats")
    bob.call("submit", 20)
    bob.call("submit", 30)
    bob.call("submit", 25)
    board.login("cid", score=25)
    ann.read_until(lambda: len(ann.calls) == 2, what="two calls of overtaken")
    assert ann.calls == [("overtaken", ["bob", 20, 2]), ("overtaken", ["cid", 25, 3])]
    bob.call("stats")
    assert bob.calls == []


def test_an_overtaken_player_may_call_before_it_answers(board):
    ann = board.login("ann", score=10)
    ranks = []
    ann.handlers["overtaken"] = lambda *_: ranks.append(ann.call("rank", "ann"))
    bob = board.login("bob", score=20)
    ann.read_until(lambda: ranks, what="the nested answer")
    assert ranks == [2]
    eventually(lambda: bob.call("stats")["overtakenAcked"] == 1, what="the acknowledgement")


def test_submit_does_not_wait_for_an_answer(board):
    silent = board.login("ann", {"overtaken": lambda *_: NO_ANSWER}, score=10)
    bob = board.login("bob")
    started = time.monotonic()
    assert bob.call("submit", 20) == 1
    assert time.monotonic() - started < 1.5, "submit waited for the overtaken player"
    silent.read_until(lambda: silent.calls, what="the call of overtaken")
    assert bob.call("stats")["overtakenAcked"] == 0
    assert silent.call("rank", "ann") == 2


def test_an_answer_after_two_seconds_is_dropped(board):
    ann = board.login("ann", {"overtaken": lambda *_: NO_ANSWER}, score=10)
    bob = board.login("bob", score=20)
    ann.read_until(lambda: ann.calls, what="the call of overtaken")
    ann.read_for(2.5)
    assert not ann.is_closed, "no answer harms nobody"
    number = next(frame[1] for frame in ann.frames if frame[0] == 0)
    ann.send([1, number, None, True])
    # The same connection keeps the order: what follows the late answer is answered after it.
    assert ann.call("stats")["overtakenAcked"] == 0
    ann.handlers["overtaken"] = lambda *_: True
    ann.call("submit", 20)
    bob.call("submit", 30)
    ann.read_until(lambda: len(ann.calls) == 2, what="the next call of overtaken")
    eventually(lambda: bob.call("stats")["overtakenAcked"] == 1, what="the acknowledgement")


@pytest.mark.parametrize("error", ["not now", [404, "not now"], 5, {"why": "not now"}])
def test_an_error_answer_harms_nobody(board, error):
    ann = board.login("ann", {"overtaken": lambda *_: NO_ANSWER}, score=10)
    bob = board.login("bob", score=20)
    ann.read_until(lambda: ann.calls, what="the call of overtaken")
    ann.send([1, ann.frames[-1][1], error, None])
    assert ann.call("stats")["overtakenAcked"] == 0
    assert ann.call("submit", 30) == 1
    assert bob.call("rank", "bob") == 2


def test_an_overtaken_player_that_vanishes_harms_nobody(board):
    ann = board.login("ann", {"overtaken": lambda *_: NO_ANSWER}, score=10)
    bob = board.login("bob", score=20)
    ann.read_until(lambda: ann.calls, what="the call of overtaken")
    ann.reset()
    eventually(lambda: bob.call("stats")["online"] == 1, what="ann going offline")
    assert bob.call("submit", 30) == 1
    assert bob.call("stats")["overtakenAcked"] == 0


def test_a_player_that_is_offline_is_overtaken_in_silence(board):
    board.login("ann", score=10).close()
    assert board.login("bob").call("submit", 20) == 1
    assert board.top == [["bob", 20], ["ann", 10]]
