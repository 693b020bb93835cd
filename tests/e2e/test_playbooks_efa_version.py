"""When the role `efa` runs the installer, as Ansible itself runs the role, and what is verified.

In place of Amazon's installer stands a script that writes its list as the real one does
(`efa_installer.sh`, `write_package_file`; its `--uninstall` removes the list). In place of gpg
stands one that finds every signature sound: tests/e2e/test_playbooks_efa.py has the real one.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mngen._resources import playbooks
from mngen.images._ansible import LOCALE
from tests.support.needs import skip_without
from tests.support.playbooks import CONFIG, PROGRAM, keep_code, server

if TYPE_CHECKING:
    from pathlib import Path

ROLES = playbooks() / "roles"
DEFAULT = "1.50.0"
LIST = "# EFA installer version: {}\n# Debug packages installed: no\n# Packages installed:\nefa-3\n"
INSTALLER = """#!/bin/sh
echo "$@" >>{folder}/calls
case "$*" in *--uninstall*) rm {folder}/list; exit ;; esac
cat >{folder}/list <<'END'
{text}END
"""
GPG = """#!/bin/sh
case "$*" in *--verify*) echo "[GNUPG:] VALIDSIG x 4E9091BCBB97A96B26B15E59A05480B1DD2D3CCC" ;; esac
"""


def efa_rules() -> list[dict[str, str]]:
    """Return the rules of the role `verify` about EFA, as they are in its file."""
    held = yaml.safe_load((ROLES / "verify" / "vars" / "main.yml").read_text(encoding="utf-8"))
    rules = [each for each in held["verify_rules"] if "verify_efa" in str(each)]
    assert len(rules) == 2
    return rules


@dataclass(frozen=True)
class Case:
    """A base and a wish: the list that the base has, the version asked for, the installer's calls.

    What the list becomes before it is verified, and the problem that is then told, where that
    differs from what the role left.
    """

    there: str | None
    wanted: str
    calls: list[str]
    later: str | None = None
    problem: str | None = None


OTHER = "mngen_efa_version is 1.48.0, but {} says that EFA software of {} is installed"
CASES = {
    "none": Case(None, "", ["-y --minimal"]),
    "none-asked": Case(None, "1.48.0", ["-y --minimal"]),
    # What the base has is kept if the spec names no version, or that one.
    "kept": Case(LIST.format("1.30.0"), "", []),
    "kept-as-asked": Case(LIST.format("1.48.0"), "1.48.0", []),
    "older": Case(LIST.format("1.9.0"), "1.48.0", ["-y --minimal"]),
    "unknown": Case("efa-1.0\n", "1.48.0", ["-y --minimal"]),
    # The installer would leave newer packages.
    "newer": Case(LIST.format("1.100.0"), "1.48.0", ["-y --uninstall", "-y --minimal"]),
    "wrong": Case(None, "1.48.0", ["-y --minimal"], LIST.format("1.47.0"), "1.47.0"),
    "wrong-unknown": Case(None, "1.48.0", ["-y --minimal"], "efa-1.0\n", "an unknown version"),
}


# The first case of each base and wish: a run for each of these serves the others as well.
BASES = {(case.there, case.wanted): name for name, case in reversed(CASES.items())}


def play(folder: Path, **values: Any) -> dict[str, Any]:
    """Return what all plays have."""
    return {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {
            # As in image.yml: no file is written, made executable and removed for each module.
            "ansible_pipelining": True,
            "mngen_base": "amazon-linux-2023",
            "mngen_efa": True,
            "mngen_efa_installer": "",
            "efa_environment": {"PATH": f"{folder}:{os.environ['PATH']}"},
            **values,
        },
    }


def installing(folder: Path, case: Case) -> dict[str, Any]:
    """Make the site and the base of a case; return the play that runs the role."""
    folder.mkdir()
    version = case.wanted or DEFAULT
    script = INSTALLER.format(folder=folder, text=LIST.format(version)).encode()
    member = tarfile.TarInfo("aws-efa-installer/efa_installer.sh")
    member.mode, member.size = 0o755, len(script)
    archive = folder / f"aws-efa-installer-{version}.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.addfile(member, io.BytesIO(script))
    for name in (f"{archive.name}.sig", "aws-efa-installer.key", "calls"):
        (folder / name).touch()
    (folder / "gpg").write_text(GPG, encoding="utf-8")
    (folder / "gpg").chmod(0o755)
    if case.there is not None:
        (folder / "list").write_text(case.there, encoding="utf-8")
    values = {
        "mngen_efa_version": case.wanted,
        "efa_list": str(folder / "list"),
        "efa_site": folder.as_uri(),
    }
    return {**play(folder, **values), "tasks": [{"ansible.builtin.import_role": {"name": "efa"}}]}


def verifying(folder: Path) -> dict[str, Any]:
    """Return the play that verifies every case, from what its base has become or was made later."""
    cases = []
    for name, case in CASES.items():
        file = folder / BASES[case.there, case.wanted] / "list"
        if case.later is not None:
            file = folder / f"{name}.list"
            file.write_text(case.later, encoding="utf-8")
        cases.append({"name": name, "list": str(file), "wanted": case.wanted})
    problems = "{{ rules | selectattr('wrong') | map(attribute='problem') | to_json | quote }}"
    return {
        **play(folder, cases=cases),
        "vars_files": [str(ROLES / "efa" / part / "main.yml") for part in ("defaults", "vars")],
        # Each task is a process, which takes longer than all that it does.
        "tasks": [
            {
                "ansible.builtin.raw": "{{ efa_functions }}\nefa_there",
                "vars": {"efa_list": "{{ item.list }}"},
                "loop": "{{ cases }}",
                "register": "answers",
            },
            {
                "ansible.builtin.raw": f"printf %s {problems} >{folder}/{{{{ item.0.name }}}}.json",
                "vars": {
                    "efa_list": "{{ item.0.list }}",
                    "mngen_efa_version": "{{ item.0.wanted }}",
                    "verify_efa": "{{ item.1 }}",
                    "rules": efa_rules(),
                },
                "loop": "{{ cases | zip(answers.results) | list }}",
            },
        ],
    }


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run, with one for each base, and the problems of each case in a file."""
    skip_without("curl")
    folder = tmp_path_factory.mktemp("efa")
    plays = [installing(folder / name, CASES[name]) for name in BASES.values()]
    plays.append(verifying(folder))
    (folder / "play.yml").write_text(json.dumps(plays), encoding="utf-8")
    (folder / "ansible.cfg").write_text(CONFIG, encoding="utf-8")
    # Each task would compile the same modules.
    keep_code(folder)
    settings = {
        "PYTHONPATH": str(folder),
        "ANSIBLE_CONFIG": "ansible.cfg",
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_ROLES_PATH": str(ROLES),
    }
    done = server().run(
        [str(PROGRAM), str(folder / "play.yml")],
        cwd=folder,
        environment=os.environ | LOCALE | settings,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", sorted(BASES.values()))
def test_the_version_that_is_asked_for_is_installed(name: str, ran: Path) -> None:
    case, folder = CASES[name], ran / name
    assert (folder / "calls").read_text(encoding="utf-8").splitlines() == case.calls
    kept = case.there if not case.calls else None
    after = (folder / "list").read_text(encoding="utf-8")
    assert after == (kept or LIST.format(case.wanted or DEFAULT))


@pytest.mark.parametrize("name", list(CASES))
def test_another_version_than_was_asked_for_is_told(name: str, ran: Path) -> None:
    problem = CASES[name].problem
    expected = [OTHER.format(ran / f"{name}.list", problem)] if problem else []
    assert json.loads((ran / f"{name}.json").read_text(encoding="utf-8")) == expected
