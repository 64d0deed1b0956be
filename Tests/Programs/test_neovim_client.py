"""Neovim as a client of the leaderboard, in both directions."""

import json

from program import run
from waiting import eventually


def script(body):
    """A Lua script that connects, runs the body and writes its `out` as JSON."""
    return f"""
        local host, port, path = ...
        local ok, problem = pcall(function()
            local channel = vim.fn.sockconnect("tcp", host .. ":" .. port, {{ rpc = 1 }})
            assert(channel > 0, "no connection")
            local out = {{}}
            {body}
            vim.fn.writefile({{ vim.fn.json_encode(out) }}, path)
        end)
        if not ok then
            vim.fn.writefile({{ vim.fn.json_encode({{ problem = tostring(problem) }}) }}, path)
        end
        vim.cmd("qall!")
    """


def command(nvim, board, folder, body):
    """The command that runs the body in Neovim, and the file that it writes."""
    host, port = board.address
    source, result = folder / "client.lua", folder / "result.json"
    source.write_text(script(body))
    load = f"lua loadfile([[{source}]])([[{host}]], [[{port}]], [[{result}]])"
    return [nvim, "--headless", "--clean", "-n", "-c", load], result


def run_in_neovim(nvim, board, folder, body):
    arguments, result = command(nvim, board, folder, body)
    ended = run(arguments, folder)
    assert result.exists(), ended
    out = json.loads(result.read_text())
    assert "problem" not in out, out["problem"]
    return out


def test_neovim_calls_and_notifies(nvim, board, tmp_path):
    out = run_in_neovim(nvim, board, tmp_path, """
        out.sum = vim.rpcrequest(channel, "sum", 1, 2)
        vim.rpcnotify(channel, "sum", 1, 2)
        vim.rpcrequest(channel, "login", "vim")
        out.rank = vim.rpcrequest(channel, "submit", 10)
        out.top = vim.rpcrequest(channel, "top", 5)
        out.stats = vim.rpcrequest(channel, "stats")
    """)
    assert (out["sum"], out["rank"], out["top"]) == (3, 1, [["vim", 10]])
    assert out["stats"]["online"] == 1
    eventually(lambda: board.stats["online"] == 0, what="Neovim going offline")


def test_neovim_shows_our_errors(nvim, board, tmp_path):
    out = run_in_neovim(nvim, board, tmp_path, """
        out.called, out.unknown = pcall(vim.rpcrequest, channel, "frobnicate", 1)
        out.unknown = tostring(out.unknown)
        out.submitted, out.early = pcall(vim.rpcrequest, channel, "submit", 1)
        out.early = tostring(out.early)
        out.sum = vim.rpcrequest(channel, "sum", 20, 22)
    """)
    assert out["called"] is False and "frobnicate" in out["unknown"]
    assert out["submitted"] is False and "login" in out["early"]
    assert out["sum"] == 42


def test_neovim_answers_a_thousand_calls_in_order(nvim, board, tmp_path):
    out = run_in_neovim(nvim, board, tmp_path, """
        out.total = 0
        for index = 1, 1000 do
            out.total = out.total + vim.rpcrequest(channel, "sum", index, 0)
        end
    """)
    assert out["total"] == 500500


def test_the_server_calls_overtaken_on_neovim(nvim, board, start_peer, tmp_path):
    """Neovim answers a method that it does not have with an error, which harms nobody."""
    arguments, result = command(nvim, board, tmp_path, """
        vim.rpcrequest(channel, "login", "vim")
        vim.rpcrequest(channel, "submit", 10)
        out.overtaken = vim.wait(10000, function()
            return vim.rpcrequest(channel, "rank", "vim") == 2
        end, 10)
        -- Neovim answers in the order of arrival: what it sends now follows its error answer.
        out.stats = vim.rpcrequest(channel, "stats")
        out.rank = vim.rpcrequest(channel, "submit", 30)
    """)
    editor = start_peer(arguments)
    eventually(lambda: board.top == [["vim", 10]], what="Neovim's score")
    bob = board.login("bob", {"overtaken": lambda *_: True})
    assert bob.call("submit", 20) == 1
    bob.read_until(lambda: bob.calls, what="the call of overtaken")
    assert bob.calls == [("overtaken", ["vim", 30, 2])]
    assert editor.wait() == 0, editor.describe()
    out = json.loads(result.read_text())
    assert "problem" not in out, out
    assert out["overtaken"] is True and out["rank"] == 1
    assert out["stats"]["overtakenAcked"] == 0, "an error is no acknowledgement"
