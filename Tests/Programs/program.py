"""Starts the project's programs, and Neovim, as black boxes, and ends what it started."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
LISTENING = re.compile(r"listening on (\S+):(\d+)")
# What a bind to every address is reached by.
ANY_HOSTS = {"0.0.0.0", "[::]", "::", "*"}


def binary(name):
    """The path of a built program. Its absence is a failure, not a reason to skip."""
    folder = Path(os.environ.get("UPDRAFT_BIN") or ROOT / ".build" / "debug")
    path = (folder if folder.is_absolute() else ROOT / folder) / name
    if not path.is_file():
        raise AssertionError(f"{path} is not built; UPDRAFT_BIN names the folder of the programs")
    return str(path)


def environment():
    """The caller's environment without what would change the programs' or Neovim's behaviour."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NVIM", "VIM", "XDG_"))}
    kept.pop("LOG_LEVEL", None)
    return kept


def obey_hangups():
    """A program that is started by one which ignores SIGHUP, as under nohup, ignores it too."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Program:
    """A running process. Its output goes to files: it can neither block nor be lost, and a line
    that is not flushed is not seen."""

    def __init__(self, command, folder):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.command = [str(part) for part in command]
        number = len(list(folder.glob("stdout-*")))
        self._stdout = folder / f"stdout-{number}"
        self._stderr = folder / f"stderr-{number}"
        with open(self._stdout, "wb") as out, open(self._stderr, "wb") as err:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder,
                env=environment(), preexec_fn=obey_hangups)

    # -- what it says --

    @property
    def stdout(self):
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self):
        return self._stderr.read_text(errors="replace")

    def describe(self):
        return (f"{' '.join(self.command)} (exit code {self.process.poll()})\n"
                f"--- stdout\n{self.stdout}--- stderr\n{self.stderr}")

    @property
    def address(self):
        """(host, port) as the program printed them, ready to connect to."""

        def printed():
            match = LISTENING.search(self.stdout)
            assert match or self.is_running, "ended before it listened: " + self.describe()
            return match

        match = eventually(printed, what=f"'listening on HOST:PORT' of {self.command[0]}")
        host, port = match.group(1), int(match.group(2))
        return ("127.0.0.1" if host in ANY_HOSTS else host.strip("[]"), port)

    # -- how it lives and ends --

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=10.0):
        """The exit code; fails when the program is still there after the seconds."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: " + self.describe()) from None

    def stop(self, number=signal.SIGTERM, seconds=5.0):
        self.send_signal(number)
        return self.wait(seconds)

    def kill(self):
        if self.is_running:
            self.process.kill()
        self.process.wait()

    # -- what it holds --

    @property
    def resident_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE).group(1)) * 1024

    @property
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def run(command, folder, seconds=15.0):
    """Runs a program to its end: a subprocess.CompletedProcess with text."""
    try:
        return subprocess.run(
            [str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, cwd=folder, timeout=seconds, env=environment())
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"still running after {seconds} s: {command}\n"
                             f"{late.stdout}\n{late.stderr}") from None


def is_alive(pid):
    """Whether the process is there and has not ended; one that waits to be collected has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def neovim():
    """The path of Neovim, or None."""
    return shutil.which("nvim")
