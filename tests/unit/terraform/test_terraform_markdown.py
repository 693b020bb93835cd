"""A plan as a comment on a pull request: what it says, and that nothing in it is markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from mngen.catalog import load_catalog, load_prices
from mngen.cost import compare, estimate, price_note, recorded_cluster
from mngen.errors import Problem
from mngen.rules import require
from mngen.spec import load_text, written
from mngen.terraform import render_markdown, render_summary, summarise

if TYPE_CHECKING:
    from mngen.cluster import Cluster

BEFORE = """\
name: lab
region: us-east-1
environments:
  mpi: {instance: r5.24xlarge, max_nodes: 4}
queues:
  mpi: {environments: [mpi]}
jobs:
  solve: {queue: mpi, nodes: 2, command: [hostname], timeout: 3600}
  old: {queue: mpi, nodes: 1, command: [hostname], timeout: 3600}
"""
AFTER = """\
name: lab
region: us-east-1
environments:
  mpi: {instance: r5.24xlarge, max_nodes: 8, min_nodes: 1}
queues:
  mpi: {environments: [mpi], priority: 5, shares: {}}
jobs:
  solve: {queue: mpi, nodes: 4, command: [hostname], timeout: 3600, environment: {A: "b"}}
"""
QUEUE = "module.queue_mpi[0].aws_batch_job_queue.this"


def cluster_of(text: str) -> Cluster:
    return require(load_text(text.encode()), load_catalog())


def resource(address: str, *actions: str, **more: Any) -> dict[str, Any]:
    change = {"actions": list(actions), "before": {}, "after": {}, **more.pop("change", {})}
    kind = address.split(".")[-2]
    return {"address": address, "mode": "managed", "type": kind, "change": change, **more}


def plan(*resources: dict[str, Any]) -> dict[str, Any]:
    before, after = (written(cluster_of(each).spec) for each in (BEFORE, AFTER))
    record = {"actions": ["update"], "before": before, "after": after}
    return {"resource_changes": list(resources), "output_changes": {"spec": record}}


def test_a_comment_has_what_changes_why_and_the_price_before_and_after() -> None:
    data = plan(
        resource(
            QUEUE,
            *("delete", "create"),
            action_reason="replace_by_request",
            change={
                "before": {"name": "lab-mpi"},
                "after": {"name": "lab-mpi"},
                "after_unknown": {"scheduling_policy_arn": True},
            },
        ),
        resource("module.job_old.aws_batch_job_definition.this", "delete"),
        resource(
            "module.job_solve.aws_batch_job_definition.this", "update", change={"after": {"a": 1}}
        ),
    )
    record = data["output_changes"]["spec"]
    prices = load_prices()
    old, new = (
        estimate(found, prices)
        for side in ("before", "after")
        if (found := recorded_cluster(record[side], load_catalog()))
    )
    shown = render_markdown(
        summarise(data),
        prices=compare(old, new),
        price_note=price_note(new),
        problems=[Problem("2 jobs are RUNNING in it", path=QUEUE, hint="wait for them")],
    )
    # The sums by hand: nodes times the price of an hour on demand, as the price list has it.
    hourly = prices.hourly("r5.24xlarge", "us-east-1")
    assert hourly is not None
    region = prices.region("us-east-1")
    assert region is not None
    hour = "r5.24xlarge x 1 h"
    listed = f"on demand in us-east-1, {region.date}"

    def cost(nodes: int) -> str:
        return f"{nodes * hourly:.2f} USD"

    assert shown.splitlines() == [
        "<!-- mngen plan -->",
        "",
        "### Plan: 0 to add, 1 to change, 1 to replace, 1 to destroy.",
        "",
        "**Data or jobs at stake**",
        "",
        (
            f"- `{QUEUE}` is replaced: every job waiting or running in it is ended, and the "
            "costs of its jobs are no longer listed: run mngen cost --keep FILE first"
        ),
        "",
        "**Now on AWS**",
        "",
        f"- `{QUEUE}`: `2 jobs are RUNNING in it` (`wait for them`)",
        "",
        "| changed in the spec | before | after | effect |",
        "| --- | --- | --- | --- |",
        "| `environments.mpi.max_nodes` | `4` | `8` | in-place |",
        "| `environments.mpi.min_nodes` | `0` | `1` | in-place |",
        "| `queues.mpi.priority` | `1` | `5` | in-place |",
        "| `queues.mpi.shares` |  | `added` | scheduling |",
        "| `jobs.old` |  | `removed` | entry |",
        "| `jobs.solve.nodes` | `2` | `4` | new-jobs |",
        "| `jobs.solve.environment.A` |  | `added` | new-jobs |",
        "",
        *(line for line in shown.splitlines() if line.startswith("- **") and ": " in line),
        "",
        "| price | before | after |",
        "| --- | --- | --- |",
        f"| `job solve` | `{cost(2)} (2 x {hour})` | `{cost(4)} (4 x {hour})` |",
        f"| `idle: nodes of mpi (min_nodes)` | `-` | `{cost(1)}/h` |",
        f"| `job old` | `{cost(1)} (1 x {hour})` | `-` |",
        "",
        f"Jobs: at most, with all attempts and the whole timeout, {listed}.",
        "",
        "<details>",
        "<summary>3 resources</summary>",
        "",
        f"- **replace** `{QUEUE}` the old one is destroyed before the new one is made",
        "  - `AWS Batch neither adds a scheduling policy to a queue nor removes it`",
        "- **destroy** `module.job_old.aws_batch_job_definition.this`",
        "- **change** `module.job_solve.aws_batch_job_definition.this` (a)",
        "",
        "</details>",
    ]
    assert "- **scheduling**: Another scheduling policy takes effect in place." in shown
    # The terminal has the same words.
    terminal = str(render_summary(summarise(data)))
    for words in ("every job waiting or running in it is ended", "Plan: 0 to add, 1 to change"):
        assert words in terminal


def test_no_changes() -> None:
    shown = render_markdown(summarise({"resource_changes": [], "output_changes": {}}))
    assert (
        shown
        == "<!-- mngen plan -->\n\n### No changes: the deployment matches the configuration.\n"
    )


@pytest.mark.parametrize("name", ["a`b", "``x", "a|b", "a\n# b", "<img src=x>", "@team", "[a](b)"])
def test_nothing_is_markup(name: str) -> None:
    address = f'aws_subnet.this["{name}"]'
    change = {"address": address, "mode": "managed", "type": "aws_efs_file_system"}
    data = {"resource_changes": [{**change, "change": {"actions": ["delete"]}}]}
    prices = [(name, name, name)]
    shown = render_markdown(summarise(data), prices=prices)
    for line in shown.splitlines():
        # What is left outside of code spans is ours: the fence is longer than any run inside.
        outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", line)
        for mark in ("<img", "@team", "[a]", "`"):
            assert mark not in outside, line
    [row] = [line for line in shown.splitlines() if name[-1] in line and line.startswith("| `")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4


def test_a_comment_fits_into_what_github_takes() -> None:
    """65,536 characters: https://github.com/orgs/community/discussions/41331."""
    many = [
        resource(f'module.network.aws_subnet.private_{number:04}["{"x" * 60}"].this', "create")
        for number in range(3000)
    ]
    shown = render_markdown(summarise({"resource_changes": many}))
    assert len(shown) < 65_536
    assert "- 2800 more; `mngen plan` shows them" in shown
    assert "<summary>3000 resources</summary>" in shown


def test_all_that_is_long_leaves_room_for_the_rest() -> None:
    many = [
        resource(
            f'module.network.aws_efs_file_system.this["{number:04}{"x" * 300}"]',
            *("delete", "create"),
            change={"before": {"id": "a"}, "after": {f"key_{each:03}": 1 for each in range(200)}},
        )
        for number in range(300)
    ]
    data = plan(*many)
    data["output_changes"]["spec"]["after"]["jobs"] = {
        f"job-{number:04}": {"queue": "mpi"} for number in range(400)
    }
    shown = render_markdown(
        summarise(data),
        prices=[(f"job {number}" + "y" * 200, "z" * 400, "z" * 400) for number in range(500)],
        problems=[Problem("m" * 400, path="p" * 400, hint="h" * 400) for _ in range(200)],
    )
    assert 40_000 < len(shown) < 65_000
    # Every list says how much of it is left out, and the last one is closed.
    assert shown.count(" more |") == 2
    assert len(re.findall(r"(?m)^- \d+ more$", shown)) == 2
    left = re.search(r"(?m)^- (\d+) more; `mngen plan` shows them$", shown)
    assert left is not None
    assert int(left[1]) + len(re.findall(r"(?m)^- \*\*replace\*\*", shown)) == 300
    assert shown.endswith("\n\n</details>\n")


NO_PICTURE = "The picture does not fit into a comment; `mngen graph` draws the deployment."


def test_a_picture_stands_before_the_list_of_resources() -> None:
    """A block of mermaid: https://docs.gitlab.com/user/markdown/#mermaid."""
    data = plan(resource("module.job_old.aws_batch_job_definition.this", "delete"))
    plain = render_markdown(summarise(data), price_note="Prices.")
    drawn = render_markdown(summarise(data), price_note="Prices.", pictures=["a\nb\n", "a\n"])
    block = "**What changes where**\n\n```mermaid\na\nb\n```\n\n"
    before, after = drawn.split(block)
    assert before + after == plain
    assert before.endswith("\n\nPrices.\n\n")
    assert after.startswith("<details>\n")
    # Where nothing changes, there is nothing to draw.
    nothing = render_markdown(summarise({"resource_changes": []}), pictures=["a\n"])
    assert "mermaid" not in nothing
    assert NO_PICTURE not in nothing


@pytest.mark.parametrize("count", [1, 150, 1000])
def test_the_picture_is_left_out_first(count: int) -> None:
    many = [
        resource(
            f"module.job_{number:04}{'x' * 60}.aws_batch_job_definition.this",
            *("delete", "create"),
            action_reason="replace_by_request",
        )
        for number in range(count)
    ]
    summary = summarise(plan(*many))
    prices = [(f"job {number}" + "y" * 200, "1", "2") for number in range(min(count, 150))]
    plain = render_markdown(summary, prices=prices)
    sizes = [1_000, 65_000 - len(plain) - 1_000, 65_000]
    for size in sizes:
        drawn = render_markdown(summary, prices=prices, pictures=["x" * size + "\n"])
        assert len(drawn) <= 65_000 + len("\n")
        rest = re.sub(r"\*\*What changes where\*\*\n\n```mermaid\n[^`]*```\n\n", "", drawn)
        rest = rest.replace(NO_PICTURE + "\n\n", "")
        if len(plain) < 60_000:
            # All else is as it is without a picture.
            assert rest == plain
        assert ("```mermaid" in drawn) != (NO_PICTURE in drawn)
    assert NO_PICTURE in drawn
    # Of several, the most detailed that fits.
    two = render_markdown(
        summary, prices=prices, pictures=["x" * 65_000 + "\n", "small" * 100 + "\n"]
    )
    assert ("small" in two) == (len(plain) < 60_000)


def test_what_has_no_price_is_not_what_is_not_there() -> None:
    """A job whose price is not known exists; of a record of another version, nothing is known."""
    prices = load_prices()
    old = estimate(cluster_of(BEFORE), prices)
    block = "p5.48xlarge, capacity: {block: cr-0123456789abcdef0}"
    text = AFTER.replace("r5.24xlarge", block).replace(", min_nodes: 1", "")
    new = estimate(cluster_of(text), prices)
    rows = {name: (before, after) for name, before, after in compare(old, new)}
    assert rows["job solve"][1] == "no price"
    assert rows["job old"][1] == "-"
    rows = {name: (before, after) for name, before, after in compare(new, old)}
    assert rows["job solve"][0] == "no price"
    assert rows["job old"][0] == "-"
    assert {each[1] for each in compare(None, old)} == {"-"}
    assert {each[1] for each in compare(None, old, first=False)} == {"not known"}
    elsewhere = estimate(cluster_of(BEFORE.replace("us-east-1", "eu-north-1")), prices)
    assert {each[2] for each in compare(old, elsewhere)} == {"no price"}
    # Where nothing has a price, there is nothing to compare.
    assert compare(elsewhere, elsewhere) == []


def test_what_is_billed_idle_is_compared_whatever_its_number() -> None:
    prices = load_prices()
    one, two = (
        estimate(cluster_of(AFTER.replace("min_nodes: 1", f"min_nodes: {count}")), prices)
        for count in (1, 2)
    )
    hourly = prices.hourly("r5.24xlarge", "us-east-1")
    assert hourly is not None
    [row] = [each for each in compare(one, two) if each[0].startswith("idle: ")]
    assert row == (
        "idle: nodes of mpi (min_nodes)",
        f"{hourly:.2f} USD/h",
        f"{2 * hourly:.2f} USD/h",
    )
