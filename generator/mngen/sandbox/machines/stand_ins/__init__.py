"""What stands in a machine of the sandbox for what Amazon Linux has and Debian has not.

The programs here are copied into the machine's file system, and run there by its own Python: they
import nothing of mngen. `files/` holds the files that a machine starts with, as a tree each:
`common`, and one for each base. `_root` puts them together.

A stand-in does for real what a playbook depends on: kernel arguments are kept in the files that
the boot loader reads, packages install their programs, a mount is a mount.
"""
