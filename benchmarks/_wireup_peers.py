"""How nodes are wired up otherwise: by nothing at all, and by the scripts of aws-samples.

Each way is a `NodesRequest`, so that all of them run on the same nodes. The scripts of the peers
come from a checkout that the caller has; what is theirs to do is how the nodes find each other and
end, so the command that they run in the end is the same for all.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from mngen.rehearsal import Bind, NodesRequest

HERE = Path(__file__).resolve().parent
CONTAINER = HERE.parent / "container"
PYTHON = "/usr/bin/python3"
RANKS = (PYTHON, "-IS", "/bench/_wireup_ranks.py")
# More ranks than CPUs: a rank that waits must let others run.
YIELD = {"OMPI_MCA_mpi_yield_when_idle": "1"}
FLOOR_PORT = 2222
# Long enough for every sshd to be up before main starts.
FLOOR_SECONDS = 2.0

# Stands before the real mpirun on PATH and records when it ended.
_MPIRUN = """\
#!/bin/sh
/usr/bin/mpirun "$@"
code=$?
echo "bench: mpirun ended $(date +%s.%N)"
exit $code
"""

# What the peers' images hold, and their start.
_SSH = """\
mkdir -p -m 700 /root/.ssh /run/sshd
cp /peer/key /root/.ssh/id_rsa; cp /peer/key.pub /root/.ssh/authorized_keys
printf '%s\\n' 'Host *' 'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' \\
  'LogLevel ERROR' "$SSH_EXTRA" >/root/.ssh/config
chmod 600 /root/.ssh/*
"""
_TEMPLATE = (
    _SSH
    + """\
/usr/sbin/sshd -D -f /dev/null -h /root/.ssh/id_rsa -o MaxStartups=500:30:1000 &
sleep 600 & echo $! >/tmp/supervisord.pid
bash /checkout/supervised-scripts/mpi-run.sh
wait $(cat /tmp/supervisord.pid)
"""
)
# Its own command line starts a training that is not here: only the hostfile is taken from it.
_TEMPLATE_MPIRUN = """\
#!/bin/sh
exec /peer/mpirun --machinefile /tmp/hostfile-deduped {arguments}
"""
_EXAMPLES = (
    _SSH
    + """\
mkdir -p -m 700 $WIREUP_BASE/ssh
cp /peer/key $WIREUP_BASE/ssh/ssh_host_rsa_key
cp /checkout/util/wireup.sh $WIREUP_BASE; chmod 755 $WIREUP_BASE/wireup.sh
printf '%s\\n' "HostKey $WIREUP_BASE/ssh/ssh_host_rsa_key" "PidFile $WIREUP_BASE/sshd.pid" \\
  "SetEnv WIREUP_BASE=$WIREUP_BASE" "MaxStartups 500:30:1000" >$WIREUP_BASE/ssh/sshd_config
exec $WIREUP_BASE/wireup.sh run /peer/mpirun -hostfile /tmp/hostfile-ompi {arguments}
"""
)


def binds(folder: Path, *more: Bind) -> tuple[Bind, ...]:
    """Returns what all ways need, having written it to an empty folder."""
    shim = folder / "mpirun"
    shim.write_text(_MPIRUN)
    shim.chmod(0o755)
    return (Bind(HERE, "/bench", read_only=True), Bind(folder, "/peer", read_only=True), *more)


def path_with(folder: str) -> str:
    """Returns a search path on which a folder comes first."""
    return f"{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def wireup_request(count: int, folder: Path) -> NodesRequest:
    """Returns nodes under the wire-up, compiled as in the image."""
    leftovers = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CONTAINER / "mngen_wireup", folder / "mngen_wireup", ignore=leftovers)
    shutil.copyfile(CONTAINER / "wireup.py", folder / "wireup.py")
    compile_it = ("-m", "compileall", "-q", "--invalidation-mode", "checked-hash")
    subprocess.run([PYTHON, *compile_it, str(folder / "mngen_wireup")], check=True)
    return NodesRequest(
        command=(PYTHON, "/peer/wireup.py", *RANKS),
        count=count,
        environment={
            "MNGEN_SECRET": "0123456789abcdef" * 2,
            "MNGEN_RANKS_PER_NODE": "1",
            "PATH": path_with("/peer"),
            **YIELD,
        },
        binds=binds(folder),
    )


def floor_request(count: int, folder: Path) -> NodesRequest:
    """Returns nodes on which there is nothing left to do but mpirun, with the same arguments.

    The folder `container` has to be on Python's path.
    """
    from mngen_wireup.host import Host
    from mngen_wireup.launchers import hostfile, launcher_command
    from mngen_wireup.plan import plan_from
    from mngen_wireup.ssh import known_hosts, ssh_config, sshd_config

    for name in ("user", "host"):
        _make_key(folder / name, "ed25519")
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    hosts = [
        Host(
            node=index,
            address=f"10.0.0.{10 + index}",
            network="10.0.0.0/16",
            cpus=1,
            cores=1,
            efa=False,
            gpus=0,
            port=FLOOR_PORT,
            key=host_key,
        )
        for index in range(count)
    ]
    plan = plan_from({}, RANKS)
    files = {
        "ssh_config": ssh_config(hosts, hosts[0].address, "/peer"),
        "known_hosts": known_hosts(hosts),
        "hosts": hostfile(plan, hosts, plan.launcher),
        "authorized_keys": (folder / "user.pub").read_text(),
        "sshd_config": f"{sshd_config('/peer')}Port {FLOOR_PORT}\nPidFile none\n"
        "MaxStartups 500:30:1000\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    mpirun = launcher_command(plan, hosts, "/peer", "mpirun (Open MPI) 4")
    start = 'echo "bench: started $(date +%s.%N)"; exec "$@"'
    return NodesRequest(
        command=("sh", "-c", "mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e -f /peer/sshd_config"),
        node_commands={0: ("sh", "-c", start, "sh", "/peer/mpirun", *mpirun[1:], *RANKS)},
        count=count,
        environment=YIELD,
        late={0: FLOOR_SECONDS},
        binds=binds(folder),
    )


def peer_request(count: int, folder: Path, checkout: Path) -> NodesRequest:
    """Returns nodes wired up by a checkout of one of the two peers.

    Raises:
        SystemExit: It is neither.
    """
    _make_key(folder / "key", "rsa")
    arguments = (
        f"--allow-run-as-root -np {count} --map-by node --mca plm_rsh_no_tree_spawn 1"
        " --mca plm_rsh_num_concurrent 128 --mca oob_tcp_if_include eth0 --mca pml ob1"
        f" --mca btl tcp,vader,self --mca btl_tcp_if_include eth0 {' '.join(RANKS)}"
    )
    environment = {"PATH": path_with("/peer/bin"), **YIELD}
    more = [Bind(checkout, "/checkout", read_only=True)]
    if (checkout / "supervised-scripts" / "mpi-run.sh").is_file():
        script = _TEMPLATE
        environment.update(MPI_GPUS=str(count), SCRATCH_DIR="/tmp", JOB_DIR="/tmp", BATCH_SIZE="1")
        for name, text in (("bin/aws", "#!/bin/sh\n"), ("opt/mpirun", _TEMPLATE_MPIRUN)):
            (folder / name).parent.mkdir()
            (folder / name).write_text(text.format(arguments=arguments))
            (folder / name).chmod(0o755)
        more.append(Bind(folder / "opt", "/opt/openmpi/bin", read_only=True))
    elif (checkout / "util" / "wireup.sh").is_file():
        script = _EXAMPLES.format(arguments=arguments)
        environment.update(
            WIREUP_BASE="/tmp/wireup",
            WIREUP_HOSTFILE="/tmp/hostfile",
            SSH_EXTRA="Port 2222",
            HOME="/root",
        )
    else:
        raise SystemExit(f"{checkout}: neither aws-mnpbatch-template nor batch-mpi-examples")
    return NodesRequest(
        command=("sh", "-c", script),
        count=count,
        environment=environment,
        binds=binds(folder, *more),
    )


def _make_key(path: Path, kind: str) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)], check=True
    )


def name_of(checkout: Path) -> str:
    """Returns what to call a peer."""
    template = checkout / "supervised-scripts"
    return "aws-mnpbatch-template" if template.is_dir() else "batch-mpi-examples"
