"""One EC2 instance type, with the facts that Batch, MPI and the image need."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

Architecture = Literal["x86_64", "arm64", "x86_64_mac", "arm64_mac"]

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]


class InstanceType(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False
):
    """The facts of one EC2 instance type, as EC2's DescribeInstanceTypes gives them.

    Attributes:
        name: Such as `r5.24xlarge`.
        vcpus: Virtual CPUs with the default CPU options (`VCpuInfo.DefaultVCpus`).
        cores: Physical cores (`VCpuInfo.DefaultCores`).
        threads_per_core: Hardware threads a core (`VCpuInfo.DefaultThreadsPerCore`).
        memory: MiB (`MemoryInfo.SizeInMiB`). A container gets less: the system and the ECS agent
            need their share.
        measured_memory: What Linux was seen to have of it, in MiB: `MemTotal` of /proc/meminfo,
            rounded down; None if it has not been measured. See `mngen.catalog` for its source.
        architecture: `x86_64` or `arm64`; the `_mac` ones run macOS alone, and never Batch.
        max_efa_interfaces: Elastic Fabric Adapters that can be attached; 0 where there is no EFA.
        efa_cards: Indexes of the network cards that take an EFA interface, ascending. There can be
            more of them than `max_efa_interfaces`.
        network_cards: Network cards (`NetworkInfo.MaximumNetworkCards`).
        card_interfaces: Network interfaces that each card takes, by the card's index
            (`NetworkInfo.NetworkCards[].MaximumNetworkInterfaces`).
        network_performance: AWS's own words, such as `100 Gigabit` or `Up to 10 Gigabit`.
        placement_strategies: What placement groups the type can join: `cluster`, `partition`,
            `spread`.
        usage_classes: How it can be bought: `on-demand`, `spot`, `capacity-block`.
        hypervisor: `nitro` or `xen`; None on bare metal.
        bare_metal: Whether there is no hypervisor.
        burstable: Whether the CPU is throttled once its credits are spent.
        current_generation: Whether AWS counts the type as current.
        encryption_in_transit: Whether traffic between such instances is encrypted by the network.
        gpus: Whole GPUs, of any maker (`GpuInfo.Gpus[].Count`); 0 for a type that has a fraction of
            one.
        gpu_name: Their model, such as `H100`; empty where there is no GPU.
        gpu_maker: Who made them, such as `NVIDIA`; empty likewise.
        gpu_memory: Memory of one GPU, or of the fraction of one, in MiB
            (`GpuInfo.Gpus[].MemoryInfo.SizeInMiB`); 0 where there is no GPU.
        disks: Instance-store disks, whose content is gone when the instance stops
            (`InstanceStorageInfo.Disks[].Count`); 0 where there is none.
        disk_size: Size of one of them, or of the smallest, in GB, that is in units of 10^9 bytes
            (`InstanceStorageInfo.Disks[].SizeInGB`).
        nvme_disks: Whether they are NVMe devices, which Linux finds without a block device mapping
            (`InstanceStorageInfo.NvmeSupport`). Those of older types are not.
    """

    name: Name
    vcpus: Positive
    cores: Positive
    threads_per_core: Positive
    memory: Positive
    architecture: Architecture
    max_efa_interfaces: Count = 0
    efa_cards: tuple[Count, ...] = ()
    network_cards: Count = 1
    card_interfaces: tuple[Count, ...] = ()
    measured_memory: Positive | None = None
    network_performance: str = ""
    placement_strategies: tuple[str, ...] = ("cluster", "partition", "spread")
    usage_classes: tuple[str, ...] = ("on-demand", "spot")
    hypervisor: str | None = None
    bare_metal: bool = False
    burstable: bool = False
    current_generation: bool = True
    encryption_in_transit: bool = False
    gpus: Count = 0
    gpu_name: str = ""
    gpu_maker: str = ""
    gpu_memory: Count = 0
    disks: Count = 0
    disk_size: Count = 0
    nvme_disks: bool = False

    def __post_init__(self) -> None:
        """Refuses a type whose figures contradict each other.

        Raises:
            ValueError: The vCPUs are not cores times threads a core, or more memory was measured
                than there is.
        """
        if self.vcpus != self.cores * self.threads_per_core:
            raise ValueError(
                f"{self.name}: {self.vcpus} vCPUs are not {self.cores} cores "
                f"x {self.threads_per_core} threads a core"
            )
        if self.measured_memory is not None and self.measured_memory > self.memory:
            raise ValueError(
                f"{self.name}: {self.measured_memory} MiB measured are more than its {self.memory}"
            )

    @property
    def nr_cpus(self) -> int | None:
        """The kernel's `nr_cpus=` that leaves one thread a core, or None where none is needed.

        The number of physical cores for a type with several threads a core. None for one with a
        single thread a core (hpc6a, hpc7a, c7a, Graviton): its vCPUs are cores already, and a limit
        would throw real cores away.
        """
        return self.cores if self.threads_per_core > 1 else None

    @property
    def scratch_disks(self) -> int:
        """Instance-store disks that a node can have its scratch space on: the NVMe ones.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html
        """
        return self.disks if self.nvme_disks else 0

    @property
    def efa(self) -> bool:
        """Whether the type takes an Elastic Fabric Adapter (`NetworkInfo.EfaSupported`)."""
        return self.max_efa_interfaces > 0

    @property
    def cluster_placement(self) -> bool:
        """Whether the type can join a placement group of the cluster strategy."""
        return "cluster" in self.placement_strategies

    @property
    def spot(self) -> bool:
        """Whether the type can be bought on the Spot market."""
        return "spot" in self.usage_classes

    @property
    def in_blocks(self) -> bool:
        """Whether EC2 sells the type in capacity blocks."""
        return "capacity-block" in self.usage_classes

    @property
    def family(self) -> str:
        """The part before the dot, such as `r5` of `r5.24xlarge`."""
        return self.name.partition(".")[0]

    @property
    def size(self) -> str:
        """The part after the dot, such as `24xlarge` of `r5.24xlarge`."""
        return self.name.partition(".")[2]


def natural_key(instance: InstanceType) -> tuple[object, ...]:
    """A sort key: family with its numbers as numbers, then vCPUs, virtual before bare metal."""
    family = tuple(
        int(part) if part.isdigit() else part for part in re.split(r"(\d+)", instance.family)
    )
    return (family, instance.vcpus, instance.bare_metal, instance.memory, instance.name)
