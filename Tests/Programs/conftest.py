"""Fixtures: programs on ports of their own with data folders of their own. Only what a test started
is ended, by its process id."""

import resource
import socket

import pytest

import program
from fake_server import FakeServer
from program import Program, binary
from rpc import Peer
from waiting import eventually

# A thousand connections at once need more descriptors than a shell's usual 1,024.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(_soft, min(_hard, 8192)), _hard))


class Leaderboard(Program):
    """A leaderboard on a port that it picked itself."""

    def __init__(self, folder, data, *options, port=0):
        self.data = data
        self.peers = []
        super().__init__(
            [binary("leaderboard"), "--port", port, "--data", data, *options], folder)

    def connect(self, handlers=None, **options):
        peer = Peer.connect(self.address, handlers, **options)
        self.peers.append(peer)
        return peer

    def login(self, uid, handlers=None, score=None):
        """A connection named uid, with a score when one is given."""
        peer = self.connect(handlers)
        peer.call("login", uid)
        if score is not None:
            peer.call("submit", score)
        return peer

    @property
    def stats(self):
        with Peer.connect(self.address) as peer:
            return peer.call("stats")

    @property
    def top(self):
        with Peer.connect(self.address) as peer:
            return peer.call("top", 1000)

    def data_files(self):
        """Path -> size of every file in the data folder."""
        return {path: path.stat().st_size for path in self.data.rglob("*") if path.is_file()}


@pytest.fixture
def start(tmp_path):
    """start(NAME, option …) runs a program of the project, and kills it at the end."""
    started = []

    def start(name, *options):
        started.append(Program([binary(name), *options], tmp_path / "out"))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def start_leaderboard(tmp_path):
    """start_leaderboard(option …, data=…, port=…) starts one; data is a folder kept by default."""
    started = []

    def start(*options, data=tmp_path / "data", port=0):
        started.append(Leaderboard(tmp_path / "out", data, *options, port=port))
        return started[-1]

    yield start
    for each in started:
        for peer in each.peers:
            peer.close()
        each.kill()


@pytest.fixture
def board(start_leaderboard):
    """A leaderboard that has to survive the test."""
    server = start_leaderboard()
    server.address
    yield server
    assert server.is_running, "the server did not survive: " + server.describe()


@pytest.fixture
def bystander(board):
    """A client of the leaderboard that must not notice what others do to it."""
    peer = board.connect()
    assert peer.call("sum", 1, 2) == 3
    yield peer
    assert peer.call("sum", 20, 22) == 42, "the bystander noticed"


@pytest.fixture
def start_peer(tmp_path):
    """start_peer(command) runs any other program; what still runs is killed at the end."""
    started = []

    def start(command):
        started.append(Program(command, tmp_path / "peer"))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def fake_server():
    """fake_server(handlers, on_connect) starts a MessagePack-RPC server inside the test."""
    started = []

    def start(handlers=None, on_connect=None):
        started.append(FakeServer(handlers, on_connect))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def nvim():
    """The path of Neovim; without it the test is skipped, and says so."""
    path = program.neovim()
    if path is None:
        pytest.skip("Neovim (nvim) is not installed")
    return path


@pytest.fixture
def nvim_server(nvim, tmp_path):
    """HOST:PORT of a Neovim that listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = Program(
        [nvim, "--headless", "--clean", "-n", "--listen", f"127.0.0.1:{port}"], tmp_path / "nvim")

    def answers():
        assert server.is_running, server.describe()
        try:
            with Peer.connect(("127.0.0.1", port)) as peer:
                return peer.call("nvim_eval", "1") == 1
        except ConnectionError:
            return False

    eventually(answers, what="Neovim's socket")
    yield f"127.0.0.1:{port}"
    server.kill()


@pytest.fixture
def updraft(tmp_path):
    """updraft(argument …) runs the command line tool to its end."""

    def updraft(*arguments):
        return program.run([binary("updraft"), *arguments], tmp_path)

    return updraft
