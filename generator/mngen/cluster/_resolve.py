"""Joins a spec with the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen.cluster._base_image import base_kind, gpus_served
from mngen.spec import ExistingGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.catalog import Catalog, InstanceType
    from mngen.spec import Environment, Job, Queue, Spec

_ALLOCATIONS = {
    "best-fit": "BEST_FIT",
    "best-fit-progressive": "BEST_FIT_PROGRESSIVE",
    "spot-capacity-optimized": "SPOT_CAPACITY_OPTIMIZED",
    "spot-price-capacity-optimized": "SPOT_PRICE_CAPACITY_OPTIMIZED",
}


_RESERVED_MEMORY = 32
"""What Batch has the ECS agent reserve, MiB."""

_HUGE_PAGES = 220
"""Memory that EFA's software takes at boot as huge pages, MiB for each CPU that is online.

Source: https://github.com/awslabs/awsome-distributed-ai (p4de 21122 MiB of 96, p5 42242 of 192).
"""

BUILDER_VOLUME = 30
"""Size of a builder's root volume, the least that the ECS-optimized images take, GiB."""

_BUILDERS = {"x86_64": "t3.micro", "arm64": "t4g.micro"}


class ResolvedEnvironment(msgspec.Struct, frozen=True):
    """A compute environment with everything that follows from its instance type.

    Attributes:
        name: Its name in the spec.
        spec: Its entry in the spec.
        instance: The instance type's facts.
        image: Name of the AMI that it needs; environments with equal names share one. With `image`
            in the spec, the AMI's id.
        nr_cpus: The kernel's CPU limit that the image sets; None where there is no limit to set.
        schedulable_vcpus: CPUs of one node as the ECS agent registers them.
        max_vcpus: Upper limit of the environment, in the vCPUs that EC2 sells.
        min_vcpus: Lower limit, likewise.
        allocation: Batch's allocation strategy.
        placement_group: Name of its placement group: within the deployment, or in AWS of one that
            exists; None for none.
        zones: Availability zones; empty for the network's choice.
        gpus: GPUs that a job on one node can have; 0 where no AMI serves those of the type.
        alternatives: The facts of further types that AWS Batch may start, in the spec's order.
    """

    name: str
    spec: Environment
    instance: InstanceType
    image: str
    nr_cpus: int | None
    schedulable_vcpus: int
    max_vcpus: int
    min_vcpus: int
    allocation: str
    placement_group: str | None
    zones: tuple[str, ...]
    gpus: int
    alternatives: tuple[InstanceType, ...] = ()

    @property
    def types(self) -> tuple[InstanceType, ...]:
        """All types that its instances may have: `instance` first."""
        return (self.instance, *self.alternatives)

    @property
    def roomiest(self) -> InstanceType:
        """The type of them that registers most memory."""
        return max(self.types, key=registered_memory)

    @property
    def has_own_group(self) -> bool:
        """Whether its placement group is one that the deployment makes."""
        return self.placement_group is not None and not isinstance(
            self.spec.placement_group, ExistingGroup
        )

    @property
    def block(self) -> str | None:
        """The id of its capacity block; None for none."""
        return self.spec.capacity.block if self.spec.capacity else None

    @property
    def reservation_id(self) -> str | None:
        """The id of its capacity reservation or block; None for none, or for a group."""
        return self.spec.capacity.id if self.spec.capacity else None

    @property
    def limit_in_words(self) -> str:
        """The clause on why a node registers fewer CPUs than EC2 sells; empty for no limit."""
        if self.nr_cpus is None:
            return ""
        what = "its cores" if self.spec.cpus is None else "its `cpus`"
        return f", {what}, of the {self.instance.vcpus} vCPUs"

    @property
    def threads_per_core(self) -> int:
        """Most CPUs that jobs see of one core: 1 where the kernel's limit leaves one of each."""
        return -(-self.schedulable_vcpus // self.instance.cores)

    @property
    def usable_memory(self) -> int:
        """Memory that a job can have on every node, MiB: what registers, less EFA's huge pages.

        They count in what the agent registers, but a container cannot use them as plain memory. Of
        several types, that with the least memory decides.
        """
        return min(map(self._usable, self.types))

    @property
    def most_usable_memory(self) -> int:
        """Memory that a job can have on one node of the type with most of it, MiB."""
        return max(map(self._usable, self.types))

    def _usable(self, instance: InstanceType) -> int:
        huge = _HUGE_PAGES * self.schedulable_vcpus if self.spec.efa else 0
        return max(1, registered_memory(instance) - huge)

    @property
    def job_memory(self) -> int:
        """Memory of a job that does not set it, MiB.

        AWS recommends leaving 5 % of the memory to the agent and the system.
        Source: https://docs.aws.amazon.com/batch/latest/userguide/ecs-reserved-memory.html
        """
        least = min(each.memory for each in self.types)
        return min(least * 95 // 100, self.usable_memory)

    @property
    def efa_cards(self) -> tuple[int, ...]:
        """Indexes of the network cards with an Elastic Fabric Adapter, ascending; none without.

        A multi-node job's container gets its own network interface, so of the interfaces that
        the type takes one is left for it.
        """
        if not self.spec.efa:
            return ()
        cards = self.instance.efa_cards[: self.instance.max_efa_interfaces]
        if self.spec.multi_node and self.instance.card_interfaces:
            # Where the first card has no adapter, it has a plain interface.
            plain = 0 if 0 in cards else 1
            cards = cards[: max(0, sum(self.instance.card_interfaces) - 1 - plain)]
        return cards


class MachineImage(msgspec.Struct, frozen=True):
    """An AMI to bake: everything that makes one differ from another within a cluster.

    Attributes:
        names: The images of environments that it serves, sorted. Types that want the same limit on
            the same architecture share one.
        architecture: `x86_64` or `arm64`.
        nr_cpus: The kernel's CPU limit that it sets; None where there is no limit to set.
        efa: Whether it has the software of the Elastic Fabric Adapter.
        gpu: Whether it has the drivers of GPUs.
        scratch: Where it mounts the instance's disks; None for nowhere.
    """

    names: tuple[str, ...]
    architecture: str
    nr_cpus: int | None
    efa: bool
    gpu: bool = False
    scratch: str | None = None

    @property
    def name(self) -> str:
        """Its own name: the first of those that it serves."""
        return self.names[0]

    @property
    def label(self) -> str:
        """Its name where dots are not allowed, as in Packer's language."""
        return image_label(self.name)

    @property
    def builder(self) -> str:
        """The instance type that it is baked on: a cheap one of the architecture."""
        return _BUILDERS[self.architecture]

    @property
    def base_kind(self) -> str:
        """The kind of base image that it is baked from: `x86_64`, `arm64` or `x86_64-gpu`."""
        return base_kind(self.architecture, gpu=self.gpu)


class ResolvedQueue(msgspec.Struct, frozen=True):
    """A job queue with its environments in their order."""

    name: str
    spec: Queue
    environments: tuple[ResolvedEnvironment, ...]


class ResolvedJob(msgspec.Struct, frozen=True):
    """A job definition with its resources made explicit.

    Attributes:
        name: Its name in the spec.
        spec: Its entry in the spec.
        queue: The queue that it is meant for.
        vcpus: vCPUs of each node, as the ECS agent counts them.
        memory: Memory of each node, MiB.
        shared_memory: Size of /dev/shm, MiB.
        efa_interfaces: EFA devices of each node; 0 unless every environment of the queue has EFA.
        nr_cpus: The kernel's CPU limit on each node; None unless every environment of the queue
            sets the same.
        gpus: GPUs of each node; 0 for none.
        scratch: Where each node has its scratch space; None unless every environment of the queue
            has it at that path.
        group: The node group that this is a part of the job for; None for the whole job.
        target: The nodes of that group, as AWS Batch writes them: `targetNodes`. That of the last
            nodes has an open end, so that a submission can request another number of nodes.
        runs_beside: Whether these nodes run their own command beside launcher `main`.
        groups: The parts of a job with node groups, in the order of their nodes; without, none.
    """

    name: str
    spec: Job
    queue: ResolvedQueue
    vcpus: int
    memory: int
    shared_memory: int
    efa_interfaces: int
    nr_cpus: int | None
    gpus: int
    scratch: str | None = None
    group: str | None = None
    target: str = "0:"
    runs_beside: bool = False
    groups: tuple[ResolvedJob, ...] = ()

    @property
    def parts(self) -> tuple[ResolvedJob, ...]:
        """The parts for the node groups; of a job without groups, the job itself."""
        return self.groups or (self,)


class Cluster(msgspec.Struct, frozen=True):
    """A whole deployment, each part sorted by name."""

    spec: Spec
    environments: tuple[ResolvedEnvironment, ...]
    queues: tuple[ResolvedQueue, ...]
    jobs: tuple[ResolvedJob, ...]

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images (AMIs) to bake that the environments need, sorted, each once."""
        return tuple(sorted({each.image for each in self.environments if not each.spec.image}))

    @property
    def machine_images(self) -> tuple[MachineImage, ...]:
        """The AMIs to bake, sorted by name; each serves one or more of `images`."""
        names: dict[tuple[str, int | None, bool, bool, str | None], set[str]] = {}
        for each in self.environments:
            if each.spec.image:
                continue
            instance, wanted = each.instance, each.spec
            content = (
                *(instance.architecture, each.nr_cpus, wanted.efa, each.gpus > 0),
                wanted.scratch,
            )
            names.setdefault(content, set()).add(each.image)
        images = [MachineImage(tuple(sorted(names[content])), *content) for content in names]
        return tuple(sorted(images, key=lambda image: image.name))

    @property
    def connection(self) -> str:
        """How builders are reached: `public-ip`, `private-ip` or `session-manager`."""
        by_default = "public-ip" if self.spec.network.vpc == "default" else "session-manager"
        return self.spec.image.connect or by_default

    @property
    def default_group_decides(self) -> bool:
        """Whether containers of multi-node jobs get the default security group of the VPC.

        An environment with EFA has its security groups in the launch template, and those do not
        reach the network interface of a multi-node job's container.
        Source: https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html
        """
        return any(each.efa_cards and each.spec.multi_node for each in self.environments)

    @property
    def placement_groups(self) -> tuple[str, ...]:
        """Names of the placement groups that the deployment makes, sorted, each once."""
        groups = {each.placement_group for each in self.environments if each.has_own_group}
        return tuple(sorted(group for group in groups if group is not None))


def registered_memory(instance: InstanceType) -> int:
    """Returns the memory that the ECS agent registers for an instance, in MiB, or a little less.

    The agent registers what Linux has, `MemTotal`, less the `ECS_RESERVED_MEMORY` that Batch sets,
    32 MiB. Kernels differ by some 50 MiB, so 0.5 % are left. For a type without a measurement, 94 %
    less 256 MiB holds for all but one of those that were measured.
    Source: https://github.com/aws/amazon-ecs-agent (ecs-agent/api/ecs/client/ecs_client.go),
    https://github.com/aws/aws-cdk/issues/9900; and for the measurements see `mngen.catalog`.
    """
    if instance.measured_memory is None:
        return instance.memory * 94 // 100 - 256
    return instance.measured_memory * 995 // 1000 - _RESERVED_MEMORY


def image_name(
    environment: Environment, instance: InstanceType, limit: int | None, *, gpu: bool
) -> str:
    """Returns the name of the AMI that an environment needs, by all that makes images differ.

    One whose CPUs are limited fits types with as many cores, and has the name of one of them; the
    others serve any type of an architecture. A limit that the spec sets is part of the name, as one
    type may have two.
    """
    base = instance.architecture if limit is None else instance.name
    if environment.cpus is not None:
        base = f"{instance.name}-{environment.cpus}"
    parts = [base, *(["gpu"] if gpu else []), *(["efa"] if environment.efa else [])]
    if environment.scratch is not None:
        # A path has no hyphens, so no two paths give the same name.
        place = environment.scratch[1:].replace("/", "-")
        parts += ["scratch"] if place == "scratch" else ["scratch", place]
    return "-".join(parts)


def scratch_of_image(name: str) -> str | None:
    """Returns where an AMI mounts the instance's disks, by its name; None for nowhere."""
    _, found, place = name.partition("-scratch")
    if not found:
        return None
    return place.replace("-", "/") or "/scratch"


def image_label(name: str) -> str:
    """Returns the name of an image where dots are not allowed."""
    return name.replace(".", "_")


def resolve(spec: Spec, catalog: Catalog) -> Cluster:
    """Joins a spec with the catalog.

    Args:
        spec: A spec without errors; see `mngen.rules`.
        catalog: The facts of the instance types.

    Raises:
        InputError: The spec names an instance type that is not in the catalog.
        KeyError: The spec names an environment or a queue that it does not have.
    """
    environments = {
        name: _environment(
            spec,
            name,
            catalog.require(environment.instance),
            tuple(catalog.require(each) for each in environment.alternatives),
        )
        for name, environment in sorted(spec.environments.items())
    }
    queues = {
        name: ResolvedQueue(name, queue, tuple(environments[each] for each in queue.environments))
        for name, queue in sorted(spec.queues.items())
    }
    jobs = tuple(_job(name, job, queues[job.queue]) for name, job in sorted(spec.jobs.items()))
    return Cluster(spec, tuple(environments.values()), tuple(queues.values()), jobs)


def default_allocation(*, spot: bool, reserved: bool) -> str:
    """Returns the allocation strategy of an environment that names none.

    Args:
        spot: Whether it buys Spot instances.
        reserved: Whether it has reserved capacity. All of AWS's examples of AWS Batch with that
            allocate by best-fit: https://github.com/awslabs/awsome-distributed-ai
            (1.architectures/3.aws-batch).
    """
    if spot:
        return "spot-capacity-optimized"
    return "best-fit" if reserved else "best-fit-progressive"


def _environment(
    spec: Spec, name: str, instance: InstanceType, alternatives: tuple[InstanceType, ...]
) -> ResolvedEnvironment:
    environment = spec.environments[name]
    gpus = gpus_served(instance, spec.image.base)
    # What feeds GPUs (data loaders, NCCL's proxies) waits more than it computes: AWS's examples
    # give it all threads (https://github.com/awslabs/awsome-distributed-ai, 3.aws-batch).
    threads = gpus > 0 if environment.hyperthreading is None else environment.hyperthreading
    limit = environment.cpus or (None if threads else instance.nr_cpus)
    default = default_allocation(
        spot=environment.purchase == "spot", reserved=environment.capacity is not None
    )
    return ResolvedEnvironment(
        name=name,
        spec=environment,
        instance=instance,
        image=environment.image or image_name(environment, instance, limit, gpu=gpus > 0),
        nr_cpus=limit,
        schedulable_vcpus=limit or instance.vcpus,
        max_vcpus=environment.max_nodes * instance.vcpus,
        min_vcpus=environment.min_nodes * instance.vcpus,
        allocation=_ALLOCATIONS[environment.allocation or default],
        placement_group=_placement_group(name, environment),
        zones=environment.zones or (spec.network.zones[:1] if environment.multi_node else ()),
        gpus=gpus,
        alternatives=alternatives,
    )


def _placement_group(name: str, environment: Environment) -> str | None:
    group = environment.placement_group
    if group is None:
        # A reservation has instances where it has them: those of a block are close together, and
        # a group that the reservation was not made in may have no room near them.
        group = environment.multi_node and environment.capacity is None
    if isinstance(group, ExistingGroup):
        return group.existing
    if isinstance(group, str):
        return group
    return name if group else None


def _job(name: str, job: Job, queue: ResolvedQueue) -> ResolvedJob:
    # A job may be placed on any environment of its queue, so the smallest instance decides.
    nodes = queue.environments
    memory = job.memory or min(environment.job_memory for environment in nodes)
    limits = {environment.nr_cpus for environment in nodes}
    scratch = {environment.spec.scratch for environment in nodes}
    gpus = min(environment.gpus for environment in nodes) if job.gpus is None else job.gpus
    return ResolvedJob(
        name=name,
        spec=job,
        queue=queue,
        vcpus=job.vcpus or min(environment.schedulable_vcpus for environment in nodes),
        memory=memory,
        shared_memory=job.shared_memory or max(64, memory // 4),
        efa_interfaces=min(len(environment.efa_cards) for environment in nodes),
        nr_cpus=limits.pop() if len(limits) == 1 else None,
        gpus=gpus,
        scratch=scratch.pop() if len(scratch) == 1 else None,
        groups=tuple(_parts(name, job, queue)),
    )


def _parts(name: str, job: Job, queue: ResolvedQueue) -> Iterator[ResolvedJob]:
    for group, part in job.parts.items():
        if group is None:
            return
        count = job.nodes or 1
        first, last = job.groups[group].bounds(count)
        yield msgspec.structs.replace(
            _job(name, part, queue),
            group=group,
            target=f"{first}:" if last >= count - 1 else f"{first}:{last}",
            runs_beside=job.groups[group].command is not None and first > 0,
        )
