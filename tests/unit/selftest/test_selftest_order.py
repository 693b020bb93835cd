"""What is submitted, and the page that it ends in."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest

from mngen.catalog import load_catalog
from mngen.errors import InputError
from mngen.jobs._request import MASK, make_intent
from mngen.rules import require
from mngen.selftest import Card, Check, Choice, Figure, State, Wish, choose, to_page
from mngen.selftest._here import Fault, plan
from mngen.spec import load_text

SPEC = """\
name: seismic
region: us-east-1
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4, zones: [us-east-1a]}
  c5: {instance: c5.18xlarge, max_nodes: 4, zones: [us-east-1a]}
queues:
  big: {environments: [r5]}
  fast: {environments: [c5]}
jobs:
  a-own: {queue: big, nodes: 2, command: [x], image: "docker.io/me/app:1"}
  hello: {queue: big, nodes: 2, command: [x], launcher: none, attempts: 3}
  quick: {queue: fast, nodes: 2, command: [x]}
  one: {queue: big, command: [x]}
"""
SMALLEST = SPEC.replace("nodes: 2, ", "")


def chosen(wish: Wish, text: str = SPEC) -> Choice:
    return choose(require(load_text(text.encode()), load_catalog()), wish)


class TestChoice:
    def test_a_job_on_the_own_image_is_preferred(self) -> None:
        found = chosen(Wish())
        assert (found.job.name, found.queue.name, found.nodes) == ("hello", "big", 2)
        order = found.order
        assert (order.attempts, order.timeout, order.name) == (1, 600, "mngen-selftest")
        assert order.environment == {
            "MNGEN_CPUS_CHECK": "warn",
            "MNGEN_LAUNCHER": "openmpi",
            "MNGEN_WAIT": "300",
        }
        assert order.command[3:] == ("/efs", "0.5", "560")
        assert (order.vcpus, order.memory) == (None, None)

    @pytest.mark.parametrize("launcher", ["main", "none", "torchrun"])
    def test_ranks_are_started_whatever_the_job_starts(self, launcher: str) -> None:
        text = SPEC.replace("launcher: none", f"launcher: {launcher}")
        assert chosen(Wish(), text).order.environment["MNGEN_LAUNCHER"] == "openmpi"
        text = SPEC.replace("launcher: none", "launcher: mpich")
        assert "MNGEN_LAUNCHER" not in chosen(Wish(), text).order.environment

    def test_a_job_of_the_queue_is_preferred(self) -> None:
        assert chosen(Wish(queue="fast")).job.name == "quick"

    def test_another_queue_takes_what_its_nodes_have(self) -> None:
        order = chosen(Wish(queue="fast", job="hello")).order
        assert order.vcpus == 36
        assert order.memory is not None
        assert order.memory < 144 * 1024

    @pytest.mark.parametrize("job", ["hello", "a-own", "quick"])
    def test_the_overrides_fit(self, job: str) -> None:
        cluster = require(load_text(SPEC.encode()), load_catalog())
        order = choose(cluster, Wish(job=job, nodes=1000, queue="fast")).order
        intent = make_intent(cluster, order)
        assert MASK in intent.overrides
        assert len(intent.overrides) < 7000

    @pytest.mark.parametrize(
        ("wish", "text", "message"),
        [
            (Wish(job="hallo"), SPEC, "the spec has no multi-node job `hallo`"),
            (Wish(job="one"), SPEC, "the spec has no multi-node job `one`"),
            (Wish(queue="bog"), SPEC, "the spec has no queue `bog`"),
            (Wish(), SMALLEST, "the spec has no multi-node job whose definition"),
            (Wish(timeout=60), SPEC, "--timeout 60: the job needs 120 seconds at least"),
            (Wish(nodes=0), SPEC, "--nodes 0"),
        ],
    )
    def test_what_cannot_be(self, wish: Wish, text: str, message: str) -> None:
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            chosen(wish, text.replace(", launcher: none", "") if text == SMALLEST else text)
        assert caught.value.problems[0].message.startswith(message)

    def test_what_it_costs_at_most(self) -> None:
        found = chosen(Wish(nodes=3))
        assert "3 nodes of r5.12xlarge" in found.bound()
        assert "at most 30 instance-minutes;" in found.bound()
        assert "--price" in found.bound()
        assert "at most 30 instance-minutes, 1.51 USD;" in found.bound(3.024)


class TestRehearsal:
    def test_faults(self) -> None:
        healthy = plan(2, [0, 1, 2, 3], ())
        assert (healthy.cpus, healthy.unshared) == ({}, frozenset())
        assert healthy.command[0] == "python3"
        assert plan(2, [0, 1], (Fault.CPUS,)).cpus == {1: "0"}
        assert plan(3, [4, 5], (Fault.UNSHARED,)).unshared == {2}
        assert plan(3, [4, 5], (Fault.PINNING,)).command[:4] == (
            "taskset",
            "--cpu-list",
            "4",
            "python3",
        )

    def test_one_cpu_cannot_be_less(self) -> None:
        with pytest.raises(InputError, match="this machine has one CPU"):
            plan(2, [0], (Fault.CPUS,))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload"}
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestPage:
    CARD = Card(
        title="seismic: 2 nodes <of> r5.12xlarge",
        job="6d1b8f0a",
        checks=(
            Check(
                id="cpus", title="CPUs & cores", state=State.ERROR, seen="<b>\x1b[2J", remedy="do"
            ),
            Check(id="files", title="files", state=State.OK, seen="read"),
        ),
        figures=(
            Figure(name="16 streams", value=6.0, unit="Gbit/s", promise=12.0, note="12 Gigabit"),
            Figure(name="latency", value=20.5, unit="µs"),
        ),
    )

    def test_it_is_whole_loads_nothing_and_obeys_no_log(self) -> None:
        text = to_page(self.CARD)
        reader = _Reader()
        reader.feed(text)
        assert reader.open == []
        assert {"html", "table", "svg"} <= reader.seen
        assert "b" not in reader.seen
        assert "\x1b" not in text
        assert "Self-test failed" in text
        assert "50 % of 12 Gbit/s (12 Gigabit)" in text
        assert 'width="150"' in text
        assert to_page(self.CARD) == text

    def test_a_card_without_errors_passes(self) -> None:
        passed = msgspec.structs.replace(self.CARD, checks=self.CARD.checks[1:], figures=())
        text = to_page(passed)
        assert "Self-test passed" in text
        assert "Figures" not in text
