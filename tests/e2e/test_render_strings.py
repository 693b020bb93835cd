"""What is rendered evaluates to what was said: real Terraform reads hundreds of nasty strings.

No provider is needed for the literals; whole trees are planned against the schema of provider 6.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mngen.render import _hcl, render
from tests.support import provider6
from tests.support.specs import (
    FEATURES,
    FRAGMENTS,
    make_spec,
    pairwise,
    specs,
    texts,
    to_cluster,
)
from tests.support.terraform_program import terraform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mngen.render import Tree

LONG = 10_000


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw values, the same each time."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def keep(value: Any) -> None:
        found.append(value)

    keep()
    return found


def write(tree: Mapping[str, str], folder: Path) -> Path:
    """Write what Terraform reads of a tree."""
    for path, text in tree.items():
        if not path.startswith("terraform/"):
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return folder


@pytest.fixture
def env(provider6_env: dict[str, str]) -> dict[str, str]:
    return provider6_env


@cache
def nasty() -> tuple[str, ...]:
    pairs = [a + b for a in FRAGMENTS for b in ("${", "{", '"', "\\", "\n", "x")]
    long = ["x" * LONG, "${" * (LONG // 2), "é" * LONG, '"' * LONG, "\n" * LONG, "🧪" * LONG]
    controls = [chr(code) for code in [*range(1, 32), *range(127, 160), 0xFEFF]]
    return (*FRAGMENTS, *pairs, *long, *controls, *drawn(texts(), 300))


def test_literals_and_keys_evaluate_to_themselves(tmp_path: Path, env: dict[str, str]) -> None:
    strings = list(nasty())
    # Keys meet their values, so that one cannot be taken for another.
    keyed = {text: f"{index}:{text}" for index, text in enumerate(dict.fromkeys(strings))}
    # Beside a long key, every other one would be followed by as many spaces.
    short = {key: value for key, value in keyed.items() if len(key) < LONG}
    long = {key: value for key, value in keyed.items() if key not in short}
    maps = {"short": short, "long": long}
    source = f'output "list" {{\nvalue = {_hcl.expression(strings)}\n}}\n'
    for name, entries in maps.items():
        source += f'output "{name}" {{\nvalue = {_hcl.expression(entries)}\n}}\n'
    inside = [text for text in strings if len(text) < LONG]
    source += 'locals {\nprefix = "a"\n}\noutput "inside" {\nvalue = [\n'
    source += "".join(f'"${{local.prefix}}:{_hcl.quoted(text)[1:-1]}",\n' for text in inside)
    source += "]\n}\n"
    (tmp_path / "main.tf").write_bytes(_hcl.layout(source).encode())
    applied = terraform(tmp_path, env, "apply", "-auto-approve", "-no-color")
    assert applied.returncode == 0, applied.stderr

    # What Terraform found stands in its state; to print it again takes it as long as to find it.
    found = json.loads((tmp_path / "terraform.tfstate").read_text(encoding="utf-8"))["outputs"]

    assert found["list"]["value"] == strings
    assert {name: found[name]["value"] for name in maps} == maps
    assert found["inside"]["value"] == [f"a:{text}" for text in inside]


def test_layout_is_what_fmt_would_make(tmp_path: Path, env: dict[str, str]) -> None:
    key = st.one_of(st.from_regex(r"[a-z_][a-z0-9_-]{0,12}", fullmatch=True), texts())
    scalar = st.one_of(st.none(), st.booleans(), st.integers(), texts())
    value = st.recursive(
        scalar,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(key, inner, max_size=4),
        max_leaves=8,
    )
    bodies = drawn(st.dictionaries(key, value, max_size=6), 250)
    for index, body in enumerate(bodies):
        text = f'resource "a" "b" {{\nname = "x"\nvalues = {_hcl.expression(body)}\nlast = 1\n}}\n'
        (tmp_path / f"{index:03}.tf").write_bytes(_hcl.layout(text).encode())
    before = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}

    done = terraform(tmp_path, env, "fmt", "-no-color")

    assert done.returncode == 0, done.stderr
    for name in done.stdout.split():
        assert before[name] == (tmp_path / name).read_text(encoding="utf-8")


def rendered(data: dict[str, Any]) -> Tree:
    return render(to_cluster(data))


def check_format(trees: Iterable[Tree], folder: Path, env: dict[str, str]) -> None:
    """Check that `terraform fmt` would change nothing; most files are the same in many trees."""
    folder.mkdir()
    texts = {
        (Path(path).suffix, text)
        for tree in trees
        for path, text in tree.items()
        if path.startswith("terraform/")
    }
    for index, (suffix, text) in enumerate(sorted(texts)):
        (folder / f"{index:04}{suffix}").write_bytes(text.encode())

    done = terraform(folder, env, "fmt", "-check", "-diff", "-no-color")

    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_random_specs_are_formatted_as_fmt_would(tmp_path: Path, env: dict[str, str]) -> None:
    check_format(map(rendered, drawn(specs(), 60)), tmp_path / "files", env)


def test_every_two_features_together_are_valid(tmp_path: Path, env: dict[str, str]) -> None:
    # Modules of the same name are in the same place of each tree: few have to be installed.
    env = {**env, "TF_DATA_DIR": str(tmp_path / "data")}
    problems = []
    trees = []
    for index, choice in enumerate(pairwise()):
        trees.append(rendered({**make_spec(choice), "provider": 6}))
        folder = write(trees[-1], tmp_path / f"{index:02}")
        found = provider6.validate(folder / "terraform", env)
        problems += [(choice, str(diagnostic)) for diagnostic in found]
    assert problems == []
    check_format(trees, tmp_path / "files", env)


def plain(**options: str) -> dict[str, str]:
    """Choose the first option of every feature, but for those told."""
    return {**{name: choices[0] for name, choices in FEATURES.items()}, "provider": "6", **options}


def jobs_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the job definitions that were made."""
    return {
        values["name"]: values
        for address, values in provider6.made(folder).items()
        if "aws_batch_job_definition" in address
    }


def amis(data: dict[str, Any]) -> dict[str, object]:
    return {"amis": {name: {"id": "ami-0123456789abcdef0"} for name in to_cluster(data).images}}


def test_what_a_job_says_reaches_the_job_definition(tmp_path: Path, env: dict[str, str]) -> None:
    data = make_spec(plain(machines="mpi"))
    queue = next(iter(data["queues"]))
    carried = [
        text
        for text in nasty()
        if len(text) < LONG
        if not any(
            char == "\ufeff" or unicodedata.category(char) == "Cc"
            for char in re.sub("[\n\t]", "", text)
        )
    ]
    names = [text for text in carried if "=" not in text and text.strip()]
    size = 60
    jobs: dict[str, dict[str, Any]] = {}
    for start in range(0, len(carried), size):
        part = carried[start : start + size]
        variables = dict.fromkeys(names[start : start + size], "${x}")
        jobs[f"multi-{start}"] = {
            "queue": queue,
            "nodes": 2,
            "command": ["run", *part],
            "mpi_args": part,
            "environment": variables | {"V": part[-1], "EMPTY": ""},
        }
        jobs[f"single-{start}"] = {"queue": queue, "command": ["run", *part]}
    jobs["long"] = {"queue": queue, "command": ["run", "${" * (LONG // 2), '"' * (LONG // 2)]}
    data["jobs"] = jobs
    folder = write(rendered(data), tmp_path) / "terraform"

    # An image without a known repository makes the whole JSON unknown at plan: so apply.
    assert provider6.apply(folder, env) == []
    made = jobs_in(folder)

    assert made.keys() == {f"test-1-{name}" for name in jobs}
    for name, values in made.items():
        said = jobs[name.removeprefix("test-1-")]
        if "nodes" in said:
            properties = json.loads(values["node_properties"])
            (ranges,) = properties["nodeRangeProperties"]
            container = ranges["container"]
            assert (properties["numNodes"], ranges["targetNodes"]) == (2, "0:")
        else:
            container = json.loads(values["container_properties"])
        assert container["command"] == said["command"]
        found = {pair["name"]: pair["value"] for pair in container["environment"]}
        assert found.pop("MNGEN_SHARED") == data["storage"]["efs"]["mount"]
        assert int(found.pop("MNGEN_CPUS", "1")) > 0
        assert shlex.split(found.pop("MNGEN_MPI_ARGS", "")) == said.get("mpi_args", [])
        assert found == {k: v for k, v in said.get("environment", {}).items() if v}


@pytest.mark.parametrize(
    "options",
    [
        {"machines": "efa", "ssh": "yes", "tags": "yes", "container": "named"},
        {"machines": "many", "vpc": "new", "nat": "no", "container": "elsewhere", "jobs": "both"},
    ],
    ids=["efa", "closed network"],
)
def test_names_and_tags_reach_the_resources(
    tmp_path: Path, env: dict[str, str], options: dict[str, str]
) -> None:
    data = make_spec(plain(**options))
    tags = {"Kostenstelle Größe": "a=b", "k/e:y@+-.": "", "中": "é ß", "x": "y" * 256}
    data["tags"] = tags
    if "ssh" in data["network"]:
        data["network"]["ssh"]["key_pair"] = 'k "${x}" %{if} \\ $${ #'
    data["storage"] = {"efs": {"mount": "/a-b_c/d.e"}}
    folder = write(rendered(data), tmp_path) / "terraform"

    assert provider6.apply(folder, env, amis(data)) == []
    assert provider6.pending(folder, env, amis(data)) == []
    made = provider6.made(folder)

    expected = {**tags, "mngen:deployment": "test-1"}
    # IAM has no regions.
    own = {"aws_iam_": {"mngen:region": "us-east-1"}}
    tagged = 0
    for address, values in made.items():
        if ".data." not in address and "tags_all" in values:
            tagged += 1
            found = {k: v for k, v in values["tags_all"].items() if k != "Name"}
            more = {k: v for name, each in own.items() if name in address for k, v in each.items()}
            assert found == expected | more, address
    assert tagged > 5
    environments = [
        values for address, values in made.items() if "aws_batch_compute_environ" in address
    ]
    assert len(environments) == len(data["environments"])
    if "ssh" in data["network"]:
        keys = {values["compute_resources"][0]["ec2_key_pair"] for values in environments}
        assert keys == {data["network"]["ssh"]["key_pair"]}
    assert provider6.outputs(folder, env)["efs"]["mount"] == "/a-b_c/d.e"
