"""Reads the instance types from EC2 and writes them as a catalog file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from mngen._aws import client, translated
from mngen._files import write_atomically
from mngen.catalog._file import decode, encode
from mngen.catalog._load import load_catalog
from mngen.catalog._measured import Measurements, read_measurements
from mngen.catalog._types import InstanceType, natural_key
from mngen.errors import InputError, Problem, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from pathlib import Path

    from mypy_boto3_ec2 import EC2Client


class _VCpus(msgspec.Struct, rename="pascal"):
    default_v_cpus: int = msgspec.field(name="DefaultVCpus")
    default_cores: int
    default_threads_per_core: int


class _Memory(msgspec.Struct):
    size: int = msgspec.field(name="SizeInMiB")


class _Processor(msgspec.Struct, rename="pascal"):
    supported_architectures: Annotated[list[str], Meta(min_length=1)]


class _Efa(msgspec.Struct, rename="pascal"):
    maximum_efa_interfaces: int


class _Card(msgspec.Struct, rename="pascal"):
    network_card_index: int
    maximum_network_interfaces: int
    interface_types: list[str] = []


class _Network(msgspec.Struct, rename="pascal"):
    network_performance: str = ""
    maximum_network_cards: int = 1
    network_cards: list[_Card] = []
    efa_supported: bool = False
    efa_info: _Efa | None = None
    encryption_in_transit_supported: bool = False


class _Placement(msgspec.Struct, rename="pascal"):
    supported_strategies: list[str] = []


class _Gpu(msgspec.Struct, rename="pascal"):
    name: str = ""
    manufacturer: str = ""
    count: int = 0
    memory_info: _Memory | None = None


class _Gpus(msgspec.Struct, rename="pascal"):
    gpus: list[_Gpu] = []


class _Disk(msgspec.Struct, rename="pascal"):
    count: int
    size: int = msgspec.field(name="SizeInGB")


class _Storage(msgspec.Struct, rename="pascal"):
    disks: list[_Disk] = []
    nvme_support: str = "unsupported"


class _Record(msgspec.Struct, rename="pascal"):
    """What is read of one `InstanceTypeInfo`; a key without a default must be there."""

    instance_type: str
    v_cpu_info: _VCpus = msgspec.field(name="VCpuInfo")
    memory_info: _Memory
    processor_info: _Processor
    network_info: _Network
    placement_group_info: _Placement
    supported_usage_classes: list[str]
    current_generation: bool
    bare_metal: bool
    hypervisor: str | None = None
    burstable_performance_supported: bool = False
    gpu_info: _Gpus = msgspec.field(default_factory=_Gpus)
    instance_storage_info: _Storage = msgspec.field(default_factory=_Storage)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What EC2's records came to.

    Attributes:
        types: The instance types, in natural order.
        left_out: Name and reason of each whose facts were missing or contradicted each other.
            No figure is ever guessed, so such a type is not in the catalog.
    """

    types: list[InstanceType]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did to a catalog file; all names in natural order.

    Attributes:
        path: The file written.
        names: Types that it now holds.
        added: Types that it did not hold before.
        removed: Types that it held before and that EC2 did not name.
        changed: Types with another fact than before.
        left_out: Name and reason of each type whose facts cannot be used.
    """

    path: Path
    names: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    left_out: dict[str, str]

    @property
    def total(self) -> int:
        """How many types it now holds."""
        return len(self.names)


def from_ec2(records: Iterable[dict[str, Any]]) -> Conversion:
    """Converts EC2's `InstanceTypeInfo` records, as boto3 returns them, into instance types."""
    types: list[InstanceType] = []
    left_out: dict[str, str] = {}
    for record in records:
        try:
            types.append(_convert(msgspec.convert(record, _Record)))
        except msgspec.ValidationError as error:
            left_out[str(record.get("InstanceType", "a type without a name"))] = str(error)
    return Conversion(sorted(types, key=natural_key), dict(sorted(left_out.items())))


def _convert(record: _Record) -> InstanceType:
    network = record.network_info
    # A type that also runs 32-bit code lists i386 first; what counts is what a 64-bit image needs.
    wide = [each for each in record.processor_info.supported_architectures if each != "i386"]
    efa = network.efa_info.maximum_efa_interfaces if network.efa_info else 0
    cards = [
        each.network_card_index for each in network.network_cards if "efa" in each.interface_types
    ]
    facts = {
        "name": record.instance_type,
        "vcpus": record.v_cpu_info.default_v_cpus,
        "cores": record.v_cpu_info.default_cores,
        "threads_per_core": record.v_cpu_info.default_threads_per_core,
        "memory": record.memory_info.size,
        "architecture": wide[0] if wide else "i386",
        "max_efa_interfaces": efa if network.efa_supported else 0,
        "efa_cards": sorted(cards) if network.efa_supported else [],
        "network_cards": network.maximum_network_cards,
        "card_interfaces": [
            each.maximum_network_interfaces
            for each in sorted(network.network_cards, key=lambda card: card.network_card_index)
        ],
        "network_performance": network.network_performance,
        "placement_strategies": sorted(record.placement_group_info.supported_strategies),
        "usage_classes": sorted(record.supported_usage_classes, key=_usage_order),
        "hypervisor": record.hypervisor,
        "bare_metal": record.bare_metal,
        "burstable": record.burstable_performance_supported,
        "current_generation": record.current_generation,
        "encryption_in_transit": network.encryption_in_transit_supported,
    }
    gpus = record.gpu_info.gpus
    if gpus:
        # EC2's answer is a list, with one kind of GPU in it for every type that there is.
        first = gpus[0]
        facts |= {
            "gpus": sum(each.count for each in gpus),
            "gpu_name": first.name,
            "gpu_maker": first.manufacturer,
            "gpu_memory": first.memory_info.size if first.memory_info else 0,
        }
    storage = record.instance_storage_info
    if storage.disks:
        facts |= {
            "disks": sum(each.count for each in storage.disks),
            "disk_size": min(each.size for each in storage.disks),
            "nvme_disks": storage.nvme_support != "unsupported",
        }
    return msgspec.convert(facts, InstanceType)


def _usage_order(usage_class: str) -> tuple[bool, str]:
    return (usage_class not in ("on-demand", "spot"), usage_class)


def fetch(ec2: EC2Client) -> list[dict[str, Any]]:
    """Asks EC2 for every instance type of the client's region, page by page.

    Raises:
        ToolError: AWS could not be asked: no credentials, no permission, no network, throttled.
    """
    with translated():
        pages = ec2.get_paginator("describe_instance_types").paginate()
        return [dict(record) for page in pages for record in page.get("InstanceTypes", [])]


def refresh(
    path: Path,
    region: str | None,
    *,
    source: str | None,
    today: date | None,
    memory: Path | None,
) -> Refreshed:
    """Reads all types from EC2 and writes them to a catalog file; see `refresh_catalog`."""
    given = read_measurements(memory) if memory is not None else None
    ec2: EC2Client = client("ec2", region)
    conversion = from_ec2(fetch(ec2))
    if not conversion.types:
        raise ToolError(
            f"EC2 in {ec2.meta.region_name} named no instance type that can be used; nothing was "
            "written",
            hint="check the region with `--region`",
        )
    before, kept = _previous(path)
    measured = given or kept or _shipped()
    after = {each.name: _with_memory(each, measured) for each in conversion.types}
    content = encode(
        after.values(),
        date=today or datetime.now(UTC).date(),
        source=source
        or origin("EC2 DescribeInstanceTypes", ec2.meta.endpoint_url, ec2.meta.region_name),
        memory_source=measured.source,
    )
    replace(path, content, "the instance catalog")
    return Refreshed(
        path=path,
        names=tuple(after),
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in after if before.get(name, after[name]) != after[name]),
        left_out=conversion.left_out,
    )


def origin(call: str, endpoint_url: str, region: str) -> str:
    """Returns where facts are from, in words, and never calls an emulator AWS.

    Args:
        call: The service and its action.
        endpoint_url: Where it was called.
        region: The region that answered.
    """
    host = urlsplit(endpoint_url).hostname
    emulated = " of an emulator" if host in ("127.0.0.1", "::1", "localhost") else ""
    return f"{call}{emulated}, {region}"


def _previous(path: Path) -> tuple[dict[str, InstanceType], Measurements | None]:
    """Reads what a refresh replaces; a file that is damaged counts as empty, and gets mended."""
    try:
        content = decode(path.read_bytes(), str(path))
    except (OSError, InputError):
        return {}, None
    types = {each.name: each for each in content.types}
    return types, _measurements(types.values(), content.memory_source)


def _shipped() -> Measurements:
    catalog = load_catalog()
    return _measurements(catalog, catalog.memory_source) or Measurements({}, "")


def _measurements(types: Iterable[InstanceType], source: str) -> Measurements | None:
    memory = {each.name: each.measured_memory for each in types if each.measured_memory}
    return Measurements(memory, source) if memory else None


def _with_memory(instance: InstanceType, measured: Measurements) -> InstanceType:
    """Adds what was measured to what EC2 reports; a figure that cannot be is left out."""
    memory = measured.memory.get(instance.name)
    if memory is None or memory > instance.memory:
        return instance
    return msgspec.structs.replace(instance, measured_memory=memory)


def replace(path: Path, content: bytes, what: str) -> None:
    """Writes a data file, atomically.

    Args:
        path: The file.
        content: What it shall hold.
        what: What it is, for errors.

    Raises:
        InputError: It cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(
            Problem(
                f"cannot write {what}: {error.strerror}",
                file=str(path),
                hint="name another file with `--write FILE`",
            )
        ) from None
