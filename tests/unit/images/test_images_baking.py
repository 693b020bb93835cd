"""Baking in one call: what it refuses before it asks AWS or starts a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mngen import _resources
from mngen.cluster import AMIS_FILE
from mngen.errors import InputError, OutOfDateError
from mngen.images import Baking, bake_file, require_rendered
from mngen.render import Deployment, render
from mngen.rules import open_cluster

if TYPE_CHECKING:
    from pathlib import Path

SPEC = _resources.examples() / "tutorial.yaml"
OUTPUTS: dict[str, Any] = {
    "builder_profile_arn": "arn:aws:iam::123456789012:instance-profile/seismic-builder",
    "efs": {"id": "fs-0a1b2c3d4e5f60718", "dns_name": "fs-0.efs.us-east-1.amazonaws.com"},
    "network": {
        "vpc_id": "vpc-1",
        "subnets_by_zone": {"us-east-1b": ["subnet-2"], "us-east-1a": ["subnet-1"]},
        "security_group_ids": ["sg-1"],
    },
}


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever asks AWS fail at once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def test_a_tree_that_is_not_what_the_spec_renders_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutOfDateError, match=r"does not match .*tutorial\.yaml") as caught:
        bake_file(SPEC, tmp_path / "deploy")
    assert f"mngen render --file {SPEC}" in str(caught.value.problems[0].hint)


def test_only_what_a_bake_uses_has_to_be_up_to_date(tmp_path: Path) -> None:
    cluster = open_cluster(SPEC)
    Deployment(tmp_path).write(render(cluster, source=SPEC.name))
    (tmp_path / "terraform" / "jobs.tf").write_text("# edited", encoding="utf-8")
    require_rendered(cluster, SPEC, tmp_path)
    (tmp_path / "playbooks" / "image.yml").write_text("[]", encoding="utf-8")
    with pytest.raises(OutOfDateError, match=r"playbooks/image\.yml does not match"):
        require_rendered(cluster, SPEC, tmp_path)


def test_nothing_is_baked_before_the_first_apply(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing Terraform output `efs`") as caught:
        Baking.of(open_cluster(SPEC), {**OUTPUTS, "efs": None}, tmp_path)
    assert "mngen apply" in str(caught.value.problems[0].hint)


def test_the_record_is_that_of_the_tree(tmp_path: Path) -> None:
    baking = Baking.of(open_cluster(SPEC), OUTPUTS, tmp_path)
    assert baking.record.path == tmp_path / AMIS_FILE
    assert baking.site.subnets == {"us-east-1a": "subnet-1", "us-east-1b": "subnet-2"}
    with pytest.raises(InputError, match=r"x9\.tiny"):
        baking.look(("x9.tiny",))
