"""What FSx for Lustre offers, and what a file system of the spec comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mngen.spec import Fsx, FsxType

FSX_VERSION = "2.15"
"""Lustre version of new file systems: AWS recommends it for all types; its default is an older one.

The client of Amazon Linux 2023 cannot use 2.10, the default of scratch-2 and persistent-1.
Source: https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html and
https://docs.aws.amazon.com/fsx/latest/LustreGuide/lustre-client-matrix.html
"""

FSX_PORTS = ((988, 988), (1018, 1023))
"""TCP ports between clients and file servers, and among file servers, each as first and last.

Source: https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html
"""

FSX_THROUGHPUT: dict[FsxType, tuple[int, ...]] = {
    "persistent-1": (50, 100, 200),
    "persistent-2": (125, 250, 500, 1000),
}
"""MB/s for each TiB that can be chosen, by type; scratch-2 has no choice.

Source: https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystemLustreConfiguration.html
"""

_EVENTS = ("new", "changed", "deleted")


def fsx_size_is_valid(size: int) -> bool:
    """Returns whether FSx offers a size, in GiB, for SSD storage.

    Source: https://docs.aws.amazon.com/fsx/latest/APIReference/API_CreateFileSystem.html
    """
    return size == 1200 or (size > 0 and size % 2400 == 0)


def fsx_throughput(fsx: Fsx) -> int | None:
    """Returns the MB/s for each TiB of a new file system; None for a type without a choice."""
    choices = FSX_THROUGHPUT.get(fsx.type)
    return None if choices is None else fsx.throughput or choices[0]


def fsx_deployment_type(fsx: Fsx) -> str:
    """Returns the type of a new file system in AWS's words, such as `SCRATCH_2`."""
    return fsx.type.upper().replace("-", "_")


def fsx_links(fsx: Fsx) -> dict[str, dict[str, object]]:
    """Returns the links to S3 as the module takes them, by folder.

    Both the path and the order of the events stay as FSx was asked for them.
    Source: https://docs.aws.amazon.com/fsx/latest/APIReference/API_DataRepositoryAssociation.html
    """
    return {
        folder: {
            "path": link.path,
            "import": [event.upper() for event in _EVENTS if event in link.import_],
            "export": [event.upper() for event in _EVENTS if event in link.export],
        }
        for folder, link in sorted(fsx.s3.items())
    }


def fsx_link_label(folder: str) -> str:
    """Returns the name of a linked folder's resource in Terraform; no two folders have the same.

    Names in Terraform have no dots: https://developer.hashicorp.com/terraform/language/syntax/configuration
    """
    if "." not in folder:
        return f"s3_{folder}"
    return "s3-" + folder.replace("_", "__").replace(".", "_-")


def fsx_folders(fsx: Fsx | None) -> tuple[str, ...]:
    """Returns the linked folders that jobs write to: those with an export, sorted."""
    if fsx is None or fsx.id is not None:
        return ()
    return tuple(sorted(folder for folder, link in fsx.s3.items() if link.export))
