"""A topic that an interrupted apply has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mngen.sandbox import ACCOUNT_ID
from mngen.terraform._missing import Search, Wanted
from mngen.terraform._standing import standing
from tests.support.sandbox import client

if TYPE_CHECKING:
    from mngen.sandbox import Sandbox

REGION = "us-east-1"
ARN = f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:lab-notify"


@pytest.mark.parametrize(
    ("owner", "imported", "foreign"), [("lab", [ARN], []), ("other", [], [ARN])]
)
def test_a_topic_of_the_deployment_is_imported(
    owner: str, imported: list[str], foreign: list[str], sandbox: Sandbox
) -> None:
    """SNS does not make it again if the tags of the spec have changed since.

    https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    """
    sandbox.reset()
    wanted = Wanted("module.notify.aws_sns_topic.this", "aws_sns_topic", {"name": "lab-notify"})
    search = Search("lab", REGION, (wanted,), frozenset(), frozenset())

    def connect(service: str, region: str) -> Any:
        return client(sandbox, service, region)

    there, refused = standing(search, connect)
    assert (list(there.imports), refused) == ([], ())
    sns = client(sandbox, "sns", REGION)
    tags = [{"Key": "mngen:deployment", "Value": owner}, {"Key": "group", "Value": "former"}]
    sns.create_topic(Name="lab-notify", Tags=tags)
    there, refused = standing(search, connect)
    assert [each.found.import_id for each in there.imports] == imported
    assert [each.found.import_id for each in there.foreign] == foreign
    assert refused == ()
