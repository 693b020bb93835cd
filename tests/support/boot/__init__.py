"""Boots baked images in QEMU: a real kernel, a real systemd, a real NFS server, EC2's CPU numbers.

QEMU emulates the processor (TCG), since a machine that runs tests often has no virtualization;
a boot takes about half a minute. Everything belongs to one test run: each guest lives with its
NFS server in separate namespaces, and ends with the process that started it.
"""
