#!/usr/bin/env python3
"""Turns the containers of a multi-node AWS Batch job into one MPI machine, and ends them together.

It is the entrypoint of the container on every node; its arguments are the job's command:

    wireup.py python3 /efs/mpi_example.py

The children greet the main node over TCP, and each side proves to the other that it knows the
job's secret. Main hands out a public key made for this job, starts `mpirun`, and says when it is
over. The connections stay open: they tell at once of a node that has died, a missed heartbeat
tells of one that has vanished. A job on a single node runs the same command under the same
launcher.

Environment: Batch's AWS_BATCH_JOB_* variables, and

    MNGEN_SECRET            what all nodes of the job know and nobody else does
    MNGEN_SHARED            folder on the shared file system, to pass a secret where there is none
    MNGEN_CPUS              CPUs that each node should see
    MNGEN_CPUS_CHECK        warn, fail or off (warn)
    MNGEN_LAUNCHER          openmpi, intelmpi, mpich, or none: every node runs the command (openmpi)
    MNGEN_RANKS_PER_NODE    ranks on each node (as many as it sees CPUs, for one thread a rank)
    MNGEN_THREADS_PER_RANK  OMP_NUM_THREADS (1)
    MNGEN_MPI_ARGS          further arguments of mpirun, split as a shell would
    MNGEN_WAIT              seconds to wait for all nodes (900)
    MNGEN_HEARTBEAT         seconds between beats; a node is lost after three missed ones (5)
    MNGEN_PORT              port on which main awaits its children (7710)
    MNGEN_INPUTS            folder of the job's inputs, on the shared file system
    MNGEN_INPUTS_FROM       s3://…/ from where main fetches them if the folder is not there

Exit codes: the application's own, from every node; or else, after a line that says why,

    64   the environment, the arguments or the image are wrong, or the inputs cannot be read
    65   a node does not see as many CPUs as it should
    66   a node never came
    67   a node was lost
    68   the launcher failed before the application ran
    69   a node was refused: wrong secret, job, attempt or index
    70   the inputs could not be fetched; another attempt may succeed
    143  cancelled by SIGTERM (130 by SIGINT)

Needs Python 3.9 or newer and nothing beside it; ssh, sshd and ssh-keygen for the MPI launchers,
and fetch_inputs.py in its own folder for inputs that come from S3.
"""

from __future__ import annotations

import errno
import fcntl
import hmac
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Message = dict[str, Any]

BAD_ENVIRONMENT, BAD_CPUS, MISSING, LOST, BAD_LAUNCH, REFUSED, BAD_INPUTS = range(64, 71)

# Batch sends SIGKILL 30 s after SIGTERM; after this many the ranks get theirs from here.
CANCEL_GRACE = 18.0
# The ranks of a job that has lost a node can do no more than close their files.
LOST_GRACE = 2.0
# So long may it take to remove what was half fetched.
FETCH_GRACE = 5.0
# An unproven connection may not be silent for longer, nor say more than this.
GREETING_SECONDS = 10.0
GREETING_BYTES = 1024
MESSAGE_BYTES = 65536
# Strangers that are told of in the log; of the rest, only how many there were.
TOLD_STRANGERS = 10
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class TroubleError(Exception):
    """Why the job ends without the application's own exit code.

    Attributes:
        code: Exit code of every node.
        stage: Word under which the log tells of it.
        grace: Seconds that the ranks have between SIGTERM and SIGKILL.
    """

    def __init__(self, code: int, text: str, stage: str = "error", grace: float = 0.0) -> None:
        super().__init__(text)
        self.code = code
        self.stage = stage
        self.grace = grace


def as_trouble(error: TroubleError | OSError) -> TroubleError:
    """Returns what a failed system call means: this container is not as it should be."""
    return error if isinstance(error, TroubleError) else TroubleError(BAD_ENVIRONMENT, str(error))


class Log:
    """Lines on standard error: `mngen[<index>] +<seconds>s <stage>: <text>`."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.start = time.monotonic()

    def say(self, stage: str, text: str) -> None:
        """Writes one line, in one go so that no rank's output comes in between."""
        flat = " ".join(text.split())
        line = f"mngen[{self.index}] +{time.monotonic() - self.start:.2f}s {stage}: {flat}\n"
        try:
            os.write(2, line.encode(errors="replace"))
        except OSError:
            pass  # A full disk or a closed pipe must not end the job.


# --- What is to be done: the environment as a plan ---------------------------------------------


class Plan(NamedTuple):
    """The job as its environment describes it; see the top of this file.

    Attributes:
        job: Id of the job without the node's index.
        main_address: IPv4 address of the main node; empty on the main node itself.
        ranks: Ranks a node; 0 for as many as there are CPUs for.
        wait: Seconds to wait for all nodes.
        heartbeat: Seconds between beats.
        inputs: Folder of the job's inputs.
        inputs_from: Where they are fetched from; empty where there is nothing to fetch.
    """

    job: str
    attempt: str
    node: int
    nodes: int
    main: int
    main_address: str
    secret: str
    shared: str
    cpus: int
    cpus_check: str
    launcher: str
    ranks: int
    threads: int
    mpi_args: tuple[str, ...]
    wait: float
    heartbeat: float
    port: int
    inputs: str
    inputs_from: str
    command: tuple[str, ...]


class Variables:
    """An environment that is being read.

    Attributes:
        wrong: What is wrong with it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.wrong: list[str] = []

    def text(self, name: str) -> str:
        """Returns a variable without the space around it; empty where it is not set."""
        return self.environ.get(name, "").strip()

    def number(self, name: str, default: float | None, least: float, most: float) -> float:
        """Returns a number within its bounds; without a default, it has to be there."""
        text = self.text(name)
        try:
            value = float(text) if text or default is None else default
        except ValueError:
            value = least - 1
        if (text and not least <= value <= most) or (not text and default is None):
            self.wrong.append(f"{name}={text!r} is not a number from {least:g} to {most:g}")
            return least
        return value

    def count(self, name: str, default: int | None, least: int, most: int) -> int:
        """Returns a whole number within its bounds; without a default, it has to be there."""
        value = self.number(name, default, least, most)
        if value != int(value):
            self.wrong.append(f"{name}={self.text(name)!r} is not a whole number")
        return int(value)

    def choice(self, name: str, words: Sequence[str]) -> str:
        """Returns one of some words, by default the first."""
        word = self.text(name) or words[0]
        if word not in words:
            self.wrong.append(f"{name}={word!r} is none of {', '.join(words)}")
        return word

    def words(self, name: str) -> tuple[str, ...]:
        """Returns the words that a shell would see."""
        if not self.text(name):
            return ()
        import shlex  # takes some milliseconds, which most jobs can do without

        try:
            return tuple(shlex.split(self.text(name)))
        except ValueError as error:
            self.wrong.append(f"{name} cannot be split into words: {error}")
            return ()


def plan_from(environ: Mapping[str, str], command: Sequence[str]) -> Plan:
    """Returns the plan for this node.

    Raises:
        TroubleError: Something is missing or wrong; all of it is said at once.
    """
    seen = Variables(environ)
    nodes = seen.count("AWS_BATCH_JOB_NUM_NODES", 1, 1, 1000)
    alone = 0 if nodes == 1 else None
    plan = Plan(
        # The id that Batch gives to a node of a job is `<job>#<index>`.
        job=(seen.text("AWS_BATCH_JOB_ID") or "local").split("#")[0],
        attempt=str(seen.count("AWS_BATCH_JOB_ATTEMPT", 1, 0, 10_000)),
        node=seen.count("AWS_BATCH_JOB_NODE_INDEX", alone, 0, nodes - 1),
        nodes=nodes,
        main=seen.count("AWS_BATCH_JOB_MAIN_NODE_INDEX", alone, 0, nodes - 1),
        main_address=seen.text("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"),
        secret=environ.get("MNGEN_SECRET", ""),
        shared=environ.get("MNGEN_SHARED", ""),
        cpus=seen.count("MNGEN_CPUS", 0, 0, 100_000),
        cpus_check=seen.choice("MNGEN_CPUS_CHECK", ("warn", "fail", "off")),
        launcher=seen.choice("MNGEN_LAUNCHER", ("openmpi", "intelmpi", "mpich", "none")),
        ranks=seen.count("MNGEN_RANKS_PER_NODE", 0, 0, 100_000),
        threads=seen.count("MNGEN_THREADS_PER_RANK", 1, 1, 100_000),
        mpi_args=seen.words("MNGEN_MPI_ARGS"),
        wait=seen.number("MNGEN_WAIT", 900, 0.1, 86_400),
        heartbeat=seen.number("MNGEN_HEARTBEAT", 5, 0.1, 3600),
        port=seen.count("MNGEN_PORT", 7710, 1, 65_535),
        inputs=environ.get("MNGEN_INPUTS", ""),
        inputs_from=environ.get("MNGEN_INPUTS_FROM", ""),
        command=tuple(command),
    )
    wrong = seen.wrong + (_contradictions(plan) if nodes > 1 else [])
    if plan.inputs_from and not (
        plan.inputs_from.startswith("s3://") and os.path.isabs(plan.inputs)
    ):
        wrong.append(
            f"MNGEN_INPUTS_FROM={plan.inputs_from!r} goes with an s3://… there and the path of a"
            f" folder in MNGEN_INPUTS, not {plan.inputs!r}"
        )
    if not command:
        wrong.append("there is no command to run: give it as the job's command")
    if wrong:
        raise TroubleError(BAD_ENVIRONMENT, "; ".join(wrong))
    return plan


def _contradictions(plan: Plan) -> list[str]:
    """Returns what is wrong with a plan for several nodes."""
    wrong = []
    if not plan.job.replace("-", "").replace(":", "").isalnum():  # becomes the name of a folder
        wrong.append(f"AWS_BATCH_JOB_ID={plan.job!r} is not the id of a job")
    if plan.node != plan.main and not is_address(plan.main_address):
        wrong.append(
            f"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS={plan.main_address!r}"
            " is not an IPv4 address"
        )
    if not plan.secret and not plan.shared:
        wrong.append(
            "a job of several nodes needs MNGEN_SECRET, which `mngen submit` sets, or"
            " MNGEN_SHARED, a folder on a file system that all nodes share, such as /efs"
        )
    elif plan.secret and len(plan.secret) < 16:
        wrong.append("MNGEN_SECRET has fewer than 16 characters: take 32 random ones")
    return wrong


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 address in dotted form."""
    parts = text.split(".") if text.isascii() else []
    return len(parts) == 4 and all(p.isdigit() and len(p) < 4 and int(p) < 256 for p in parts)


def spans(indexes: Iterable[int]) -> str:
    """Returns node indexes for a person: `1, 3-5`."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def named(indexes: Iterable[int]) -> str:
    """Returns node indexes with the right noun before them."""
    several = list(indexes)
    return f"{'node' if len(several) == 1 else 'nodes'} {spans(several)}"


# --- Messages: who may say what to whom --------------------------------------------------------


class Session:
    """Messages between two that know the secret: each is one line, `<MAC> <JSON>`.

    The keys come from the secret, from what the child claims to be, and from a fresh nonce of each
    side, so that nothing of an earlier session proves anything in this one. A key serves one
    direction, and the running number of a message is part of its MAC: nothing can be changed, left
    out, repeated, put in another order or sent back. Nothing that is sent is secret.
    """

    def __init__(self, secret: bytes, greeting: Message, nonce: str, *, is_main: bool) -> None:
        base = hmac.digest(secret, b"mngen wire-up 1", "sha256")
        shared = json.dumps([greeting, nonce], sort_keys=True).encode()
        keys = [
            hmac.digest(base, way + shared, "sha256") for way in (b"from main ", b"from child ")
        ]
        self._outward, self._inward = keys if is_main else keys[::-1]
        self._sent = self._heard = 0

    def seal(self, message: Message) -> bytes:
        """Returns the line that carries a message."""
        text = json.dumps(message).encode()
        self._sent += 1
        return self._mac(self._outward, self._sent, text) + b" " + text + b"\n"

    def open(self, line: bytes) -> Message:
        """Returns the message of a line.

        Raises:
            ValueError: It is not the other side's next one.
        """
        mac, _, text = line.partition(b" ")
        self._heard += 1
        if not hmac.compare_digest(mac, self._mac(self._inward, self._heard, text)):
            raise ValueError("it does not know the job's secret")
        return parsed(text)

    @staticmethod
    def _mac(key: bytes, count: int, text: bytes) -> bytes:
        return hmac.digest(key, b"%d " % count + text, "sha256").hex().encode()


def parsed(line: bytes) -> Message:
    """Returns the JSON object of a line.

    Raises:
        ValueError: It is none.
    """
    try:
        return dict(json.loads(line.decode("ascii")))
    except (TypeError, ValueError, RecursionError):
        raise ValueError("it does not speak the wire-up's language") from None


def greeting_of(plan: Plan) -> Message:
    """Returns what a child says first: who it claims to be, and its nonce."""
    return {
        "job": plan.job,
        "attempt": plan.attempt,
        "node": plan.node,
        "nonce": os.urandom(32).hex(),
    }


def checked_greeting(line: bytes) -> Message:
    """Returns a child's greeting.

    Raises:
        ValueError: It is none.
    """
    greeting = parsed(line)
    kinds = {name: type(value) for name, value in greeting.items()}
    if kinds != {"job": str, "attempt": str, "node": int, "nonce": str}:
        raise ValueError("it does not speak the wire-up's language")
    if len(greeting["nonce"]) != 64:
        raise ValueError("it does not speak the wire-up's language")
    return greeting


def unwelcome(plan: Plan, greeting: Message, taken: Mapping[int, str]) -> str:
    """Returns why a child that knows the secret cannot take part, or an empty string.

    Args:
        plan: Main's own.
        greeting: The child's.
        taken: The address of each node that is there, by index.
    """
    index = greeting["node"]
    if greeting["job"] != plan.job:
        return f"it belongs to job {greeting['job']}, this is {plan.job}"
    if greeting["attempt"] != plan.attempt:
        return f"it belongs to attempt {greeting['attempt']} of the job, this is {plan.attempt}"
    if not 0 <= index < plan.nodes or index == plan.main:
        return f"a job of {plan.nodes} nodes with main node {plan.main} has no child {index}"
    if index in taken:
        return f"there is a node {index} already, at {taken[index]}"
    return ""


class Host(NamedTuple):
    """A node as main has to know it.

    Attributes:
        address: IPv4 address, by which the others reach it.
        network: The same with its subnet, such as 10.0.1.0/24.
        cpus: Logical CPUs that it may use.
        cores: Physical cores among them.
        efa: Whether it has an Elastic Fabric Adapter.
        port: Where its sshd listens; 0 for none.
        key: Public host key of that sshd.
    """

    node: int
    address: str
    network: str
    cpus: int
    cores: int
    efa: bool
    port: int = 0
    key: str = ""


def checked_host(values: Any) -> Host:
    """Returns a host from a message.

    Raises:
        ValueError: It would not be safe to write into a file.
    """
    kinds = [type(value) for value in values] if isinstance(values, list) else []
    if kinds == [int, str, str, int, int, bool, int, str]:
        host = Host(*values)
        network, _, prefix = host.network.partition("/")
        if (
            is_address(host.address)
            and is_address(network)
            and prefix.isdecimal()
            and 0 < host.cores <= host.cpus <= 100_000
            and 0 <= host.port < 65_536
            and (host.key == "" or is_public_key(host.key))
        ):
            return host
    raise ValueError("it describes itself in words that make no sense")


def is_public_key(text: str) -> bool:
    """Whether a text is an ed25519 public key as ssh writes it, and nothing else."""
    kind, _, data = text.partition(" ")
    plain = data.rstrip("=")
    return (
        kind == "ssh-ed25519"
        and len(data) == 68
        and all(c.isascii() and (c.isalnum() or c in "+/") for c in plain)
    )


# --- This machine ------------------------------------------------------------------------------


def this_host(node: int, address: str) -> Host:
    """Returns this node, as seen from inside its container."""
    cpus = os.sched_getaffinity(0)
    return Host(
        node=node,
        address=address,
        network=interface_of(address)[1],
        cpus=len(cpus),
        cores=count_cores(cpus, "/sys/devices/system/cpu"),
        efa=has_efa("/dev/infiniband"),
    )


def count_cores(cpus: Iterable[int], folder: str) -> int:
    """Returns how many physical cores some logical CPUs are; where unknown, each is one."""
    paths = [f"{folder}/cpu{cpu}/topology/thread_siblings_list" for cpu in cpus]
    return len({tail(path) or path for path in paths})


def has_efa(folder: str) -> bool:
    """Whether the container was given an Elastic Fabric Adapter."""
    try:
        return any(name.startswith("uverbs") for name in os.listdir(folder))
    except OSError:
        return False


def interface_of(address: str) -> tuple[str, str]:
    """Returns the interface that has an IPv4 address, and the subnet, such as 10.0.1.0/24.

    The subnet means the same interface on every node, whatever its name is there, and never means
    `ecs-eth0`, whose address 169.254.172.2 all containers of ECS have. Where no interface has the
    address as its first one, the name is empty and the subnet is the address alone.
    """
    get_address, get_netmask = 0x8915, 0x891B  # man 7 netdevice
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                found = fcntl.ioctl(probe, get_address, request)[20:24]
                if socket.inet_ntoa(found) != address:
                    continue
                mask = fcntl.ioctl(probe, get_netmask, request)[20:24]
            except OSError:
                continue
            network = bytes(a & m for a, m in zip(found, mask))
            prefix = bin(int.from_bytes(mask, "big")).count("1")
            return name, f"{socket.inet_ntoa(network)}/{prefix}"
    return "", f"{address}/32"


def check_cpus(plan: Plan, seen: int, log: Log) -> None:
    """Compares the CPUs that this node sees with those it should.

    Raises:
        TroubleError: They differ and the job is to fail then.
    """
    if not plan.cpus or plan.cpus_check == "off" or seen == plan.cpus:
        log.say("cpus", f"{seen} CPUs" + (", as expected" if seen == plan.cpus else ""))
        return
    text = f"sees {seen} CPUs instead of {plan.cpus}"
    if seen > plan.cpus:
        text += ": hyper-threading seems to be on, or the image was made for a smaller instance"
    else:
        text += ": the image was made for a larger instance, or the container is limited"
    if plan.cpus_check == "fail":
        raise TroubleError(BAD_CPUS, f"node {plan.node} {text}", stage="cpus")
    log.say("cpus", f"warning: {text}")


def found_program(name: str) -> str:
    """Returns the path of a program, also where PATH leaves out the system's folders.

    Raises:
        TroubleError: There is none.
    """
    for folder in (*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin", "/sbin"):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise TroubleError(
        BAD_LAUNCH, f"{name} is neither on PATH nor in /usr/sbin: install it in the image"
    )


def check_user() -> None:
    """Finds out whether ssh can work for the user that this process runs as.

    Raises:
        TroubleError: It cannot.
    """
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        raise TroubleError(
            BAD_ENVIRONMENT,
            f"user id {os.geteuid()} has no entry in /etc/passwd, without which ssh does not"
            " work: add the user to the image",
        ) from None
    shell = user.pw_shell or "/bin/sh"
    if os.path.basename(shell) in ("nologin", "false") or not os.access(shell, os.X_OK):
        raise TroubleError(
            BAD_ENVIRONMENT,
            f"user {user.pw_name} has the login shell {shell}, so that sshd can start nothing for"
            " it: give it /bin/sh in the image",
        )


def private_folder() -> str:
    """Returns a new folder that only this user can enter, in memory where possible.

    Raises:
        TroubleError: There is no place to write.
    """
    name = f"mngen-{os.urandom(8).hex()}"
    why = ""
    for parent in ("/dev/shm", "/run", os.environ.get("TMPDIR") or "/tmp"):
        folder = f"{parent}/{name}"
        try:
            os.mkdir(folder, 0o700)
            write(f"{folder}/probe", "x" * 4096)
        except OSError as error:
            why = f"{folder}: {error.strerror}"
            remove_folder(folder)
            continue
        return folder
    raise TroubleError(BAD_ENVIRONMENT, f"there is no place for the keys of this job: {why}")


def write(path: str, text: str) -> None:
    """Writes a file that only this user can read; it must not be there yet."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)


def remove_folder(folder: str) -> None:
    """Removes a folder of files, as far as possible."""
    try:
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
    except OSError:
        pass


# --- The secret on a shared file system --------------------------------------------------------


class SharedSecret:
    """A secret that main leaves in a folder which only the job's own user can enter.

    Whoever can read that file could take part in the job: it is as safe as the file system's
    permissions are. It is gone as soon as all nodes are there.
    """

    def __init__(self, plan: Plan) -> None:
        self._parent = f"{plan.shared}/.mngen"
        self._name = f"{plan.job}-{plan.attempt}"
        self._folder = f"{self._parent}/{self._name}"

    def leave(self) -> bytes:
        """Makes a fresh one, in place of what a crashed run may have left (main node).

        Raises:
            TroubleError: The folder cannot be made, or is somebody else's.
        """
        secret = os.urandom(32).hex()
        try:
            try:
                os.mkdir(self._parent)
                os.chmod(self._parent, 0o1777)  # as /tmp: each user's jobs make theirs in it
            except FileExistsError:
                pass
            try:
                os.mkdir(self._folder, 0o700)
            except FileExistsError:
                stale = f"{self._parent}/stale-{os.urandom(8).hex()}"
                os.rename(self._folder, stale)
                remove_folder(stale)
                os.mkdir(self._folder, 0o700)
            # A reader sees the whole file or none.
            write(f"{self._folder}/.secret", secret)
            os.rename(f"{self._folder}/.secret", f"{self._folder}/secret")
        except OSError as error:
            raise TroubleError(
                BAD_ENVIRONMENT,
                f"cannot leave the job's secret in {self._folder}: {error.strerror}",
            ) from None
        return secret.encode()

    def find(self) -> bytes | None:
        """Returns it, or None where it is not there yet (child node).

        A missing name is looked for by listing its folder: NFS remembers for a minute that a file
        was not there, but a listing is asked for anew.

        Raises:
            TroubleError: Others could have put it there or read it.
        """
        try:
            if self._name not in os.listdir(self._parent):
                return None
            if "secret" not in os.listdir(self._folder):
                return None
            for path in (self._folder, f"{self._folder}/secret"):
                found = os.lstat(path)
                if found.st_mode & 0o077 or (os.geteuid() and found.st_uid != os.geteuid()):
                    raise TroubleError(
                        REFUSED,
                        f"{path} does not belong to this user alone, so it cannot be trusted:"
                        " set MNGEN_SECRET, or run all nodes as the same user",
                    )
            with open(f"{self._folder}/secret", "rb") as file:
                return file.read() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ESTALE:  # replaced just now
                return None
            raise TroubleError(
                BAD_ENVIRONMENT, f"cannot read the job's secret in {self._folder}: {error.strerror}"
            ) from None

    def remove(self) -> None:
        """Removes it (main node)."""
        remove_folder(self._folder)


# --- Processes, signals and sockets: one loop --------------------------------------------------


class Loop:
    """What this process waits for: sockets, signals, and the ends of other processes.

    Attributes:
        exits: Exit code of each process that has ended, by pid; 128 + N where signal N ended it.
        signals: Those that asked this process to end.
    """

    def __init__(self) -> None:
        self.exits: dict[int, int] = {}
        self.signals: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._awake, bell = socket.socketpair()
        self._bell = bell  # held open
        for end in (self._awake, bell):
            end.setblocking(False)
        signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self.watch(self._awake, self._wake)
        adopt_orphans()

    def watch(self, what: Any, call: Callable[[], None], *, write: bool = False) -> None:
        """Has a function called whenever something can be read from (or also written to)."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        if what in self._selector.get_map():
            self._selector.modify(what, events, call)
        else:
            self._selector.register(what, events, call)

    def forget(self, what: Any) -> None:
        """Undoes `watch`."""
        try:
            self._selector.unregister(what)
        except (KeyError, ValueError):
            pass

    def step(self, seconds: float) -> None:
        """Waits until something happens, but no longer than some seconds, and deals with it."""
        for key, _ in self._selector.select(max(seconds, 0)):
            if key.fileobj in self._selector.get_map():  # not forgotten by one before it
                key.data()

    def _wake(self) -> None:
        try:
            numbers = self._awake.recv(4096)
        except BlockingIOError:
            return
        self.signals += [number for number in numbers if number in SIGNALS]
        self.reap()

    def reap(self) -> bool:
        """Collects all that have ended, adopted ones too; returns whether any is still running."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            signalled = os.WIFSIGNALED(status)
            self.exits[pid] = 128 + os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)

    def spawn(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[int, int | str]
    ) -> int:
        """Starts a program in a session of its own and returns its pid.

        Args:
            argv: Its arguments, the first of which is looked for on PATH.
            env: Its environment.
            files: By its file descriptor, one of ours or the path of a file to write.

        Raises:
            TroubleError: It cannot be started.
        """
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        for number, source in files.items():
            if isinstance(source, str):
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                actions.append((os.POSIX_SPAWN_OPEN, number, source, flags, 0o600))
            else:
                actions.append((os.POSIX_SPAWN_DUP2, source, number))
        try:
            return os.posix_spawnp(
                argv[0],
                list(argv),
                dict(env),
                file_actions=actions,
                setsid=True,
                # Python ignores SIGPIPE, which would be handed down.
                setsigdef=(*SIGNALS, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD),
            )
        except OSError as error:
            raise TroubleError(BAD_LAUNCH, f"cannot start {argv[0]}: {error.strerror}") from None

    def finish(self, pid: int) -> int:
        """Waits for a program that is quick, and returns its exit code."""
        while pid not in self.exits:
            self.step(1.0)
        return self.exits[pid]

    def kill_all(self, seconds: float = 5.0) -> None:
        """Kills every process below this one and waits until they are gone."""
        deadline = time.monotonic() + seconds
        while self.reap() and time.monotonic() < deadline:
            for pid in descendants(os.getpid()):
                send_signal(pid, signal.SIGKILL)
            self.step(0.002)


def adopt_orphans() -> None:
    """Makes processes that lose their parent children of this one, so that none gets away."""
    import ctypes

    set_child_subreaper = 36  # man 2 prctl
    ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Returns the pids of all processes below one."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    parent = int(stat.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            below.setdefault(parent, []).append(int(name))
    found = [root]
    for pid in found:
        found += below.get(pid, [])
    return found[1:]


def send_signal(pid: int, number: int) -> None:
    """Sends a signal to a process, which may be gone, and to the group that it leads."""
    try:
        (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, number)
    except OSError:
        pass


class Link:
    """One connection between a child and main; it never waits.

    Attributes:
        session: How its messages are sealed; None before the greeting.
        heard: When something came in last, on the monotonic clock.
        here: IPv4 address of this end.
        there: IPv4 address of the other.
    """

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session: Session | None = None
        self.heard = time.monotonic()
        self.here: str = sock.getsockname()[0]
        self.there: str = sock.getpeername()[0]
        self._loop, self._sock = loop, sock
        self._call: Callable[[], None] = lambda: None
        self._inbox = b""
        self._outbox = b""

    def on_news(self, call: Callable[[], None]) -> None:
        """Has a function called when there is something to hear."""
        self._call = call
        self._loop.watch(self._sock, call)

    def lines(self) -> list[bytes]:
        """Returns the lines that have come in; sends what is left to be sent.

        Raises:
            EOFError: The other side is gone.
            ValueError: It says too much.
        """
        self._flush()
        try:
            data = self._sock.recv(MESSAGE_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            data = b""
        if not data:
            raise EOFError
        self.heard = time.monotonic()
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        most = MESSAGE_BYTES if self.session else GREETING_BYTES
        if max(map(len, (self._inbox, *lines))) > most:
            raise ValueError("its message is too long")
        return lines

    def say(self, line: bytes) -> None:
        """Sends a line as it is."""
        self._outbox += line
        self._flush()

    def tell(self, **message: object) -> None:
        """Sends a message, sealed."""
        if self.session:
            self.say(self.session.seal(message))

    def _flush(self) -> None:
        pending = bool(self._outbox)
        try:
            while self._outbox:
                self._outbox = self._outbox[self._sock.send(self._outbox) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._outbox = b""  # that it is gone shows in reading
        if pending or self._outbox:
            self._loop.watch(self._sock, self._call, write=bool(self._outbox))

    def close(self) -> None:
        """Closes it."""
        self._loop.forget(self._sock)
        self._sock.close()


# --- The rendezvous, on the main node ----------------------------------------------------------


class Guest:
    """Who is at the other end of a connection to main: a stranger, until it has proved itself.

    Attributes:
        greeting: Who it claims to be; None before it has said so.
        host: What it has said of itself, sealed; None for a stranger.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.born = time.monotonic()
        self.greeting: Message | None = None
        self.host: Host | None = None


class Rendezvous:
    """Lets in each child once, and hears what they say.

    Attributes:
        members: The children that are there, by index.
        address: IPv4 address by which they reach main; empty before the first.
        refused: By index, why a node that claimed it was last refused.
    """

    def __init__(
        self,
        loop: Loop,
        plan: Plan,
        secret: bytes,
        log: Log,
        hear: Callable[[Guest, Message], None],
        lose: Callable[[Guest, str], None],
    ) -> None:
        """Starts to listen.

        Args:
            loop: Where its sockets are waited for.
            plan: Main's own.
            secret: The job's.
            log: Where refusals are told.
            hear: Called with each message of a member, also with the first.
            lose: Called with a member that is gone, and how it went.

        Raises:
            TroubleError: The port is taken.
        """
        self.members: dict[int, Guest] = {}
        self.address = ""
        self.refused: dict[int, str] = {}
        self._loop, self._plan, self._secret, self._log = loop, plan, secret, log
        self._hear, self._lose = hear, lose
        self._strangers: dict[Guest, None] = {}  # in order of arrival
        self._told = 0
        self._beaten = time.monotonic()
        self._most = room_for(plan.nodes)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("", plan.port))
        except OSError as error:
            raise TroubleError(
                BAD_ENVIRONMENT,
                f"cannot listen on port {plan.port}: {error.strerror}; set MNGEN_PORT to another",
            ) from None
        self._listener.listen(4096)
        self._listener.setblocking(False)
        loop.watch(self._listener, self._accept)

    def missing(self) -> list[int]:
        """Returns the indexes of the children that are not there."""
        return [
            index
            for index in range(self._plan.nodes)
            if index != self._plan.main and index not in self.members
        ]

    def tell_all(self, **message: object) -> None:
        """Sends a message to every member."""
        for guest in list(self.members.values()):
            guest.link.tell(**message)

    def beat(self) -> None:
        """Sends heartbeats, and drops who has been silent for too long."""
        now = time.monotonic()
        for guest in list(self._strangers):
            if now - guest.born < GREETING_SECONDS:
                break
            self._turn_away(guest, f"it said nothing sensible for {GREETING_SECONDS:.0f} s")
        if now - self._beaten < self._plan.heartbeat:
            return
        self._beaten = now
        for guest in list(self.members.values()):
            silence = now - guest.link.heard
            if silence > 3 * self._plan.heartbeat:
                self._gone(guest, f"sent no heartbeat for {silence:.0f} s")
            else:
                guest.link.tell(beat=True)

    def close(self) -> None:
        """Hangs up on everyone and stops listening."""
        self._loop.forget(self._listener)
        self._listener.close()
        for guest in [*self._strangers, *self.members.values()]:
            guest.link.close()
        if self._told > TOLD_STRANGERS:
            self._log.say("rendezvous", f"turned away {self._told} connections in all")

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # none left; or no file descriptor, until a stranger's time is up
            try:
                guest = Guest(Link(self._loop, sock))
            except OSError:
                sock.close()
                continue
            guest.link.on_news(partial(self._read, guest))
            self._strangers[guest] = None
            # Who means it is through in a moment, so the oldest stranger is the idlest.
            if len(self._strangers) > self._most:
                self._turn_away(next(iter(self._strangers)), "there were too many strangers")

    def _read(self, guest: Guest) -> None:
        try:
            for line in guest.link.lines():
                if guest.link.session is None:
                    self._greet(guest, checked_greeting(line))
                else:
                    message = guest.link.session.open(line)
                    if guest.host is None and not self._let_in(guest, message):
                        return
                    self._hear(guest, message)
        except EOFError:
            if guest.host:
                self._gone(guest, "closed its connection")
            else:
                self._turn_away(guest, "it left before it proved that it knows the job's secret")
        except ValueError as error:
            if guest.host:
                self._gone(guest, f"was cut off: {error}")
            else:
                self._turn_away(guest, str(error))

    def _greet(self, guest: Guest, greeting: Message) -> None:
        nonce = os.urandom(32).hex()
        guest.greeting = greeting
        guest.link.say(json.dumps({"nonce": nonce}).encode() + b"\n")
        guest.link.session = Session(self._secret, greeting, nonce, is_main=True)
        guest.link.tell(welcome=True)

    def _let_in(self, guest: Guest, message: Message) -> bool:
        greeting = guest.greeting or {}
        taken = {index: member.link.there for index, member in self.members.items()}
        if why := unwelcome(self._plan, greeting, taken):
            guest.link.tell(refused=why)
            self._turn_away(guest, why)
            return False
        guest.host = checked_host(message.get("host"))
        if guest.host.node != greeting["node"]:
            guest.host = None
            raise ValueError("it describes another node than it claims to be")
        self._strangers.pop(guest, None)
        self.members[guest.host.node] = guest
        self.address = self.address or guest.link.here
        return True

    def _turn_away(self, guest: Guest, why: str) -> None:
        self._strangers.pop(guest, None)
        guest.link.close()
        self._told += 1
        claim, node = "", guest.greeting["node"] if guest.greeting else -1
        if 0 <= node < self._plan.nodes:  # a stranger could claim to be any number of nodes
            claim = f" as node {node}"
            self.refused[node] = f"{guest.link.there} was refused: {why}"
        if self._told <= TOLD_STRANGERS:
            self._log.say("rendezvous", f"refused {guest.link.there}{claim}: {why}")

    def _gone(self, guest: Guest, how: str) -> None:
        guest.link.close()
        if guest.host:
            self.members.pop(guest.host.node, None)
            self._lose(guest, how)


def room_for(nodes: int) -> int:
    """Makes room for the connections of all nodes; returns how many strangers may be among them."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * nodes + 512
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(16, min(nodes + 256, soft - nodes - 128))


# --- ssh and the launchers: files and command lines --------------------------------------------


def sshd_config(folder: str) -> str:
    """Returns the configuration of a child's sshd."""
    return f"""\
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PermitUserEnvironment no
PrintMotd no
PrintLastLog no
LogLevel ERROR
"""


def authorized_keys(main_address: str, folder: str, key: str) -> str:
    """Returns what main's key may do on a child: run commands in the job's environment."""
    command = f"exec /bin/sh {folder}/session"
    return f'from="{main_address}",restrict,command="{command}" {key}\n'


def session_script(env: Mapping[str, str], folder: str) -> str:
    """Returns the shell script that gives a command of main's the environment of this container."""
    lines = ["unset SSH_CLIENT SSH_CONNECTION\n"]
    for name, value in sorted(env.items()):
        if name.isidentifier() and name.isascii():
            quoted = value.replace("'", "'\\''")
            lines.append(f"export {name}='{quoted}'\n")
    cwd = folder.replace("'", "'\\''")
    lines.append(f"cd '{cwd}'\n" if folder else "")
    lines.append('command=$SSH_ORIGINAL_COMMAND\nunset SSH_ORIGINAL_COMMAND\neval "$command"\n')
    return "".join(lines)


def ssh_config(hosts: Iterable[Host], main_address: str, folder: str) -> str:
    """Returns the configuration of main's ssh: these hosts, these keys, nothing of the user's."""
    lines = [f"Host {host.address}\n  Port {host.port}\n" for host in hosts if host.port]
    lines.append(
        f"""\
Host *
  BindAddress {main_address}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  CheckHostIP no
  PreferredAuthentications publickey
  GSSAPIAuthentication no
  BatchMode yes
  ConnectTimeout 20
  KexAlgorithms ^curve25519-sha256
  LogLevel ERROR
"""
    )
    return "".join(lines)


def known_hosts(hosts: Iterable[Host]) -> str:
    """Returns the host keys as ssh looks them up."""
    return "".join(f"[{host.address}]:{host.port} {host.key}\n" for host in hosts if host.port)


def shortened(word: str, most: int = 200) -> str:
    """Returns an argument for the log, where a whole program in it would hide all the rest."""
    return word if len(word) <= most else f"{word[:most]}... ({len(word)} characters)"


def networks_of(hosts: Iterable[Host]) -> str:
    """Returns the subnets of the hosts, separated by commas."""
    return ",".join(sorted({host.network for host in hosts}))


def ranks_on(plan: Plan, host: Host) -> int:
    """Returns how many ranks run on a node."""
    return plan.ranks or max(1, host.cpus // plan.threads)


def hostfile(plan: Plan, hosts: Iterable[Host]) -> str:
    """Returns the hosts with their slots as the launcher reads them."""
    between = " slots=" if plan.launcher == "openmpi" else ":"
    return "".join(f"{host.address}{between}{ranks_on(plan, host)}\n" for host in hosts)


# By which Open MPI 4 and the PRRTE of Open MPI 5 take a binding from the environment; an option
# would override it.
BINDING_VARIABLES = ("OMPI_MCA_hwloc_base_binding_policy", "PRTE_MCA_hwloc_default_binding_policy")

# Names a rank to the wire-up of its node, then becomes the application.
RANK = ("/bin/sh", "-c", 'echo $$ >"$MNGEN_RANKS"; unset MNGEN_RANKS; exec "$@"', "rank")


def launcher_command(plan: Plan, hosts: Sequence[Host], folder: str, version: str) -> list[str]:
    """Returns the command that main runs, up to the application.

    An option that is in the user's own arguments is left to them.

    Args:
        plan: Main's own.
        hosts: All nodes, main first.
        folder: Where the hostfile and ssh's configuration are.
        version: What the launcher says of itself (`mpirun --version`).
    """
    given = {word.lstrip("-") for word in plan.mpi_args}
    words = [found_launcher(plan.launcher)]
    for option in _options(plan, hosts, folder, version):
        # `--mca btl tcp` is overridden by `--mca btl`, and `--map-by slot` by `--map-by`.
        name = option[1] if len(option) == 3 else option[0].lstrip("-")
        if name not in given and not (name == "np" and given & {"n", "c"}):
            words += option
    return [*words, *plan.mpi_args]


def found_launcher(launcher: str) -> str:
    """Returns the name of the launcher's program.

    Raises:
        TroubleError: There is none.
    """
    if launcher != "openmpi":
        try:
            return found_program("mpiexec.hydra")
        except TroubleError:
            pass
    return found_program("mpirun")


def _options(
    plan: Plan, hosts: Sequence[Host], folder: str, version: str
) -> Iterable[tuple[str, ...]]:
    ranks = sum(ranks_on(plan, host) for host in hosts)
    if plan.launcher != "openmpi":
        yield ("-machinefile" if plan.launcher == "intelmpi" else "-f", f"{folder}/hosts")
        yield ("-n", str(ranks))
        yield ("-bootstrap" if plan.launcher == "intelmpi" else "-launcher", "ssh")
        # A rank has the environment of its own container, not that of main's.
        if not {"genvall", "genvlist"}.intersection(word.lstrip("-") for word in plan.mpi_args):
            yield ("-genvnone",)
        return
    newer = "Open MPI) 4" not in version and "Open MPI) 3" not in version
    yield ("--hostfile", f"{folder}/hosts")
    yield ("-np", str(ranks))
    if os.geteuid() == 0:
        yield ("--allow-run-as-root",)
    threads, cores = plan.threads, min(host.cores for host in hosts)
    fits = max(ranks_on(plan, host) for host in hosts) * threads <= cores
    yield ("--map-by", f"slot:PE={threads}" if threads > 1 and fits else "slot")
    # Mapped by slot, more than two ranks would be bound to a whole socket or NUMA node each, where
    # the kernel may put two on one core, or all threads of a rank to one core.
    if fits and (threads > 1 or not _is_bound_by_user(plan)):
        yield ("--bind-to", "core")
    elif threads > 1:
        yield ("--bind-to", "none")
    if len(hosts) > 1:
        yield from _openmpi_network(hosts, folder, newer=newer)


def _is_bound_by_user(plan: Plan) -> bool:
    """Whether the user says in any way which ranks go where."""
    words = {word.lstrip("-") for word in plan.mpi_args}
    given = words & {"map-by", "rankfile", "rf", "cpu-set", "cpu-list"}
    return bool(given) or any(os.environ.get(name) for name in BINDING_VARIABLES)


def _openmpi_network(
    hosts: Sequence[Host], folder: str, *, newer: bool
) -> Iterable[tuple[str, ...]]:
    networks = networks_of(hosts)
    # Open MPI 5 has its daemons from PRRTE, whose parameters have an option of their own.
    daemons, rsh = ("--prtemca", "plm_ssh") if newer else ("--mca", "plm_rsh")
    yield (daemons, f"{rsh}_agent", f"ssh -F {folder}/ssh_config")
    # Only main has the private key, so only main can start the daemons.
    yield (daemons, f"{rsh}_no_tree_spawn", "1")
    yield (daemons, f"{rsh}_num_concurrent", "128")
    yield (daemons, "prte_if_include" if newer else "oob_tcp_if_include", networks)
    if all(host.efa for host in hosts):
        yield ("--mca", "pml", "cm")
        yield ("--mca", "mtl", "ofi")
    else:
        yield ("--mca", "pml", "ob1")
        yield ("--mca", "btl", f"tcp,{'sm' if newer else 'vader'},self")
        yield ("--mca", "btl_tcp_if_include", networks)


def job_environment(
    environ: Mapping[str, str], plan: Plan, host: Host, *, efa: bool
) -> dict[str, str]:
    """Returns the environment of the ranks on a node: its container's, without the secret."""
    env = {name: value for name, value in environ.items() if name != "MNGEN_SECRET"}
    if plan.threads > 1 or environ.get("MNGEN_THREADS_PER_RANK"):
        env["OMP_NUM_THREADS"] = str(plan.threads)
    env.setdefault("OMP_NUM_THREADS", "1")
    interface = interface_of(host.address)[0] if plan.nodes > 1 else ""
    if efa:
        env.setdefault("FI_PROVIDER", "efa")
    elif plan.nodes > 1 and plan.launcher in ("intelmpi", "mpich"):
        env.setdefault("FI_PROVIDER", "tcp")
    if interface:
        names = ["NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"]
        for name in names if efa else [*names, "FI_TCP_IFACE", "UCX_NET_DEVICES"]:
            env.setdefault(name, interface)
    return env


def hydra_environment(env: dict[str, str], folder: str, address: str) -> dict[str, str]:
    """Returns the environment of mpiexec.hydra itself, as Intel MPI and as MPICH name things."""
    interface = interface_of(address)[0]
    env = {
        "HYDRA_LAUNCHER_EXTRA_ARGS": f"-F {folder}/ssh_config",
        "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS": f"-F {folder}/ssh_config",
        # Only main has the private key, so only main can start what starts the ranks.
        "I_MPI_HYDRA_BRANCH_COUNT": "-1",
        **env,
    }
    if interface:
        env.setdefault("HYDRA_IFACE", interface)
        env.setdefault("I_MPI_HYDRA_IFACE", interface)
    return env


def torch_environment(plan: Plan, main_address: str) -> dict[str, str]:
    """Returns what programs that bring a launcher of their own want to know of the nodes."""
    rank = (plan.node - plan.main) % plan.nodes  # the main node's is 0
    return {
        "MASTER_ADDR": main_address,
        "MASTER_PORT": os.environ.get("MASTER_PORT", "29500"),
        "NNODES": str(plan.nodes),
        "NODE_RANK": str(rank),
        "WORLD_SIZE": str(plan.nodes),
        "RANK": str(rank),
    }


# --- The two kinds of node ---------------------------------------------------------------------


class Node:
    """What a main node and a child have in common: a loop, a folder, and ranks to look after.

    Attributes:
        ranks: Pids of the ranks that have started here.
        cancelled: Whether a signal has asked this process to end.
        stopping: Whether the ranks have been asked to end.
        ending: The message that ends the job; empty while it goes on.
    """

    def __init__(self, plan: Plan, log: Log) -> None:
        self.plan, self.log = plan, log
        self.loop = Loop()
        self.folder = ""
        self.ranks: list[int] = []
        self.cancelled = False
        self.stopping = False
        self.ending: Message = {}

    def prepare(self) -> None:
        """Makes the folder, and in it the pipe by which ranks name themselves."""
        self.folder = private_folder()
        os.mkfifo(f"{self.folder}/ranks", 0o600)
        self._pipe = os.open(f"{self.folder}/ranks", os.O_RDWR | os.O_NONBLOCK)
        self.loop.watch(self._pipe, self._hear_ranks)

    def _hear_ranks(self) -> None:
        try:
            found = [int(word) for word in os.read(self._pipe, 65536).split() if word.isdigit()]
        except BlockingIOError:
            return
        first = not self.ranks and found
        self.ranks += found
        if first:
            self.log.say("running", f"first rank started (pid {found[0]})")
            self.started()

    def started(self) -> None:
        """Called when the first rank of this node has started."""

    def make_key(self, name: str) -> int:
        """Starts to make a key pair and returns the pid of what does it."""
        path = f"{self.folder}/{name}"
        return self.loop.spawn(
            [found_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path],
            os.environ,
            {1: f"{path}.log", 2: f"{path}.log"},
        )

    def public_key(self, name: str, pid: int) -> str:
        """Returns the public key of a pair, once it has been made."""
        if self.loop.finish(pid):
            raise TroubleError(
                BAD_ENVIRONMENT, f"ssh-keygen failed: {tail(f'{self.folder}/{name}.log')}"
            )
        with open(f"{self.folder}/{name}.pub") as file:
            return " ".join(file.read().split()[:2])

    def step(self, seconds: float) -> None:
        """Waits for what happens next.

        Raises:
            TroubleError: The job ends.
        """
        self.loop.step(seconds)
        if self.loop.signals and not self.cancelled and not self.ending:
            self.cancelled = True
            number = self.loop.signals[0]
            name = signal.Signals(number).name
            text = f"cancelled by {name} on node {self.plan.node}"
            raise TroubleError(128 + number, text, grace=CANCEL_GRACE)

    def until(self, done: Callable[[], object], seconds: float = float("inf")) -> bool:
        """Goes on until something is so; returns whether it came to be in time."""
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            # That a rank has ended is seen by looking; all else makes itself felt.
            self.step(min(left, 0.05 if self.stopping else self.plan.heartbeat / 2, 1.0))
        return True

    def quiet(self) -> bool:
        """Whether no rank of this node is running."""
        return not any(alive(pid) for pid in self.ranks)

    def terminate(self, *others: int) -> None:
        """Sends SIGTERM to the ranks; before there are any, to other processes."""
        self.stopping = True
        for pid in self.ranks or others:
            send_signal(pid, signal.SIGTERM)

    def start_command(self, env: Mapping[str, str], main_address: str) -> int:
        """Starts the job's command itself, for launcher `none`; returns its pid."""
        pid = self.loop.spawn(
            self.plan.command, {**env, **torch_environment(self.plan, main_address)}, {}
        )
        self.log.say("running", f"{self.plan.command[0]} (pid {pid})")
        self.ranks.append(pid)
        return pid

    def clean(self) -> None:
        """Leaves nothing behind."""
        self.loop.kill_all()
        if self.folder:
            remove_folder(self.folder)


class Main(Node):
    """The main node: waits for the children, runs the launcher, ends the job everywhere."""

    def __init__(self, plan: Plan, log: Log) -> None:
        super().__init__(plan, log)
        self.rendezvous: Rendezvous | None = None
        self.shared: SharedSecret | None = None
        self.gathered = False
        self.came: set[int] = set()
        self.ready: set[int] = set()
        self.running: set[int] = set()
        self.quieted: set[int] = set()
        self.codes: dict[int, int] = {}
        self.lost: list[str] = []
        self.launched = 0
        self.fetching = 0
        self.marks = [time.monotonic()]

    def run(self) -> int:
        """Runs the whole job and returns its exit code."""
        try:
            code, why, grace = (*self._work(), 0.0)
        except (TroubleError, OSError) as error:
            trouble = as_trouble(error)
            code, why, grace = trouble.code, str(trouble), trouble.grace
            self.log.say(trouble.stage, why)
        self._mark(3)
        self._end(code, why, grace)
        self._mark(4)
        names = ("rendezvous", "ssh", "run", "teardown")
        times = [later - sooner for sooner, later in zip(self.marks, self.marks[1:])]
        spent = ", ".join(f"{name} {seconds:.2f}s" for name, seconds in zip(names, times))
        self.log.say("end", f"exit {code}; {spent}")
        return code

    def _mark(self, phases: int) -> None:
        """Notes that some phases are over; those that were left out took no time."""
        while len(self.marks) <= phases:
            self.marks.append(time.monotonic())

    def _work(self) -> tuple[int, str]:
        plan, key = self.plan, 0
        if plan.nodes > 1:
            secret = plan.secret.encode()
            if not secret:
                self.shared = SharedSecret(plan)
                secret = self.shared.leave()
            # From here on, whoever comes can be told if something is wrong.
            self.rendezvous = Rendezvous(self.loop, plan, secret, self.log, self._hear, self._lose)
        mine = this_host(plan.node, "localhost" if plan.nodes == 1 else "")
        check_cpus(plan, mine.cpus, self.log)
        self.prepare()
        self._fetch_inputs()
        if plan.launcher != "none":
            version = self._ask_version()
            if self.rendezvous:
                found_program("ssh")
                check_user()
                key = self.make_key("user")
        if self.rendezvous:
            mine = self._gather(self.rendezvous)
        # No node has started anything yet, whatever the launcher is.
        self.until(lambda: not self.fetching)
        self._mark(1)
        hosts = [mine]
        if self.rendezvous:
            hosts += self._connect(self.rendezvous, mine, key)
        self._mark(2)
        if plan.launcher == "none":
            return self._watch_commands(mine)
        return self._watch_launcher(hosts, self._read_version(version))

    def _fetch_inputs(self) -> None:
        """Starts to fetch the inputs to the shared file system, unless they are there."""
        plan = self.plan
        if not plan.inputs_from:
            return
        if os.path.isdir(plan.inputs):
            self.log.say("inputs", f"{plan.inputs} is there already")
            return
        self.log.say("inputs", f"fetching {plan.inputs_from} to {plan.inputs}")
        fetch = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fetch_inputs.py")
        self.fetching = self.loop.spawn(
            # What the job puts on Python's path is meant for the application.
            [sys.executable, "-I", fetch, plan.inputs_from, plan.inputs],
            os.environ,
            {1: f"{self.folder}/inputs"},
        )

    def _fetched(self) -> None:
        code, said = self.loop.exits[self.fetching], tail(f"{self.folder}/inputs", 2000)
        self.fetching = 0
        if not code:
            self.log.say("inputs", said)
            return
        # Python itself exits with 2 where there is no such program.
        wrong = code in (2, BAD_ENVIRONMENT)
        raise TroubleError(
            BAD_ENVIRONMENT if wrong else BAD_INPUTS,
            said or f"fetch_inputs.py failed with exit code {code}; what it said is above",
        )

    def _gather(self, rendezvous: Rendezvous) -> Host:
        """Waits until every child is there; returns this node with its address."""
        plan = self.plan
        self.log.say("rendezvous", f"waiting on port {plan.port} for {named(rendezvous.missing())}")
        left = plan.wait
        while not self.until(lambda: not rendezvous.missing(), min(left, 30.0)):
            left -= 30.0
            missing = rendezvous.missing()
            if left <= 0:
                said = "; ".join(rendezvous.refused[i] for i in missing if i in rendezvous.refused)
                raise TroubleError(
                    MISSING,
                    f"{named(missing)} of {plan.nodes} did not come within {plan.wait:g} s"
                    + (f" ({said})" if said else ""),
                )
            self.log.say("rendezvous", f"still waiting for {named(missing)} of {plan.nodes}")
        self.gathered = True
        if self.shared:
            self.shared.remove()
        self.log.say("rendezvous", f"all {plan.nodes} nodes are here")
        return this_host(plan.node, rendezvous.address)

    def _connect(self, rendezvous: Rendezvous, mine: Host, key: int) -> list[Host]:
        """Lets main's ssh into every child; returns the children, in the order of their rank."""
        plan = self.plan
        children = [guest.host for guest in rendezvous.members.values() if guest.host]
        children.sort(key=lambda host: (host.node - plan.main) % plan.nodes)
        if plan.launcher != "none":
            public = self.public_key("user", key)
            write(f"{self.folder}/ssh_config", ssh_config(children, mine.address, self.folder))
            write(f"{self.folder}/known_hosts", known_hosts(children))
        else:
            public = ""
        efa = all(host.efa for host in (mine, *children))
        rendezvous.tell_all(go=[public, efa])
        self.until(lambda: len(self.ready) == len(children))
        hosts = [mine, *children]
        network = "EFA" if efa else f"TCP on {networks_of(hosts)}"
        if not efa and any(host.efa for host in hosts):
            network += f"; no EFA on {named(host.node for host in hosts if not host.efa)}"
        self.log.say("ready", f"{plan.nodes} nodes, {network}")
        return children

    def _watch_launcher(self, hosts: list[Host], version: str) -> tuple[int, str]:
        plan, mine = self.plan, hosts[0]
        write(f"{self.folder}/hosts", hostfile(plan, hosts))
        command = launcher_command(plan, hosts, self.folder, version)
        env = job_environment(os.environ, plan, mine, efa=all(host.efa for host in hosts))
        env["MNGEN_RANKS"] = f"{self.folder}/ranks"
        if plan.launcher != "openmpi":
            env = hydra_environment(env, self.folder, mine.address)
        ranks = sum(ranks_on(plan, host) for host in hosts)
        words = (shortened(word) for word in (*command, *plan.command))
        self.log.say("launch", f"{ranks} ranks: {' '.join(words)}")
        self.launched = self.loop.spawn([*command, *RANK, *plan.command], env, {})
        self.until(lambda: self.launched in self.loop.exits)
        code = self.loop.exits[self.launched]
        if code:
            self._doubt()
        if code and not self.ranks and not self.running:
            raise TroubleError(
                BAD_LAUNCH,
                f"{os.path.basename(command[0])} failed with exit code {code} before any rank"
                " started; what it said is above",
            )
        return self._judged(code, "the application")

    def _watch_commands(self, mine: Host) -> tuple[int, str]:
        env = job_environment(os.environ, self.plan, mine, efa=mine.efa)
        self.launched = self.start_command(env, mine.address)
        self.until(lambda: len(self._outcomes()) == self.plan.nodes or any(self.codes.values()))
        failed = {index: code for index, code in self._outcomes().items() if code}
        for index, code in failed.items():
            self._doubt()
            return self._judged(code, f"the command on node {index}")
        return 0, ""

    def _outcomes(self) -> dict[int, int]:
        if self.launched in self.loop.exits:
            self.codes[self.plan.node] = self.loop.exits[self.launched]
        return self.codes

    def _all_quiet(self) -> bool:
        if not self.ranks:  # none had been started; or none here, by the user's own arguments
            return self.launched in self.loop.exits
        there = self.rendezvous.members if self.rendezvous else {}
        return self.quiet() and self.quieted.issuperset(there)

    def _doubt(self) -> None:
        """Before a failure is called the application's: is it that of a node that was lost?"""
        since = time.monotonic()
        self.until(lambda: False, 0.05)
        if self.rendezvous:
            silent = [
                guest.link
                for guest in self.rendezvous.members.values()
                if since - guest.link.heard > 1.5 * self.plan.heartbeat
            ]
            self.until(lambda: all(link.heard > since for link in silent), 2 * self.plan.heartbeat)

    def _judged(self, code: int, what: str) -> tuple[int, str]:
        if not code:
            return 0, ""
        why = f"{what} failed with exit code {code}"
        if code == 127:
            why += ": the command was not found in the image"
        elif code == 126:
            why += ": the command cannot be executed"
        elif code > 128 and code - 128 in set(signal.Signals):
            why += f" ({signal.Signals(code - 128).name})"
        self.log.say("error", why)
        return code, why

    def _ask_version(self) -> int:
        """Starts to ask the launcher for its version, and returns the pid of what does it."""
        program = found_launcher(self.plan.launcher)
        if self.plan.launcher != "openmpi":
            return 0
        return self.loop.spawn([program, "--version"], os.environ, {1: f"{self.folder}/version"})

    def _read_version(self, pid: int) -> str:
        if not pid:
            return ""
        self.loop.finish(pid)
        version = tail(f"{self.folder}/version")
        if "Open MPI" not in version:
            raise TroubleError(
                BAD_LAUNCH,
                "mpirun is not that of Open MPI: set MNGEN_LAUNCHER to mpich or intelmpi, or put"
                " Open MPI's first on PATH",
            )
        return version

    def _hear(self, guest: Guest, message: Message) -> None:
        index = guest.host.node if guest.host else -1
        self.came.add(index)
        if "done" in message:
            self.codes[index] = int(message["done"])
        elif "quiet" in message:
            self.quieted.add(index)
        elif self.ending:
            guest.link.tell(**self.ending)
        elif "failed" in message:
            code, why = message["failed"]
            raise TroubleError(int(code), str(why))
        elif "cancel" in message:
            code, why = message["cancel"]
            raise TroubleError(int(code), str(why), grace=CANCEL_GRACE)
        elif "ready" in message:
            self.ready.add(index)
        elif "started" in message:
            self.running.add(index)
            self._tell_running()

    def started(self) -> None:
        """Called when the first rank of this node has started."""
        self._tell_running()

    def _tell_running(self) -> None:
        if self.ranks and len(self.running) == self.plan.nodes - 1 and self.plan.nodes > 1:
            self.log.say("running", f"ranks have started on all {self.plan.nodes} nodes")

    def _lose(self, guest: Guest, how: str) -> None:
        if guest.host and not self.ending:
            self.lost.append(f"node {guest.host.node} ({guest.host.address}) {how}")

    def step(self, seconds: float) -> None:
        """Waits for what happens next, and keeps in touch with the children."""
        super().step(seconds)
        if self.rendezvous:
            self.rendezvous.beat()
        if self.lost and not self.ending:
            raise TroubleError(LOST, "; ".join(self.lost), "lost", LOST_GRACE)
        if self.fetching in self.loop.exits and not self.ending:
            self._fetched()

    def _end(self, code: int, why: str, grace: float) -> None:
        """Ends the job on all nodes.

        Args:
            code: Exit code of each.
            why: What they are to say.
            grace: Seconds that the ranks have between SIGTERM and SIGKILL.
        """
        self.ending = {"stop": True}
        if self.fetching:  # has a half to remove
            send_signal(self.fetching, signal.SIGTERM)
            self.until(lambda: self.fetching in self.loop.exits, FETCH_GRACE)
        if grace and self.launched:
            if self.rendezvous:
                self.rendezvous.tell_all(stop=True)
            self.terminate(self.launched)
            if self.until(self._all_quiet, grace):
                # The launcher may still have the ranks' last words to pass on.
                self.until(lambda: self.launched in self.loop.exits, grace / 4)
        self.ending = {"end": [code, why]}
        if self.rendezvous:
            rendezvous = self.rendezvous
            rendezvous.tell_all(**self.ending)
            self.loop.kill_all()
            if not self.gathered and code in (
                BAD_ENVIRONMENT,
                BAD_CPUS,
                BAD_LAUNCH,
                BAD_INPUTS,
            ):
                # Those who are just coming would wait for long.
                self.until(lambda: len(self.came) == self.plan.nodes - 1, 3.0)
            self.until(lambda: not rendezvous.members, 5.0)
            rendezvous.close()
        self.clean()
        if self.shared:
            self.shared.remove()


class Child(Node):
    """Any other node: greets main, lets its ssh in, and ends when main says so or is gone."""

    def __init__(self, plan: Plan, log: Log) -> None:
        super().__init__(plan, log)
        self.link: Link | None = None
        self.greeting: Message = {}
        self.welcome = False
        self.wrong = ""
        self.go: list[Any] = []
        self.beaten = time.monotonic()
        self.told_quiet = False
        self.door: socket.socket | None = None
        self.host = this_host(plan.node, "")

    def run(self) -> int:
        """Takes part in the job and returns its exit code."""
        try:
            self._work()
        except (TroubleError, OSError) as error:
            self._report(as_trouble(error))
        code, why = self.ending["end"]
        said = tail(f"{self.folder}/sshd.log") if code == BAD_LAUNCH else ""
        self.clean()
        if said:
            self.log.say("error", f"sshd: {said}")
        self.log.say("end", f"exit {code}" + (f": {why}" if why else ""))
        return int(code)

    def _work(self) -> None:
        key, trouble = 0, None
        try:
            check_cpus(self.plan, self.host.cpus, self.log)
            self.prepare()
            if self.plan.launcher != "none":
                self.sshd = found_program("sshd")
                check_user()
                key = self.make_key("host")
        except (TroubleError, OSError) as error:
            trouble = as_trouble(error)  # main has to know, or it would wait for this node
        link = self._join()
        self.host = this_host(self.plan.node, link.here)
        if key and not trouble:
            try:
                self._open_door(self.public_key("host", key))
            except (TroubleError, OSError) as error:
                trouble = as_trouble(error)
        if trouble:
            link.tell(host=list(self.host), failed=[trouble.code, str(trouble)])
        else:
            link.tell(host=list(self.host))
            self.log.say("rendezvous", f"here is {self.host.address}, {self.host.cpus} CPUs")
        self.until(lambda: self.go or self.ending)
        if not self.ending:
            self._start(link, str(self.go[0]), efa=self.go[1])
            self.until(lambda: self.ending)

    def _join(self) -> Link:
        """Finds main and greets it; returns the connection once both have proved themselves."""
        plan, delay = self.plan, 0.05
        self.log.say("rendezvous", f"looking for main node {plan.main} at {plan.main_address}")
        deadline = time.monotonic() + plan.wait
        while time.monotonic() < deadline:
            secret = plan.secret.encode() or SharedSecret(plan).find()
            if secret and (link := self._knock(secret)):
                return link
            self.until(lambda: False, delay)
            delay = min(delay * 1.5, 2.0)
        if self.wrong:
            raise TroubleError(REFUSED, self.wrong)
        raise TroubleError(
            MISSING,
            f"main node {plan.main} at {plan.main_address}, port {plan.port}, did not answer"
            f" within {plan.wait:g} s",
        )

    def _knock(self, secret: bytes) -> Link | None:
        plan = self.plan
        try:
            sock = socket.create_connection((plan.main_address, plan.port), timeout=1.0)
            link = Link(self.loop, sock)
        except OSError:
            return None
        self.link, self.secret, self.greeting = link, secret, greeting_of(plan)
        link.on_news(self._read)
        link.say(json.dumps(self.greeting).encode() + b"\n")
        self.until(lambda: self.welcome or not self.link, GREETING_SECONDS)
        if self.welcome:
            return link
        link.close()
        self.link = None
        return None

    def _read(self) -> None:
        link = self.link
        if not link:
            return
        try:
            for line in link.lines():
                if link.session is None:
                    nonce = str(parsed(line).get("nonce"))
                    link.session = Session(self.secret, self.greeting, nonce, is_main=False)
                else:
                    self._hear(link.session.open(line))
        except EOFError:
            self._main_gone("closed the connection")
        except ValueError as error:
            self._main_wrong(str(error))

    def _main_gone(self, how: str) -> None:
        if self.link:
            self.link.close()
            self.link = None
        if self.welcome and not self.ending:
            raise TroubleError(LOST, f"main node {self.plan.main} {how}", "lost")

    def _main_wrong(self, why: str) -> None:
        text = f"{self.plan.main_address} is not the main node of this job: {why}"
        if self.welcome:
            self._main_gone(f"was cut off: {why}")
        elif self.plan.secret:
            raise TroubleError(REFUSED, f"{text}; does MNGEN_SECRET differ between the nodes?")
        else:
            # What was found may be left of an earlier run, and main about to replace it.
            self.wrong = text
            self._main_gone("")

    def _hear(self, message: Message) -> None:
        if "welcome" in message:
            self.welcome = True
        elif "refused" in message:
            raise TroubleError(REFUSED, f"main refused this node: {message['refused']}")
        elif "go" in message:
            self.go = message["go"]
        elif "stop" in message:
            self.terminate()
        elif "end" in message:
            self.ending = message

    def _open_door(self, key: str) -> None:
        """Listens for main's ssh on a port of its own."""
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)  # sshd insists on it
        self.door = socket.socket()
        self.door.bind((self.host.address, 0))
        self.door.listen(64)
        self.door.setblocking(False)
        self.host = self.host._replace(port=self.door.getsockname()[1], key=key)

    def _start(self, link: Link, key: str, *, efa: bool) -> None:
        plan = self.plan
        env = job_environment(os.environ, plan, self.host, efa=efa)
        if plan.launcher == "none":
            link.tell(ready=True)
            pid = self.start_command(env, plan.main_address)
            self.until(lambda: self.ending or pid in self.loop.exits)
            if not self.ending:
                link.tell(done=self.loop.exits[pid])
            return
        if not is_public_key(key) or not self.door:
            raise TroubleError(REFUSED, "main sent something that is not a public key")
        env["MNGEN_RANKS"] = f"{self.folder}/ranks"
        write(f"{self.folder}/session", session_script(env, os.getcwd()))
        write(f"{self.folder}/sshd_config", sshd_config(self.folder))
        write(
            f"{self.folder}/authorized_keys",
            authorized_keys(plan.main_address, self.folder, key),
        )
        self.loop.watch(self.door, self._admit)
        link.tell(ready=True)
        self.log.say("ready", "ssh is open to the main node")

    def _admit(self) -> None:
        """Gives a connection from main to an sshd of its own, as inetd would."""
        if not self.door:
            return
        try:
            sock, (address, _) = self.door.accept()
        except OSError:
            return
        with sock:
            sock.setblocking(True)
            if address == self.plan.main_address:
                log = f"{self.folder}/sshd.log"
                self.loop.spawn(
                    [self.sshd, "-i", "-f", f"{self.folder}/sshd_config", "-E", log],
                    {"PATH": os.environ.get("PATH", os.defpath)},
                    {0: sock.fileno(), 1: sock.fileno(), 2: log},
                )

    def started(self) -> None:
        """Called when the first rank of this node has started."""
        if self.link:
            self.link.tell(started=True)

    def step(self, seconds: float) -> None:
        """Waits for what happens next, and keeps in touch with main."""
        super().step(seconds)
        now = time.monotonic()
        if not self.link or not self.welcome or self.ending:
            return
        if now - self.beaten >= self.plan.heartbeat:
            self.beaten = now
            self.link.tell(beat=True)
        if self.stopping and not self.told_quiet and self.quiet():
            self.told_quiet = True
            self.link.tell(quiet=True)
        silence = now - self.link.heard
        if silence > 3 * self.plan.heartbeat:
            self._main_gone(f"sent no heartbeat for {silence:.0f} s")

    def _report(self, trouble: TroubleError) -> None:
        """Tells main why this node cannot go on, and waits for the end of the job."""
        self.log.say(trouble.stage, str(trouble))
        said = [trouble.code, str(trouble)]
        if self.link and self.welcome and trouble.code != REFUSED:
            self.link.tell(**{"cancel" if trouble.grace else "failed": said})
            try:
                self.until(lambda: self.ending, 1.25 * trouble.grace + 5.0)
            except TroubleError as later:
                said = [later.code, str(later)] if not trouble.grace else said
        self.ending = self.ending or {"end": said}


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def tail(path: str, most: int = 500) -> str:
    """Returns the last words of a log, some characters at most."""
    try:
        with open(path, errors="replace") as file:
            return " ".join(file.read()[-most:].split())
    except OSError:
        return ""


def main() -> int:
    """Runs this node's part of the job and returns its exit code."""
    while os.open(os.devnull, os.O_RDWR) < 3:
        pass  # whoever starts us may have closed the standard streams
    index = os.environ.get("AWS_BATCH_JOB_NODE_INDEX", "0")
    log = Log(int(index) if index.isdecimal() else 0)
    try:
        plan = plan_from(os.environ, sys.argv[1:])
        os.environ.pop("MNGEN_SECRET", None)  # nothing that is started here is to know it
        kind = "main" if plan.node == plan.main else "child"
        log.say("start", f"{kind} node of {plan.nodes}, job {plan.job}, attempt {plan.attempt}")
        node = Main(plan, log) if kind == "main" else Child(plan, log)
    except TroubleError as trouble:
        log.say(trouble.stage, str(trouble))
        log.say("end", f"exit {trouble.code}")
        return trouble.code
    return node.run()


if __name__ == "__main__":
    os._exit(main())
