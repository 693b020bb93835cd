"""`mngen sweep`: end what a killed bake left."""

from mngen.cli._bake import account_of, cluster_of
from mngen.cli._shared import DEFAULT_FILE, FileOption
from mngen.cli._terraform import (
    SandboxOption,
    YesOption,
    ask,
    report,
    require_someone_to_ask,
)


def sweep(
    file: FileOption = DEFAULT_FILE, yes: YesOption = False, sandbox: SandboxOption = False
) -> None:
    """End what killed bakes left on AWS: builders, key pairs, volumes, security groups.

    They are found by the tags that a bake gives to everything it starts. A bake that is running
    elsewhere has such builders too: look at their times before you agree.
    """
    from mngen._aws import client
    from mngen.images import end_leftovers, find_leftovers

    if not yes:
        require_someone_to_ask()
    spec = cluster_of(file).spec
    with account_of(spec.region, sandbox=sandbox):
        ec2 = client("ec2", spec.region)
        left = find_leftovers(ec2, spec.name)
        if not left:
            report("There are no leftovers.")
            return
        for each in left:
            since = f", since {each.since}" if each.since else ""
            state = f", {each.state}" if each.state else ""
            report(f"{each.kind} {each.id}: of image {each.image}{state}{since}")
        if not yes:
            ask(f"End these {len(left)}?")
        end_leftovers(ec2, left)
    report(f"Ended {len(left)}.")
