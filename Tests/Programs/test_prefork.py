"""Several processes, as black boxes: echo-server --processes, and a probe whose workers do what a
client tells them. Contract rows K3 and K9, lists 3.3 (6-8) and 3.6 (1), row Multi-process of 4.1."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from program import binary, environment, is_alive, run
from waiting import eventually


def workers_of(program):
    """Pids; they are remembered, to be killed at the end of the test."""
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    found = sorted(int(pid) for pid in children if is_alive(int(pid)))
    if hasattr(program, "seen"):
        program.seen.update(found)
    return found


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


@pytest.fixture
def launch(start):
    """Starts a program and, at the end of the test, kills what it has left."""
    started, pids = [], set()

    def launch(name, *options):
        program = start(name, *options)
        started.append(program)
        program.seen = pids
        return program

    yield launch
    for program in started:
        if program.is_running:
            workers_of(program)
    for pid in pids:
        kill(pid)


@pytest.fixture
def probe(launch):
    """probe(option …) starts the probe and waits until its workers serve."""

    def probe(*options):
        program = launch("prefork-probe", *options)
        program.address
        workers_of(program)
        return program

    return probe


def ask(address, line, seconds=10):
    """One line's answer on a connection of its own; empty if it ended without one."""
    with socket.create_connection(address, timeout=seconds) as sock:
        sock.sendall(line.encode() + b"\n")
        try:
            return sock.makefile().readline().strip()
        except ConnectionError:
            return ""


def identity(address):
    """(task id, workers, pid) of whoever answers."""
    return tuple(int(word) for word in ask(address, "id").split())


def identities(address, count):
    """Task id -> pid of count workers: the kernel spreads connections, so sooner or later each
    answers."""
    found = {}

    def all_found():
        task, _, pid = identity(address)
        found[task] = pid
        return len(found) == count

    eventually(all_found, what=f"answers of {count} workers; {found}")
    return found


def tell(address, task, line):
    """Sends a line that ends it to one worker: on the first connection that it gets."""

    def told():
        try:
            with socket.create_connection(address, timeout=10) as sock:
                stream = sock.makefile()
                sock.sendall(b"id\n")
                if stream.readline().split()[:1] != [str(task)]:
                    return False
                sock.sendall(line.encode() + b"\n")
                return stream.readline() == ""
        except ConnectionError:
            # Of a worker that has just ended: a further try finds another, or nobody any more.
            return False

    eventually(told, what=f"a connection to worker {task} that ends")


def starts(program):
    """(task id, pid) of each start, in order."""
    return [(int(a), int(b)) for a, b in re.findall(r"started (\d+) (\d+)", program.stdout)]


# -- workers --

@pytest.mark.parametrize("count", [2, 3])
def test_there_are_as_many_workers_as_asked_for(launch, count):
    server = launch("echo-server", "--port", "0", "--processes", count)
    server.address
    assert len(workers_of(server)) == count
    assert server.stop(seconds=20) == 0
    assert server.stdout.count("listening") == 1


def test_zero_is_one_worker_per_processor(launch):
    server = launch("echo-server", "--port", "0", "--processes", "0")
    server.address
    assert len(workers_of(server)) == len(os.sched_getaffinity(0))
    assert server.stop(seconds=20) == 0


def test_one_is_the_program_alone(launch):
    """K3: start(1) makes no process."""
    server = launch("echo-server", "--port", "0", "--processes", "1")
    server.address
    assert workers_of(server) == []


def test_task_ids_are_distinct_and_nothing_is_on_stderr(probe):
    """3.3.6, 7: bound before the workers, ids 0, 1, 2, nothing on stderr."""
    server = probe("--processes", "3")
    pids = identities(server.address, 3)
    assert sorted(pids) == [0, 1, 2] and sorted(pids.values()) == workers_of(server)
    assert {identity(server.address)[1]} == {3}
    for task in pids:
        tell(server.address, task, "exit 0")
    assert server.wait() == 0
    assert server.stderr == ""


def test_three_processes_listen_with_reuse_port_on_one_port(probe):
    """3.3.8: each binds by itself."""
    with socket.socket() as holder:
        # Bound and not listening, it keeps the port for sockets of this user that share it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        server = probe("--reuse-port", "--port", port)

        def answers():
            try:
                return identity(("127.0.0.1", port))
            except ConnectionError:
                return False

        eventually(answers, what="a worker that listens")
        assert sorted(identities(("127.0.0.1", port), 3)) == [0, 1, 2]
        assert server.stop(seconds=20) == 0


def test_each_worker_has_its_loops(launch):
    server = launch("echo-server", "--port", "0", "--processes", "2", "--loops", "3")
    server.address
    for pid in workers_of(server):
        names = [(task / "comm").read_text().strip()
                 for task in Path(f"/proc/{pid}/task").iterdir()]
        assert {"loop-1", "loop-2"} <= set(names)
    socks = [socket.create_connection(server.address, timeout=10) for _ in range(50)]
    for sock in socks:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        sock.close()
    assert server.stop(seconds=20) == 0


def test_a_worker_has_its_listener_and_hides_it_from_its_own_programs(probe):
    server = probe("--processes", "2")
    assert ask(server.address, "variable") == "hidden"
    for pid in workers_of(server):
        for descriptor in (3, 4):
            info = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text()
            flags = int(re.search(r"flags:\s+(\d+)", info).group(1), 8)
            assert flags & os.O_CLOEXEC
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"


def test_the_kernel_spreads_the_connections(probe):
    """#2202, #1811: no worker takes most of them."""
    server = probe("--processes", "3")
    counts = [0, 0, 0]
    for _ in range(300):
        counts[identity(server.address)[0]] += 1
    # 100 expected, with a deviation of 8.
    assert min(counts) > 50, counts


# -- restarts --

def test_exit_codes(probe):
    """3.6.1: 2 and 3 are restarted and serve again, 4 changes the pid, 0 is not restarted; the
    supervisor ends normally with the last, and has no task id."""
    server = probe("--processes", "3")
    before = identities(server.address, 3)
    for task, code in [(0, 2), (1, 3), (2, 4)]:
        tell(server.address, task, f"exit {code}")
        eventually(lambda: len(starts(server)) == 4 + task, what="a restart: " + server.describe())
    after = identities(server.address, 3)
    assert sorted(after) == [0, 1, 2]
    assert not set(before.values()) & set(after.values())
    for task in (1, 0, 2):
        tell(server.address, task, "exit 0")
    assert server.wait() == 0
    assert "done, task nil" in server.stdout
    assert len(starts(server)) == 6
    for task, code in [(0, 2), (1, 3), (2, 4)]:
        assert f"ended {task} {before[task]} exit code {code}" in server.stdout
        assert f"worker {task} (pid {before[task]}) exited with {code}" in server.stderr


def test_a_killed_worker_is_replaced_with_its_id(probe):
    server = probe("--processes", "3")
    before = identities(server.address, 3)
    kill(before[1])
    eventually(lambda: len(starts(server)) == 4, what="a restart: " + server.describe())
    assert starts(server)[3][0] == 1
    after = identities(server.address, 3)
    assert after[1] != before[1]
    assert (after[0], after[2]) == (before[0], before[2])
    assert "was ended by SIGKILL" in server.stderr


def test_a_killed_worker_of_the_echo_server_is_replaced(launch):
    server = launch("echo-server", "--port", "0", "--processes", "2")
    server.address
    before = workers_of(server)
    kill(before[0])
    eventually(lambda: before[0] not in workers_of(server) and len(workers_of(server)) == 2,
               what="two workers")
    for _ in range(20):
        with socket.create_connection(server.address, timeout=10) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"


def test_connections_wait_for_the_next_worker(probe):
    """Its listener outlives a worker: what the kernel has given it is not lost."""
    server = probe("--processes", "2", "--restart-delay", "500")
    before = identities(server.address, 2)
    kill(before[0])
    eventually(lambda: not is_alive(before[0]), what="its end")
    socks = [socket.create_connection(server.address, timeout=10) for _ in range(40)]
    for sock in socks:
        sock.sendall(b"id\n")
    answers = [sock.makefile().readline().split() for sock in socks]
    assert {words[0] for words in answers} == {"0", "1"}
    assert str(before[0]) not in {words[2] for words in answers}
    for sock in socks:
        sock.close()


def test_at_the_limit_the_supervisor_gives_up(launch):
    server = launch("prefork-probe", "--processes", "2", "--end", "7", "--restarts-max", "5",
                    "--restart-delay", "1")
    assert server.wait(20) == 1
    assert "error tooManyRestarts" in server.stderr and "5 restarts" in server.stderr
    assert "exited with 7" in server.stderr
    assert len(starts(server)) in (6, 7)


def test_restarts_are_held_back_more_and_more(launch):
    began = time.monotonic()
    server = launch("prefork-probe", "--processes", "1", "--end", "7", "--restarts-max", "4",
                    "--restart-delay", "40")
    assert server.wait(20) == 1
    # 40, 80, 160 and 320 ms.
    assert time.monotonic() - began >= 0.6
    delays = re.findall(r"started again in ([\d.]+) seconds", server.stderr)
    assert delays == ["0.04", "0.08", "0.16", "0.32"]


def test_what_a_body_throws_is_told_and_restarted(launch):
    server = launch("prefork-probe", "--processes", "1", "--complaint", "no such table",
                    "--restarts-max", "1")
    assert server.wait(20) == 1
    assert server.stderr.count("worker 0: no such table") == 2


def test_workers_that_end_with_0_at_once_are_the_end(launch):
    server = launch("prefork-probe", "--processes", "2", "--end", "0")
    assert server.wait(20) == 0
    assert len(starts(server)) == 2 and server.stderr == ""


def copy_of_probe(folder):
    copy = folder / "probe"
    copy.write_bytes(Path(binary("prefork-probe")).read_bytes())
    copy.chmod(0o755)
    return copy


def test_a_program_that_has_vanished_is_a_clear_error_and_no_storm(launch, start_peer, tmp_path):
    copy = copy_of_probe(tmp_path)
    server = start_peer([copy, "--processes", "2", "--restart-delay", "20", "--restarts-max", "3"])
    address = server.address
    copy.unlink()
    kill(workers_of(server)[0])
    assert server.wait(20) == 1
    assert server.stderr.count("can't be started: There is no program") == 4
    assert str(copy) in server.stderr and "error tooManyRestarts" in server.stderr
    with pytest.raises(ConnectionError):
        socket.create_connection(address).close()


# -- the end --

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_all_and_ends_with_0(launch, number):
    server = launch("echo-server", "--port", "0", "--processes", "3", "--line")
    server.address
    pids = workers_of(server)
    socks = [socket.create_connection(server.address, timeout=10) for _ in range(12)]
    for sock in socks:
        sock.sendall(b"whole\nhalf")
        assert sock.recv(6) == b"whole\n"
    server.send_signal(number)
    eventually(lambda: refuses(server.address), what="the listeners' end")
    # In the middle of a line, which is still answered.
    assert workers_of(server) and server.is_running
    for sock in socks:
        sock.sendall(b" done\n")
        assert sock.makefile().readline() == "half done\n"
        sock.close()
    assert server.wait(20) == 0
    assert not any(is_alive(pid) for pid in pids)


def refuses(address):
    try:
        socket.create_connection(address).close()
        return False
    except ConnectionError:
        return True


def test_a_signal_right_after_the_start_is_not_lost(launch):
    for _ in range(5):
        server = launch("prefork-probe", "--processes", "2")
        eventually(lambda: len(starts(server)) == 2, what="two workers")
        # They have not said that they serve.
        assert server.stop(seconds=20) == 0
        assert not any(is_alive(pid) for _, pid in starts(server))


def test_a_signal_right_after_the_line_drains(tmp_path):
    for _ in range(5):
        # A pipe: a file would be looked at too late to see the race.
        process = subprocess.Popen(
            [binary("echo-server"), "--port", "0", "--processes", "2"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment())
        try:
            assert b"listening on" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_ctrl_c_reaches_a_worker_once(launch, tmp_path):
    """A terminal sends it to the whole group of the supervisor; a second one would cut."""
    process = subprocess.Popen(
        [binary("echo-server"), "--port", "0", "--processes", "2", "--line"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment(),
        start_new_session=True)
    try:
        host, port = process.stdout.readline().decode().split()[-1].split(":")
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(b"whole\nhalf")
            assert sock.recv(6) == b"whole\n"
            os.killpg(process.pid, signal.SIGINT)
            eventually(lambda: refuses((host, int(port))), what="the listeners' end")
            sock.sendall(b" done\n")
            assert sock.makefile().readline() == "half done\n"
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_signal_ends_all_at_once(launch):
    server = launch("echo-server", "--port", "0", "--processes", "2", "--line")
    server.address
    pids = workers_of(server)
    with socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(b"whole\nhalf")
        assert sock.recv(6) == b"whole\n"
        server.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(server.address), what="the listeners' end")
        assert server.is_running
        server.send_signal(signal.SIGTERM)
        assert server.wait(4) == 1
    assert "not all workers ended cleanly" in server.stderr
    assert not any(is_alive(pid) for pid in pids)


def test_a_worker_that_does_not_end_is_killed_at_the_deadline(probe):
    server = probe("--processes", "2", "--stop-timeout", "300")
    pids = workers_of(server)
    with socket.create_connection(server.address) as sock:
        sock.sendall(b"stuck\n")
        stuck = eventually(lambda: [pid for pid in pids if in_pause(pid)], what="a stuck worker")
        assert server.stop(seconds=10) == 1
    assert f"(pid {stuck[0]}) has not ended within 0.3 seconds and is killed" in server.stderr
    assert "error notClean" in server.stderr
    assert not any(is_alive(pid) for pid in pids)


def in_pause(pid):
    """Whether its main thread is in pause(2), as the probe's stuck worker is."""
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] in ("34", "73")
    except OSError:
        return False


@pytest.mark.parametrize("name", ["echo-server", "prefork-probe"])
def test_workers_end_when_the_supervisor_is_killed(launch, name):
    """#1912: no orphans, also after kill -9; the same graceful stop as by SIGTERM."""
    server = launch(name, "--port", "0", "--processes", "3")
    server.address
    pids = workers_of(server)
    assert len(pids) == 3
    server.kill()
    eventually(lambda: not any(is_alive(pid) for pid in pids), what="the workers' end")
    assert server.stderr.count("the supervisor of this worker has died") == 3
    assert refuses(server.address)


def test_workers_drain_when_the_supervisor_is_killed(launch):
    server = launch("echo-server", "--port", "0", "--processes", "2", "--line")
    with socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(b"whole\nhalf")
        assert sock.recv(6) == b"whole\n"
        workers_of(server)
        server.kill()
        eventually(lambda: refuses(server.address), what="the listeners' end")
        sock.sendall(b" done\n")
        assert sock.makefile().readline() == "half done\n"


def test_a_stuck_worker_ends_too_when_the_supervisor_is_killed(probe):
    server = probe("--processes", "1", "--stop-timeout", "300")
    (pid,) = workers_of(server)
    with socket.create_connection(server.address) as sock:
        sock.sendall(b"stuck\n")
        eventually(lambda: in_pause(pid), what="a stuck worker")
        server.kill()
        eventually(lambda: not is_alive(pid), what="its end")


def test_a_deaf_worker_ends_when_the_supervisor_is_killed(probe):
    server = probe("--processes", "2", "--deaf")
    pids = workers_of(server)
    server.kill()
    eventually(lambda: not any(is_alive(pid) for pid in pids), what="the workers' end")


def test_what_was_cut_is_an_error(probe):
    """Workers without a handler for SIGTERM are ended by it while they serve."""
    server = probe("--processes", "1", "--deaf")
    assert server.stop(seconds=20) == 1
    assert "worker 0" in server.stderr and "was ended by SIGTERM" in server.stderr


# -- signals --

def test_sighup_restarts_the_workers_one_by_one(probe):
    server = probe("--processes", "3")
    before = identities(server.address, 3)
    server.send_signal(signal.SIGHUP)
    eventually(lambda: "all workers have been restarted" in server.stderr,
               what="the rolling restart: " + server.describe())
    after = identities(server.address, 3)
    assert sorted(after) == [0, 1, 2] and not set(after.values()) & set(before.values())
    # Never were two away at once.
    lines = [line.split()[:2] for line in server.stdout.splitlines()
             if line.startswith(("started", "ended"))]
    assert lines[3:] == [[what, str(task)] for task in range(3) for what in ("ended", "started")]
    assert server.stop(seconds=20) == 0


def test_a_rolling_restart_takes_the_new_version_of_the_program(start_peer, tmp_path):
    copy = copy_of_probe(tmp_path)
    server = start_peer([copy, "--processes", "2"])
    server.address
    old = copy.stat().st_ino
    new = tmp_path / "new"
    new.write_bytes(copy.read_bytes())
    new.chmod(0o755)
    new.rename(copy)
    assert copy.stat().st_ino != old
    server.send_signal(signal.SIGHUP)
    eventually(lambda: "all workers have been restarted" in server.stderr, what="the restart")
    for pid in workers_of(server):
        assert os.stat(f"/proc/{pid}/exe").st_ino == copy.stat().st_ino
    assert server.stop(seconds=20) == 0


def test_nohup_keeps_its_meaning(start_peer):
    server = start_peer(["nohup", binary("prefork-probe"), "--processes", "1"])
    server.address
    server.send_signal(signal.SIGHUP)
    # It comes after the other, and shows that that one did nothing.
    server.send_signal(signal.SIGUSR1)
    eventually(lambda: "worker 0 got SIGUSR1" in server.stdout, what="the second signal")
    assert "one by one" not in server.stderr
    assert server.stop(seconds=20) == 0


def test_sigusr1_is_passed_on(probe):
    server = probe("--processes", "3")
    server.send_signal(signal.SIGUSR1)
    eventually(lambda: all(f"worker {task} got SIGUSR1" in server.stdout for task in range(3)),
               what="three answers: " + server.describe())
    assert server.stop(seconds=20) == 0


def test_the_supervisor_exposes_its_workers(probe):
    """#2949: pids are known, and signals reach a worker by its number."""
    server = probe("--processes", "3")
    pids = [int(word) for word in re.search(r"workers (.+)", server.stdout).group(1).split()]
    assert sorted(pids) == workers_of(server)
    assert [pid for _, pid in starts(server)] == pids


# -- what can't be --

def test_a_taken_port_is_one_clear_error(launch):
    first = launch("echo-server", "--port", "0")
    port = first.address[1]
    second = launch("echo-server", "--port", port, "--processes", "2")
    assert second.wait() == 1
    assert f"Port {port} on 127.0.0.1 is taken already" in second.stderr
    assert second.stderr.count("\n") == 1
    assert first.is_running


def test_another_supervisor_does_not_share_the_port(launch):
    first = launch("echo-server", "--port", "0", "--processes", "2")
    port = first.address[1]
    second = launch("echo-server", "--port", port, "--processes", "2")
    assert second.wait() == 1
    assert "is taken already" in second.stderr


def test_an_empty_host_is_all_interfaces(probe):
    server = probe("--host", "", "--processes", "2")
    port = server.address[1]
    families = [("127.0.0.1", port)]
    if "[::]" in server.stdout:
        families.append(("::1", port))
    for address in families:
        assert sorted(identities(address, 2)) == [0, 1]
    assert server.stop(seconds=20) == 0


def test_an_address_listed_for_the_workers_is_bound_once_for_all_loops(probe):
    server = probe("--processes", "2", "--loops", "2")
    assert sorted(identities(server.address, 2)) == [0, 1]
    assert server.stop(seconds=20) == 0


def test_an_address_that_nobody_gave_the_workers_says_so(launch):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        server = launch("prefork-probe", "--own", "--port", port, "--processes", "1",
                        "--restarts-max", "0")
        assert server.wait(20) == 1
    assert "Prefork.run(listen:)" in server.stderr and str(port) in server.stderr


def test_a_second_server_for_a_listener_that_has_one_says_so(launch):
    server = launch("prefork-probe", "--twice", "--processes", "1", "--restarts-max", "0")
    assert server.wait(20) == 1
    assert "has been taken by a server of it already" in server.stderr


@pytest.mark.parametrize("text", ["nonsense", "task=0 workers=1 loops=1 supervisor=1"])
def test_a_variable_that_no_supervisor_wrote_is_refused(tmp_path, text):
    result = subprocess.run(
        [binary("echo-server"), "--port", "0", "--processes", "2"], cwd=tmp_path, text=True,
        capture_output=True, timeout=20, env={**environment(), "UPDRAFT_WORKER": text})
    assert result.returncode == 1
    assert "UPDRAFT_WORKER" in result.stderr and "listening" not in result.stdout


needs_two_processors = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor: 1024 loops for each are not too many")


@pytest.mark.parametrize("options,word", [
    (["--processes", "-1"], "--processes"),
    (["--processes=-1"], "between 0 and 1024"),
    (["--processes", "1025"], "between 0 and 1024"),
    (["--processes", "many"], "--processes"),
    (["--processes", "512", "--loops", "512"], "at most 1024"),
    # 0 is one for each processor.
    pytest.param(["--processes", "0", "--loops", "1024", "--host", "192.0.2.1"], "at most 1024",
                 marks=needs_two_processors),
    pytest.param(["--processes", "1024", "--loops", "0", "--host", "192.0.2.1"], "at most 1024",
                 marks=needs_two_processors),
    (["--loops=-1"], "--loops must be between 0 and 1024"),
    (["--loops", "2000"], "--loops must be between 0 and 1024"),
    (["--loops", "x"], "--loops"),
    (["--poller", "nope"], "--poller"),
    (["--processes", "2", "--poller", "kqueue"], "no kqueue"),
    (["--log-blocking", "0"], "--log-blocking takes seconds above 0"),
    (["--log-blocking", "x"], "--log-blocking"),
])
def test_an_impossible_choice_is_a_usage_error(tmp_path, options, word):
    result = run([binary("echo-server"), "--port", "0", *options], tmp_path)
    assert result.returncode == 64
    assert word in result.stderr and "listening" not in result.stdout
