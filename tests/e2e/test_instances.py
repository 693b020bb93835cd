"""`mngen instances` and its refresh, against the emulated EC2 over HTTP."""

from __future__ import annotations

import json
import os
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from mngen.catalog import (
    CATALOG_NAME,
    PRICES_NAME,
    load_catalog,
    load_prices,
    refresh_catalog,
    refresh_prices,
)
from mngen.catalog._file import encode
from mngen.errors import InputError, ToolError
from mngen.sandbox import Sandbox, start_sandbox
from tests.support import cli
from tests.support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """An emulated AWS that this module only reads."""
    with start_sandbox() as sandbox:
        yield sandbox


def mngen(
    *arguments: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    program: tuple[str, ...] | None = None,
) -> tuple[int, str, str]:
    done = cli.mngen("instances", *arguments, cwd=cwd, env=env, program=program)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_the_shipped_catalog_is_what_a_refresh_writes(box: Sandbox, tmp_path: Path) -> None:
    shipped = load_catalog()
    if version("moto") not in shipped.source:
        pytest.skip(f"the shipped catalog is of another emulator: {shipped.source}")
    path = tmp_path / CATALOG_NAME
    with box.applied():
        done = refresh_catalog(path, "us-east-1", source=shipped.source, today=shipped.date)
    assert done.left_out == {}
    assert done.total == len(done.added) == len(shipped)
    expected = encode(
        shipped, date=shipped.date, source=shipped.source, memory_source=shipped.memory_source
    )
    assert path.read_bytes() == expected, (
        "write it anew: mngen instances --refresh --sandbox --source "
        f"'EC2 DescribeInstanceTypes as served by moto {version('moto')}' "
        "--write generator/mngen/catalog/instance-types.json"
    )


def test_a_refresh_tells_what_changed_and_leaves_nothing_else(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / CATALOG_NAME
    shipped = load_catalog()
    before = [each for each in shipped if each.family != "r5"]
    text = encode(before, date=shipped.date, source="an older day").replace(
        b'"c5n.18xlarge","vcpus":72,"cores":36', b'"c5n.18xlarge","vcpus":70,"cores":35'
    )
    extra = text.splitlines()[1].replace(b"a1.medium", b"a0.medium")
    path.write_bytes(text.replace(b"[\n", b"[\n" + extra + b"\n", 1))
    code, out, err = mngen(
        *("--refresh", "--region", "eu-west-1"),
        cwd=tmp_path,
        env=box.environment(),
        program=cli.CHECKOUT,
    )
    assert code == 0, err
    assert "added 9: r5.large, r5.xlarge" in out
    assert "removed 1: a0.medium" in out
    assert "changed 1: c5n.18xlarge" in out
    catalog = load_catalog(tmp_path)
    assert catalog.names == shipped.names
    assert catalog.source == "EC2 DescribeInstanceTypes of an emulator, eu-west-1"
    assert sorted(each.name for each in tmp_path.iterdir()) == [CATALOG_NAME, PRICES_NAME]
    prices = load_prices(tmp_path)
    *kept, region = prices.regions
    # A new file also has what mngen ships.
    assert kept == list(load_prices().regions)
    assert (region.name, region.currency) == ("eu-west-1", "USD")
    assert region.source == "AWS Price List GetProducts of an emulator, eu-central-1"
    # The emulator has one price list for all regions of `aws`, and in it other entries of each
    # type: of dedicated tenancy, of Windows, and of reserved capacity.
    assert prices.of_region("eu-west-1") == load_prices().of_region("us-east-1")
    assert f"{len(prices.of_region('eu-west-1'))} prices in USD, eu-west-1" in out
    assert "without a price" in out
    code, out, err = mngen(
        "--refresh", "--region", "cn-north-1", cwd=tmp_path, env=box.environment()
    )
    assert code == 0, err
    assert "prices in CNY, cn-north-1" in out
    assert [each.name for each in load_prices(tmp_path).regions] == [
        *(each.name for each in load_prices().regions),
        "eu-west-1",
    ]


def test_prices_can_be_left_out_and_govcloud_has_none_to_read(box: Sandbox, tmp_path: Path) -> None:
    env = box.environment()
    code, out, err = mngen("--refresh", "--no-prices", cwd=tmp_path, env=env)
    assert code == 0, err
    assert "prices" not in out
    code, out, err = mngen("--refresh", "--region", "us-gov-west-1", cwd=tmp_path, env=env)
    assert code == 0, err
    assert "AWS has no price list for GovCloud" in err
    assert [each.name for each in tmp_path.iterdir()] == [CATALOG_NAME]
    code, _, err = mngen("--no-prices", cwd=tmp_path, env=env)
    assert code == 2
    assert "--prices" in err


def test_a_refresh_takes_newer_measurements_of_memory_and_keeps_them(
    box: Sandbox, tmp_path: Path
) -> None:
    env = box.environment()
    code, out, err = mngen("--refresh", "--no-prices", cwd=tmp_path, env=env)
    assert code == 0, err
    shipped = load_catalog()
    assert load_catalog(tmp_path).memory_source == shipped.memory_source
    seen = tmp_path / "manually_fetched_data.json"
    seen.write_text(
        '{"r5.12xlarge": {"ran_at": "2027-01-01T00:00:00Z", "memory": {"total_mb": 380000}}}',
        encoding="utf-8",
    )
    code, out, err = mngen("--refresh", "--no-prices", "--memory", str(seen), cwd=tmp_path, env=env)
    assert code == 0, err
    assert "changed" in out
    code, out, err = mngen("--refresh", "--no-prices", cwd=tmp_path, env=env)
    assert code == 0, err
    assert "changed" not in out
    catalog = load_catalog(tmp_path)
    assert catalog.require("r5.12xlarge").measured_memory == 380000
    assert catalog.require("c5.xlarge").measured_memory is None
    assert "measured up to 2027-01-01" in catalog.memory_source
    code, out, err = mngen("--memory", str(seen), cwd=tmp_path, env=env)
    assert code == 2
    assert "--memory" in err


def test_a_damaged_catalog_is_mended_by_a_refresh(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / CATALOG_NAME).write_text("<<<<<<< HEAD", encoding="utf-8")
    code, _, err = mngen("r5", cwd=tmp_path)
    assert code == 1
    assert f"{CATALOG_NAME}:1:1" in err
    code, _, _ = mngen("--refresh", "--no-prices", cwd=tmp_path, env=box.environment())
    assert code == 0
    assert mngen("r5", cwd=tmp_path)[0] == 0


def test_a_refresh_of_the_sandbox_takes_one_switch(box: Sandbox, tmp_path: Path) -> None:
    env = {**box.environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    code, out, err = mngen("--refresh", "--sandbox", "--write", "here.json", cwd=tmp_path, env=env)
    assert code == 0, err
    assert "here.json: " in out


def test_where_the_file_cannot_be_written_the_error_names_it(box: Sandbox, tmp_path: Path) -> None:
    with box.applied(), pytest.raises(InputError) as caught:
        refresh_catalog(tmp_path / "absent" / CATALOG_NAME, "us-east-1")
    assert caught.value.problems[0].file == str(tmp_path / "absent" / CATALOG_NAME)
    (tmp_path / "file").touch()
    with box.applied(), pytest.raises(InputError):
        refresh_catalog(tmp_path / "file" / CATALOG_NAME, "us-east-1")


def test_without_credentials_or_region_the_way_out_is_named(tmp_path: Path) -> None:
    code, _, err = mngen("--refresh", cwd=tmp_path)
    assert code == 3
    assert "no AWS region is set" in err
    code, _, err = mngen("--refresh", "--region", "us-east-1", cwd=tmp_path)
    assert code == 3
    assert "AWS credentials are missing" in err
    assert list(tmp_path.iterdir()) == []


def test_an_aws_that_is_not_there_is_told_within_seconds(box: Sandbox, tmp_path: Path) -> None:
    env = {**box.environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    code, _, err = mngen("--refresh", cwd=tmp_path, env=env)
    assert code == 3
    assert "cannot reach AWS" in err


class _Answers(BaseHTTPRequestHandler):
    """An EC2 that answers every request in the same way, and counts them."""

    server: _Ec2

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


class _Ec2(HTTPServer):
    requests = 0
    answer: tuple[int, bytes]


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Ec2]:
    with _Ec2(("127.0.0.1", 0), _Answers) as server:
        thread = serve(server)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield server
        server.shutdown()
        thread.join()


def refusal(code: str) -> bytes:
    return (
        f"<Response><Errors><Error><Code>{code}</Code><Message>No.</Message></Error></Errors>"
        "<RequestID>r-1</RequestID></Response>"
    ).encode()


@pytest.mark.parametrize(
    ("status", "body", "says", "requests"),
    [
        (400, refusal("ExpiredToken"), "credentials have expired", 1),
        (401, refusal("AuthFailure"), "does not accept the credentials", 1),
        (403, refusal("UnauthorizedOperation"), "denies DescribeInstanceTypes", 1),
        (503, refusal("RequestLimitExceeded"), "throttling DescribeInstanceTypes", 5),
        (200, b"<html>log in to the guest network", "the response did not come from AWS", 1),
        (200, b"<DescribeInstanceTypesResponse/>", "no instance type that can be used", 1),
    ],
)
def test_what_ec2_answers_is_told_in_the_users_words(
    ec2: _Ec2, tmp_path: Path, status: int, body: bytes, says: str, requests: int
) -> None:
    ec2.answer = status, body
    path = tmp_path / CATALOG_NAME
    path.write_text("what was there before", encoding="utf-8")
    with pytest.raises(ToolError, match=says):
        refresh_catalog(path, "us-east-1")
    assert ec2.requests == requests
    assert path.read_text(encoding="utf-8") == "what was there before"


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, b'{"__type":"AccessDeniedException","Message":"no"}', "denies GetProducts"),
        (400, b'{"__type":"ThrottlingException","Message":"no"}', "throttling GetProducts"),
        (200, b'{"FormatVersion":"aws_v1","PriceList":[]}', "no price of an instance type"),
        (200, b'{"FormatVersion":"aws_v1","PriceList":["{}"]}', "unknown entry"),
    ],
)
def test_what_the_price_list_answers_is_told_and_loses_nothing(
    ec2: _Ec2, tmp_path: Path, status: int, body: bytes, says: str
) -> None:
    ec2.answer = status, body
    path = tmp_path / PRICES_NAME
    path.write_text("what was there before", encoding="utf-8")
    with pytest.raises(ToolError, match=says):
        refresh_prices(path, "us-east-1")
    assert path.read_text(encoding="utf-8") == "what was there before"


def test_a_piped_table_is_whole_however_narrow_the_terminal(tmp_path: Path) -> None:
    code, out, err = mngen(cwd=tmp_path, env={**os.environ, "COLUMNS": "40"})
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == len(load_catalog()) + 1
    assert "…" not in out
    assert "\x1b" not in out
    rows = {line.split()[0]: re.split(r"  +", line.strip()) for line in lines}
    assert rows["r5.24xlarge"][1:9] == ["96", "48", "2", "48", "768", "x86_64", "no", "yes"]
    assert rows["hpc7a.96xlarge"][4] == "no limit"
    assert rows["hpc7a.96xlarge"][7:] == ["2", "yes", "no", "no"]
    assert rows["p5.48xlarge"][7:] == ["32", "yes", "8 H100, 80 GiB", "8 x 3800 GB"]
    assert rows["g6f.xlarge"][9] == "part of L4, 2.79 GiB"
    assert "DescribeInstanceTypes" in err


def test_filters_and_machine_readable_output(tmp_path: Path) -> None:
    code, out, _ = mngen("p*", "--no-gpus", "--format", "names", cwd=tmp_path)
    assert code == 1
    code, out, _ = mngen("c5*", "--disks", "--format", "names", cwd=tmp_path)
    assert code == 0
    assert "c5d.18xlarge" in out.splitlines()
    assert "c5n.18xlarge" not in out.splitlines()
    code, out, _ = mngen("*", "--efa", "--max-cores", "36", "--format", "names", cwd=tmp_path)
    assert code == 0
    assert "c5n.18xlarge" in out.splitlines()
    assert "c5n.4xlarge" not in out.splitlines()
    code, out, _ = mngen(
        *("r*", "--arch", "x86_64", "--min-cores", "48", "--min-memory", "768"),
        *("--no-efa", "--format", "json"),
        cwd=tmp_path,
    )
    data = json.loads(out)
    rows = {row["name"]: row for row in data["instance_types"]}
    assert code == 0
    assert data["date"] == str(load_catalog().date)
    assert rows["r5.24xlarge"]["nr_cpus"] == 48
    assert rows["r5.24xlarge"]["memory"] == 768 * 1024
    assert rows["r7a.24xlarge"]["nr_cpus"] is None
    assert all(row["architecture"] == "x86_64" and not row["efa"] for row in rows.values())
    assert all(row["cores"] >= 48 and row["memory"] >= 768 * 1024 for row in rows.values())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["r5.25xlarge"], 1, "`r5.24xlarge`"),
        (["c55*"], 1, "`c5`"),
        (["r5", "--min-cores", "999"], 1, "none of the 9 instance types"),
        (["r5", "--region", "us-east-1"], 2, "only with --refresh"),
        (["--min-memory", "nan"], 2, "--min-memory"),
        (["--arch", "riscv64"], 2, "riscv64"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    got, out, err = mngen(*arguments, cwd=tmp_path)
    assert got == code
    assert says in err
    assert out == ""
