"""What the role `cpus` makes of /etc/default/grub, as Ansible itself evaluates it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import pytest

from mngen._resources import playbooks
from mngen.images._ansible import LOCALE
from tests.support.playbooks import CONFIG, PROGRAM, server

ENTRY = "/boot/loader/entries/one.conf"


@dataclass(frozen=True)
class Case:
    """A file before and after; the limit; whether kernels have entries of their own."""

    before: str
    after: str
    limit: int = 48
    entries: bool = True


CASES = {
    "none yet": Case("A=1\n", 'A=1\nGRUB_CMDLINE_LINUX="nr_cpus=48"\n'),
    "merged": Case(
        'GRUB_CMDLINE_LINUX="quiet audit=1"\n', 'GRUB_CMDLINE_LINUX="quiet audit=1 nr_cpus=48"\n'
    ),
    "empty": Case('GRUB_CMDLINE_LINUX=""\nB=2\n', 'GRUB_CMDLINE_LINUX="nr_cpus=48"\nB=2\n'),
    "bare": Case("GRUB_CMDLINE_LINUX=quiet\n", 'GRUB_CMDLINE_LINUX="quiet nr_cpus=48"\n'),
    "single quotes, comment": Case(
        "GRUB_CMDLINE_LINUX='a=\"x  y\" nr_cpus=4' # ours\n",
        "GRUB_CMDLINE_LINUX='a=\"x  y\" nr_cpus=48' # ours\n",
    ),
    "escaped quotes": Case(
        'GRUB_CMDLINE_LINUX="dyndbg=\\"file a.c +p\\""\n',
        'GRUB_CMDLINE_LINUX="dyndbg=\\"file a.c +p\\" nr_cpus=48"\n',
    ),
    "right already": Case('GRUB_CMDLINE_LINUX="nr_cpus=48"\n', 'GRUB_CMDLINE_LINUX="nr_cpus=48"\n'),
    "other names": Case(
        'GRUB_CMDLINE_LINUX="my.nr_cpus=4 xnr_cpus=5"\n',
        'GRUB_CMDLINE_LINUX="my.nr_cpus=4 xnr_cpus=5 nr_cpus=48"\n',
    ),
    "the other variable": Case(
        'GRUB_CMDLINE_LINUX_DEFAULT="b nr_cpus=1 nr_cpus=2 c"\n',
        'GRUB_CMDLINE_LINUX_DEFAULT="b c"\nGRUB_CMDLINE_LINUX="nr_cpus=48"\n',
    ),
    "the last one counts": Case(
        'GRUB_CMDLINE_LINUX="nr_cpus=1"\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX b"\n',
        'GRUB_CMDLINE_LINUX=""\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX b nr_cpus=48"\n',
    ),
    "no limit": Case('GRUB_CMDLINE_LINUX="a nr_cpus=48 b"\n', 'GRUB_CMDLINE_LINUX="a b"\n', 0),
    "no limit, nothing to do": Case(
        "#nr_cpus=1\nGRUB_CMDLINE_LINUX=a", "#nr_cpus=1\nGRUB_CMDLINE_LINUX=a\n", 0
    ),
    "Amazon Linux 2": Case(
        'GRUB_CMDLINE_LINUX_DEFAULT="a"\nGRUB_CMDLINE_LINUX="b nr_cpus=9"\n',
        'GRUB_CMDLINE_LINUX_DEFAULT="a nr_cpus=48"\nGRUB_CMDLINE_LINUX="b"\n',
        entries=False,
    ),
    "Amazon Linux 2 without its own variable": Case(
        'GRUB_CMDLINE_LINUX="b"\n', 'GRUB_CMDLINE_LINUX="b nr_cpus=48"\n', entries=False
    ),
}

UNREADABLE = (
    'GRUB_CMDLINE_LINUX="a',
    "GRUB_CMDLINE_LINUX=a b",
    "GRUB_CMDLINE_LINUX='a'\"b\"",
    "GRUB_CMDLINE_LINUX_DEFAULT=$(hostname)",
    "GRUB_CMDLINE_LINUX=a\\",
)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The role's variables for every case, and for what came out of it; from one run."""
    folder = tmp_path_factory.mktemp("grub")
    texts = {name: (case.before, case) for name, case in CASES.items()}
    texts |= {f"{name}, again": (case.after, case) for name, case in CASES.items()}
    texts |= {text: (f"{text}\n", Case("", "")) for text in UNREADABLE}
    loop = [
        {"name": name, "text": text, "limit": case.limit, "entry": ENTRY if case.entries else "/x"}
        for name, (text, case) in texts.items()
    ]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [str(playbooks() / "roles" / "cpus" / "vars" / "main.yml")],
        "tasks": [
            {
                "ansible.builtin.set_fact": {
                    "evaluated": "{{ evaluated | default({}) | combine({item.name: found}) }}"
                },
                "vars": {
                    "cpus_limit": "{{ item.limit }}",
                    "cpus_text": "{{ item.text }}",
                    "cpus_found": {"stdout_lines": ["{{ item.entry }}"]},
                    "found": {
                        "merged": "{{ '' if cpus_unreadable else cpus_merged }}",
                        "unreadable": "{{ cpus_unreadable | join(',') }}",
                    },
                },
                "loop": loop,
            },
            # Other modules than `raw` are programs, whose start takes half a second or more.
            {
                "ansible.builtin.raw": "printf %s {{ evaluated | to_json | quote }}"
                f" >{folder}/evaluated.json"
            },
        ],
    }
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    (folder / "ansible.cfg").write_text(CONFIG, encoding="utf-8")
    done = server().run(
        [str(PROGRAM), str(folder / "play.yml")],
        cwd=folder,
        environment=os.environ
        | LOCALE
        | {"ANSIBLE_CONFIG": "ansible.cfg", "ANSIBLE_HOME": str(folder)},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, str]] = json.loads((folder / "evaluated.json").read_text())
    return found


@pytest.mark.parametrize("name", list(CASES))
def test_the_limit_is_merged(name: str, evaluated: dict[str, dict[str, str]]) -> None:
    assert evaluated[name] == {"merged": CASES[name].after, "unreadable": ""}


@pytest.mark.parametrize("name", list(CASES))
def test_what_was_merged_stays(name: str, evaluated: dict[str, dict[str, str]]) -> None:
    assert evaluated[f"{name}, again"]["merged"] == CASES[name].after


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_a_shell_reads_otherwise_is_refused(
    text: str, evaluated: dict[str, dict[str, str]]
) -> None:
    assert evaluated[text]["unreadable"] == text
