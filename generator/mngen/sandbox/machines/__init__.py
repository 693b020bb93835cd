"""The instances that bake AMIs: containers of systemd-nspawn, or chroots, that boot Debian.

- `_machines`: all of a sandbox; `_machine`: one of them; `_address`: its address;
- `_root`, `_debian`: the layers that its file system is made of; `_kept`: which of them stay;
- `_image`: the disks of AMIs; `stand_ins`: what stands for Amazon's programs on it.
"""
