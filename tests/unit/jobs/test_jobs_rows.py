"""Rows of a sweep in as few array jobs as they fit into, within what AWS Batch and ECS take.

The limits: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html (10,000 children,
30 KiB of a SubmitJob request),
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html (8,192 characters of the
overrides of a task, those of JSON included).
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from functools import cache
from itertools import pairwise
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mngen.account import Account, Intent, Target
from mngen.catalog import load_catalog
from mngen.cluster import ROWS_GUARD, ROWS_VARIABLE, SUBMISSION_TAG, SUBMITTER_TAG
from mngen.errors import InputError
from mngen.jobs import Order, Prepared, rows_in_words
from mngen.jobs._request import make_intent
from mngen.jobs._rows import Rows, cut, pack, unpack
from mngen.jobs._sweep import Sweep, make_sweep, waiting_for
from mngen.rules import require
from mngen.spec import load_text
from tests.support.batch import spec_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mngen.cluster import Cluster

ARN = "arn:aws:batch:us-east-1:123456789012:job-definition/lab-one:3"


CHAIN = """\
  first: {queue: small, command: [a]}
  last: {queue: small, command: [b], after: first}
  other: {queue: small, command: [c], image: "docker.io/me/app:v1"}
"""


@cache
def cluster() -> Cluster:
    return require(load_text(spec_text("lab", more=CHAIN).encode()), load_catalog())


def base(
    order: Order, command: Sequence[str] = ("hostname",), image: str | None = None
) -> Prepared:
    """Return a submission as it is after a check, of a definition with a command."""
    container: dict[str, Any] = {"command": list(command)}
    if image is not None:
        container["image"] = image
    nodes = {
        "mpi": {
            "nodeProperties": {
                "numNodes": 2,
                "nodeRangeProperties": [
                    {"targetNodes": "0:", "container": {"command": list(command)}}
                ],
            }
        }
    }
    definition: Any = {
        "jobDefinitionArn": ARN,
        **nodes.get(order.job, {"containerProperties": container}),
    }
    intent = make_intent(cluster(), order)
    target = Target(intent, Account(cluster(), {}), definition)
    return Prepared(order, intent, target, definition, ())


def sweep_of(
    rows: Sequence[Mapping[str, str]],
    *,
    arrays: bool | None = None,
    of: Sequence[str] = ("hostname",),
    image: str | None = None,
    **wanted: Any,
) -> Sweep:
    order = Order(**{"job": "one", "name": "s", **wanted})
    return make_sweep(base(order, of, image), rows, arrays=arrays)


def sent(prepared: Prepared) -> dict[str, Any]:
    """Return a request with all that is added when it is sent."""
    request, token = prepared.sent(ARN)
    request["tags"] |= {SUBMISSION_TAG: token, SUBMITTER_TAG: "u" * 256}
    return request


def as_task(overrides: Mapping[str, Any], index: int, size: int) -> str:
    """Return the overrides of a child's task as ECS gets them, with the longest names there are.

    The variables: https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html; the names
    have 128 characters at most: https://docs.aws.amazon.com/batch/latest/APIReference (botocore's
    model: CreateJobQueue, CreateComputeEnvironment).
    """
    variables = {
        "AWS_BATCH_CE_NAME": "e" * 128,
        "AWS_BATCH_JOB_ARRAY_INDEX": str(index),
        "AWS_BATCH_JOB_ARRAY_SIZE": str(size),
        "AWS_BATCH_JOB_ATTEMPT": "10",
        "AWS_BATCH_JOB_ID": f"0f3b8a52-7a3d-4bb4-8a51-0d3c5f3a9c55:{index}",
        "AWS_BATCH_JQ_NAME": "q" * 128,
    }
    container = {
        "name": "default",
        "cpu": 196608,
        "memory": 786432,
        **overrides,
        "environment": [
            *overrides["environment"],
            *({"name": name, "value": value} for name, value in variables.items()),
        ],
    }
    return json.dumps({"containerOverrides": [container]}, separators=(",", ":"))


def rows_in(request: Mapping[str, Any]) -> Rows:
    environment = {
        each["name"]: each["value"] for each in request["containerOverrides"]["environment"]
    }
    rows = unpack(environment[ROWS_VARIABLE])
    assert rows is not None
    return rows


TEXTS = st.text(max_size=40)
NUMBERS = st.sets(st.integers(1, 10_000), min_size=1, max_size=40).map(sorted)


class TestPacking:
    @given(data=st.data(), numbers=NUMBERS)
    def test_what_is_packed_is_unpacked(self, data: st.DataObject, numbers: list[int]) -> None:
        names = data.draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
        row = st.fixed_dictionaries(dict.fromkeys(names, TEXTS))
        values = tuple(data.draw(row) for _ in numbers)
        rows = Rows("0" * 32, tuple(numbers), values)
        text = pack(rows)
        assert unpack(text) == rows
        # In the JSON of a request, each of its characters is one.
        assert len(json.dumps(text)) == len(text) + 2

    @pytest.mark.parametrize(
        "data",
        [
            [],
            {},
            {"sweep": "s", "numbers": [[1, 2]], "columns": {}},
            {"sweep": "s", "numbers": [[1, 2]], "columns": {"a": ["1"]}},
            {"sweep": "s", "numbers": [[2, 1], [1, 3]], "columns": {"a": ["1", "2"]}},
            {"sweep": "s", "numbers": [[1, 10**12]], "columns": {"a": ["1"]}},
            {"sweep": "s", "numbers": [[1, 10**12], [10**12, 1]], "columns": {"a": ["1", "2"]}},
            {"sweep": "s", "numbers": [[1, 1]], "columns": {"a": [1]}},
        ],
    )
    def test_what_anyone_else_wrote_is_no_sweep(self, data: Any) -> None:
        assert unpack(base64.b64encode(zlib.compress(json.dumps(data).encode())).decode()) is None

    @pytest.mark.parametrize("text", ["", "a", "é", "AAAA", "{}"])
    def test_nor_is_any_other_text(self, text: str) -> None:
        assert unpack(text) is None


class TestCutting:
    @given(
        sizes=st.lists(st.integers(1, 30), min_size=1, max_size=60),
        room=st.integers(1, 100),
        most=st.integers(2, 20),
    )
    def test_parts_are_whole_fit_and_are_as_few_as_can_be(
        self, sizes: list[int], room: int, most: int
    ) -> None:
        numbers = range(1, len(sizes) + 1)

        def fits(part: Sequence[int]) -> bool:
            return sum(sizes[number - 1] for number in part) <= room

        parts = cut(numbers, fits, most)
        assert [number for part in parts for number in part] == list(numbers)
        for part in parts:
            assert len(part) == 1 or (fits(part) and len(part) <= most)
        for part, following in pairwise(parts):
            longer = [*part, following[0]]
            assert len(longer) > most or not fits(longer)

    @pytest.mark.parametrize(("together", "times"), [(1, 3), (36, 4), (1700, 12), (10_000, 4)])
    def test_a_row_is_packed_a_few_times_whatever_fits(self, together: int, times: int) -> None:
        packed = []

        def fits(part: Sequence[int]) -> bool:
            packed.append(len(part))
            return len(part) <= together

        parts = cut(range(1, 10_001), fits)
        assert len(parts) == ceil(10_000 / together)
        assert sum(packed) <= times * 10_000


class TestArrays:
    @settings(max_examples=15)
    @example(count=400, length=60, more=0, tagged=0, seed=1)
    @example(count=400, length=60, more=0, tagged=20, seed=1)
    @given(
        count=st.sampled_from([2, 3, 30, 400]),
        length=st.sampled_from([1, 8, 60, 600, 3000]),
        more=st.sampled_from([0, 0, 100, 5000]),
        tagged=st.sampled_from([0, 0, 18, 20]),
        seed=st.integers(0, 1000),
    )
    def test_each_request_fits_and_every_row_is_in_one(
        self, count: int, length: int, more: int, tagged: int, seed: int
    ) -> None:
        random = Random(seed)
        letters = '0123456789abcdefXYZé\\"\n'
        rows = [
            {"n": str(row), "text": "".join(random.choices(letters, k=random.randint(0, length)))}
            for row in range(count)
        ]
        tags = {f"{'k' * 100}{n}": "é" * 200 for n in range(tagged)}
        command = ("run", *(["x" * more] if more else []), "{n}", "é")
        sweep = sweep_of(rows, command=command, tags=tags, environment={"FIXED": "1"})
        parts = sweep.parts(sweep.numbers)
        assert [number for part in parts for number in part.numbers] == list(sweep.numbers)
        for part in parts:
            request = sent(part.prepared)
            if not part.is_array:
                assert "arrayProperties" not in request
                continue
            assert request["arrayProperties"] == {"size": len(part.numbers)}
            overrides = request["containerOverrides"]
            size = len(part.numbers)
            assert len(as_task(overrides, size - 1, size)) <= 8192
            assert len(json.dumps(request)) <= 30 * 1024
            assert part.prepared.problems == ()
            assert overrides["command"] == [ROWS_GUARD, *command]
            found = rows_in(request)
            assert found.numbers == part.numbers
            assert found.values == tuple(rows[number - 1] for number in part.numbers)

    def test_small_rows_fill_one_array(self) -> None:
        rows = [{"viscosity": f"{n / 1000:.3f}"} for n in range(1000)]
        sweep = sweep_of(rows, command=("./app", "{viscosity}"))
        [part] = sweep.parts(sweep.numbers)
        request = sent(part.prepared)
        assert request["arrayProperties"] == {"size": 1000}
        assert request["jobName"] == "s-0001-1000"

    def test_ten_thousand_rows_are_cut_in_seconds(self) -> None:
        rows = [{"a": str(n * 7919 % 10_007), "b": str(n)} for n in range(10_000)]
        sweep = sweep_of(rows)
        parts = sweep.parts(sweep.numbers)
        assert sum(len(part.numbers) for part in parts) == 10_000
        assert len(parts) < 20

    def test_a_row_that_is_left_is_a_job_as_before(self) -> None:
        rows = [{"n": str(n)} for n in range(3)]
        [part] = sweep_of(rows, command=("run", "{n}")).parts([2])
        request = sent(part.prepared)
        assert request["jobName"] == "s-0002"
        assert request["containerOverrides"] == {
            "command": ["run", "1"],
            "environment": [{"name": "n", "value": "1"}],
        }

    def test_the_jobs_own_command_is_taken_where_none_is_given(self) -> None:
        rows = [{"n": "1"}, {"n": "2"}]
        [array] = sweep_of(rows, of=("run", "{n}")).parts([1, 2])
        assert sent(array.prepared)["containerOverrides"]["command"] == [ROWS_GUARD, "run", "{n}"]
        [first, _] = sweep_of(rows, of=("run", "{n}"), arrays=False).parts([1, 2])
        assert sent(first.prepared)["containerOverrides"]["command"] == ["run", "1"]
        [first, _] = sweep_of(rows, of=("run",), arrays=False).parts([1, 2])
        assert "command" not in sent(first.prepared)["containerOverrides"]

    @pytest.mark.parametrize(
        ("rows", "wanted"),
        [
            ([{"n": "1"}], {}),
            ([{"n": "1"}], {"arrays": True}),
            ([{"n": "1"}, {"n": "2"}], {"job": "mpi"}),
            ([{"n": "1"}, {"n": "2"}], {"arrays": False}),
            # What is sent depends on it: see `default_ranks`.
            ([{"MNGEN_THREADS_PER_RANK": "1"}, {"MNGEN_THREADS_PER_RANK": "2"}], {}),
            # Their entrypoint gets the command, and need not look at it.
            ([{"n": "1"}, {"n": "2"}], {"job": "other"}),
            ([{"n": "1"}, {"n": "2"}], {"image": "docker.io/me/app:v1"}),
            (
                [{"n": "1"}, {"n": "2"}],
                {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/other:v1"},
            ),
        ],
    )
    def test_what_is_one_job_a_row(self, rows: list[dict[str, str]], wanted: Any) -> None:
        sweep = sweep_of(rows, **wanted)
        parts = sweep.parts(sweep.numbers)
        assert [part.numbers for part in parts] == [(each,) for each in sweep.numbers]
        assert not any(part.is_array for part in parts)

    @pytest.mark.parametrize(
        "wanted",
        [
            {"job": "other", "arrays": True},
            {"image": "docker.io/me/app:v1", "arrays": True},
            {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/mpi:v1"},
            {"image": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/mpi@sha256:{'0' * 64}"},
        ],
    )
    def test_what_is_an_array(self, wanted: Any) -> None:
        sweep = sweep_of([{"n": "1"}, {"n": "2"}], **wanted)
        assert [part.is_array for part in sweep.parts(sweep.numbers)] == [True]

    def test_a_sweep_of_another_image_tells_how_to_get_arrays(self, caplog: Any) -> None:
        caplog.set_level(logging.INFO)
        for job in ("one", "mpi", "other"):
            sweep_of([{"n": "1"}, {"n": "2"}], job=job)
        [message] = caplog.messages
        assert "`other` does not run the container image of this deployment" in message
        assert "--array" in message

    @pytest.mark.parametrize(
        ("rows", "job", "says"),
        [
            ([{"n": "1"}, {"n": "2"}], "mpi", "AWS Batch has none of multi-node jobs"),
            ([{"MNGEN_X": "1"}, {"MNGEN_X": "2"}], "one", "`MNGEN_X` decides over what is"),
        ],
    )
    def test_arrays_that_cannot_be_are_refused(
        self, rows: list[dict[str, str]], job: str, says: str
    ) -> None:
        with pytest.raises(InputError, match=says):
            sweep_of(rows, job=job, arrays=True)

    def test_what_is_sent_is_what_was_checked(self) -> None:
        sweep = sweep_of([{"n": "1"}, {"n": "2"}])
        assert sweep.parts(sweep.numbers) is sweep.parts([1, 2])

    def test_an_array_in_words(self) -> None:
        rows = [{"n": str(n), "text": "a b"} for n in range(9)]
        sweep = sweep_of(rows, command=("run", "-n", "{n}", "{text}"))
        [part] = sweep.parts([2, 3, 5, 9])
        assert rows_in_words(part.prepared) == (
            "s-0002-0009: rows 2-3, 5, 9; row 2 runs run -n 1 'a b'"
        )
        assert rows_in_words(sweep.parts([4])[0].prepared) is None

    def test_the_names_of_columns_are_checked_as_those_of_variables(self) -> None:
        rows = [{"AWS_BATCH_X": "1"}, {"AWS_BATCH_X": ""}]
        [part] = sweep_of(rows).parts([1, 2])
        assert [each.rule for each in part.prepared.problems] == ["MN309"]

    def test_what_is_wrong_with_a_row_is_said_of_all_rows_at_once(self) -> None:
        rows = [{"n": "\0"}, {"n": " "}, {"n": "\0"}, {"n": "x"}]
        messages = [each.message for each in sweep_of(rows, command=("{n}",)).faults()]
        assert messages == [
            "rows 1, 3: a command or variable contains a NUL character",
            "row 2: the command has no program",
        ]
        messages = [each.message for each in sweep_of(rows[:1], command=("{n}",)).faults()]
        assert messages == ["a command or variable contains a NUL character"]

    def test_an_empty_word_is_refused_before_the_row_is_left_alone(self) -> None:
        """https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html"""
        rows = [{"n": "" if n in (1, 2, 3, 5, 7, 9, 11, 13) else "x"} for n in range(14)]
        [problem] = sweep_of(rows, command=("run", "{n}")).faults()
        assert problem.message == (
            "rows 2-4, 6, 8, 10, 12 and 1 more: the command has an empty word, which AWS Batch "
            "does not accept"
        )
        assert sweep_of(rows, command=("run", "-n{n}")).faults() == ()

    def test_rows_are_a_table(self) -> None:
        for rows, says in (([], "has no rows"), ([{"a": "1"}, {"b": "1"}], "the same columns")):
            with pytest.raises(InputError, match=says):
                sweep_of(rows)

    @pytest.mark.parametrize("where", ["column", "variable"])
    def test_the_variable_of_the_rows_is_reserved(self, where: str) -> None:
        row = {ROWS_VARIABLE if where == "column" else "n": "1"}
        environment = {} if where == "column" else {ROWS_VARIABLE: "1"}
        with pytest.raises(InputError, match="MNGEN_ROWS is reserved"):
            sweep_of([row, row], environment=environment)


class TestTokens:
    rows = ({"n": "1"}, {"n": "2"})

    def test_it_is_the_same_sweep_whatever_its_rows_are(self) -> None:
        assert sweep_of(self.rows).token == sweep_of([{"m": "7"}], arrays=False).token
        for other in ({"name": "t"}, {"environment": {"A": "1"}}, {"timeout": 600}):
            assert sweep_of(self.rows).token != sweep_of(self.rows, **other).token

    def test_it_is_no_other_jobs(self) -> None:
        sweep = sweep_of(self.rows)
        assert sweep.token != sweep.base.token

    def test_after_the_jobs_of_its_flow_it_is_another_sweep(self) -> None:
        plain = sweep_of(self.rows, job="last")
        first, second = (waiting_for(plain, {"first": each}) for each in ("id-1", "id-2"))
        assert len({plain.token, first.token, second.token}) == 3
        [part] = first.parts([1, 2])
        assert sent(part.prepared)["dependsOn"] == [{"jobId": "id-1"}]
        intent: Intent = part.prepared.intent
        assert intent.after == ("id-1",)
