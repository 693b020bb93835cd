"""The tree on disk: whose files are whose, and what is never overwritten or left half done."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mngen.catalog import load_catalog
from mngen.errors import InputError, ToolError
from mngen.render import MANIFEST, Changes, Deployment, render
from mngen.rules import require
from mngen.spec import load_text
from tests.support.cli import read_tree
from tests.support.processes import NOBODY, as_nobody, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD = {"terraform/main.tf": "a\nb\nc\n", "terraform/modules/x/main.tf": "x\n", "gone/a.tf": "g\n"}
FORGED = (
    "ccdd35168ab474fa5764a526cfb83621351e23682c5075b2e18d56bddf96aa30",
    "97a3bf5050ebffe0b4e4500dd0b3a2630078c0c3d10dcd43db8c66f0a7d6ca3a",
)
SPEC = """\
name: seismic
region: us-east-1
environments: {r5: {instance: r5.12xlarge, max_nodes: 4}}
queues: {mpi: {environments: [r5]}}
"""
NEW = {"terraform/main.tf": "a\nB\nc\n", "terraform/modules/x/main.tf": "x\n", "new.tf": "n\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deploy"


@pytest.fixture
def deployment(folder: Path) -> Deployment:
    """A deployment with the old tree on disk."""
    deployment = Deployment(folder)
    deployment.write(OLD)
    return deployment


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may use, where the tests' own is their user's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    for path in [folder, *(Path(p) for p, _, _ in os.walk(folder))]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def rendered_files(folder: Path) -> dict[str, str]:
    return {
        path: content.decode() for path, content in read_tree(folder).items() if path != MANIFEST
    }


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def spec_tree(name: str, source: str) -> dict[str, str]:
    """A tree with what tells whose it is, from the templates."""
    spec = SPEC.replace("name: seismic", f"name: {name}")
    return render(require(load_text(spec.encode()), load_catalog()), source=source)


@pytest.mark.parametrize(
    ("name", "source"), [("prod", "mngen.yaml"), ("seismic", "mngen.prod.yaml"), ("seismic", "a.b")]
)
def test_a_deployment_or_its_spec_may_be_renamed(folder: Path, name: str, source: str) -> None:
    Deployment(folder).write(spec_tree("seismic", "mngen.yaml"))
    Deployment(folder).write(spec_tree(name, source))


def test_another_deployment_in_the_folder_is_refused(folder: Path) -> None:
    Deployment(folder).write(spec_tree("seismic", "mngen.yaml"))
    before = read_tree(folder)
    prod = spec_tree("prod", "mngen.prod.yaml")
    with pytest.raises(InputError) as raised:
        Deployment(folder).write(prod)
    (problem,) = raised.value.problems
    assert problem.message == f"{folder} holds the deployment seismic, rendered from mngen.yaml"
    assert problem.hint is not None
    assert "--out" in problem.hint
    assert read_tree(folder) == before
    Deployment(folder).write(prod, overwrite=True)
    assert rendered_files(folder) == prod


def test_the_first_write(folder: Path) -> None:
    changes = Deployment(folder).write(OLD)
    assert changes.added == sorted(OLD)
    assert (changes.changed, changes.removed, changes.edited) == ([], [], [])
    assert rendered_files(folder) == OLD
    assert names(folder.parent) == {"deploy"}


def test_folders_above_are_made(tmp_path: Path) -> None:
    Deployment(tmp_path / "a" / "b").write(OLD)
    assert rendered_files(tmp_path / "a" / "b") == OLD


def test_an_update(deployment: Deployment, folder: Path) -> None:
    changes = deployment.write(NEW)
    assert changes.added == ["new.tf"]
    assert changes.changed == ["terraform/main.tf"]
    assert changes.removed == ["gone/a.tf"]
    assert rendered_files(folder) == NEW
    assert not (folder / "gone").exists()
    assert names(folder.parent) == {"deploy"}


def test_the_same_tree_touches_nothing(deployment: Deployment, folder: Path) -> None:
    def written() -> dict[Path, tuple[int, int, int, int]]:
        # Not when it was read: comparing reads.
        found = {path: path.stat() for path in folder.rglob("*")}
        return {
            path: (each.st_ino, each.st_mode, each.st_mtime_ns, each.st_ctime_ns)
            for path, each in found.items()
        }

    before = written()
    assert not deployment.write(OLD)
    assert written() == before


def test_compare_changes_nothing(deployment: Deployment, folder: Path) -> None:
    before = read_tree(folder)
    changes = deployment.compare(NEW)
    assert changes
    assert read_tree(folder) == before
    assert deployment.compare(OLD) == Changes()


def test_the_diff_is_unified(deployment: Deployment, folder: Path) -> None:
    diff = deployment.compare(NEW).diff
    assert diff == (
        "--- a/gone/a.tf\n+++ /dev/null\n@@ -1 +0,0 @@\n-g\n"
        "--- /dev/null\n+++ b/new.tf\n@@ -0,0 +1 @@\n+n\n"
        "--- a/terraform/main.tf\n+++ b/terraform/main.tf\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
    )
    # `patch` makes of the old tree what would be written.
    patch = shutil.which("patch")
    if patch:
        subprocess.run(
            [patch, "-p1", "-s", "-E"],
            cwd=folder,
            # It copies its input first, in /tmp also where the user cannot write there.
            env={**os.environ, "TMPDIR": str(folder.parent)},
            input=diff,
            text=True,
            check=True,
            timeout=120,
        )
        assert rendered_files(folder) == NEW


def test_a_line_without_an_end_is_said(deployment: Deployment, folder: Path) -> None:
    (folder / "terraform/main.tf").write_bytes(b"a\nb\n\xff")
    assert "\\ No newline at end of file\n" in deployment.compare(OLD).diff


def test_a_hand_edit_is_refused_and_named(deployment: Deployment, folder: Path) -> None:
    edited = folder / "terraform" / "main.tf"
    edited.write_text("mine\n", encoding="utf-8")
    before = read_tree(folder)
    with pytest.raises(InputError, match="edited by hand") as caught:
        deployment.write(NEW)
    (problem,) = caught.value.problems
    assert str(edited) in problem.message
    assert "x/main.tf" not in problem.message
    assert problem.hint is not None
    assert "--overwrite" in problem.hint
    assert read_tree(folder) == before
    assert names(folder.parent) == {"deploy"}

    assert deployment.write(NEW, overwrite=True).edited == ["terraform/main.tf"]
    assert rendered_files(folder) == NEW


def test_a_hand_edit_to_what_is_rendered_now_is_none(deployment: Deployment, folder: Path) -> None:
    (folder / "terraform/main.tf").write_text(NEW["terraform/main.tf"], encoding="utf-8")
    assert deployment.write(NEW).edited == []
    assert rendered_files(folder) == NEW


def test_an_edited_file_that_is_to_go_is_kept(deployment: Deployment, folder: Path) -> None:
    (folder / "gone/a.tf").write_text("mine\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"gone/a\.tf"):
        deployment.write(NEW)
    deployment.write(NEW, overwrite=True)
    assert rendered_files(folder) == NEW


def test_many_hand_edits_are_counted(folder: Path) -> None:
    tree = {f"{index:02}.tf": "x" for index in range(15)}
    Deployment(folder).write(tree)
    for path in tree:
        (folder / path).write_text("y", encoding="utf-8")
    with pytest.raises(InputError, match="and 5 more"):
        Deployment(folder).write(dict.fromkeys(tree, "z"))


def test_a_file_deleted_by_hand_comes_back(deployment: Deployment, folder: Path) -> None:
    (folder / "terraform/main.tf").unlink()
    shutil.rmtree(folder / "terraform/modules")
    assert deployment.compare(OLD).added == ["terraform/main.tf", "terraform/modules/x/main.tf"]
    deployment.write(OLD)
    assert rendered_files(folder) == OLD


def test_a_file_deleted_by_hand_that_is_to_go_is_gone(deployment: Deployment, folder: Path) -> None:
    shutil.rmtree(folder / "gone")
    assert deployment.write(NEW).removed == []
    assert rendered_files(folder) == NEW


def test_a_file_of_the_users_in_the_way_is_not_overwritten(folder: Path) -> None:
    folder.mkdir()
    (folder / "new.tf").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"new\.tf"):
        Deployment(folder).write(NEW)
    assert read_tree(folder) == {"new.tf": b"mine"}


def test_what_is_the_users_stays_the_very_same(deployment: Deployment, folder: Path) -> None:
    mine = [
        folder / "terraform/terraform.tfstate",
        folder / "terraform/.terraform/providers/x",
        folder / "gone/mine.txt",
        folder / "amis.auto.tfvars.json",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
        path.chmod(0o640)
        os.utime(path, (1, 1))
    (folder / "empty").mkdir(mode=0o700)
    (folder / "terraform/also empty").mkdir()
    (folder / "link").symlink_to("nowhere")
    (folder / "terraform/folder link").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    (folder / "terraform").chmod(0o750)

    def identity(path: Path) -> tuple[int, ...]:
        found = path.lstat()
        return found.st_ino, found.st_mode, int(found.st_mtime), found.st_nlink

    before = {path: identity(path) for path in [*mine, folder / "pipe"]}
    deployment.write(NEW)
    assert {path: identity(path) for path in before} == before
    assert stat.S_IMODE((folder / "empty").stat().st_mode) == 0o700
    assert (folder / "terraform/also empty").is_dir()
    assert (folder / "link").readlink() == Path("nowhere")
    assert (folder / "terraform/folder link").readlink() == folder.parent
    assert stat.S_IMODE((folder / "terraform").stat().st_mode) == 0o750
    assert not (folder / "gone/a.tf").exists()
    assert (folder / "gone/mine.txt").read_bytes() == b"mine"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_umask_is_respected(tmp_path: Path, mask: int) -> None:
    def write() -> list[str]:
        os.umask(mask)
        Deployment(tmp_path / "deploy").write(OLD)
        return []

    assert outcome(write) == "[]"
    for path in [tmp_path / "deploy", *(tmp_path / "deploy").rglob("*")]:
        expected = (0o777 if path.is_dir() else 0o666) & ~mask
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_link_as_the_folder_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (tmp_path / "deploy").symlink_to(real)
    deployment = Deployment(tmp_path / "deploy")
    deployment.write(OLD)
    deployment.write(NEW)
    assert (tmp_path / "deploy").is_symlink()
    assert rendered_files(real) == NEW
    assert names(tmp_path) == {"deploy", "real"}


def test_a_file_as_the_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "deploy").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is a file, where a folder belongs"):
        Deployment(tmp_path / "deploy").write(OLD)
    assert (tmp_path / "deploy").read_text(encoding="utf-8") == "mine"
    assert names(tmp_path) == {"deploy"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_in_the_way_of_a_folder_is_refused_and_kept(
    folder: Path, *, overwrite: bool
) -> None:
    folder.mkdir()
    (folder / "terraform").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="terraform is a file, where a folder belongs"):
        Deployment(folder).write(OLD, overwrite=overwrite)
    assert read_tree(folder) == {"terraform": b"mine"}


def test_a_folder_in_the_way_of_a_file_is_refused_and_kept(folder: Path) -> None:
    (folder / "terraform" / "main.tf").mkdir(parents=True)
    with pytest.raises(InputError, match="is a folder, where a rendered file belongs"):
        Deployment(folder).write(OLD)
    assert (folder / "terraform" / "main.tf").is_dir()


def test_a_link_in_the_way_of_a_folder_is_refused_and_kept(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "terraform").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a symbolic link, where a folder belongs"):
        Deployment(folder).write(OLD)
    assert names(tmp_path / "elsewhere") == set()


def test_the_folder_that_one_is_in_stays(
    deployment: Deployment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "terraform")
    before = [path.stat().st_ino for path in (folder, folder / "terraform")]
    Deployment(Path("..")).write(NEW)
    assert [path.stat().st_ino for path in (folder, folder / "terraform")] == before
    # Read through the working directory, without a `cd .`.
    assert Path("main.tf").read_text(encoding="utf-8") == NEW["terraform/main.tf"]
    assert rendered_files(folder) == NEW


def test_what_does_not_change_stays_the_very_same(deployment: Deployment, folder: Path) -> None:
    same = folder / "terraform/modules/x/main.tf"

    def identity() -> tuple[int, ...]:
        # All but the time of access: writing reads the file, which with relatime sets that.
        found = same.stat()
        return found.st_ino, found.st_mode, found.st_mtime_ns, found.st_ctime_ns

    before = identity()
    deployment.write(NEW)
    assert identity() == before


def test_permissions_of_a_changed_file_stay(deployment: Deployment, folder: Path) -> None:
    (folder / "terraform/main.tf").chmod(0o640)
    deployment.write(NEW)
    assert stat.S_IMODE((folder / "terraform/main.tf").stat().st_mode) == 0o640


def test_the_root_is_no_output_folder() -> None:
    with pytest.raises(InputError, match="cannot be an output folder"):
        Deployment(Path("/")).write(OLD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "files": {"a": 1}}',
        "\xff",
        "null",
        "0" * 99,
    ],
)
def test_a_damaged_manifest_is_named(deployment: Deployment, folder: Path, text: str) -> None:
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    before = read_tree(folder)
    with pytest.raises(InputError, match="is damaged") as caught:
        deployment.write(NEW)
    assert caught.value.problems[0].hint is not None
    assert read_tree(folder) == before


def test_a_lost_manifest_protects_all_that_differs(deployment: Deployment, folder: Path) -> None:
    (folder / MANIFEST).unlink()
    assert deployment.compare(OLD) == Changes()
    with pytest.raises(InputError, match=r"terraform/main\.tf"):
        deployment.write(NEW)
    deployment.write(OLD)
    assert (folder / MANIFEST).is_file()


def test_a_manifest_of_another_version_protects_all_that_differs(
    deployment: Deployment, folder: Path
) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"version": 2}), encoding="utf-8")
    with pytest.raises(InputError, match="edited by hand"):
        deployment.write(NEW)


@pytest.mark.parametrize(
    "path", ["../victim", "terraform/../../victim", "{tmp}/victim", "./../victim", "..", "", "a\0b"]
)
def test_a_forged_manifest_removes_nothing_outside(
    deployment: Deployment, folder: Path, path: str
) -> None:
    victim = folder.parent / "victim"
    victim.write_bytes(b"x")
    manifest = json.loads((folder / MANIFEST).read_bytes())
    # The SHA-256 of "x": to mngen it looks like a file of its own.
    manifest["files"][path.format(tmp=folder.parent)] = (
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    )
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    deployment.write(NEW)
    assert victim.read_bytes() == b"x"
    assert rendered_files(folder) == NEW


def test_a_manifest_through_a_link_removes_nothing_outside(
    deployment: Deployment, folder: Path
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(b"x")
    (folder / "link").symlink_to(outside)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"]["link/victim"] = (
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    )
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    deployment.write(NEW)
    assert (outside / "victim").read_bytes() == b"x"
    assert (folder / "link").is_symlink()


def test_a_locked_state_is_respected(deployment: Deployment, folder: Path) -> None:
    lock = folder / "terraform" / ".terraform.tfstate.lock.info"
    lock.write_text("{}", encoding="utf-8")
    with pytest.raises(ToolError, match="state is locked") as caught:
        deployment.write(NEW)
    assert caught.value.problems[0].hint is not None
    assert rendered_files(folder) == OLD | {str(lock.relative_to(folder)): "{}"}
    assert names(folder.parent) == {"deploy"}
    lock.unlink()
    deployment.write(NEW)


def test_a_running_terraform_is_respected(
    deployment: Deployment, folder: Path, tmp_path: Path
) -> None:
    # Its name is what the kernel knows of it.
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    sleep = shutil.which("sleep")
    assert sleep is not None
    shutil.copy(Path(sleep).resolve(), program)
    with subprocess.Popen([program, "60"], cwd=folder / "terraform") as running:
        try:
            with pytest.raises(ToolError, match=rf"terraform \(process {running.pid}\) is running"):
                deployment.write(NEW)
        finally:
            running.kill()
    assert rendered_files(folder) == OLD
    deployment.write(NEW)


def test_two_writers_at_once(folder: Path) -> None:
    trees = [{f"{n}.tf": f"{n}\n", "both.tf": f"{n}\n"} for n in range(4)]

    def write(tree: dict[str, str]) -> None:
        for _ in range(10):
            Deployment(folder).write(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        assert list(pool.map(write, trees)) == [None] * len(trees)
    assert rendered_files(folder) in trees
    assert names(folder.parent) == {"deploy"}


def test_files_that_wait_without_a_journal_are_dropped(
    deployment: Deployment, folder: Path
) -> None:
    (folder / ".mngen/pending").mkdir()
    (folder / ".mngen/pending/0").write_text("half of a fi", encoding="utf-8")
    deployment.write(OLD)
    assert rendered_files(folder) == OLD
    assert names(folder / ".mngen") == {"manifest.json"}


@pytest.mark.parametrize(
    "path", ["../victim", "terraform/../../victim", "{tmp}/victim", "link/victim", "", "a\0b"]
)
def test_a_forged_journal_changes_nothing_outside(
    deployment: Deployment, folder: Path, path: str
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    for victim in (folder.parent / "victim", outside / "victim"):
        victim.write_bytes(b"x")
    pending = folder / ".mngen/pending"
    pending.mkdir()
    for number, text in enumerate(("forged", "forged too")):
        (pending / str(number)).write_text(text, encoding="utf-8")
    # SHA-256 as sha256sum prints it: to mngen, all of it is a write of its own.
    x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    files = {"forged.tf": [None, FORGED[0]], path.format(tmp=folder.parent): [x, FORGED[1]]}
    (pending / "journal.json").write_text(
        json.dumps({"version": 1, "files": files}), encoding="utf-8"
    )
    deployment.write(OLD)
    assert (folder.parent / "victim").read_bytes() == b"x"
    assert (outside / "victim").read_bytes() == b"x"
    assert not (folder / "forged.tf").exists()
    assert not pending.exists()


@pytest.mark.parametrize("path", [".mngen", ".mngen/pending"])
def test_a_link_in_the_place_of_the_journal_is_refused(
    tmp_path: Path, folder: Path, path: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "journal.json").write_bytes(b"x")
    (folder / path).parent.mkdir(parents=True)
    (folder / path).symlink_to(elsewhere)
    with pytest.raises(InputError, match=f"{path} is a symbolic link, where a folder belongs"):
        Deployment(folder).write(OLD)
    assert names(elsewhere) == {"journal.json"}


def test_a_link_among_the_files_that_wait_is_not_followed(
    deployment: Deployment, folder: Path
) -> None:
    victim = folder.parent / "victim"
    victim.write_bytes(b"x")
    pending = folder / ".mngen/pending"
    pending.mkdir()
    (pending / "0").write_text("forged", encoding="utf-8")
    (pending / "single").symlink_to(victim)
    files = {"terraform/forged.tf": [None, FORGED[0]]}
    (pending / "journal.json").write_text(
        json.dumps({"version": 1, "files": files}), encoding="utf-8"
    )
    deployment.write(OLD)
    assert victim.read_bytes() == b"x"
    assert not pending.exists()


def test_a_folder_that_cannot_be_made(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    found = as_nobody(lambda: Deployment(open_folder / "deploy").write(NEW))
    assert found.startswith("ToolError: cannot write ")
    assert found.endswith(": Permission denied")
    assert names(open_folder) == set()


def test_a_folder_within_one_that_cannot_be_written(open_folder: Path) -> None:
    folder = open_folder / "deploy"
    assert as_nobody(lambda: Deployment(folder).write(OLD).changed) == "[]"
    open_folder.chmod(0o555)
    assert as_nobody(lambda: Deployment(folder).write(NEW).changed) == "['terraform/main.tf']"
    assert rendered_files(folder) == NEW


@pytest.mark.parametrize("locked", ["", ".mngen", "gone", "terraform", "terraform/modules/x"])
def test_a_write_that_fails_is_undone(open_folder: Path, locked: str) -> None:
    folder = open_folder / "deploy"
    assert as_nobody(lambda: Deployment(folder).write(OLD).changed) == "[]"
    before = read_tree(folder)
    new = {**NEW, "a/first.tf": "first\n", "terraform/modules/x/main.tf": "last\n"}
    (folder / locked).chmod(0o555)
    found = as_nobody(lambda: Deployment(folder).write(new))
    assert found.startswith("ToolError: cannot write ")
    assert found.endswith(": Permission denied")
    assert read_tree(folder) == before
    assert not (folder / "a").exists()
    (folder / locked).chmod(0o755)
    assert as_nobody(lambda: Deployment(folder).write(new).removed) == "['gone/a.tf']"
    assert rendered_files(folder) == new


def test_a_folder_that_cannot_be_read(open_folder: Path) -> None:
    folder = open_folder / "deploy"
    assert as_nobody(lambda: Deployment(folder).write(OLD).changed) == "[]"
    (folder / "terraform").chmod(0)
    for act in (
        lambda: Deployment(folder).compare(NEW),
        lambda: Deployment(folder).write(NEW),
    ):
        found = as_nobody(act)
        assert found.startswith("ToolError: cannot ")
        assert found.endswith(": Permission denied")
    (folder / "terraform").chmod(0o755)
    assert rendered_files(folder) == OLD


def test_a_folder_of_the_users_that_cannot_be_listed_is_left_alone(open_folder: Path) -> None:
    folder = open_folder / "deploy"

    def prepare() -> list[str]:
        Deployment(folder).write(OLD)
        (folder / "private").mkdir()
        (folder / "private" / "mine").write_text("mine", encoding="utf-8")
        (folder / "private").chmod(0)
        return []

    assert as_nobody(prepare) == "[]"
    assert as_nobody(lambda: Deployment(folder).write(NEW).changed) == "['terraform/main.tf']"
    assert stat.S_IMODE((folder / "private").stat().st_mode) == 0
    (folder / "private").chmod(0o755)
    assert rendered_files(folder) == NEW | {"private/mine": "mine"}


def test_writing_needs_no_more_than_the_standard_library_and_msgspec() -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from mngen.render import Deployment\n"
        "Deployment(Path('/nonexistent')).compare({})\n"
        "print(sorted({'boto3', 'rich', 'moto', 'subprocess'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
