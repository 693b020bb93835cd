"""The playbooks on machines that look like Amazon Linux 2023 and 2, over ssh; then the image."""

from __future__ import annotations

import base64
import fcntl
import json
import pickle
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.sandbox.machines._image import kernel_limit
from mngen.sandbox.machines._root import machine_layers
from tests.support.deploy import wait_until
from tests.support.images import LocalRegistry, local_registry, push_layers, registry_unavailable
from tests.support.instance import SECRET, TOKEN, serving
from tests.support.machines import Machine, booted, copied
from tests.support.needs import lacking
from tests.support.playbooks import Play, play, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

NFS = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,_netdev"
DROP_IN = """\
# Written by mngen. A node without its file system must not take a job.
[Unit]
Requires=mngen-efs.service
After=mngen-efs.service {unit}
AssertPathIsMountPoint={mount}
"""
POINT = "fsap-0123456789abcdef0"
# One base has FSx for Lustre beside EFS, with a folder that is linked to S3, the other has not.
LUSTRE = {
    "mngen_fsx_id": "fs-0a1b2c3d4e5f60718",
    "mngen_fsx_dns_name": "fs-0a1b2c3d4e5f60718.fsx.us-east-1.amazonaws.com",
    "mngen_fsx_mount_name": "abcd1234",
    "mngen_fsx_mount": "/fsx",
    "mngen_fsx_new": True,
    "mngen_fsx_folders": ["results"],
}
# https://docs.aws.amazon.com/fsx/latest/LustreGuide/mount-fs-auto-mount-onreboot.html
LUSTRE_FSTAB = (
    "fs-0a1b2c3d4e5f60718.fsx.us-east-1.amazonaws.com@tcp:/abcd1234 /fsx lustre "
    "defaults,noatime,flock,_netdev 0 0"
)
# One base gets a container image of three layers, in a registry that has ECR's name.
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
PASSWORD = "a password of ECR"
LOGIN = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
SECRETS = re.compile(b"|".join(re.escape(each.encode()) for each in (LOGIN, PASSWORD)))
UNITS = ("docker", "ecs")
BLS = "/boot/loader/entries"
LIMIT = re.compile(r"(?<!\S)nr_cpus=\S+")

LACKING = lacking("machines", "nspawn", "playbook")
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))


@dataclass(frozen=True)
class Wishes:
    """What is baked on a base and how, and what must then be found."""

    base: str
    shared: bool
    extra: dict[str, Any]
    fstab: str
    program: str
    unit: str
    preloads: bool = False


WISHES = {
    "amazon-linux-2023": Wishes(
        "amazon-linux-2023",
        True,
        {"mngen_nr_cpus": 48, **LUSTRE},
        "fs-0123456789abcdef0:/ /efs efs _netdev,noresvport,tls 0 0",
        "mount.efs",
        "efs.mount",
        preloads=True,
    ),
    "amazon-linux-2": Wishes(
        "amazon-linux-2",
        # The first bake has a connection for each command: the last must not need another.
        False,
        # As text, which is what `-e name=value` gives.
        {"mngen_nr_cpus": "24", "mngen_efs_tls": "false", "mngen_efs_mount": "/mnt/scratch"},
        "fs-0123456789abcdef0.efs.us-east-1.amazonaws.com:/ /mnt/scratch nfs4 " + NFS + " 0 0",
        "mount.nfs4",
        "mnt-scratch.mount",
    ),
}


@dataclass(frozen=True)
class Preload:
    """What came of the container image.

    Attributes:
        play: The playbook's run.
        references: The image in the AMI, and one with another layer.
        baking: What the registry was asked during the bake.
        starting: What it is asked when a node pulls that image, the other, and that again.
    """

    play: Play
    references: tuple[str, str]
    baking: list[str]
    starting: tuple[list[str], list[str], list[str]]


@dataclass(frozen=True)
class Baked:
    """A machine that was baked, started from its image, and baked again.

    Before that, the playbook is run for another base than the machine's, where that is looked at.
    """

    folder: Path
    wishes: Wishes
    machine: Machine
    first: Play
    other: Play | None
    second: Play
    complaints: str
    control: str
    sealed: str
    booted: str
    console: str
    preload: Preload | None

    @property
    def extra(self) -> dict[str, Any]:
        return variables(self.wishes.base, **self.wishes.extra)

    @property
    def lustre(self) -> bool:
        return "mngen_fsx_id" in self.wishes.extra

    @property
    def cpus(self) -> str:
        return str(self.extra["mngen_nr_cpus"])


@pytest.fixture(scope="module", params=list(WISHES))
def baked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Baked:
    """Each base is baked once, by the worker that asks first: the others wait for the result."""
    wishes = WISHES[request.param]
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / f"playbooks-{wishes.base}"
    folder.mkdir(exist_ok=True)
    result = folder / "baked.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            result.write_bytes(pickle.dumps(bake(folder, wishes)))
        done: Baked = pickle.loads(result.read_bytes())
    return done


# What somebody leaves who works on a builder, and what the image must not keep of it.
WORKED = """
until [ -s /run/mngen-machine/joined ] && [ -s /var/lib/ecs/data/agent.db ]; do sleep 0.1; done
for home in /root /home/ec2-user; do echo vi >$home/.bash_history; done
touch /tmp/left-behind /var/tmp/left-behind
mkdir -p /var/cache/dnf/amazonlinux /var/cache/yum/amzn2-core
touch /var/cache/dnf/amazonlinux/repomd.xml /var/cache/yum/amzn2-core/repomd.xml
mkdir -p /etc/kernel
echo "root=UUID=6f0c1a5e-5d0b-4f4e-9d0c-2f7a8c1b3e44 ro quiet" >/etc/kernel/cmdline
"""
# journald has brought its files back within 6 seconds, and the agents have written again.
SEALED = """
logger "written after the journal was cleaned"
sleep 7
logger "and again"
find /var/log /var/lib/ecs /var/lib/cloud /etc/amazon/efs /etc/machine-id -type f -size +0
systemctl is-active ecs.service
"""
BOOTED = """
until systemctl is-active --quiet ecs.service; do sleep 0.1; done
systemctl is-active docker.service mngen-efs.service {unit}
systemctl is-enabled ecs.service
cat /run/mngen-machine/joined
cat /run/mngen-machine/mounts
stat -c '%a %U' {mount} {mount}/.mngen {mount}/mngen-inputs
"""
BOOTED_LUSTRE = """
systemctl is-active mngen-fsx.service fsx.mount
stat -c '%a %U' /fsx /fsx/results
"""


def trusting(machine: Machine, registry: LocalRegistry) -> None:
    """Have a machine know the registry: by its address, and to Docker by its certificate."""
    certificate = base64.b64encode(registry.certificate.read_bytes()).decode()
    machine.run(
        # The file is not the image's, and cannot be written.
        f"(cat /etc/hosts; echo 127.0.0.1 {ECR}) >/run/hosts; mount --bind /run/hosts /etc/hosts; "
        f"mkdir -p /etc/docker/certs.d/{ECR}; "
        f"echo {certificate} | base64 -d >/etc/docker/certs.d/{ECR}/ca.crt"
    )


def preload(
    folder: Path, machine: Machine, extra: dict[str, Any]
) -> tuple[Play, list[str], tuple[str, str]]:
    place = folder / "registry"
    with local_registry(place, "AWS", PASSWORD) as registry:
        digests = [
            push_layers(
                registry, "AWS", PASSWORD, repository="seismic/mpi", tag=f"v{layers}", layers=layers
            )
            for layers in (3, 4)
        ]
    same, other = (f"{ECR}/seismic/mpi@{digest}" for digest in digests)
    with (
        local_registry(place, "AWS", PASSWORD, name=ECR, pid=machine.pid) as registry,
        serving(machine.pid) as servers,
    ):
        servers.password = PASSWORD
        url = f"http://127.0.0.1:{servers.server_port}"
        trusting(machine, registry)
        more = {
            "mngen_preload": [same],
            "preload_environment": {"MNGEN_METADATA": url, "MNGEN_ECR": url},
        }
        done = play(folder, {**extra, **more}, machine=machine, playbook="preload.yml")
        return done, registry.requests(), (same, other)


def pulling(
    folder: Path, machine: Machine, references: tuple[str, str]
) -> tuple[list[str], list[str], list[str]]:
    """Pull as a node does, whose agent has the engine pull every image by its digest."""
    with local_registry(
        folder / "registry", "AWS", PASSWORD, name=ECR, pid=machine.pid
    ) as registry:
        trusting(machine, registry)
        config = json.dumps({"auths": {ECR: {"auth": LOGIN}}})
        machine.run(f"mkdir -p /run/login && echo '{config}' >/run/login/config.json")

        def asked(reference: str) -> list[str]:
            before = len(registry.requests())
            machine.run(f"docker --config /run/login pull {reference}")
            return registry.requests()[before:]

        same, other = references
        return asked(same), asked(other), asked(same)


def bake(folder: Path, wishes: Wishes) -> Baked:
    extra = variables(wishes.base, **wishes.extra)
    preloaded = None
    preloads = wishes.preloads and registry_unavailable() is None
    with booted(folder, wishes.base, shared=wishes.shared) as machine:
        machine.run(WORKED)
        if preloads:
            preloaded = preload(folder, machine, extra)
            assert preloaded[0].code == 0, preloaded[0].output
        first = play(folder, extra, machine=machine)
        assert first.code == 0, first.output
        sealed = machine.run(SEALED, check=False).stdout
        units = "docker.service ecs.service mngen-cpu-check.service mngen-efs.service"
        units += " mngen-fsx.service" * ("mngen_fsx_id" in extra)
        machine.run("systemctl unmask --runtime ecs.service")
        verify = f"systemd-analyze verify --man=no {units} 2>&1"
        complaints = machine.run(verify, check=False).stdout
        # An error of ours shows that it reads the drop-in.
        drop_in = "/etc/systemd/system/ecs.service.d/10-mngen-efs.conf"
        machine.run(f"cp {drop_in} /run/kept; echo Nonsense=1 >>{drop_in}")
        control = machine.run(verify, check=False).stdout
        machine.run(f"cp /run/kept {drop_in}")
    # An instance of the image: new keys, nothing else.
    with booted(folder, wishes.base) as machine:
        asked = BOOTED.format(unit=wishes.unit, mount=extra["mngen_efs_mount"])
        up = machine.run(asked + BOOTED_LUSTRE * ("mngen_fsx_id" in extra)).stdout
        console = machine.console.read_text(encoding="utf-8", errors="replace")
        starting = pulling(folder, machine, preloaded[2]) if preloaded else ([], [], [])
        wrong = {**extra, "mngen_base": "amazon-linux-2023"}
        other = play(folder, wrong, machine=machine) if wrong != extra else None
        second = play(folder, extra, machine=machine)
    assert second.code == 0, second.output
    result = Preload(preloaded[0], preloaded[2], preloaded[1], starting) if preloaded else None
    return Baked(
        folder,
        wishes,
        machine,
        first,
        other,
        second,
        complaints,
        control,
        sealed,
        up,
        console,
        result,
    )


def test_a_second_run_changes_nothing(baked: Baked) -> None:
    # What keeps the agent from the metadata is in both playbooks.
    assert baked.first.changed + (baked.preload is not None) >= 8
    assert baked.second.changed == 0, baked.second.output
    assert "[ERROR]" not in baked.first.output


def test_a_preloaded_image_is_not_fetched_again(baked: Baked) -> None:
    if not baked.wishes.preloads:
        assert not baked.machine.exists("/var/lib/docker/image")
        return
    if reason := registry_unavailable():
        pytest.skip(reason)
    assert baked.preload
    blobs = [
        [request.split("/")[4] for request in requests]
        for requests in (baked.preload.baking, *baked.preload.starting)
    ]
    # What a node without it would fetch: manifest, configuration, three layers.
    assert blobs[0] == ["manifests", *["blobs"] * 4]
    # With it: nothing. Of an image with another layer: manifest, configuration and that layer.
    assert blobs[1:] == [[], ["manifests", "blobs", "blobs"], []]


def test_the_login_to_the_registry_does_not_stay(baked: Baked) -> None:
    if not baked.wishes.preloads:
        return
    if reason := registry_unavailable():
        pytest.skip(reason)
    assert baked.preload
    for secret in (SECRET, TOKEN, PASSWORD, LOGIN):
        assert secret not in baked.preload.play.output
    held = [
        path
        for path in baked.machine.upper.rglob("*")
        if path.is_file() and not path.is_symlink() and SECRETS.search(path.read_bytes())
    ]
    assert held == []


def test_fstab_mounts_it_once_and_keeps_the_rest(baked: Baked) -> None:
    *before, added = baked.machine.read("/etc/fstab").splitlines()
    if baked.lustre:
        assert added == LUSTRE_FSTAB
        *before, added = before
    assert before[0].split()[1:3] == ["/", "xfs"]
    efi = [line.split()[1] for line in before[1:]]
    assert efi == (["/boot/efi"] if baked.wishes.base == "amazon-linux-2023" else [])
    assert added == baked.wishes.fstab


def test_an_instance_of_the_image_mounts_it_and_joins(baked: Baked) -> None:
    lines = baked.booted.splitlines()
    assert lines[:4] == ["active", "active", "active", "enabled"]
    # Of this instance, with its containers kept from the instance's metadata.
    assert lines[4] == "cluster=default block_imds=true"
    source, target, _, options = baked.wishes.fstab.split()[:4]
    mounts = {each["target"]: each for each in map(json.loads, lines[5 : 6 + baked.lustre])}
    mount = mounts.pop(target)
    assert (mount["program"], mount["source"]) == (baked.wishes.program, source)
    assert set(options.split(",")) - {"_netdev"} <= set(mount["options"])
    # A new file system is open to the ranks, who are not root.
    assert lines[6 + baked.lustre :][:3] == ["1777 root"] * 3
    assert f"mngen-efs-mount: OK: {target} is mounted" in baked.console
    if not baked.lustre:
        assert mounts == {}
        return
    source, target, _, options = LUSTRE_FSTAB.split()[:4]
    mount = mounts.pop(target)
    assert (mount["program"], mount["source"]) == ("mount.lustre", source)
    assert {"noatime", "flock"} <= set(mount["options"])
    assert lines[10:] == ["active", "active", "1777 root", "1777 root"]
    assert f"mngen-fsx-mount: OK: {target} is mounted" in baked.console


def test_nothing_starts_without_the_file_system(baked: Baked) -> None:
    wanted = DROP_IN.format(unit=baked.wishes.unit, mount=baked.extra["mngen_efs_mount"])
    lustre = wanted.replace("mngen-efs", "mngen-fsx").replace("efs.mount", "fsx.mount")
    lustre = lustre.replace("MountPoint=/efs", "MountPoint=/fsx")
    for unit in UNITS:
        folder = f"/etc/systemd/system/{unit}.service.d"
        assert baked.machine.read(f"{folder}/10-mngen-efs.conf") == wanted
        assert baked.machine.exists(f"{folder}/10-mngen-fsx.conf") == baked.lustre
        if baked.lustre:
            assert baked.machine.read(f"{folder}/10-mngen-fsx.conf") == lustre


def test_systemd_finds_the_units_sound(baked: Baked) -> None:
    assert baked.complaints == ""
    assert "10-mngen-efs.conf:6: Unknown key 'Nonsense' in section [Unit]" in baked.control


def test_the_kernels_of_bls_entries_are_limited(baked: Baked) -> None:
    if baked.wishes.base == "amazon-linux-2":
        assert not baked.machine.exists(BLS)
        return
    entries = baked.machine.listing(BLS)
    assert len(entries) == 2
    for entry in entries:
        options = re.search("^options (.*)$", baked.machine.read(f"{BLS}/{entry}"), re.MULTILINE)
        assert options
        assert LIMIT.findall(options[1]) == ["nr_cpus=48"]
        assert options[1].startswith("root=UUID=")
        assert "selinux=1 security=selinux quiet" in options[1]
    assert "linux" not in baked.machine.read("/boot/grub2/grub.cfg")


def test_the_kernels_of_grub_cfg_are_limited(baked: Baked) -> None:
    lines = re.findall(
        r"^\s*linux\s.*$", baked.machine.read("/boot/grub2/grub.cfg"), flags=re.MULTILINE
    )
    if baked.wishes.base == "amazon-linux-2023":
        assert lines == []
        return
    assert len(lines) == 2
    for line in lines:
        assert LIMIT.findall(line) == ["nr_cpus=24"]
        assert "net.ifnames=0 biosdevname=0" in line


def test_the_emulated_batch_reads_the_limit_from_the_disk(baked: Baked) -> None:
    before = machine_layers(baked.wishes.base)
    assert kernel_limit(before) is None
    assert kernel_limit((baked.machine.upper, *before)) == int(baked.cpus)


def test_the_defaults_of_the_boot_loader_are_limited(baked: Baked) -> None:
    text = baked.machine.read("/etc/default/grub")
    before = Machine(baked.folder / "absent", "127.0.0.1", baked.wishes.base).read(
        "/etc/default/grub"
    )
    if baked.wishes.base == "amazon-linux-2023":
        assert text == before + 'GRUB_CMDLINE_LINUX="nr_cpus=48"\n'
    else:
        assert text == before.replace('rd.shell=0"', 'rd.shell=0 nr_cpus=24"')


def test_the_cpus_are_checked_at_every_boot(baked: Baked) -> None:
    script = "/usr/local/libexec/mngen-cpu-check"
    unit = baked.machine.read("/etc/systemd/system/mngen-cpu-check.service")
    assert f"\nExecStart={script} {baked.cpus}\n" in unit
    assert "\nBefore=docker.service ecs.service\n" in unit
    assert baked.machine.path(script).stat().st_mode & 0o777 == 0o755
    link = baked.machine.path("/etc/systemd/system/multi-user.target.wants/mngen-cpu-check.service")
    assert str(link.readlink()) == "/etc/systemd/system/mngen-cpu-check.service"


def test_the_record_says_what_the_image_is(baked: Baked) -> None:
    assert json.loads(baked.machine.read("/etc/mngen-image.json")) == {
        "image": "r5-24xlarge",
        "version": "1.2.3",
        "base": baked.wishes.base,
        "arch": "x86_64",
        "nr_cpus": int(baked.cpus),
        "efa": False,
        "efs": {
            "id": "fs-0123456789abcdef0",
            "dns_name": "fs-0123456789abcdef0.efs.us-east-1.amazonaws.com",
            "mount": baked.extra["mngen_efs_mount"],
            "tls": baked.extra["mngen_efs_tls"] is True,
        },
        **(
            {
                "fsx": {
                    "id": LUSTRE["mngen_fsx_id"],
                    "dns_name": LUSTRE["mngen_fsx_dns_name"],
                    "mount_name": "abcd1234",
                    "mount": "/fsx",
                }
            }
            if baked.lustre
            else {}
        ),
    }


def test_nothing_of_the_builder_is_left(baked: Baked) -> None:
    left = baked.sealed.splitlines()
    assert left.pop() == "inactive"
    # What the Systems Manager agent writes until the builder is off.
    left.remove("/etc/amazon/efs/efs-utils.conf")
    assert [name for name in left if not name.startswith("/var/log/amazon/ssm/")] == []
    image = baked.machine
    for folder in ("/var/lib/ecs/data", "/var/log/ecs", "/var/tmp", "/var/cache/dnf"):
        assert image.listing(folder) == [], folder
    assert image.listing("/var/cache/yum") == []
    assert image.listing("/var/log/journal") == []
    for home in ("/root", "/home/ec2-user"):
        for name in (".bash_history", ".ansible", ".ssh/authorized_keys"):
            assert not image.exists(f"{home}/{name}"), (home, name)
    assert [name for name in image.listing("/etc/ssh") if name.startswith("ssh_host")] == []
    for name in ("cloud-init.log", "cloud-init-output.log", "dnf.log", "yum.log", "wtmp"):
        assert not image.exists(f"/var/log/{name}"), name
    assert not image.exists("/var/lib/cloud/instance")
    assert image.listing("/var/lib/cloud/instances") == []
    # All nodes would share the key of the first TLS mount.
    assert not image.exists("/etc/amazon/efs/privateKey.pem")
    assert image.read("/etc/machine-id") == ""


def test_packages_are_those_that_were_needed(baked: Baked) -> None:
    record = "/var/lib/mngen-machine/installed"
    if baked.wishes.base == "amazon-linux-2023":
        # The ECS-optimized images have amazon-efs-utils.
        assert baked.machine.read(record).split() == ["lustre-client"]
    else:
        assert baked.machine.read(record).split() == ["python3.8"]


# What a bake with scratch space has written.
OTHER_SCRATCH = """
printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' \\
  >/etc/systemd/system/mngen-scratch.service
echo '[Unit]' >/etc/systemd/system/ecs.service.d/10-mngen-scratch.conf
systemctl enable mngen-scratch.service
"""


@pytest.mark.parametrize("baked", ["amazon-linux-2023"], indirect=True)
def test_a_mount_that_fails_at_boot_is_tried_again_and_then_the_power_goes_off(
    baked: Baked, tmp_path: Path
) -> None:
    folder = copied(baked.folder, tmp_path / "machine")
    unit = folder / "upper/etc/systemd/system/mngen-efs.service"
    mode = folder / "upper/srv/efs.mode"
    written = unit.read_text(encoding="utf-8")
    assert written.count(" 300\n") == 1
    unit.write_text(written.replace(" 300\n", " 600\n"), encoding="utf-8")
    mode.write_text("unreachable", encoding="utf-8")
    with booted(folder, baked.wishes.base) as machine:
        warning = "mngen-efs-mount: WARNING: /efs is not mounted: "
        wait_until(
            lambda: warning in machine.console.read_text(encoding="utf-8", errors="replace"),
            "the first failure",
        )
        assert machine.run("mountpoint /efs", check=False).returncode != 0
        assert machine.run("systemctl is-active docker ecs", check=False).stdout.split() == [
            "inactive",
            "inactive",
        ]
        machine.run("rm /srv/efs.mode; until systemctl is-active --quiet ecs; do sleep 0.2; done")
        assert machine.run("systemctl is-active docker efs.mount").stdout == "active\nactive\n"
        console = machine.console.read_text(encoding="utf-8", errors="replace")
        assert "Connection timed out" in console
        assert "mngen-efs-mount: OK: /efs is mounted" in console
    unit.write_text(written.replace(" 300\n", " 20\n"), encoding="utf-8")
    mode.write_text("no-name", encoding="utf-8")
    with booted(folder, baked.wishes.base) as machine:
        deadline = time.monotonic() + 400
        while Path(f"/proc/{machine.pid}").exists():
            assert time.monotonic() < deadline, machine.console.read_text(encoding="utf-8")
            time.sleep(0.2)
        console = machine.console.read_text(encoding="utf-8", errors="replace")
    assert "mngen-efs-mount: ERROR: /efs was not mounted within 20 s: " in console
    assert 'Failed to resolve "fs-0123456789abcdef0.efs.us-east-1.amazonaws.com"' in console
    assert "powering off, so that AWS Batch replaces this instance" in console
    assert "Started ecs.service" not in console


@pytest.fixture
def again(baked: Baked, tmp_path: Path) -> Iterator[Machine]:
    """A machine that was started from the image."""
    with booted(copied(baked.folder, tmp_path / "machine"), baked.wishes.base) as machine:
        yield machine


def check_the_limit_survives(baked: Baked, again: Machine) -> None:
    """Run grub2-mkconfig, to which what grubby has set is lost, and install a newer kernel."""
    again.run("grub2-mkconfig -o /boot/grub2/grub.cfg")
    if baked.wishes.base == "amazon-linux-2":
        lines = re.findall(r"^\s*linux\s.*$", again.read("/boot/grub2/grub.cfg"), re.MULTILINE)
        assert len(lines) == 2
    else:
        again.run("dnf install -y kernel")
        lines = [again.read(f"{BLS}/{entry}") for entry in again.listing(BLS)]
        assert len(lines) == 3
    for line in lines:
        assert LIMIT.findall(line) == [f"nr_cpus={baked.cpus}"]


def test_baking_with_other_wishes_leaves_nothing_of_the_first(
    baked: Baked, again: Machine, tmp_path: Path
) -> None:
    check_the_limit_survives(baked, again)
    again.run(OTHER_SCRATCH)
    # Somebody's own limits, in quotes of the other kind, and assigned a second time.
    defaults = "GRUB_CMDLINE_LINUX='audit=0  nr_cpus=12 nr_cpus=13 x=\"y  z\"'\n"
    again.run(f"cat >>/etc/default/grub <<'END'\n{defaults}END")
    tls = baked.extra["mngen_efs_tls"] is not True
    mount = baked.extra["mngen_efs_mount"]
    extra = baked.extra | {"mngen_nr_cpus": 0, "mngen_efs_tls": tls}
    if tls:
        # A base without amazon-efs-utils, and a file system that asks for a role.
        again.run(f"umount {mount}; rm /usr/sbin/mount.efs /usr/bin/amazon-efs-mount-watchdog")
        extra |= {"mngen_efs_iam": "true", "mngen_efs_access_point": POINT}
    done = play(tmp_path, extra, machine=again)
    assert done.code == 0, done.output
    lines = again.read("/etc/fstab").splitlines()
    assert (lines.pop() if baked.lustre else None) == (LUSTRE_FSTAB if baked.lustre else None)
    assert lines[-1:] == [
        f"fs-0123456789abcdef0:/ {mount} efs _netdev,noresvport,tls,iam,accesspoint={POINT} 0 0"
        if tls
        else f"fs-0123456789abcdef0.efs.us-east-1.amazonaws.com:/ {mount} nfs4 {NFS} 0 0"
    ]
    installed = again.run("cat /var/lib/mngen-machine/installed 2>/dev/null", check=False).stdout
    assert ("amazon-efs-utils" in installed.split()) == tls
    record = json.loads(again.read("/etc/mngen-image.json"))["efs"]
    asked = {"iam": True, "access_point": POINT} if tls else {}
    assert {name: record[name] for name in record if name in ("iam", "access_point")} == asked
    if tls:
        mounts = again.run("cat /run/mngen-machine/mounts").stdout.splitlines()
        # As the documentation of EFS has it for /etc/fstab:
        # https://docs.aws.amazon.com/efs/latest/ug/efs-mount-helper.html
        used = json.loads(mounts[-1])
        assert used["program"] == "mount.efs"
        assert {"tls", "iam", f"accesspoint={POINT}"} <= set(used["options"])
    for entry in again.listing(BLS):
        assert "nr_cpus" not in again.read(f"{BLS}/{entry}")
    assert "nr_cpus" not in again.read("/boot/grub2/grub.cfg")
    text = again.read("/etc/default/grub")
    assert "nr_cpus" not in text
    assert "GRUB_CMDLINE_LINUX='audit=0 x=\"y  z\"'\n" in text
    assert "nr_cpus" not in again.read("/etc/kernel/cmdline")
    assert not again.exists("/etc/systemd/system/mngen-cpu-check.service")
    wants = again.listing("/etc/systemd/system/multi-user.target.wants")
    assert "mngen-cpu-check.service" not in wants
    assert "mngen-scratch.service" not in wants
    for name in ("mngen-scratch.service", "ecs.service.d/10-mngen-scratch.conf"):
        assert not again.exists(f"/etc/systemd/system/{name}")
    assert "ecs.service" in wants
    assert "docker.service" not in wants


BREAK = """
sed -i '/ efs /d' /etc/fstab
rm -r /srv/efs /srv/fsx
sed -i 's/flock,/localflock,/' /etc/fstab
sed -i 's/^AssertPath/#&/' /etc/systemd/system/docker.service.d/10-mngen-fsx.conf
sed -i 's/ 300$/ 3/' /etc/systemd/system/mngen-fsx.service
sed -i 's/^AssertPath/#&/' /etc/systemd/system/ecs.service.d/10-mngen-efs.conf
sed -i 's/ 300$/ 3/' /etc/systemd/system/mngen-efs.service
sed -i 's/true/false/' /etc/ecs/ecs.config
sed -i '/^Wants=/d' /usr/lib/systemd/system/ecs.service
mkdir -p /etc/kernel; echo root=UUID=1 ro nr_cpus=4 >/etc/kernel/cmdline
entry=$(ls /boot/loader/entries/*.conf | head -1)
sed -i 's/ nr_cpus=48/ nr_cpus=24/' "$entry"
sed -i 's/nr_cpus=48/nr_cpus=4/' /etc/default/grub
rm /etc/systemd/system/multi-user.target.wants/ecs.service
sed -i 's/mngen-cpu-check 48/mngen-cpu-check 24/' /etc/systemd/system/mngen-cpu-check.service
sed -i 's/"nr_cpus": 48/"nr_cpus": 24/' /etc/mngen-image.json
"""

PROBLEMS = (
    "/etc/fstab mounts nothing on /efs; it should be the one line fs-0123456789abcdef0:/ /efs efs",
    "fs-0123456789abcdef0 cannot be mounted on /efs (mount: /efs: can't find",
    "lets the builder's in on port 2049, and no policy that requires IAM",
    "/etc/systemd/system/ecs.service.d/10-mngen-efs.conf has no line AssertPathIsMountPoint=/efs",
    "should be the one line fs-0a1b2c3d4e5f60718.fsx.us-east-1.amazonaws.com@tcp:/abcd1234 /fsx",
    "fs-0a1b2c3d4e5f60718 cannot be mounted on /fsx (mount.lustre: mount fs-0a1b2c3d4e5f60718.fsx",
    "its security group must let the builder's in on ports 988 and 1018 to 1023",
    "/docker.service.d/10-mngen-fsx.conf has no line AssertPathIsMountPoint=/fsx: the service",
    "/etc/systemd/system/mngen-fsx.service has no line ExecStart=/usr/local/libexec/mngen-fsx-mo",
    "/etc/systemd/system/mngen-efs.service has no line ExecStart=/usr/local/libexec/mngen-efs-mo",
    "/etc/ecs/ecs.config has no line ECS_AWSVPC_BLOCK_IMDS=true: containers would have the rights",
    "docker.service is not enabled, and ecs.service does not want it",
    "/etc/kernel/cmdline has root=UUID=1 ro nr_cpus=4 where nr_cpus=48 should be",
    "not every kernel starts with nr_cpus=48: grubby --info=ALL shows ro console=tty0",
    "/etc/default/grub has nr_cpus=4 where nr_cpus=48 should be: an update of the kernel",
    "ecs.service is disabled, not enabled: it would not start at boot",
    "/etc/systemd/system/mngen-cpu-check.service has no line ExecStart=",
    "mngen-scratch.service is not-found, not enabled: it would not start at boot",
    "/etc/systemd/system/mngen-scratch.service has no line ExecStart=/usr/local/libexec/mngen-scra",
    "/etc/systemd/system/docker.service.d/10-mngen-scratch.conf:Requires=mngen-scratch.service and",
    "mngen_efa is true, but the EFA installer left no /opt/amazon/efa_installed_packages",
    "mngen_gpu is true, but the ECS agent does not offer GPUs (ECS_ENABLE_GPU_SUPPORT): the base",
    "/etc/mngen-image.json does not describe the requested AMI",
)


@pytest.mark.parametrize("baked", ["amazon-linux-2023"], indirect=True)
def test_the_verification_tells_everything_that_is_wrong(
    baked: Baked, again: Machine, tmp_path: Path
) -> None:
    sound = play(tmp_path, baked.extra, "--tags", "verify", machine=again)
    assert (sound.code, sound.changed) == (0, 0), sound.output
    again.run("umount /efs /fsx")
    again.run(BREAK)
    more = {"mngen_efa": True, "mngen_gpu": True, "mngen_scratch": "/scratch"}
    done = play(tmp_path, baked.extra | more, "--tags", "verify", machine=again)
    assert done.code == 2
    for problem in PROBLEMS:
        assert problem in done.words, problem
    again.run("mkdir /srv/efs")
    again.run(f"echo '{baked.wishes.fstab}' >>/etc/fstab; mount --bind /usr/share /srv/efs")
    again.run("mount -o remount,bind,ro /srv/efs")
    done = play(tmp_path, baked.extra, "--tags", "verify", machine=again)
    assert "on /efs; it should be" not in done.words
    assert "is mounted on /efs, but the bake, which is root, cannot write" in done.words
    assert "mktemp: failed to create file" in done.words
    assert "Read-only file system" in done.words
    assert again.run("mountpoint /efs", check=False).returncode != 0


@pytest.mark.parametrize("baked", ["amazon-linux-2"], indirect=True)
def test_another_base_than_was_said_is_refused(baked: Baked) -> None:
    done = baked.other
    assert done
    assert (done.code, done.changed) == (2, 0)
    assert "mngen_base is amazon-linux-2023, but the instance runs Amazon Linux 2" in done.words
