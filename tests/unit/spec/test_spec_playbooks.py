"""The playbooks that a spec names: read with their folders, or refused with a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mngen import _resources
from mngen.catalog import load_catalog
from mngen.cluster import AmiFile, AmiRecord
from mngen.images import playbooks_digest, stale_images
from mngen.images._plan import wanted_inputs
from mngen.render import render
from mngen.rules import require
from mngen.spec import ImageFromFiles, LoadedSpec, key_changes, load, load_text, written

if TYPE_CHECKING:
    from pathlib import Path

    from mngen.errors import Problem

SPEC = """\
name: lab
region: us-east-1
image:
  ssh_from: [198.51.100.0/24]
  playbooks:
    - bake/site.yml
environments:
  r5: {instance: r5.12xlarge, max_nodes: 4}
queues:
  mpi: {environments: [r5]}
"""
PLAY = b"- hosts: all\n  roles: [monitoring]\n"
TASK = b"- name: Say hello\n  ansible.builtin.command: echo\n"
FILES = {"bake/site.yml": PLAY, "bake/roles/monitoring/tasks/main.yml": TASK}


def loaded(files: dict[str, bytes], spec: str = SPEC) -> LoadedSpec:
    return load_text(spec.encode(), files=files)


def places(found: LoadedSpec) -> list[tuple[str | None, int, str]]:
    return [
        (each.file, each.position.line if each.position else 0, each.message)
        for each in found.problems
    ]


def test_all_files_of_the_folder_are_in_the_rendered_tree(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    # What the folder of a checkout has besides.
    (tmp_path / "bake/.vault_pass").write_text("secret", encoding="utf-8")
    (tmp_path / "bake/site.yml~").write_text("old", encoding="utf-8")
    cluster = require(load(tmp_path / "mngen.yaml"), load_catalog())
    tree = render(cluster)
    own = {path: text for path, text in tree.items() if path.startswith("playbooks/own/")}
    assert own == {f"playbooks/own/{name}": text.decode() for name, text in FILES.items()}
    packer = tree["packer/images.pkr.hcl"]
    order = [line.split("playbooks/")[1] for line in packer.splitlines() if "playbook_file" in line]
    assert order == ['image.yml"', 'own/bake/site.yml"', 'image.yml"']
    assert packer.count('"--skip-tags", "verify,clean,seal"]') == 1
    assert packer.count('"--tags", "verify,clean,seal"]') == 1


def test_the_stages_after_the_playbooks_of_the_spec_are_stages_of_mngens() -> None:
    """What runs before and after them must be all stages, each once."""
    import yaml

    from mngen.cluster import STAGES_AFTER_OWN

    text = (_resources.playbooks() / "image.yml").read_text(encoding="utf-8")
    (play,) = yaml.safe_load(text)
    tags = [task["tags"] for task in play["tasks"]]
    assert tags[-3:] == STAGES_AFTER_OWN.split(",")
    assert tags[:2] == ["always", "always"]


@pytest.mark.parametrize(
    ("files", "line", "message"),
    [
        ({"bake/other.yml": PLAY}, 6, "there is no file bake/site.yml"),
        (
            {"bake/site.yml": PLAY, "bake/files/tool": b"\xff\xfe"},
            6,
            "bake/files/tool is not UTF-8",
        ),
    ],
)
def test_what_cannot_be_read_is_shown_in_the_spec(
    files: dict[str, bytes], line: int, message: str
) -> None:
    ((file, found, said),) = places(loaded(files))
    assert (file, found) == ("mngen.yaml", line)
    assert said.startswith(message)


def test_a_folder_that_is_not_there_is_shown_in_the_spec(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    ((file, line, said),) = places(load(tmp_path / "mngen.yaml"))
    assert (file, line) == (str(tmp_path / "mngen.yaml"), 6)
    assert said == f"there is no file {tmp_path}/bake/site.yml"


def test_a_path_starts_at_the_folder_of_the_file_that_it_is_written_in(tmp_path: Path) -> None:
    top, base = tmp_path / "mngen.prod.yaml", tmp_path / "base" / "mngen.yaml"
    top.write_text("extends: base/mngen.yaml\nname: prod\n", encoding="utf-8")
    (base.parent / "bake").mkdir(parents=True)
    base.write_text(SPEC, encoding="utf-8")
    ((file, line, said),) = places(load(top))
    assert (file, line) == (str(base), 6)
    assert said == f"there is no file {base.parent}/bake/site.yml"
    (base.parent / "bake/site.yml").write_bytes(PLAY)
    image = load(top).require().image
    assert isinstance(image, ImageFromFiles)
    assert image.files == {"bake/site.yml": PLAY.decode()}


def test_a_folder_with_everything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mngen.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "bake").mkdir()
    (tmp_path / "bake/site.yml").write_bytes(PLAY)
    (tmp_path / "bake/data").write_bytes(b"x" * 1_100_000)
    ((_, line, said),) = places(load(tmp_path / "mngen.yaml"))
    assert line == 6
    assert "more than 500 files or 1 MiB" in said


@pytest.mark.parametrize(
    ("play", "line", "message"),
    [
        (b"- hosts: nodes\n  tasks: []\n", 1, "the play would not run"),
        (b"- hosts: all\n- tasks: []\n", 2, "the play has no `hosts`"),
        (b"hosts: all\n", 1, "not a playbook: expected a list of plays"),
        (b"", 1, "not a playbook: expected a list of plays"),
        (b"- all\n", 1, "not a play: expected a mapping with `hosts`"),
        (b"- hosts: all\n  tasks: [\n", 3, "not valid YAML"),
        (b"- hosts: [all]\n", 1, "the play would not run"),
        # Where PyYAML's own loader runs out of stack.
        (b"- hosts: all\n  x: " + b"[" * 5000, 2, "the document nests deeper than 50 levels"),
        (b"- hosts: all\n  x: \x07\n", 2, "not valid YAML: control characters are not allowed"),
        (b"- ? [a]\n  : b\n", 1, "the play has no `hosts`"),
    ],
)
def test_a_playbook_that_would_bake_nothing_is_refused(
    play: bytes, line: int, message: str
) -> None:
    ((file, found, said),) = places(loaded({"bake/site.yml": play}))
    assert (file, found) == ("bake/site.yml", line)
    assert said.startswith(message)


@pytest.mark.parametrize(
    "play",
    [
        b"- hosts: localhost\n  tasks: []\n- hosts: all\n",
        b"- ansible.builtin.import_playbook: other.yml\n",
        b"- hosts: all\n  vars: {secret: !vault abc}\n",
    ],
)
def test_a_playbook_that_runs_is_taken(play: bytes) -> None:
    assert loaded({"bake/site.yml": play}).problems == ()


@pytest.mark.parametrize(
    "path", ["site.yml", "/srv/site.yml", "../bake/site.yml", "bake/../site.yml", "bake/a b.yml"]
)
def test_a_playbook_is_in_a_folder_below_the_spec(path: str) -> None:
    ((_, line, said),) = places(loaded(FILES, SPEC.replace("bake/site.yml", path)))
    assert line == 6
    assert "the path of a playbook in a folder below the spec's" in said


@pytest.mark.parametrize(
    "name", ["https://example.com/x.rpm", "./x.rpm", "-y", "a b", "@tools", "$(id)", "x*"]
)
def test_a_package_is_a_name_and_nothing_that_skips_its_signature(name: str) -> None:
    text = SPEC.replace("  playbooks:\n    - bake/site.yml\n", f"  packages: ['{name}']\n")
    ((_, line, said),) = places(loaded({}, text))
    assert line == 5
    assert "the name of a package" in said


def test_other_content_makes_amis_stale(tmp_path: Path) -> None:
    cluster = require(loaded(FILES), load_catalog())
    assert isinstance(cluster.spec.image, ImageFromFiles)
    (image,) = cluster.machine_images
    playbooks = tmp_path / "deploy" / "playbooks"
    for path, text in render(cluster).items():
        (tmp_path / "deploy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "deploy" / path).write_text(text, encoding="utf-8")
    made = wanted_inputs(
        cluster,
        image,
        efs="fs-0123456789abcdef0",
        base_amis={"x86_64": "ami-0123456789abcdef0"},
        # As the bake finds it in the rendered tree.
        playbooks=playbooks_digest(playbooks),
    )
    record = AmiFile(tmp_path / "amis.json")
    record.update({image.name: AmiRecord(id="ami-0123456789abcdef1", baked_from=made)})

    def stale(files: dict[str, bytes], spec: str = SPEC) -> list[str]:
        found: list[Problem] = stale_images(require(loaded(files, spec), load_catalog()), record)
        return [each.message.partition("stale: ")[2] for each in found]

    role = "bake/roles/monitoring/tasks/main.yml"
    assert stale(FILES) == []
    assert stale({**FILES, role: TASK.replace(b"echo", b"date")}) == ["the playbooks changed"]
    # What YAML makes of it is the same.
    assert stale({**FILES, role: b"# A comment.\n" + TASK}) == []
    twice = SPEC.replace("    - bake/site.yml\n", "    - bake/more.yml\n    - bake/site.yml\n")
    more = {**FILES, "bake/more.yml": PLAY}
    assert stale(more, twice) == ["the list of playbooks changed, the playbooks changed"]
    tools = SPEC.replace("  playbooks:\n", "  packages: [htop]\n  playbooks:\n")
    assert stale(FILES, tools) == ["the packages changed"]


def test_the_record_of_the_spec_tells_contents_apart() -> None:
    before = written(loaded(FILES).require())
    after = written(loaded({**FILES, "bake/site.yml": PLAY + b"  become: true\n"}).require())
    assert written(loaded(FILES).require()) == before
    (change,) = key_changes(before, after)
    assert change.path == ("image", "playbooks")
    assert before["image"]["playbooks"][0].startswith("bake/site.yml sha256:")


def test_a_play_may_have_its_hosts_from_a_merged_mapping() -> None:
    merged = b"- &here {hosts: all, roles: [first]}\n- {<<: *here, roles: [second]}\n"
    assert places(loaded({"bake/site.yml": merged})) == []
