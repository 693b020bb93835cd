"""An emulated AWS on loopback: the same workflow as on AWS, without an account.

`start_sandbox()` starts one that ends with the caller; `open_sandbox()` finds the one that the
command belongs to, or starts one in the background. Either gives a `Sandbox`: its `environment`
lets a child process see the emulator and nothing else, its `applied` does so for this process.

    with start_sandbox() as sandbox:
        subprocess.run(["terraform", "apply"], env=sandbox.environment("us-east-1"))

The emulator is moto (extra `sandbox`), run in a separate process. `emulator` closes what it
lacks, and `batch` is all of its Batch.

Where this computer can run them (`machines_unavailable()`), the instances that bake images are
real: each boots systemd in a container of systemd-nspawn (or is a chroot where that cannot run),
with an sshd on port `MACHINE_SSH_PORT` of a separate loopback address, and an AMI made of one
keeps its disk (`Sandbox.image_folder`, `Sandbox.image_root`).
"""

from mngen.sandbox._environment import (
    ACCOUNT_ID,
    ENDPOINT_VARIABLE,
    WORKSPACE,
    sandbox_environment,
)
from mngen.sandbox._lifecycle import (
    DEFAULT_IDLE_SECONDS,
    Sandbox,
    open_sandbox,
    sandbox_status,
    start_sandbox,
    stop_sandbox,
)
from mngen.sandbox._run import exports, run_command, serve_until_interrupted
from mngen.sandbox.machines._address import MACHINE_SSH_PORT
from mngen.sandbox.machines._machines import prepare_machines
from mngen.sandbox.machines._root import machines_unavailable

__all__ = [
    "ACCOUNT_ID",
    "DEFAULT_IDLE_SECONDS",
    "ENDPOINT_VARIABLE",
    "MACHINE_SSH_PORT",
    "WORKSPACE",
    "Sandbox",
    "exports",
    "machines_unavailable",
    "open_sandbox",
    "prepare_machines",
    "run_command",
    "sandbox_environment",
    "sandbox_status",
    "serve_until_interrupted",
    "start_sandbox",
    "stop_sandbox",
]
