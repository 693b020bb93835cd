"""The files by which the main node's ssh alone reaches the nodes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mngen_wireup.host import Host


def sshd_config(folder: str) -> str:
    """Returns the configuration of a node's sshd."""
    return f"""\
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PermitUserEnvironment no
PrintMotd no
PrintLastLog no
LogLevel ERROR
"""


def authorized_keys(main_address: str, folder: str, key: str) -> str:
    """Returns what the main node's key may do on a node: run commands in the job's environment."""
    command = f"exec /bin/sh {folder}/session"
    return f'from="{main_address}",restrict,command="{command}" {key}\n'


def session_script(env: Mapping[str, str], folder: str) -> str:
    """Returns the script that runs the main node's commands in this container's environment."""
    lines = ["unset SSH_CLIENT SSH_CONNECTION\n"]
    for name, value in sorted(env.items()):
        if name.isidentifier() and name.isascii():
            lines.append(f"export {name}={quoted(value)}\n")
    lines.append(f"cd {quoted(folder)}\n" if folder else "")
    lines.append('command=$SSH_ORIGINAL_COMMAND\nunset SSH_ORIGINAL_COMMAND\neval "$command"\n')
    return "".join(lines)


def quoted(word: str) -> str:
    """Returns a word as a shell reads it back."""
    inside = word.replace("'", "'\\''")
    return f"'{inside}'"


def ssh_config(hosts: Iterable[Host], main_address: str, folder: str) -> str:
    """Returns the configuration of the main node's ssh: these hosts and keys, not the user's."""
    lines = [f"Host {host.address}\n  Port {host.port}\n" for host in hosts if host.port]
    lines.append(
        f"""\
Host *
  BindAddress {main_address}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  CheckHostIP no
  PreferredAuthentications publickey
  GSSAPIAuthentication no
  BatchMode yes
  ConnectTimeout 20
  KexAlgorithms ^curve25519-sha256
  LogLevel ERROR
"""
    )
    return "".join(lines)


def known_hosts(hosts: Iterable[Host]) -> str:
    """Returns the host keys as ssh looks them up."""
    return "".join(f"[{host.address}]:{host.port} {host.key}\n" for host in hosts if host.port)
