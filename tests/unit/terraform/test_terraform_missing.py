"""What stands and is missing in the state: which of it is the deployment's, and where it goes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from mngen.terraform._hints import Situation, hint_for, service_role_of
from mngen.terraform._missing import Found, Import, import_blocks, match, search_of

TAGS = {"mngen:deployment": "lab"}


def plan(*changes: dict[str, Any], region: str = "us-east-1") -> dict[str, Any]:
    """Cut what matters from `terraform show -json` of Terraform 1.11.4 with provider 5.100."""
    network = {"source": "./modules/network", "expressions": {"name": {"constant_value": "lab"}}}
    aws = {"name": "aws", "expressions": {"region": {"constant_value": region}}}
    return {
        "resource_changes": list(changes),
        "configuration": {
            "provider_config": {"aws": aws, "module.x:terraform": {"name": "terraform"}},
            "root_module": {"module_calls": {"network": network}},
        },
    }


def type_of(address: str) -> str:
    return next(part for part in re.split(r"[.\]]", address) if part.startswith("aws_"))


def created(address: str, **after: Any) -> dict[str, Any]:
    kind = type_of(address)
    change = {"actions": ["create"], "before": None, "after": {"tags_all": TAGS, **after}}
    return {"address": address, "mode": "managed", "type": kind, "change": change}


def in_state(
    address: str, identifier: str, actions: tuple[str, ...] = ("no-op",)
) -> dict[str, Any]:
    kind = type_of(address)
    change = {"actions": list(actions), "before": {"id": identifier}, "after": {"id": identifier}}
    return {"address": address, "mode": "managed", "type": kind, "change": change}


GROUP = created("aws_placement_group.group_mpi", name="lab-mpi")
STANDING_GROUP = Found("aws_placement_group", "lab-mpi", "lab-mpi", "lab-mpi", TAGS)
ROLE = created("module.identity.aws_iam_role.job", name_prefix="lab-job-")
SUFFIX = "20261128202722923400000003"
STANDING_ROLE = Found(
    "aws_iam_role",
    f"lab-job-{SUFFIX}",
    f"lab-job-{SUFFIX}",
    f"lab-job-{SUFFIX}",
    {**TAGS, "mngen:region": "us-east-1"},
)


def found(changes: list[dict[str, Any]], *standing: Found) -> Any:
    search = search_of(plan(*changes))
    assert search is not None
    return match(search, standing)


def addresses(result: Any) -> list[str]:
    return [each.address for each in result.imports]


def test_a_fixed_name_with_the_deployments_tag_is_imported() -> None:
    assert addresses(found([GROUP], STANDING_GROUP)) == ["aws_placement_group.group_mpi"]


def test_a_fixed_name_of_someone_else_is_not() -> None:
    for tags in ({}, {"mngen:deployment": "other"}, {**TAGS, "mngen:image": "x86_64"}):
        result = found([GROUP], replace(STANDING_GROUP, tags=tags))
        assert result.imports == ()
        assert [each.found.id for each in result.foreign] == ["lab-mpi"]


def test_what_the_state_has_is_left_alone() -> None:
    result = found([in_state("aws_placement_group.group_mpi", "lab-mpi")], STANDING_GROUP)
    assert (result.imports, result.leftovers) == ((), ())


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (f"lab-job-{SUFFIX}", True),
        # A role of another kind, or of a deployment `lab-job`, and one that someone named.
        (f"lab-job-x-{SUFFIX}", False),
        (f"lab-{SUFFIX}", False),
        ("lab-job-mine", False),
        ("lab-job-", False),
    ],
)
def test_a_made_name_fits_its_prefix_and_the_providers_suffix(name: str, fits: bool) -> None:
    result = found([ROLE], replace(STANDING_ROLE, id=name, name=name))
    assert bool(result.imports) is fits


@pytest.mark.parametrize("tags", [TAGS, {**TAGS, "mngen:region": "eu-west-1"}])
def test_a_role_of_the_same_deployment_in_another_region_is_left_alone(
    tags: dict[str, str],
) -> None:
    result = found([ROLE], replace(STANDING_ROLE, tags=tags))
    assert (result.imports, result.leftovers) == ((), ())


def test_things_are_told_apart_by_their_label() -> None:
    private = created(
        'module.network.aws_subnet.private["us-east-1a"]', tags_all={**TAGS, "Name": "lab-private"}
    )
    public = created("module.network.aws_subnet.public", tags_all={**TAGS, "Name": "lab-public"})
    stands = Found("aws_subnet", "subnet-1", "subnet-1", tags={**TAGS, "Name": "lab-public"})
    result = found([private, public], stands)
    assert addresses(result) == ["module.network.aws_subnet.public"]


def test_what_joins_two_resources_fits_by_what_it_joins() -> None:
    rule = created(
        "module.network.aws_vpc_security_group_egress_rule.https",
        security_group_id="sg-1",
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        cidr_ipv4="0.0.0.0/0",
    )
    values = {
        "security_group_id": "sg-1",
        "ip_protocol": "tcp",
        "from_port": 443,
        "to_port": 443,
        "cidr_ipv4": "0.0.0.0/0",
        "prefix_list_id": None,
        "referenced_security_group_id": None,
    }
    kind = "aws_vpc_security_group_egress_rule"
    stands = Found(kind, "sgr-1", "sgr-1", tags=TAGS, values=values)
    assert addresses(found([rule], stands)) == [rule["address"]]
    other = replace(stands, values={**values, "security_group_id": "sg-2"})
    assert found([rule], other).imports == ()


def test_of_two_that_fit_one_is_imported_and_the_other_named() -> None:
    vpc = created("module.network.aws_vpc.this", tags_all={**TAGS, "Name": "lab"})
    label = {**TAGS, "Name": "lab"}
    result = found(
        [vpc],
        Found("aws_vpc", "vpc-2", "vpc-2", tags=label),
        Found("aws_vpc", "vpc-1", "vpc-1", tags=label),
    )
    assert [each.found.id for each in result.imports] == ["vpc-1"]
    [left] = result.leftovers
    assert left.delete_command == "aws ec2 delete-vpc --vpc-id vpc-2"


def test_a_broken_off_replacement_is_named_and_not_imported() -> None:
    replaced = in_state(
        "module.environment_a[0].aws_batch_compute_environment.this",
        f"lab-a-{SUFFIX}",
        ("create", "delete"),
    )
    name = "lab-a-20261128202722923400000009"
    stands = Found("aws_batch_compute_environment", name, name, name, TAGS)
    result = found([replaced], stands)
    assert result.imports == ()
    assert [each.id for each in result.leftovers] == [name]


def test_a_whole_deployment_beside_an_empty_state_is_not_taken_for_a_remainder() -> None:
    queue = created("module.queue_mpi[0].aws_batch_job_queue.this", name="lab-mpi")
    arn = "arn:aws:batch:us-east-1:123456789012:job-queue/lab-mpi"
    stands = Found("aws_batch_job_queue", arn, arn, "lab-mpi", TAGS)
    assert found([queue, GROUP], stands, STANDING_GROUP).of_another_state
    assert not found([queue, GROUP], STANDING_GROUP).of_another_state
    known = in_state("module.network.aws_vpc.this", "vpc-1")
    assert not found([queue, GROUP, known], stands).of_another_state


def test_a_tree_that_is_no_deployment_is_not_searched_for() -> None:
    assert search_of({"resource_changes": [GROUP]}) is None


def test_import_blocks_are_hcl() -> None:
    blocks = import_blocks(
        [
            Import(
                'module.network.aws_subnet.private["us-east-1a"]', Found("aws_subnet", "s", "s")
            ),
            Import("aws_x.y", Found("aws_x", "i", 'a"${b}')),
        ]
    )
    assert blocks == (
        'import {\n  to = module.network.aws_subnet.private["us-east-1a"]\n  id = "s"\n}\n'
        'import {\n  to = aws_x.y\n  id = "a\\"$${b}"\n}\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        # As the provider 5.100 writes them, see its service packages and AWS's error codes.
        (
            "creating CloudWatch Logs Log Group (/mngen/lab/jobs): operation error: "
            "CreateLogGroup, ResourceAlreadyExistsException: The specified log group already exists"
        ),
        (
            "creating EC2 Placement Group (lab-mpi): operation error EC2: CreatePlacementGroup, "
            "api error InvalidPlacementGroup.Duplicate: The placement group already exists."
        ),
        (
            "creating ECR Repository (lab/mpi): RepositoryAlreadyExistsException: The repository "
            "with name 'lab/mpi' already exists in the registry with id '123456789012'"
        ),
        "creating Batch Job Queue (lab-mpi): ClientException: Object already exists",
        "creating EFS Mount Target: MountTargetConflict: mount target already exists in this AZ",
        "creating Route in Route Table (rtb-1) with destination (0.0.0.0/0): RouteAlreadyExists",
        "InvalidSubnet.Conflict: The CIDR '10.0.0.0/19' conflicts with another subnet",
        "InvalidPermission.Duplicate: the specified rule already exists",
        "Resource.AlreadyAssociated: the specified association already exists",
    ],
)
def test_what_exists_already_has_a_hint(text: str) -> None:
    hint = hint_for(text, Situation("terraform -chdir=x", "/usr/bin/terraform"))
    assert hint is not None
    assert "run `mngen apply` again" in hint


# As the provider wrote it: https://github.com/hashicorp/terraform-provider-aws/pull/21281
WITHOUT_ROLE = (
    "deleting Batch Compute Environment (lab-a-1): waiting for Batch Compute Environment (lab-a-1) "
    "disable: unexpected state 'INVALID', wanted target 'VALID'. last error: CLIENT_ERROR - User: "
    "batch.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: "
    "arn:aws:iam::123456789012:role/lab-service-1 (Service: AWSSecurityTokenService; Status Code: "
    "403; Error Code: AccessDenied; Request ID: c47af09e; Proxy: null)"
)


def test_without_its_service_role_an_environment_needs_it_back() -> None:
    situation = Situation("terraform", "/usr/bin/terraform")
    role = "arn:aws-us-gov:iam::123456789012:role/lab-service-1"
    hint = hint_for(WITHOUT_ROLE, replace(situation, service_role=role))
    assert hint is not None
    assert "aws iam create-role --role-name lab-service-1 " in hint
    assert "arn:aws-us-gov:iam::aws:policy/service-role/AWSBatchServiceRole" in hint
    # Nobody can delete the service-linked role while an environment needs it.
    assert "create-role" not in (hint_for(WITHOUT_ROLE, situation) or "")


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        ("arn:aws:iam::1:role/lab-service-1", "arn:aws:iam::1:role/lab-service-1"),
        ("arn:aws:iam::1:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch", None),
    ],
)
def test_the_service_role_is_read_from_the_plan(role: str, wanted: str | None) -> None:
    change = in_state("module.a[0].aws_batch_compute_environment.this", "lab-a-1", ("delete",))
    change["change"]["before"]["service_role"] = role
    assert service_role_of(plan(GROUP, change)) == wanted
