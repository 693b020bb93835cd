"""From a cluster file of ParallelCluster, with its defaults, to a spec."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mngen.adoption import Adoption, Outcome, Wishes, adopt, look_up, read_cluster
from mngen.catalog import load_catalog
from mngen.errors import InputError
from tests.support.adoption import REGION, Account
from tests.support.cli import mngen_here, read_tree

CATALOG = load_catalog(Path("mngen.yaml"))
# The keys and types are those of ParallelCluster's own schema, version 3.15.0:
# https://github.com/aws/aws-parallelcluster/blob/v3.15.0/cli/src/pcluster/schemas/cluster_schema.py
CLUSTER = """\
Region: eu-west-1
Image: {Os: alinux2}
HeadNode:
  InstanceType: c5.large
  Networking: {SubnetId: subnet-0123456789abcdef0}
  Ssh: {KeyName: reef_key, AllowedIps: 198.51.100.0/24}
Scheduling:
  Scheduler: awsbatch
  AwsBatchQueues:
    - Name: reef
      Networking: {SubnetIds: [subnet-0123456789abcdef0]}
      ComputeResources:
        - Name: nodes
          InstanceTypes: [c5.2xlarge]
          MaxvCpus: 100
          MinvCpus: 4
SharedStorage:
  - {Name: apps, MountDir: /apps, StorageType: Ebs}
  - {Name: data, MountDir: data, StorageType: Efs}
Tags:
  - {Key: grant, Value: "7"}
"""
COMPUTE = "/Scheduling/AwsBatchQueues/0/ComputeResources/0"


def adopted(folder: Path, text: str) -> Adoption:
    file = folder / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    return adopt(read_cluster(file), Wishes(name="reef"), CATALOG)


def data_of(adoption: Adoption) -> Any:
    return yaml.safe_load(adoption.spec)


def cannot(adoption: Adoption) -> list[str]:
    return [line.place.pointer for line in adoption.lines if line.outcome is Outcome.CANNOT]


def test_cluster_keeps_the_defaults_of_parallelcluster(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, CLUSTER)
    spec = data_of(adoption)
    assert spec["environments"] == {
        "nodes": {
            "instance": "c5.2xlarge",
            "hyperthreading": True,
            "max_nodes": 12,
            "min_nodes": 1,
            "placement_group": False,
        }
    }
    assert spec["storage"] == {"efs": {"mount": "/data", "tls": False}}
    assert spec["image"] == {"base": "amazon-linux-2"}
    assert spec["network"]["ssh"] == {"key_pair": "reef_key", "from": ["198.51.100.0/24"]}
    assert spec["tags"] == {"grant": "7"}
    jobs = spec["jobs"]
    assert {name: job.get("nodes") for name, job in jobs.items()} == {"single": None, "multi": 2}
    assert {(job["vcpus"], job["memory"]) for job in jobs.values()} == {(1, 512)}
    assert (jobs["single"]["launcher"], jobs["multi"]["launcher"]) == ("none", "main")
    said = [line for line in adoption.lines if line.spec == "jobs.multi.launcher"]
    assert [line.todo for line in said] == [
        "use ${MNGEN_HOSTFILE} in scripts in place of ${HOME}/hostfile"
    ]


def test_report_names_the_page_with_the_steps(tmp_path: Path) -> None:
    (named,) = re.findall(r"docs/[\w.]+", adopted(tmp_path, CLUSTER).report)
    assert (Path(__file__).resolve().parents[3] / named).is_file()


def test_data_that_a_deleted_cluster_takes_along_comes_first(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, CLUSTER)
    assert "DeletionPolicy is Delete" in adoption.lines[0].why
    assert adoption.lines[0].todo.startswith("set EfsSettings.DeletionPolicy to Retain")
    assert cannot(adoption) == ["/SharedStorage/0"]
    retained = CLUSTER.replace(
        "StorageType: Efs", "StorageType: Efs, EfsSettings: {DeletionPolicy: Retain}"
    )
    assert "outlives the cluster" in adopted(tmp_path, retained).lines[0].why


def test_existing_file_system_is_used_by_its_id(tmp_path: Path) -> None:
    # Source: `EfsSettingsSchema` in cli/src/pcluster/schemas/cluster_schema.py of
    # https://github.com/aws/aws-parallelcluster
    text = CLUSTER.replace(
        "StorageType: Efs",
        "StorageType: Efs, EfsSettings: {FileSystemId: fs-0123456789abcdef0, "
        "EncryptionInTransit: true, IamAuthorization: true}",
    )
    assert data_of(adopted(tmp_path, text))["storage"]["efs"] == {
        "mount": "/data",
        "tls": True,
        "iam": True,
        "id": "fs-0123456789abcdef0",
    }


def test_lustre_of_its_own_id_stays(tmp_path: Path) -> None:
    text = CLUSTER.replace(
        "StorageType: Efs",
        "StorageType: FsxLustre, FsxLustreSettings: {FileSystemId: fs-0123456789abcdef0}",
    )
    adoption = adopted(tmp_path, text)
    fsx = {"mount": "/data", "id": "fs-0123456789abcdef0"}
    assert data_of(adoption)["storage"] == {"fsx": fsx}
    # cli/src/pcluster/resources/batch/docker/scripts/entrypoint.sh mounts NFS, EFS and no FSx.
    [line] = [each for each in adoption.lines if each.spec == "storage.fsx.mount"]
    assert line.outcome is Outcome.CHANGED
    assert line.why == (
        "/data on all nodes and in all jobs; ParallelCluster mounts it on the head node alone"
    )


def test_lustre_of_the_cluster_is_named_before_it_is_lost(tmp_path: Path) -> None:
    text = CLUSTER.replace(
        "StorageType: Efs",
        "StorageType: FsxLustre, FsxLustreSettings: "
        "{StorageCapacity: 1200, DeploymentType: SCRATCH_2}",
    )
    adoption = adopted(tmp_path, text)
    assert data_of(adoption)["storage"] == {"fsx": {"mount": "/data"}}
    assert "deleting the cluster deletes it" in adoption.lines[0].why
    assert "DeletionPolicy is Delete" in adoption.lines[0].why
    assert adoption.lines[0].todo.startswith("set FsxLustreSettings.DeletionPolicy to Retain")
    assert "aws fsx describe-file-systems" in adoption.lines[0].todo
    retained = text.replace("SCRATCH_2}", "SCRATCH_2, DeletionPolicy: Retain}")
    assert "outlives the cluster" in adopted(tmp_path, retained).lines[0].why


def test_ten_vcpus_are_the_default(tmp_path: Path) -> None:
    text = CLUSTER.replace("          MaxvCpus: 100\n", "").replace("c5.2xlarge", "c4.large")
    adoption = adopted(tmp_path, text)
    assert data_of(adoption)["environments"]["nodes"]["max_nodes"] == 5
    said = [line.why for line in adoption.lines if line.place.pointer == f"{COMPUTE}/MaxvCpus"]
    assert said == ["10 vCPUs, ParallelCluster's default", "10 / 2 vCPUs = 5 nodes"]


@pytest.mark.parametrize("key", ["aws:owner", "AWS:owner", "Mngen:owner", "Name"])
def test_reserved_tag_is_left_out(key: str, tmp_path: Path) -> None:
    text = CLUSTER.replace("Tags:\n", f"Tags:\n  - {{Key: '{key}', Value: me}}\n")
    assert data_of(adopted(tmp_path, text))["tags"] == {"grant": "7"}


def test_no_vcpus_are_not_the_default(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, CLUSTER.replace("MaxvCpus: 100", "MaxvCpus: 0"))
    assert f"{COMPUTE}/MaxvCpus" in cannot(adoption)


def test_spot_runs_single_nodes_only(tmp_path: Path) -> None:
    text = CLUSTER.replace("- Name: reef", "- Name: reef\n      CapacityType: SPOT").replace(
        "MaxvCpus: 100", "MaxvCpus: 100\n          SpotBidPercentage: 60"
    )
    adoption = adopted(tmp_path, text)
    spec = data_of(adoption)
    entry = spec["environments"]["nodes"]
    assert (entry["purchase"], entry["multi_node"], entry["bid_percentage"]) == ("spot", False, 60)
    assert list(spec["jobs"]) == ["single"]


def test_everything_that_cannot_come_is_named(tmp_path: Path) -> None:
    text = (
        CLUSTER.replace("[c5.2xlarge]", "[optimal, c4.xlarge]")
        .replace("{Os: alinux2}", "{Os: alinux2, CustomAmi: ami-0123456789abcdef0}")
        .replace(
            "  InstanceType: c5.large\n",
            "  InstanceType: c5.large\n  Dcv: {Enabled: true}\n"
            "  CustomActions: {OnNodeStart: {Script: s3://reef/start.sh}}\n"
            "  Iam: {S3Access: [{BucketName: reef}]}\n",
        )
        .replace("abcdef0}\n  Ssh", "abcdef0, Proxy: {HttpProxyAddress: http://p}}\n  Ssh")
    )
    adoption = adopted(tmp_path, text)
    assert set(cannot(adoption)) == {
        "/SharedStorage/0",
        "/Image/CustomAmi",
        "/HeadNode/Dcv",
        "/HeadNode/CustomActions",
        "/HeadNode/Iam/S3Access",
        "/HeadNode/Networking/Proxy",
        f"{COMPUTE}/InstanceTypes",
        "/Scheduling/AwsBatchQueues/0/Name",
    }
    assert adoption.spec == ""


def test_ssh_from_everywhere_is_not_carried_over(tmp_path: Path) -> None:
    adoption = adopted(tmp_path, CLUSTER.replace(", AllowedIps: 198.51.100.0/24", ""))
    assert "ssh" not in data_of(adoption)["network"]
    assert "# ssh: {key_pair: reef_key, from: [10.0.0.0/8]}" in adoption.spec


def test_account_names_the_vpc_of_the_subnet(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(CLUSTER, encoding="utf-8")
    inventory = read_cluster(file)
    look_up(inventory, REGION, connect=Account([], [], []).connect)
    spec = data_of(adopt(inventory, Wishes(name="reef"), CATALOG))
    assert spec["network"]["vpc"] == "vpc-0123456789abcdef0"
    assert spec["network"]["subnets"] == ["subnet-0123456789abcdef0"]
    assert spec["environments"]["nodes"]["zones"] == [f"{REGION}b"]


def test_account_is_asked_also_for_a_cluster_without_queues(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(CLUSTER.partition("    - Name: reef")[0], encoding="utf-8")
    inventory = read_cluster(file)
    look_up(inventory, REGION, connect=Account([], [], []).connect)
    assert adopt(inventory, Wishes(name="reef"), CATALOG).spec == ""


BAD = {
    "another scheduler": (
        CLUSTER.replace("awsbatch", "slurm"),
        'scheduler "slurm": mngen imports clusters with the scheduler awsbatch',
        8,
    ),
    "no cluster": ("name: x\n", "expected a cluster file with a section Scheduling", 1),
    "text for a number": (
        CLUSTER.replace("MinvCpus: 4", "MinvCpus: four"),
        "expected a number",
        16,
    ),
    "section for a list": (
        CLUSTER.replace("[subnet-0123456789abcdef0]", "{a: b}"),
        "expected a list",
        11,
    ),
    "list for a section": (CLUSTER.replace("{Os: alinux2}", "[a]"), "expected a section", 2),
    "number for a type": (
        CLUSTER.replace("[c5.2xlarge]", "5"),
        "expected text",
        14,
    ),
    "nothing in a list": (
        CLUSTER.replace('{Key: grant, Value: "7"}', ""),
        "expected a value",
        21,
    ),
    "no value for a subnet": (
        CLUSTER.replace("SubnetIds: [subnet-0123456789abcdef0]", "SubnetIds: [null]"),
        "expected a value",
        11,
    ),
    "not YAML": ("a: [", "not valid YAML", 1),
    "tab": ("Scheduling:\n\tScheduler: awsbatch\n", "not valid YAML", 2),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, message, number = BAD[case]
    file = tmp_path / "cluster.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_cluster(file)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert problem.position is not None
    assert problem.position.line == number


def test_command_writes_nothing_without_partial(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    arguments = ("import", "--from-pcluster", "cluster.yaml", "--name", "reef")
    refused = mngen_here(*arguments, cwd=tmp_path)
    assert refused.returncode == 1
    assert "cannot: cluster.yaml#/SharedStorage/0 -> storage: /apps (Ebs)" in refused.stdout
    assert sorted(read_tree(tmp_path)) == ["cluster.yaml"]
    done = mngen_here(*arguments, "--partial", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(read_tree(tmp_path)) == ["adoption.md", "cluster.yaml", "mngen.yaml"]
    assert mngen_here("check", cwd=tmp_path).returncode == 0
