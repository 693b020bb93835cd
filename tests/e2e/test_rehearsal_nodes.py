"""Nodes as network namespaces: what each has of its own, what harm does, and what is left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mngen
from mngen.errors import InputError, ToolError
from mngen.rehearsal import (
    Bind,
    Line,
    MemoryFiles,
    Nodes,
    NodesRequest,
    _start,
    start_nodes,
    unavailable,
)
from mngen.rehearsal._linux import NEW_MOUNTS, NEW_NETWORK, make_private, unshare
from tests.support.processes import outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

# The machine may be busy with other tests: nothing here depends on how fast it is.
SOON = 60.0


@pytest.fixture(autouse=True)
def nodes_can_be_started() -> None:
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)


def test_a_keeper_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_start, "_KEEPER", "raise SystemExit(1)")
    unavailable.cache_clear()
    try:
        assert unavailable() == "cannot create the nodes: their parent process ended"
    finally:
        unavailable.cache_clear()


def test_the_keeper_finds_mngen_where_its_starter_did() -> None:
    """Whatever the starter's own path is: a Python without mngen, told of it at run time."""
    script = (
        "import sys\nsys.path.append(sys.argv[1])\n"
        "from mngen.rehearsal import unavailable\nprint(unavailable())\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", script, str(Path(mngen.__file__).parents[1])],
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("None\n", "")


def shell(script: str, count: int = 2, **more: object) -> NodesRequest:
    return NodesRequest(command=("sh", "-c", script), count=count, **more)  # type: ignore[arg-type]


def output(nodes: Nodes) -> dict[int, list[str]]:
    """What each node wrote, once all have ended."""
    assert nodes.wait(SOON)
    written: dict[int, list[str]] = {index: [] for index in nodes.request.indexes}
    for line in nodes.lines:
        written[line.node].append(line.text)
    return written


def run(request: NodesRequest) -> tuple[dict[int, list[str]], Mapping[int, int]]:
    with start_nodes(request) as nodes:
        written = output(nodes)
    return written, nodes.exit_codes


def processes_with(mark: str) -> list[str]:
    """The processes of this machine that have a mark in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in words and int(path.parent.name) != os.getpid():
            found.append(words)
    return found


def network_of_this_machine() -> str:
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def mounts_of_this_machine() -> set[tuple[str, str]]:
    """Returns the ID and the mount point of each mount (`/proc/PID/mountinfo` in proc(5))."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return {(mount, point) for mount, _, _, _, point, *_ in map(str.split, lines)}


def test_each_node_has_an_address_a_name_and_processes_of_its_own() -> None:
    written, codes = run(shell("hostname; ip -o -4 address | awk '{print $2, $4}'; echo $$", 3))

    assert written == {
        index: [
            f"node{index}",
            "lo 127.0.0.1/8",
            f"eth0 10.0.0.{10 + index}/16",
            "ecs-eth0 169.254.172.2/22",
            "1",
        ]
        for index in range(3)
    }
    assert codes == {0: 0, 1: 0, 2: 0}


def test_nodes_reach_each_other_but_no_other_network() -> None:
    script = "read greeting < /dev/tcp/10.0.0.10/7710 && echo $greeting && ip route"
    serve = "import socket as s; l = s.create_server(('', 7710)); l.accept()[0].send(b'hello\\n')"
    request = NodesRequest(
        command=("bash", "-c", f"while ! {{ {script}; }} 2>/dev/null; do sleep 0.1; done"),
        count=2,
        node_commands={0: ("/usr/bin/python3", "-c", serve)},
    )
    written, codes = run(request)

    assert written[1][0] == "hello"
    assert not any(line.startswith("default") for line in written[1])
    assert codes == {0: 0, 1: 0}


def test_variables_are_those_of_batch_and_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-caller")
    request = NodesRequest(
        command=("env",),
        count=2,
        job="0f2c",
        attempt=3,
        main=1,
        environment={"MNGEN_SECRET": "s3cret"},
        node_environment={0: {"AWS_BATCH_JOB_NODE_INDEX": "1"}},
    )
    written, _ = run(request)

    common = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "MNGEN_SECRET": "s3cret",
        "AWS_BATCH_JOB_ID": "0f2c",
        "AWS_BATCH_JOB_ATTEMPT": "3",
        "AWS_BATCH_JOB_NODE_INDEX": "1",
        "AWS_BATCH_JOB_NUM_NODES": "2",
        "AWS_BATCH_JOB_MAIN_NODE_INDEX": "1",
    }
    main = dict(line.split("=", 1) for line in written[1])
    child = dict(line.split("=", 1) for line in written[0])
    assert main == {**common, "HOSTNAME": "node1"}
    assert child == {
        **common,
        "HOSTNAME": "node0",
        "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS": "10.0.0.11",
    }


def test_nodes_share_what_they_are_given_and_nothing_else(tmp_path: Path) -> None:
    shared = tmp_path / "shared: folder, with \\ signs"
    shared.mkdir()
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    script = (
        "echo $AWS_BATCH_JOB_NODE_INDEX > /efs/deep/$(hostname); ls /tmp /root /run /dev/shm;"
        "touch /tmp/mine /root/mine /run/mine /dev/shm/mine /var/tmp/mine; /opt/mngen/tool;"
        "touch /usr/mine /efs/../mine /opt/mngen/tool 2>/dev/null; id -u"
    )
    binds = (Bind(shared, "/efs/deep"), Bind(tool, "/opt/mngen/tool", read_only=True))
    before = sorted(Path("/").iterdir()), sorted(Path("/opt").iterdir())
    written, _ = run(shell(script, binds=binds))

    own = ["/dev/shm:", "", "/root:", "", "/run:", "", "/tmp:"]
    assert written == {index: [*own, "ran", "0"] for index in range(2)}
    assert {each.name: each.read_text() for each in shared.iterdir()} == {
        "node0": "0\n",
        "node1": "1\n",
    }
    assert (sorted(Path("/").iterdir()), sorted(Path("/opt").iterdir())) == before
    assert not Path("/usr/mine").exists()


def test_a_new_folder_in_memory_is_shared_and_gone_with_the_nodes() -> None:
    own = "echo $AWS_BATCH_JOB_NODE_INDEX > /scratch/index"
    script = f"{own}; echo $AWS_BATCH_JOB_NODE_INDEX > /efs/$(hostname); ls -ld /efs; sleep 1000"
    given = Bind(Path(__file__), "/efs/given.py", read_only=True)
    # Below a file system in memory, which must not hide it.
    below = Bind(Path(__file__), "/scratch/given/below.py", read_only=True)
    binds = (Bind(None, "/efs"), given, below)
    files = (MemoryFiles("/scratch", ("mode=1777", "exec")),)
    with start_nodes(shell(script, 2, binds=binds, files=files)) as nodes:
        for index in range(2):
            assert nodes.wait_for_line("^drwxrwxrwt", SOON, node=index)
        assert nodes.run(0, ["cat", "/efs/node1"]).stdout == "1\n"
        # But for the scratch space, which each node has for itself.
        for index in range(2):
            assert nodes.run(index, ["cat", "/scratch/index"]).stdout == f"{index}\n"
        assert "below.py" in nodes.run(0, ["cat", "/scratch/given/below.py"]).stdout
        copied = "cp /bin/true /scratch/program && /scratch/program"
        assert nodes.run(0, ["sh", "-c", copied]).returncode == 0
        assert "given.py" in nodes.run(1, ["cat", "/efs/given.py"]).stdout
    assert not Path("/efs").exists()


def test_commands_have_the_rights_of_a_container() -> None:
    harm = "mount -t tmpfs none /mnt; echo 0 > /proc/sys/kernel/core_uses_pid"
    written, _ = run(shell(f"grep CapEff /proc/self/status; {harm}", 1))

    assert written[0][0].split() == ["CapEff:", "00000000a80425fb"]
    assert "permission denied" in written[0][1]
    assert "Read-only file system" in written[0][-1]


def test_an_image_is_the_root_and_each_node_writes_to_its_own_layer(tmp_path: Path) -> None:
    root = tmp_path / "image"
    unpack_a_small_image(root)
    shared = tmp_path / "shared"
    shared.mkdir()
    script = "ls /; echo mine > /made; cat /made /etc/hosts; ls /made* /efs"
    request = shell(script, root=root, binds=(Bind(shared, "/efs"),), workdir="/bin")
    written, codes = run(request)

    for index in range(2):
        assert written[index] == [
            *["bin", "dev", "efs", "etc", "lib", "lib64", "proc", "root", "run", "sys", "tmp"],
            "mine",
            *["127.0.0.1 localhost", "::1 localhost", f"10.0.0.{10 + index} node{index}"],
            *["/made", "", "/efs:"],
        ]
    assert codes == {0: 0, 1: 0}
    assert sorted(each.name for each in root.iterdir()) == ["bin", "etc", "lib", "lib64"]


def unpack_a_small_image(root: Path) -> None:
    """Makes an image of a shell and two programs, with the libraries that they need."""
    for folder in ("bin", "lib", "lib64", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "etc/hosts").write_text("of the image\n")
    for name in ("sh", "cat", "ls"):
        program = shutil.which(name)
        assert program
        shutil.copy(program, root / "bin" / name)
        needs = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", needs):
            copy = root / library.removeprefix("/").removeprefix("usr/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, copy)


def test_all_commands_start_in_one_instant_and_late_ones_later() -> None:
    clock = "import time; print(time.monotonic())"
    request = NodesRequest(command=("/usr/bin/python3", "-c", clock), count=8, late={5: 2.0})
    with start_nodes(request) as nodes:
        starts = {index: float(lines[0]) - nodes.started for index, lines in output(nodes).items()}

    late = starts.pop(5)
    assert min(starts.values()) > 0
    assert late > 2.0
    assert min(starts.values()) < late


def test_a_missing_node_never_comes_but_is_counted() -> None:
    script = "echo $AWS_BATCH_JOB_NUM_NODES"
    written, codes = run(shell(script, 3, missing=frozenset({1})))

    assert sorted(written) == [0, 2]
    assert written[0][0] == "3"
    assert codes == {0: 0, 2: 0}


def test_a_command_ignores_no_signal_whatever_this_process_ignores() -> None:
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        written, _ = run(shell("sed -n 's/^SigIgn:[[:space:]]*0*//p' /proc/self/status"))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # What started the tests may ignore others, such as those that a C library keeps to itself.
    mask = sum(1 << number - 1 for number in numbers)
    assert {
        node: [int(line or "0", 16) & mask for line in lines] for node, lines in written.items()
    } == {
        0: [0],
        1: [0],
    }


def test_exit_codes_and_signals_are_told_apart() -> None:
    commands = {1: ("sh", "-c", "exit 7"), 2: ("/nowhere/program",), 3: ("/etc/hosts",)}
    with start_nodes(NodesRequest(command=("sleep", "1000"), count=4, node_commands=commands)) as n:
        n.kill(0)
        written = output(n)

    assert n.exit_codes == {0: 137, 1: 7, 2: 127, 3: 126}
    assert written[2] == ["cannot run `/nowhere/program`: No such file or directory"]
    assert written[3] == ["cannot run `/etc/hosts`: Permission denied"]


@pytest.mark.parametrize("init", [False, True])
def test_a_node_that_is_killed_takes_all_its_processes_with_it(init: bool) -> None:
    mark = f"86400.{os.getpid()}{int(init)}"
    with start_nodes(shell(f"sleep {mark} & setsid sleep {mark} & echo up; wait", init=init)) as n:
        for index in range(2):
            assert n.wait_for_line("up", SOON, node=index)
        while len(processes_with(f"sleep {mark}")) < 4:
            time.sleep(0.05)
        n.kill(0)
        while 0 not in n.exit_codes:
            time.sleep(0.05)
        assert 1 not in n.exit_codes
        assert all("sh -c" in each or each.count(mark) == 1 for each in processes_with(mark))
        assert len([each for each in processes_with(mark) if each.startswith("sleep")]) == 2
        assert n.exit_codes == {0: 137}
    assert not processes_with(mark)


def test_an_init_passes_signals_on_and_leaves_no_zombies() -> None:
    script = (
        "trap 'echo told; exit 5' TERM; for i in 1 2 3; do (sleep 0 & exec true) & done;"
        "echo up; while :; do sleep 0.1; done"
    )
    with start_nodes(shell(script, 1, init=True)) as nodes:
        assert nodes.wait_for_line("up", SOON)
        deadline = time.monotonic() + SOON
        while ") Z " in (seen := nodes.run(0, ["sh", "-c", "cat /proc/[0-9]*/stat"]).stdout):
            assert time.monotonic() < deadline, seen
        nodes.kill(0, signal.SIGTERM)
        assert output(nodes)[0] == ["up", "told"]
    assert nodes.exit_codes == {0: 5}


def test_a_cut_node_hears_nothing_and_nobody_is_told() -> None:
    with start_nodes(NodesRequest(command=("sleep", "1000"), count=3)) as nodes:
        connect = ["timeout", "2", "bash", "-c", "</dev/tcp/10.0.0.11/80"]
        reached = nodes.run(0, connect)
        nodes.cut(1)
        cut_off = nodes.run(0, connect)
        link = nodes.run(1, ["ip", "-o", "link", "show", "eth0"])
        other = nodes.run(0, [*connect[:-1], "</dev/tcp/10.0.0.12/80"])

    assert "Connection refused" in reached.stderr
    assert cut_off.returncode != 0
    assert "refused" not in cut_off.stderr
    assert "LOWER_UP" in link.stdout
    assert "Connection refused" in other.stderr


def test_a_frozen_node_goes_on_when_it_is_thawed() -> None:
    with start_nodes(shell("while :; do sleep 0.05; echo beat; done")) as nodes:
        assert nodes.wait_for_line("beat", SOON, node=1)
        nodes.freeze(1)
        before = settled(nodes.lines)
        time.sleep(1)
        assert count_of(nodes.lines, 1) == before
        nodes.thaw(1)
        deadline = time.monotonic() + SOON
        while count_of(nodes.lines, 1) == before:
            assert time.monotonic() < deadline


def settled(lines: list[Line]) -> int:
    """Waits until what was written before has been read."""
    before = -1
    while count_of(lines, 1) != before:
        before = count_of(lines, 1)
        time.sleep(0.5)
    return before


def count_of(lines: list[Line], node: int) -> int:
    return sum(line.node == node for line in lines)


def test_nothing_is_left_and_nothing_was_visible() -> None:
    mark = f"86401.{os.getpid()}"

    def seen() -> list[bool]:
        # What others do to this machine's network is not seen from here, nor what they mount. But a
        # mount of theirs that was copied ends here as soon as they remove its folder (rmdir(2)).
        unshare(NEW_NETWORK | NEW_MOUNTS)
        make_private("/")
        network, mounts = network_of_this_machine(), mounts_of_this_machine()
        with start_nodes(shell(f"sleep {mark}", 4)) as nodes:
            during = [network_of_this_machine() == network, mounts_of_this_machine() <= mounts]
            during.append(nodes.process(3) > 0)
        with pytest.raises(ToolError, match="node 3 is not running"):
            nodes.process(3)
        return [*during, network_of_this_machine() == network, mounts_of_this_machine() <= mounts]

    assert outcome(seen) == "[True, True, True, True, True]"
    assert not processes_with(mark)


def test_a_failure_in_the_block_ends_the_nodes() -> None:
    mark = f"86402.{os.getpid()}"
    with pytest.raises(ValueError, match="mine"), start_nodes(shell(f"sleep {mark}")):
        raise ValueError("mine")
    assert not processes_with(mark)


def test_what_the_callback_raises_comes_out_of_wait() -> None:
    def refuse(line: Line) -> None:
        raise BrokenPipeError(line.text)

    with (
        start_nodes(shell("echo hello; sleep 1000", 1), refuse) as nodes,
        pytest.raises(BrokenPipeError, match="hello"),
    ):
        nodes.wait(SOON)


@pytest.mark.parametrize("victim", ["the starter", "the keeper"])
def test_nothing_is_left_when_it_is_killed(victim: str, tmp_path: Path) -> None:
    mark = f"86403.{os.getpid()}{len(victim)}"
    before = network_of_this_machine()
    program = (
        "from mngen.rehearsal import *\n"
        f"request = NodesRequest(command=('sleep', '{mark}'), count=3)\n"
        "with start_nodes(request) as nodes:\n"
        "    print('up', nodes._outermost, flush=True)\n"
        "    nodes.wait()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    up, keeper = process.stdout.readline().split()
    assert up == "up"
    while len(processes_with(f"sleep {mark}")) < 3:
        time.sleep(0.05)

    os.kill(process.pid if victim == "the starter" else int(keeper), signal.SIGKILL)
    _, complaints = process.communicate(timeout=SOON)

    if victim == "the keeper":
        assert "the nodes were lost: their parent process was killed" in complaints
    deadline = time.monotonic() + SOON
    while processes_with(f"sleep {mark}") or Path(f"/proc/{keeper}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert network_of_this_machine() == before


def test_two_rehearsals_at_once_know_nothing_of_each_other() -> None:
    connect = ["timeout", "2", "bash", "-c", "</dev/tcp/10.0.0.10/7710"]
    listen = "import socket, time; s = socket.create_server(('', 7710)); time.sleep(1000)"
    busy = NodesRequest(command=("/usr/bin/python3", "-c", f"print('up'); {listen}"), count=2)
    with (
        start_nodes(busy) as one,
        start_nodes(NodesRequest(command=("sleep", "1000"), count=2)) as other,
    ):
        deadline = time.monotonic() + SOON
        while one.run(1, connect).returncode != 0:
            assert time.monotonic() < deadline
        assert "Connection refused" in other.run(1, connect).stderr
        assert one.run(0, ["hostname"]).stdout == other.run(0, ["hostname"]).stdout == "node0\n"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (shell("true", 0), "invalid number of nodes: 0; expected 1 to 1000"),
        (shell("true", 2, missing=frozenset({0, 1})), "no node to start"),
        (shell("true", 2, late={2: 1.0}), "no node 2 in a job of 2 nodes"),
        (shell("true", 2, binds=(Bind(Path("/"), "efs"),)), "invalid path in a node: efs"),
        (
            shell("true", 2, binds=(Bind(Path("/nowhere"), "/efs"),)),
            "no such file or folder: /nowhere",
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_: NodesRequest, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)), start_nodes(request_):
        pass


def test_what_the_kernel_refuses_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    request = shell("true", 2, root=tmp_path / "absent")
    with (
        pytest.raises(ToolError, match=r"cannot create the nodes: .*absent: No such file"),
        start_nodes(request),
    ):
        pass
    request = shell("true", 2, binds=(Bind(tmp_path, "/bin/in-a-link"),))
    with (
        pytest.raises(ToolError, match="/bin: a symbolic link is in the way"),
        start_nodes(request),
    ):
        pass


def test_limits_and_files_in_memory_are_those_of_the_request() -> None:
    """What `sh` and the kernel show of them, with the options that Docker adds by default."""
    script = "ulimit -Sn; ulimit -Hn; id -u; grep -E ' /(work|given) ' /proc/mounts; touch /work/a"
    files = (MemoryFiles("/work", ("size=2m",)), MemoryFiles("/given", ("ro", "exec", "suid")))
    limits = {"nofile": (64, 128), "core": (0, 0)}
    written, codes = run(shell(script, 2, files=files, limits=limits, user=(65534, 65534)))
    assert codes == {0: 0, 1: 0}
    for soft, hard, user, *mounts in written.values():
        assert (soft, hard, user) == ("64", "128", "65534")
        options = {words[1]: set(words[3].split(",")) for words in map(str.split, mounts)}
        assert {"rw", "nosuid", "nodev", "noexec", "size=2048k"} <= options["/work"]
        assert {"ro", "nodev"} <= options["/given"]
        assert not {"noexec", "nosuid"} & options["/given"]
