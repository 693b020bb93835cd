"""What a job costs at most, and what is billed while none runs; each figure computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mngen.catalog import PricedRegion, Prices, load_catalog, load_prices
from mngen.cluster import resolve
from mngen.cost import Estimate, bound_of, estimate, recorded_cluster
from mngen.rules import open_cluster
from mngen.spec import JobFromFile, load_text, written
from tests.support.specs import make_spec, pairwise, to_yaml

if TYPE_CHECKING:
    from mngen.cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]

# USD an hour in us-east-1, by AWS's price list of July 2026: r5.24xlarge 6.048, r5.12xlarge 3.024,
# m5.24xlarge 4.608, c7i.48xlarge 8.568, m4.4xlarge 0.80; NAT gateway 0.045 and its public IPv4
# address 0.005 since February 2024, interface endpoint 0.01 in each zone.
SPEC = """\
name: estimate
region: us-east-1
environments:
  large: {instance: r5.24xlarge, max_nodes: 8}
  small: {instance: r5.12xlarge, max_nodes: 8}
  spot: {instance: m4.4xlarge, max_nodes: 8, multi_node: false, purchase: spot}
queues:
  large: {environments: [large]}
  both: {environments: [small, large]}
  spot: {environments: [spot]}
jobs:
  solve: {queue: large, nodes: 4, timeout: 3600, command: [run]}
"""


def cluster_of(text: str) -> Cluster:
    return resolve(load_text(text.encode()).require(), load_catalog())


def estimate_of_text(text: str) -> Estimate:
    return estimate(cluster_of(text), load_prices())


def job(**keys: Any) -> str:
    return SPEC.replace(
        "{queue: large, nodes: 4, timeout: 3600, command: [run]}", str({**keys, "command": ["run"]})
    )


@pytest.mark.parametrize(
    ("keys", "total", "words"),
    [
        ({"queue": "large", "nodes": 4, "timeout": 3600}, 4 * 6.048, "4 x r5.24xlarge x 1 h"),
        ({"queue": "large", "nodes": 1, "timeout": 60}, 6.048 / 60, "1 x r5.24xlarge x 1 min"),
        (
            {"queue": "large", "nodes": 3, "timeout": 5400, "attempts": 2},
            3 * 6.048 * 1.5 * 2,
            "3 x r5.24xlarge x 1.5 h x 2 attempts",
        ),
        # The timeout of a job that names none is a day.
        ({"queue": "large", "nodes": 2}, 2 * 6.048 * 24, "2 x r5.24xlarge x 24 h"),
        # The job may run on the dearer environment of its queue.
        ({"queue": "both", "nodes": 2, "timeout": 3600}, 2 * 6.048, "2 x r5.24xlarge x 1 h"),
        # Spot is at most as dear as on demand.
        ({"queue": "spot", "timeout": 3600}, 0.80, "1 x m4.4xlarge x 1 h"),
    ],
)
def test_a_bound_is_nodes_times_price_times_timeout_times_attempts(
    keys: dict[str, Any], total: float, words: str
) -> None:
    found = estimate_of_text(job(**keys))
    (bound,) = found.jobs
    assert bound.total == pytest.approx(total)
    assert f"({words})" in bound.in_words("USD")
    assert str(found.job_line()).endswith("; on demand in us-east-1, 2026-07-20")


def with_alternatives(*types: str) -> str:
    spot = "{instance: m4.4xlarge, max_nodes: 8,"
    several = f"{{instance: m5.24xlarge, alternatives: [{', '.join(types)}], max_nodes: 8,"
    assert spot in SPEC
    text = job(queue="spot", timeout=3600).replace(spot, several)
    return text.replace("purchase: spot", "purchase: spot, min_nodes: 2")


def test_of_alternatives_the_dearest_type_counts() -> None:
    # An m5.24xlarge is 4.608 USD an hour, an r5.24xlarge 6.048.
    found = estimate_of_text(with_alternatives("r5.24xlarge", "m4.4xlarge"))
    (bound,) = found.jobs
    assert bound.total == pytest.approx(6.048)
    assert bound.instance == "r5.24xlarge"
    assert found.standing_hourly == pytest.approx(2 * 6.048)
    assert "2 nodes of spot (min_nodes, the dearest type) 12.10 USD/h" in found.lines()[1]


def test_without_the_price_of_an_alternative_nothing_is_known() -> None:
    found = estimate_of_text(with_alternatives("r5.24xlarge", "hpc7a.96xlarge"))
    (bound,) = found.jobs
    assert (bound.total, bound.missing) == (None, ("hpc7a.96xlarge",))
    assert found.standing_hourly == 0
    assert "2 nodes of spot (min_nodes, the dearest type) (price not known)" in found.lines()[1]


def test_a_submission_counts_with_what_it_changes() -> None:
    cluster = cluster_of(SPEC)
    (solve,) = cluster.jobs
    spot = next(each for each in cluster.queues if each.name == "spot")
    prices = load_prices()
    bound = bound_of(cluster, prices, solve, nodes=2, timeout=7200, attempts=3)
    assert bound is not None
    assert bound.total == pytest.approx(2 * 6.048 * 2 * 3)
    elsewhere = bound_of(cluster, prices, solve, queue=spot)
    assert elsewhere is not None
    assert elsewhere.total == pytest.approx(4 * 0.80)


def test_the_revision_in_aws_decides_on_attempts_and_timeout() -> None:
    cluster = cluster_of(SPEC)
    (solve,) = cluster.jobs
    described: dict[str, Any] = {
        "timeout": {"attemptDurationSeconds": 1800},
        "retryStrategy": {"attempts": 4},
    }
    bound = bound_of(cluster, load_prices(), solve, described=described)
    assert bound is not None
    assert bound.total == pytest.approx(4 * 6.048 * 0.5 * 4)
    without = bound_of(cluster, load_prices(), solve, described={})
    assert without is not None
    assert (without.total, without.attempts, without.seconds) == (None, 1, None)
    assert without.in_words("USD") == "24.19 USD/h (4 x r5.24xlarge, no timeout)"


def test_a_definition_from_a_file_without_timeout_is_priced_by_the_hour() -> None:
    cluster = open_cluster(ROOT / "tests" / "specs" / "definitions.yaml")
    region = PricedRegion(
        name=cluster.spec.region, date=load_catalog().date, currency="USD", source="a test"
    )
    prices = Prices([region], {region.name: dict.fromkeys(load_catalog().names, 2.0)})
    found = {each.job: each for each in estimate(cluster, prices).jobs}
    for each in cluster.jobs:
        without = isinstance(each.spec, JobFromFile) and (
            "timeout" not in each.spec.from_file.content
        )
        assert (found[each.name].seconds is None) is without, each.name
        assert found[each.name].hourly == 2.0 * found[each.name].nodes
    assert any(each.total is None for each in found.values())


def test_a_missing_price_is_named_and_never_counts_as_zero() -> None:
    # AWS does not offer hpc7a in us-east-1.
    text = SPEC.replace("large: {instance: r5.24xlarge", "large: {instance: hpc7a.96xlarge")
    found = estimate_of_text(text)
    (bound,) = found.jobs
    assert (bound.total, bound.hourly, bound.missing) == (None, None, ("hpc7a.96xlarge",))
    assert found.lines() == [
        (
            "price: at most solve not known (no price of hpc7a.96xlarge); on demand in us-east-1, "
            "2026-07-20; run mngen instances --refresh --region us-east-1"
        )
    ]


def test_a_region_without_prices_is_named_with_the_remedy() -> None:
    found = estimate_of_text(SPEC.replace("us-east-1", "eu-west-1"))
    assert found.currency is None
    assert found.lines() == [
        "price: no prices of eu-west-1; run mngen instances --refresh --region eu-west-1"
    ]


def test_govcloud_has_no_remedy_since_it_has_no_price_list() -> None:
    for name, end in (("us-gov-west-1", ""), ("eu-west-1", "--refresh --region eu-west-1")):
        cluster = cluster_of(SPEC.replace("us-east-1", name))
        (line,) = estimate(cluster, Prices((), {})).lines()
        assert line.startswith(f"price: no prices of {name}")
        assert line.endswith(end or name)
        region = PricedRegion(name=name, date=load_catalog().date, currency="USD", source="a test")
        (line,) = estimate(cluster, Prices([region], {name: {"m4.4xlarge": 1.0}})).lines()
        assert "no price of r5.24xlarge" in line
        assert line.endswith(end or str(region.date))


def test_prices_in_china_are_in_yuan() -> None:
    found = estimate_of_text(SPEC.replace("us-east-1", "cn-north-1"))
    (bound,) = found.jobs
    price = load_prices().hourly("r5.24xlarge", "cn-north-1")
    assert price is not None
    assert bound.total == pytest.approx(4 * price)
    assert "CNY (4 x r5.24xlarge x 1 h)" in found.lines()[0]
    assert "USD" not in found.lines()[0]


def test_what_is_billed_while_no_job_runs_is_summed_and_named() -> None:
    text = (
        SPEC.replace("max_nodes: 8}", "max_nodes: 8, min_nodes: 2}", 1)
        + "network: {vpc: new, zones: [us-east-1a, us-east-1b], endpoints: [s3, ecr.api, logs]}\n"
        + "storage: {fsx: {size: 2400}}\n"
    )
    found = estimate_of_text(text)
    assert found.standing_hourly == pytest.approx(2 * 6.048 + 0.045 + 0.005 + 2 * 2 * 0.01)
    assert found.lines()[1] == (
        "idle: 12.19 USD/h: 2 nodes of large (min_nodes) 12.10 USD/h; "
        "NAT gateway and its public IPv4 address 0.05 USD/h; "
        "2 interface endpoints in 2 zones 0.04 USD/h; EFS by what it stores; "
        "FSx for Lustre by its 2400 GiB"
    )


def test_what_the_deployment_does_not_create_is_not_billed_to_it() -> None:
    text = SPEC + "storage: {efs: {id: fs-0123456789abcdef0}}\n"
    assert estimate_of_text(text).standing == ()
    # Every deployment has EFS: alone it is not worth a line.
    assert len(estimate_of_text(SPEC).lines()) == 1
    without = SPEC + "network: {vpc: new, zones: [us-east-1a], nat: false, endpoints: []}\n"
    assert [each.what for each in estimate_of_text(without).standing] == ["EFS"]


def test_a_capacity_block_is_paid_in_advance() -> None:
    cluster = open_cluster(ROOT / "examples" / "llm-training.yaml")
    found = estimate(cluster, load_prices())
    block = next(each.block for each in cluster.environments if each.block)
    on_block = {each.name for each in cluster.jobs if any(e.block for e in each.queue.environments)}
    assert on_block
    assert not on_block & {each.job for each in found.jobs}
    assert f"capacity block {block} paid in advance" in found.lines()[-1]


def test_existing_environments_have_types_that_the_spec_does_not_know() -> None:
    arn = "arn:aws:batch:us-east-1:123456789012:compute-environment/old"
    text = SPEC.replace("{environments: [large]}", f"{{environments: [large], legacy: ['{arn}']}}")
    assert estimate_of_text(text).lines() == []


def test_of_many_jobs_the_dearest_are_shown() -> None:
    jobs = "".join(
        f"  j{hours}: {{queue: large, nodes: 1, timeout: {hours * 3600}, command: [run]}}\n"
        for hours in (1, 2, 3, 4, 5)
    )
    line = estimate_of_text(SPEC + jobs).lines()[0]
    assert line == (
        "price: at most j5 30.24 USD (1 x r5.24xlarge x 5 h); j4 24.19 USD (1 x r5.24xlarge x "
        "4 h); solve 24.19 USD (4 x r5.24xlarge x 1 h); 3 more jobs; on demand in us-east-1, "
        "2026-07-20"
    )


@pytest.mark.parametrize("choice", pairwise(), ids=str)
def test_the_record_in_the_state_gives_the_same_estimate(choice: Any) -> None:
    cluster = resolve(load_text(to_yaml(make_spec(choice))).require(), load_catalog())
    recorded = recorded_cluster(written(cluster.spec), load_catalog())
    assert recorded is not None
    found, expected = estimate(recorded, load_prices()), estimate(cluster, load_prices())
    assert found.standing == expected.standing
    # The record names the file of a definition, and does not have what is in it.
    read = {each.name for each in cluster.jobs if each.spec.definition}
    assert found.jobs == tuple(each for each in expected.jobs if each.job not in read)


@pytest.mark.parametrize("record", [None, "", {}, {"name": 1}, {"name": "a", "region": "b"}])
def test_a_record_that_is_no_spec_gives_no_estimate(record: Any) -> None:
    assert recorded_cluster(record, load_catalog()) is None


@settings(deadline=None, max_examples=50)
@given(
    nodes=st.integers(1, 1000),
    timeout=st.integers(60, 31_536_000),
    attempts=st.integers(1, 10),
)
def test_a_bound_never_falls_when_something_grows(nodes: int, timeout: int, attempts: int) -> None:
    cluster = cluster_of(SPEC)
    (solve,) = cluster.jobs

    def total(nodes: int, timeout: int, attempts: int) -> float:
        bound = bound_of(
            cluster, load_prices(), solve, nodes=nodes, timeout=timeout, attempts=attempts
        )
        assert bound is not None
        assert bound.total is not None
        return bound.total

    here = total(nodes, timeout, attempts)
    assert here == pytest.approx(nodes * 6.048 * timeout / 3600 * attempts)
    assert total(nodes + 1, timeout, attempts) > here
    assert total(nodes, timeout + 1, attempts) > here
    assert total(nodes, timeout, attempts + 1) > here
