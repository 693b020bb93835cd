from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.catalog import load_catalog
from mngen.catalog._measured import read_measurements
from mngen.catalog._refresh import from_ec2
from mngen.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

# As EC2 answers for c5n.18xlarge, without the keys that mngen does not read.
RECORD: dict[str, Any] = {
    "InstanceType": "c5n.18xlarge",
    "CurrentGeneration": True,
    "SupportedUsageClasses": ["spot", "on-demand"],
    "BareMetal": False,
    "Hypervisor": "nitro",
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    "VCpuInfo": {"DefaultVCpus": 72, "DefaultCores": 36, "DefaultThreadsPerCore": 2},
    "MemoryInfo": {"SizeInMiB": 196608},
    "NetworkInfo": {
        "NetworkPerformance": "100 Gigabit",
        "MaximumNetworkCards": 1,
        "NetworkCards": [
            {
                "NetworkCardIndex": 0,
                "MaximumNetworkInterfaces": 15,
                "InterfaceTypes": ["interface", "efa"],
            }
        ],
        "EfaSupported": True,
        "EfaInfo": {"MaximumEfaInterfaces": 1},
        "EncryptionInTransitSupported": True,
    },
    "PlacementGroupInfo": {"SupportedStrategies": ["spread", "partition", "cluster"]},
    "BurstablePerformanceSupported": False,
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    record = copy.deepcopy(RECORD)
    place = record
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return record


def test_a_record_becomes_the_type_that_the_catalog_holds() -> None:
    conversion = from_ec2([RECORD])
    shipped = load_catalog().require("c5n.18xlarge")
    # EC2 knows nothing of how much memory Linux has.
    assert conversion.types == [msgspec.structs.replace(shipped, measured_memory=None)]
    assert conversion.left_out == {}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (changed("VCpuInfo", "DefaultCores", to=None), "DefaultCores"),
        (changed("VCpuInfo", "DefaultThreadsPerCore", to=None), "DefaultThreadsPerCore"),
        (changed("VCpuInfo", "DefaultCores", to=35), "72 vCPUs are not 35 cores"),
        (changed("VCpuInfo", to=None), "VCpuInfo"),
        (changed("MemoryInfo", "SizeInMiB", to=0), "memory"),
        (changed("ProcessorInfo", "SupportedArchitectures", to=["riscv64"]), "architecture"),
        (changed("ProcessorInfo", "SupportedArchitectures", to=["i386"]), "architecture"),
        (changed("ProcessorInfo", "SupportedArchitectures", to=[]), "SupportedArchitectures"),
    ],
)
def test_a_record_whose_facts_cannot_be_used_is_left_out_with_the_reason(
    record: dict[str, Any], reason: str
) -> None:
    conversion = from_ec2([record, changed("InstanceType", to="c5n.metal")])
    assert [each.name for each in conversion.types] == ["c5n.metal"]
    assert list(conversion.left_out) == ["c5n.18xlarge"]
    assert reason in conversion.left_out["c5n.18xlarge"]


def test_words_that_are_new_to_mngen_do_not_lose_the_type() -> None:
    record = changed("SupportedUsageClasses", to=["on-demand", "monthly"])
    record["Hypervisor"] = "newer"
    record["PlacementGroupInfo"]["SupportedStrategies"].append("orbit")
    (instance,) = from_ec2([record]).types
    assert instance.usage_classes == ("on-demand", "monthly")
    assert instance.placement_strategies == ("cluster", "orbit", "partition", "spread")
    assert instance.hypervisor == "newer"


def test_a_type_that_also_runs_32_bit_code_is_of_the_64_bit_architecture() -> None:
    record = changed("ProcessorInfo", "SupportedArchitectures", to=["i386", "x86_64"])
    assert from_ec2([record]).types[0].architecture == "x86_64"


def test_a_network_card_that_takes_no_efa_is_not_among_the_efa_cards() -> None:
    record = changed(
        "NetworkInfo",
        "NetworkCards",
        to=[
            {"NetworkCardIndex": 2, "MaximumNetworkInterfaces": 2, "InterfaceTypes": ["efa"]},
            {"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 4, "InterfaceTypes": ["interface"]},
            {
                "NetworkCardIndex": 1,
                "MaximumNetworkInterfaces": 1,
                "InterfaceTypes": ["efa", "interface"],
            },
        ],
    )
    (instance,) = from_ec2([record]).types
    assert instance.efa_cards == (1, 2)
    assert instance.card_interfaces == (4, 1, 2)


def test_gpus_are_read_with_their_maker_and_the_memory_of_one() -> None:
    # As https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GpuInfo.html describes them.
    gpus = [
        {
            "Name": "Radeon Pro V520",
            "Manufacturer": "AMD",
            "Count": 4,
            "MemoryInfo": {"SizeInMiB": 8192},
        }
    ]
    record = {**RECORD, "GpuInfo": {"Gpus": gpus, "TotalGpuMemoryInMiB": 32768}}
    (instance,) = from_ec2([record]).types
    assert (instance.gpus, instance.gpu_maker) == (4, "AMD")
    assert (instance.gpu_name, instance.gpu_memory) == ("Radeon Pro V520", 8192)
    (without,) = from_ec2([{**RECORD, "GpuInfo": {"Gpus": []}}]).types
    assert (without.gpus, without.gpu_name) == (0, "")


def test_instance_store_disks_are_read_with_their_size() -> None:
    # As https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceStorageInfo.html
    # describes them.
    storage = {
        "TotalSizeInGB": 3800,
        "Disks": [
            {"SizeInGB": 900, "Count": 2, "Type": "ssd"},
            {"SizeInGB": 1000, "Count": 2, "Type": "ssd"},
        ],
        "NvmeSupport": "required",
        "EncryptionSupport": "required",
    }
    record = {**RECORD, "InstanceStorageSupported": True, "InstanceStorageInfo": storage}
    (instance,) = from_ec2([record]).types
    assert (instance.disks, instance.disk_size, instance.scratch_disks) == (4, 900, 4)
    older = {**record, "InstanceStorageInfo": {**storage, "NvmeSupport": "unsupported"}}
    (mapped,) = from_ec2([older]).types
    assert (mapped.disks, mapped.scratch_disks) == (4, 0)
    (without,) = from_ec2([RECORD]).types
    assert (without.disks, without.disk_size, without.scratch_disks) == (0, 0, 0)


def measurements(folder: Path, content: str) -> Path:
    file = folder / "manually_fetched_data.json"
    file.write_text(content, encoding="utf-8")
    return file


def test_measurements_are_read_as_the_project_writes_them(tmp_path: Path) -> None:
    # The beginning of an entry of the file, which also says what it computes and how fast.
    content = """{
      "r5.12xlarge": {"ran_at": "2025-12-11T00:08:11.87Z", "memory": {"total_mb": 382682,
        "speed_mhz": 3200}, "cpu": {"cores": 24}},
      "c5.xlarge": {"ran_at": "2026-01-23T16:24:19.17Z", "memory": {"total_mb": 7727}},
      "x9.unseen": {"ran_at": "2026-07-01T00:00:00Z"}}"""
    found = read_measurements(measurements(tmp_path, content))
    assert found.memory == {"r5.12xlarge": 382682, "c5.xlarge": 7727}
    assert "measured up to 2026-01-23" in found.source


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"r5.large": {"memory": {"total_mb": 1}}}',
        '{"a": {"ran_at": 1}}',
        '{"r5.large": {"ran_at": "2026-01-01", "memory": {"total_mb": -4}}}',
    ],
)
def test_a_file_that_holds_no_measurements_is_refused_with_where_to_get_it(
    tmp_path: Path, content: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_measurements(measurements(tmp_path, content))
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / "manually_fetched_data.json")
    assert "vantage-sh/ec2instances.info" in str(problem.hint)
    with pytest.raises(InputError):
        read_measurements(tmp_path / "absent.json")


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(RECORD)),
        st.none()
        | st.integers()
        | st.text()
        | st.lists(st.text())
        | st.dictionaries(st.text(), st.integers()),
    )
)
def test_no_answer_of_ec2_breaks_the_conversion(values: dict[str, Any]) -> None:
    conversion = from_ec2([{**RECORD, **values}])
    assert len(conversion.types) + len(conversion.left_out) == 1
    assert all(each.vcpus == each.cores * each.threads_per_core for each in conversion.types)
