"""Stand-in for grubby: shows and edits the kernel arguments that the next boot takes.

Where there are BLS entries (Amazon Linux 2023) they are what it edits, and nothing else. Without
them (Amazon Linux 2) it edits the kernel lines of grub.cfg in place, until grub2-mkconfig writes
that file again.

Source: grubby(8), and the output of both generations of it.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ENTRIES = Path("/boot/loader/entries")
CONFIG = Path("/boot/grub2/grub.cfg")


@dataclass
class Entry:
    """One kernel to boot: where it is defined, and its fields."""

    file: Path
    title: str
    kernel: str
    initrd: str
    options: str

    @property
    def root(self) -> str:
        """Returns the root device, as on the kernel's command line."""
        return next(
            (word[5:] for word in self.options.split() if word.startswith("root=")),
            "",
        )

    @property
    def arguments(self) -> str:
        """Returns the kernel's arguments without the root device."""
        return " ".join(word for word in self.options.split() if not word.startswith("root="))


def bls_entries() -> list[Entry]:
    """Reads the BLS entries, the newest kernel first."""
    entries = []
    for file in sorted(ENTRIES.glob("*.conf"), reverse=True):
        fields = dict(
            line.split(None, 1) for line in file.read_text().splitlines() if len(line.split()) > 1
        )
        entries.append(
            Entry(file, fields["title"], fields["linux"], fields["initrd"], fields["options"])
        )
    return entries


def grub_entries() -> list[Entry]:
    """Reads the menu entries of grub.cfg, in their order."""
    pattern = (
        r"^menuentry '([^']*)'[^\n]*\{\n"
        r"(?:[^}]*\n)?[ \t]*linux(?:16)?[ \t]+(\S+)[ \t]+([^\n]*)\n"
        r"[ \t]*initrd(?:16)?[ \t]+(\S+)"
    )
    return [
        Entry(CONFIG, title, kernel, initrd, options)
        for title, kernel, options, initrd in re.findall(
            pattern, CONFIG.read_text(), flags=re.MULTILINE
        )
    ]


def edited(options: str, add: list[str], remove: list[str]) -> str:
    """Returns a command line without what is to go, and with what is to come, once.

    A name without a value removes the argument whatever its value; a new value takes the place of
    the old ones.
    """
    kept = [
        word
        for word in options.split()
        if word not in remove and word.split("=", 1)[0] not in remove
    ]
    for argument in add:
        name, sign, _ = argument.partition("=")
        kept = [
            word
            for word in kept
            if not (word.split("=", 1)[0] == name if sign else word == argument)
        ]
        kept.append(argument)
    return " ".join(kept)


def store(entry: Entry, options: str) -> None:
    """Writes an entry's command line where it came from."""
    text = entry.file.read_text()
    if entry.file == CONFIG:
        line = re.compile(
            rf"^([ \t]*linux(?:16)?[ \t]+{re.escape(entry.kernel)}[ \t]+).*$", re.MULTILINE
        )
    else:
        line = re.compile(r"^(options[ \t]+).*$", re.MULTILINE)
    entry.file.write_text(line.sub(lambda match: match[1] + options, text))


def show(index: int, entry: Entry) -> None:
    """Prints an entry as `--info` does."""
    if entry.file == CONFIG:
        print(f"index={index}\nkernel={entry.kernel}")
        print(f'args="{entry.arguments}"\nroot={entry.root}')
        print(f"initrd={entry.initrd}\ntitle={entry.title}")
    else:
        print(f'index={index}\nkernel="{entry.kernel}"')
        print(f'args="{entry.arguments}"\nroot="{entry.root}"')
        print(f'initrd="{entry.initrd}"\ntitle="{entry.title}"\nid="{entry.file.stem}"')


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="grubby", allow_abbrev=False)
    parser.add_argument("--info")
    parser.add_argument("--update-kernel")
    parser.add_argument("--args", default="")
    parser.add_argument("--remove-args", default="")
    parser.add_argument("--default-kernel", action="store_true")
    options = parser.parse_args()
    entries = bls_entries() or (grub_entries() if CONFIG.exists() else [])
    if options.default_kernel:
        print(entries[0].kernel)
        return 0
    named = options.info or options.update_kernel
    if not named:
        parser.error("no action specified")
    chosen = [
        (index, entry)
        for index, entry in enumerate(entries)
        if named == "ALL" or (named == "DEFAULT" and index == 0) or named == entry.kernel
    ]
    if not chosen:
        print(f"The param {named} is incorrect", file=sys.stderr)
        return 1
    for index, entry in chosen:
        if options.info:
            show(index, entry)
        else:
            store(entry, edited(entry.options, options.args.split(), options.remove_args.split()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
