"""The command line tool `updraft`: against a Python server, the leaderboard and Neovim."""

import json
import socket
import threading

import pytest

from rpc import RPCError
from waiting import eventually


def fail(error):
    raise RPCError(error)


def name(board):
    host, port = board.address
    return f"{host}:{port}"


def printed(result):
    """The JSON on stdout of a run that succeeded."""
    assert result.returncode == 0, result
    assert result.stderr == ""
    return json.loads(result.stdout)


# -- against a Python server: what goes over the wire --


@pytest.mark.parametrize("value", [
    1, -1, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, True, False, None, "", "ä\n\"💚", [], {}, [1, [2]],
    {"a": [1, 2.5, None], "b": {"c": "d"}},
], ids=repr)
def test_json_goes_there_and_back(fake_server, updraft, value):
    server = fake_server({"id": lambda x: x})
    # A negative number is an argument, not an option.
    assert printed(updraft("call", server.name, "id", json.dumps(value))) == value
    assert server.calls == [("id", [value])]
    assert type(server.calls[0][1][0]) is type(value)


def test_every_argument_is_one_of_the_call(fake_server, updraft):
    server = fake_server({"all": lambda *values: list(values)})
    assert printed(updraft("call", server.name, "all", "1", '"two"', "[3]")) == [1, "two", [3]]
    assert printed(updraft("call", server.name, "all")) == []


def test_the_result_is_one_line(fake_server, updraft):
    server = fake_server({"sum": lambda x, y: x + y})
    assert updraft("call", server.name, "sum", "1", "2").stdout == "3\n"


@pytest.mark.parametrize("error", ["the scores are closed", [404, "the scores are closed"]])
def test_an_rpc_error_is_on_stderr_with_exit_1(fake_server, updraft, error):
    result = updraft("call", fake_server({"no": lambda: fail(error)}).name, "no")
    assert result.returncode == 1
    assert "the scores are closed" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", [["call", "HOST", "sum", "1", "2"], ["methods", "HOST"],
                                     ["notify", "HOST", "evt"]])
def test_no_connection_is_exit_2(fake_server, updraft, command):
    server = fake_server()
    server.close()
    result = updraft(*[server.name if part == "HOST" else part for part in command])
    assert result.returncode == 2
    assert server.name in result.stderr
    assert result.stdout == ""


def test_a_connection_that_is_lost_before_the_answer_is_an_error(fake_server, updraft):
    server = fake_server()
    server.handlers["die"] = lambda: server.peers[0].close()
    result = updraft("call", server.name, "die")
    assert result.returncode in (1, 2)
    assert result.stderr and result.stdout == ""


def test_a_server_that_speaks_something_else_is_told_as_that(updraft):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nServer: " + b"x" * 80)
                # Until the client has gone.
                while sock.recv(1000):
                    pass

        threading.Thread(target=answer, daemon=True).start()
        result = updraft("call", f"127.0.0.1:{listener.getsockname()[1]}", "sum", "1", "2")
    assert result.returncode == 2
    assert "what the peer sends is no MessagePack-RPC" in result.stderr.replace("W", "w")


def test_a_notification_arrives_and_prints_nothing(fake_server, updraft):
    server = fake_server()
    result = updraft("notify", server.name, "evt", '"x"', "1", '{"a": null}')
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    eventually(lambda: server.calls == [("evt", ["x", 1, {"a": None}])])
    assert server.peers[0].frames[0][0] == 2


def test_a_call_of_the_server_during_a_call_gets_an_answer(fake_server, updraft):
    server = fake_server()

    def ask():
        return server.peers[0].error_of("anything", 1)

    server.handlers["ask"] = ask
    assert "anything" in printed(updraft("call", server.name, "ask"))


@pytest.mark.parametrize("arguments", [
    [], ["call"], ["call", "HOST"], ["call", "HOST", "sum", "{"], ["call", "nowhere", "sum"],
    ["call", "127.0.0.1:x", "sum"], ["call", "127.0.0.1:70000", "sum"], ["frobnicate"],
    ["notify", "HOST"], ["methods"], ["call", "HOST", "sum", "--nope"],
], ids=" ".join)
def test_a_wrong_argument_is_a_usage_error(fake_server, updraft, arguments):
    server = fake_server()
    result = updraft(*[server.name if part == "HOST" else part for part in arguments])
    assert result.returncode in ((0, 64) if not arguments else (64,)), result
    assert result.stdout + result.stderr
    assert server.calls == []


# -- against the leaderboard --


def test_call_against_the_leaderboard(board, updraft):
    assert printed(updraft("call", name(board), "sum", "1", "2")) == 3
    board.login("ann", score=10)
    assert printed(updraft("call", name(board), "top", "10")) == [["ann", 10]]
    assert printed(updraft("call", name(board), "stats"))["players"] == 1


def test_an_error_of_the_leaderboard_is_shown(board, updraft):
    result = updraft("call", name(board), "frobnicate")
    assert result.returncode == 1 and "frobnicate" in result.stderr
    result = updraft("call", name(board), "submit", "1")
    assert result.returncode == 1 and "login" in result.stderr


def test_methods_lists_the_leaderboards(board, updraft):
    result = updraft("methods", name(board))
    assert result.returncode == 0 and result.stderr == ""
    for method in ("sum", "login", "submit", "top", "rank", "stats"):
        assert method in result.stdout


def test_notify_against_the_leaderboard(board, updraft):
    before = board.stats["calls"]
    assert updraft("notify", name(board), "sum", "1", "2").returncode == 0
    eventually(lambda: board.stats["calls"] > before)


# -- against Neovim --


def test_call_against_neovim(nvim_server, updraft):
    assert printed(updraft("call", nvim_server, "nvim_eval", '"1 + 2"')) == 3
    text = '"return {select(1, ...), {b = 1.5}}"'
    result = updraft("call", nvim_server, "nvim_exec_lua", text, '[{"a": [1, "ü"]}]')
    assert printed(result) == [{"a": [1, "ü"]}, {"b": 1.5}]


def test_a_large_answer_of_neovim_arrives_whole(nvim_server, updraft):
    lua = '"return string.rep(\'x\', 1000000)"'
    assert printed(updraft("call", nvim_server, "nvim_exec_lua", lua, "[]")) == "x" * 1_000_000


def test_an_error_of_neovim_is_shown(nvim_server, updraft):
    result = updraft("call", nvim_server, "nvim_frobnicate")
    assert result.returncode == 1
    assert "nvim_frobnicate" in result.stderr


def test_a_handle_of_neovim_is_an_extension_type(nvim_server, updraft):
    """Neovim's buffers are extension types, which JSON has not: a text or an error, no crash."""
    result = updraft("call", nvim_server, "nvim_get_current_buf")
    assert result.returncode in (0, 1), result
    assert result.stdout or result.stderr


def test_neovim_calls_back_during_a_call(nvim_server, updraft):
    lua = """
        local channel = 0
        for _, each in ipairs(vim.api.nvim_list_chans()) do
            if each.mode == "rpc" and each.id > channel then channel = each.id end
        end
        local ok, message = pcall(vim.rpcrequest, channel, "frobnicate", 1)
        return { ok, tostring(message) }
    """
    ok, message = printed(updraft("call", nvim_server, "nvim_exec_lua", json.dumps(lua), "[]"))
    assert ok is False
    assert "frobnicate" in message


def test_notify_against_neovim(nvim_server, updraft):
    assert updraft("notify", nvim_server, "nvim_set_var", '"updraft"', "42").returncode == 0

    def value():
        result = updraft("call", nvim_server, "nvim_eval", '"get(g:, \'updraft\', 0)"')
        return printed(result) == 42

    eventually(value)


def test_an_option_behind_the_method_is_told_where_it_belongs(updraft):
    result = updraft("call", "127.0.0.1:1", "sum", "1", "--timeout", "3")
    assert result.returncode == 64
    assert "Options come before HOST:PORT" in result.stderr
