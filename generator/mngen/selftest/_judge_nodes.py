"""The checks of each node for itself, and of its files."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from mngen.selftest._facts import (
    Cpus,
    Files,
    Limits,
    Metadata,
    Mount,
    Ranks,
    Scratch,
    cpus_of,
    nodes_of,
    of_kind,
)
from mngen.selftest._types import Check, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mngen.selftest._types import Expected, Machine, Run

_UNLIMITED = -1
_NFS_SIZE = 1_048_576
_NOT_MOUNTED = "nothing is mounted there: it is a folder of the container or the node"
_REMOUNT = (
    "see /etc/fstab and `journalctl -u docker -u ecs` on the node; `mngen bake` makes images that "
    "take no job without the file system"
)


def machine_of(expected: Expected, run: Run, node: int) -> Machine | None:
    """Returns what a node must be; None where its type is not known and there are several."""
    machines = expected.machines
    if len(machines) == 1:
        return next(iter(machines.values()))
    return machines.get(run.types.get(node, ""))


def verdict(
    name: str,
    title: str,
    wrong: Mapping[str, set[int]],
    seen: Mapping[str, set[int]],
    remedy: str,
    weight: State = State.ERROR,
) -> Check:
    """Returns a check of all nodes: what is wrong on which, or else what was seen.

    Args:
        name: The check's id.
        title: What must hold.
        wrong: The nodes by what is wrong on them.
        seen: The nodes by what was seen on them.
        remedy: What to do where something is wrong.
        weight: How bad that is.
    """
    if wrong:
        text = "; ".join(f"{nodes_of(nodes)}: {what}" for what, nodes in wrong.items())
        return Check(id=name, title=title, state=weight, seen=text, remedy=remedy)
    if not seen:
        return _skipped(name, title, "the nodes wrote nothing about it")
    if len(seen) == 1:
        return Check(id=name, title=title, state=State.OK, seen=next(iter(seen)))
    text = "; ".join(f"{nodes_of(nodes)}: {what}" for what, nodes in seen.items())
    return Check(id=name, title=title, state=State.OK, seen=text)


def cpus_check(expected: Expected, run: Run) -> Check:
    """Whether each node has the CPUs that the spec means it to have."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Cpus):
        online, allowed = cpus_of(fact.online), cpus_of(fact.allowed)
        machine = machine_of(expected, run, fact.node)
        text = f"{len(online)} CPUs ({fact.online})"
        if machine is not None and len(online) != machine.cpus:
            wrong[f"{text} instead of {machine.cpus}"].add(fact.node)
        elif len(allowed) < (len(online) if machine is None else machine.usable or len(online)):
            limited = f"only {len(allowed)} of {len(online)} CPUs may be used"
            wrong[limited].add(fact.node)
        seen[text].add(fact.node)
    return verdict(
        "cpus",
        "CPUs online are those of the spec",
        wrong,
        seen,
        "bake the image for this instance type: `mngen bake`, then `mngen apply`"
        if expected.real
        else "see what limits the CPUs of the nodes",
    )


def siblings_check(expected: Expected, run: Run) -> Check:
    """Whether no two online CPUs share a core where the spec turns hyper-threading off."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Cpus):
        machine = machine_of(expected, run, fact.node)
        cores = _cores(fact)
        if machine is None or machine.threads is None:
            continue
        shared = sorted(min(core) for core in cores if len(core) > 1)
        if not cores:
            wrong["the kernel does not report cores"].add(fact.node)
        elif machine.threads == 1 and shared:
            text = f"{len(shared)} of {len(cores)} cores have two CPUs online, such as CPU "
            wrong[text + str(shared[0])].add(fact.node)
        else:
            seen[f"{len(cores)} cores"].add(fact.node)
    if not wrong and not seen:
        return _skipped("siblings", "CPUs that share a core", "not judged on this machine")
    return verdict(
        "siblings",
        "one CPU a core, unless the spec wants hyper-threading",
        wrong,
        seen,
        "the image's CPU limit does not fit how this type counts its CPUs: run mngen bake; its "
        "boot-time check prints details to the console",
    )


def pinning_check(expected: Expected, run: Run) -> Check:
    """Whether each rank has its own cores."""
    facts = {fact.node: fact for fact in of_kind(run.facts, Cpus)}
    doubled: dict[str, set[int]] = defaultdict(set)
    loose: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Ranks):
        node = fact.node
        machine = machine_of(expected, run, node)
        by_core = machine is None or machine.threads != 2
        cores = _cores(facts[node]) if by_core and node in facts else []
        ranks = f"{fact.count} rank{'' if fact.count == 1 else 's'}"
        places = [_places(cpus_of(pin), cores) for pin in fact.pins]
        if clash := _clash(places):
            first, second = clash
            text = f"ranks {first} and {second} are both on CPU {fact.pins[first]}"
            doubled[text].add(node)
        elif sum(map(len, places)) > len(frozenset().union(*places)):
            loose[f"{ranks} share cores"].add(node)
        else:
            seen[f"{ranks}, each on its own cores"].add(node)
    remedy = "see `mpi_args`, `ranks_per_node` and `threads_per_rank` of the job in the spec"
    title = "each rank has its own cores"
    if doubled:
        return verdict("pinning", title, doubled, seen, remedy)
    return verdict("pinning", title, loose, seen, remedy, State.WARNING)


def mount_check(expected: Expected, run: Run) -> Check:
    """Whether the shared file system is mounted, with the options that EFS needs."""
    title = f"{expected.mount} is the shared file system"
    facts = [fact for fact in of_kind(run.facts, Mount) if fact.path in ("", expected.mount)]
    wrong: dict[str, set[int]] = defaultdict(set)
    slow: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in facts:
        errors, warnings = _mount_faults(fact, expected)
        for text in errors:
            wrong[text].add(fact.node)
        for text in warnings:
            slow[text].add(fact.node)
        if not errors and not warnings:
            seen[f"{fact.type} from {fact.source}"].add(fact.node)
    if not expected.efs and not wrong:
        return verdict("mount", title, {}, seen, "")
    if wrong:
        return verdict("mount", title, wrong, seen, _REMOUNT)
    return verdict("mount", title, slow, seen, "`mngen bake`", State.WARNING)


def lustre_check(expected: Expected, run: Run) -> Check:
    """Whether FSx for Lustre is mounted, with the options that mngen bakes.

    Source: https://docs.aws.amazon.com/fsx/latest/LustreGuide/mounting-ec2-instance.html
    """
    title = f"{expected.lustre} is FSx for Lustre"
    wrong: dict[str, set[int]] = defaultdict(set)
    loose: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Mount):
        if fact.path != expected.lustre:
            continue
        options = _options(fact.options)
        if not fact.type:
            wrong[_NOT_MOUNTED].add(fact.node)
        elif fact.type != "lustre":
            wrong[f"{fact.type} from {fact.source} is mounted there, not Lustre"].add(fact.node)
        elif "ro" in options:
            wrong["mounted read-only"].add(fact.node)
        elif "flock" not in options:
            loose["mounted without `flock`: locks of MPI-IO and HDF5 fail"].add(fact.node)
        else:
            seen[f"{fact.type} from {fact.source}"].add(fact.node)
    if wrong:
        return verdict("lustre", title, wrong, seen, _REMOUNT)
    return verdict("lustre", title, loose, seen, "`mngen bake`", State.WARNING)


def scratch_check(expected: Expected, run: Run) -> Check:
    """Whether each node has its scratch space, as large as the disks of its type, and free.

    A file system is somewhat smaller than its disks; one disk less of 24 would be 4 % less. That
    jobs leave a tenth free is a choice, not a fact.
    """
    title = "each node has the scratch space of the spec"
    if not expected.scratch:
        return Check(id="scratch", title=title, state=State.OK, seen="the job has none")
    facts = {fact.node: fact for fact in of_kind(run.facts, Scratch)}
    wrong: dict[str, set[int]] = defaultdict(set)
    full: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for node in (fact.node for fact in of_kind(run.facts, Cpus)):
        fact, machine = facts.get(node), machine_of(expected, run, node)
        size = machine.scratch if machine else 0
        if fact is None or fact.path != expected.scratch:
            wrong[f"the job definition gives no scratch space at {expected.scratch}"].add(node)
        elif not fact.type:
            wrong[f"nothing is mounted at {fact.path}"].add(node)
        elif fact.root != "/":
            wrong[f"{fact.path} is a folder on the node's root volume"].add(node)
        elif fact.wrote:
            wrong[f"cannot write to {fact.path}: {fact.wrote}"].add(node)
        elif fact.size < size * 97 // 100:
            wrong[f"{fact.size} GB instead of {size}"].add(node)
        elif fact.free * 10 < fact.size:
            full[f"{fact.free} of {fact.size} GB are free"].add(node)
        else:
            seen[f"{fact.type}, {fact.free} of {fact.size} GB are free"].add(node)
    remedy = (
        "`journalctl -u mngen-scratch` on the node; `mngen bake` makes images that take no job "
        "without it, and `mngen apply` registers the definition of the spec"
    )
    if wrong:
        return verdict("scratch", title, wrong, seen, remedy)
    remedy = "have jobs delete what they leave there: an instance serves one job after the other"
    return verdict("scratch", title, full, seen, remedy, State.WARNING)


def files_check(expected: Expected, run: Run) -> Check:
    """Whether what one node writes can be read on every other."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    refused = False
    for fact in of_kind(run.facts, Files):
        if fact.wrote:
            refused = True
            wrong[f"cannot write: {fact.wrote}"].add(fact.node)
        if fact.bad:
            text = f"does not see what {nodes_of(fact.bad)} wrote"
            wrong[text].add(fact.node)
        seen[f"files of {fact.writers} nodes read"].add(fact.node)
    remedy = (
        f"give the ranks' user the right to write to {expected.mount}: on a node, "
        f"`sudo chmod 1777 {expected.mount}`"
        if refused
        else f"{expected.mount} is not the same on all nodes: see the line about the mount"
    )
    return verdict("files", "what one node writes, every other reads", wrong, seen, remedy)


def image_check(expected: Expected, run: Run) -> Check:
    """Whether nodes run the image that the spec wants: its AMI, its record, its kernel's limit."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Cpus):
        node = fact.node
        machine, ami = machine_of(expected, run, node), run.amis.get(node)
        if machine is None or not machine.kernel:
            continue
        limit = fact.nr_cpus or None
        if limit != machine.nr_cpus:
            text = f"kernel started with {_limit(limit)} instead of {_limit(machine.nr_cpus)}"
            wrong[text].add(node)
        if ami and machine.ami and ami != machine.ami:
            text = f"runs {ami}, its environment starts {machine.ami}"
            wrong[text].add(node)
        elif machine.problem:
            wrong[machine.problem].add(node)
        seen[f"{ami or 'AMI not known'}, {_limit(limit)}"].add(node)
    title = "nodes run the AMI that the spec asks for"
    if not wrong and not seen:
        return _skipped("image", title, "a rehearsal does not use an AMI")
    return verdict(
        "image", title, wrong, seen, "`mngen bake`, `mngen apply`, and let old instances end"
    )


def shared_memory_check(expected: Expected, run: Run) -> Check:
    """Whether /dev/shm is as large as in the job definition."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Limits):
        text = f"{fact.shm} MiB"
        if fact.shm < expected.shared_memory:
            text += f" instead of {expected.shared_memory}"
            wrong[text].add(fact.node)
        seen[text].add(fact.node)
    return verdict(
        "shared-memory",
        "shared memory (/dev/shm) is as in the job definition",
        wrong,
        seen,
        "`mngen apply` registers the definition of the spec; `shared_memory` in the job sets it",
    )


def memlock_check(expected: Expected, run: Run) -> Check:
    """Whether ranks may lock memory, which EFA needs without a limit."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Limits):
        machine = machine_of(expected, run, fact.node)
        limit = fact.memlock
        text = _locked(limit)
        efa = _UNLIMITED if machine is not None and machine.efa else None
        wanted = expected.limits.get("memlock", efa)
        if wanted is not None and limit != wanted:
            wrong[f"{text} instead of {_locked(wanted)}"].add(fact.node)
        seen[text].add(fact.node)
    return verdict(
        "memlock",
        "ranks may lock memory, without a limit where there is EFA",
        wrong,
        seen,
        "`mngen apply` registers the definition of the spec, which sets it",
    )


def _locked(limit: int) -> str:
    return "unlimited" if limit == _UNLIMITED else f"{limit // 1024} KiB"


def open_files_check(expected: Expected, run: Run) -> Check:
    """Whether ranks may open as many files as the job sets."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    wanted = expected.limits.get("nofile")
    for fact in of_kind(run.facts, Limits):
        text = f"{fact.nofile} files"
        if wanted is not None and fact.nofile != wanted:
            wrong[f"{text} instead of {wanted}"].add(fact.node)
        seen[text].add(fact.node)
    return verdict(
        "open-files",
        "ranks may open as many files as the job sets",
        wrong,
        seen,
        "`mngen apply` registers the definition of the spec; `ulimits` in the job sets it",
    )


def gpus_check(expected: Expected, run: Run) -> Check:
    """Whether each container has the GPUs that its job requests."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Limits):
        machine = machine_of(expected, run, fact.node)
        text = f"{fact.gpus} GPUs" if fact.gpus else "no GPUs"
        # A rehearsal has those of this machine, which no spec is about.
        if expected.real and machine is not None and fact.gpus != machine.gpus:
            wrong[f"{text} instead of {machine.gpus}"].add(fact.node)
        seen[text].add(fact.node)
    return verdict(
        "gpus",
        "containers have the GPUs that the job requests",
        wrong,
        seen,
        "`mngen apply` registers the definition of the spec; bake the image for GPUs: `mngen bake`",
    )


def user_check(expected: Expected, run: Run) -> Check:
    """Whether ranks run as a user without rights over the machine."""
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Limits):
        text = f"uid {fact.uid}"
        if not fact.uid and not expected.root_is_expected:
            wrong["root"].add(fact.node)
        seen[text].add(fact.node)
    return verdict(
        "user",
        "ranks do not run as root",
        wrong,
        seen,
        "build the container image without RUN_AS=root, unless your ranks need it",
        State.WARNING,
    )


def metadata_check(expected: Expected, run: Run) -> Check:
    """Whether containers cannot get the instance's role from the metadata service."""
    del expected
    wrong: dict[str, set[int]] = defaultdict(set)
    seen: dict[str, set[int]] = defaultdict(set)
    for fact in of_kind(run.facts, Metadata):
        if fact.role:
            text = f"the metadata service hands out the role {fact.role}"
            wrong[text].add(fact.node)
        text = "reachable, but without a role" if fact.reached else "not reachable"
        seen[text].add(fact.node)
    return verdict(
        "metadata",
        "containers cannot take the instance's role",
        wrong,
        seen,
        "`mngen bake` makes images with ECS_AWSVPC_BLOCK_IMDS=true; then `mngen apply`",
    )


def _cores(fact: Cpus) -> list[frozenset[int]]:
    """Returns the online CPUs of each core."""
    online = cpus_of(fact.online)
    return [core for core in {cpus_of(text) & online for text in fact.siblings} if core]


def _places(cpus: frozenset[int], cores: Iterable[frozenset[int]]) -> frozenset[object]:
    """Returns the cores that some CPUs are of; each CPU for itself where cores are not known."""
    core_of: dict[int, object] = {cpu: core for core in cores for cpu in core}
    return frozenset(core_of.get(cpu, cpu) for cpu in cpus)


def _clash(places: list[frozenset[object]]) -> tuple[int, int] | None:
    """Returns two ranks that are bound to the same single core."""
    first: dict[frozenset[object], int] = {}
    for rank, place in enumerate(places):
        if len(place) == 1 and first.setdefault(place, rank) != rank:
            return first[place], rank
    return None


def _mount_faults(fact: Mount, expected: Expected) -> tuple[list[str], list[str]]:
    """Returns the errors and the warnings of one node's mount.

    Source of the options: https://docs.aws.amazon.com/efs/latest/ug/mounting-fs-nfs-mount-settings.html
    """
    if not fact.type:
        return [_NOT_MOUNTED], []
    if not expected.efs:
        return [], []
    if fact.type not in ("nfs", "nfs4"):
        return [f"{fact.type} from {fact.source} is mounted there, not EFS"], []
    options = _options(fact.options)
    errors = [
        text
        for text, is_wrong in (
            ("mounted read-only", "ro" in options),
            ("mounted `soft`, which loses writes when the server is slow", "soft" in options),
            (
                f"NFS {options.get('vers')} instead of 4.1",
                not options.get("vers", "4.1").startswith("4.1"),
            ),
            (
                f"not encrypted: mounted from {fact.source}, not through the local tunnel",
                expected.tls and not fact.source.startswith("127.0.0.1:"),
            ),
        )
        if is_wrong
    ]
    warnings = [
        f"{name}={options.get(name, 'unset')} instead of {_NFS_SIZE}"
        for name in ("rsize", "wsize")
        if options.get(name) != str(_NFS_SIZE)
    ]
    if "noresvport" not in options:
        warnings.append("`noresvport` is missing: the mount may hang after the network failed")
    return errors, warnings


def _options(text: str) -> dict[str, str]:
    options = {}
    for word in text.split(","):
        name, _, value = word.partition("=")
        options[name] = value
    return options


def _limit(limit: int | None) -> str:
    return f"nr_cpus={limit}" if limit else "no nr_cpus"


def _skipped(name: str, title: str, why: str) -> Check:
    return Check(id=name, title=title, state=State.SKIPPED, seen=why)
