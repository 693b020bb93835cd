"""One process of the AWS provider for all commands of a deployment.

Terraform starts the provider anew for each step of each command: it loads some hundred MB, hashes
them, and describes a thousand resources again. HashiCorp's way to debug a provider leaves that out:
a provider started with `-debug` says where it listens, and Terraform takes it from there, step by
step, as it would take one of its own (https://developer.hashicorp.com/terraform/plugin/debugging).
It reads the environment when it starts and holds one configuration, so it is one deployment's own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_BINARY = ".terraform/providers/registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws*"
_ATTACH = re.compile(r"\s*(TF_REATTACH_PROVIDERS)='(.+)'")


@contextmanager
def attached(folder: Path, env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run the provider that `terraform init` has installed in a folder.

    Args:
        folder: The folder.
        env: The environment of the commands.

    Yields:
        What the environment of a command needs to find it. Nothing where it could outlive the
        tests: Terraform then starts its own.

    Raises:
        AssertionError: It did not start.
    """
    if shutil.which("setpriv") is None:
        yield {}
        return
    [binary] = folder.glob(_BINARY)
    provider = subprocess.Popen(
        # Ends with the thread that started it.
        ["setpriv", "--pdeathsig", "KILL", str(binary), "-debug"],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    with provider:
        try:
            assert provider.stdout is not None
            lines = (_ATTACH.match(line) for line in provider.stdout)
            found = next((match for match in lines if match), None)
            assert found is not None, f"{binary} -debug ended with {provider.wait()}"
            # What it writes later must not fill the pipe.
            threading.Thread(target=provider.stdout.read, daemon=True).start()
            yield {found[1]: found[2]}
        finally:
            provider.kill()
