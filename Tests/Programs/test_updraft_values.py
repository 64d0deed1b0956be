"""The command line tool beyond plain JSON: other values, options, hints and time limits."""

import json
import time

import msgpack
import pytest

from rpc import NO_ANSWER, RPCError


def printed(result):
    assert result.returncode == 0, result
    assert result.stderr == ""
    return json.loads(result.stdout)


@pytest.mark.parametrize("value, text", [
    (b"\x01\x02\x03", {"$binary": "AQID"}), (msgpack.ExtType(5, b"\xff"), {"$ext": [5, "/w=="]}),
    (float("inf"), {"$float": "inf"}), ({1: "one"}, {"$map": [[1, "one"]]}), (1.0, 1.0),
], ids=repr)
def test_what_json_has_not_goes_there_and_back(fake_server, updraft, value, text):
    server = fake_server({"get": lambda: value, "put": lambda x: x == value})
    assert printed(updraft("call", server.name, "get")) == text
    assert printed(updraft("call", server.name, "put", json.dumps(text))) is True
    assert type(server.calls[-1][1][0]) is type(value)


def test_a_handle_of_neovim_can_be_passed_back(nvim_server, updraft):
    buffer = printed(updraft("call", nvim_server, "nvim_get_current_buf"))
    assert "$ext" in buffer
    arguments = (json.dumps(buffer), "0", "-1", "true")
    assert printed(updraft("call", nvim_server, "nvim_buf_get_lines", *arguments)) == [""]


def test_negative_arguments_need_no_dashes_before_them(board, updraft):
    host, port = board.address
    for arguments in (["-5", "3"], ["--", "-5", "3"]):
        assert printed(updraft("call", f"{host}:{port}", "sum", *arguments)) == -2


def test_a_name_is_resolved(board, updraft):
    assert printed(updraft("call", f"localhost:{board.address[1]}", "sum", "1", "2")) == 3


def test_pretty_prints_lines(fake_server, updraft):
    server = fake_server({"get": lambda: {"a": [1, 2]}})
    result = updraft("call", "--pretty", server.name, "get")
    assert result.stdout == '{\n  "a": [\n    1,\n    2\n  ]\n}\n'


def test_methods_are_listed_with_their_types(board, updraft):
    host, port = board.address
    lines = updraft("methods", f"{host}:{port}").stdout.splitlines()
    assert "sum(Int64, Int64) -> Int64" in lines and "login(String)" in lines
    assert lines == sorted(lines)


def test_a_server_that_knows_names_only_is_listed(fake_server, updraft):
    def describe():
        raise RPCError("unknown method")

    server = fake_server({"rpc.describe": describe, "rpc.methods": lambda: ["a", "b"]})
    assert updraft("methods", server.name).stdout == "a\nb\n"


def test_no_answer_in_time_is_exit_1(fake_server, updraft):
    server = fake_server({"wait": lambda: NO_ANSWER})
    started = time.monotonic()
    result = updraft("call", "--timeout", "0.3", server.name, "wait")
    assert 0.3 <= time.monotonic() - started < 5
    assert result.returncode == 1 and result.stdout == ""
    assert "0.3" in result.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
def test_a_timeout_that_is_none_is_a_usage_error(fake_server, updraft, seconds):
    server = fake_server()
    result = updraft("call", f"--timeout={seconds}", server.name, "wait")
    assert result.returncode == 64 and "timeout" in result.stderr
    assert server.calls == []


def test_an_argument_that_is_no_json_is_named_with_a_hint(fake_server, updraft):
    result = updraft("call", fake_server().name, "login", "1", "ann")
    assert result.returncode == 64
    assert "ann" in result.stderr and "'\"ann\"'" in result.stderr


@pytest.mark.parametrize("command", [[], ["call"], ["methods"], ["notify"]], ids=" ".join)
def test_help_shows_an_example(updraft, command):
    result = updraft(*command, "--help")
    assert result.returncode == 0
    assert "updraft " + (command or ["call"])[0] + " 127.0.0.1:5700" in result.stdout
