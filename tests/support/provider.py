"""One process of the AWS provider for all commands of a deployment.

Terraform starts the provider again for each step of each command: it loads some hundred MB, hashes
them, and describes 1500 resources again. HashiCorp's way to debug a provider leaves that out:
a provider started with `-debug` prints where it listens, and Terraform takes it from there, step by
step, as if it had started it (https://developer.hashicorp.com/terraform/plugin/debugging).
It reads the environment when it starts and holds one configuration, so it is one deployment's own.
What it describes is narrowed to the types that mngen's templates and the deployment's own files
name (`narrow_provider`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.provider_mirror import CONFIG_VARIABLE
from tests.support.once import once

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
_TEMPLATES = ROOT / "templates" / "terraform"
_CONFIG = '{"terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}}}'
_BINARY = ".terraform/providers/registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws*"
SHARED = "MNGEN_TESTS_SHARED"
"""The variable for the folder of a run of tests, in which their processes share answers."""
_PLACES = (CONFIG_VARIABLE, "TF_PLUGIN_CACHE_DIR")
_TYPE = re.compile(r"\baws_[a-z0-9_]+")


def provider_binary(env: Mapping[str, str]) -> Path | None:
    """Return the provider that `terraform init` installs; None if it is not available.

    Args:
        env: The environment of the commands. It names a mirror or Terraform's cache, so that the
            file stays, and `SHARED`.
    """
    places = {name: env[name] for name in _PLACES if env.get(name)}
    # What failed may not fail in another process.
    found = once(
        kept_file(env, *map("=".join, places.items())),
        lambda: _installed({**os.environ, **places}),
        unless=lambda found: not found,
    )
    return Path(os.fsdecode(found)) if found else None


def _installed(env: Mapping[str, str]) -> bytes:
    """Have Terraform install the provider, which reads all of it, and return its path, if any."""
    with tempfile.TemporaryDirectory(prefix="mngen-provider-") as name:
        folder = Path(name)
        (folder / "main.tf.json").write_text(_CONFIG, encoding="utf-8")
        init = subprocess.run(
            ["terraform", "init", "-no-color"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
        if init.returncode != 0:
            return b""
        [binary] = folder.glob(_BINARY)
        return os.fsencode(binary.resolve())


@contextmanager
def attached(folder: Path, env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run a provider for the deployment in a folder, which needs no `terraform init` for it.

    Args:
        folder: The folder.
        env: The environment of the commands.

    Yields:
        What the environment of a command needs to find it. Nothing where it could outlive the
        tests: Terraform then starts its own.

    Raises:
        AssertionError: It did not start.
    """
    binary = provider_binary(env)
    if shutil.which("setpriv") is None or binary is None or not binary.exists():
        yield {}
        return
    # The name of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="mngen-", dir="/tmp") as sockets:
        command = [sys.executable, "-m", "tests.support.narrow_provider"]
        types = named_types(folder)
        kept = kept_file(env, str(binary), *types)
        command += [f"{sockets}/s", str(kept), ",".join(types), str(binary), "-debug"]
        provider = subprocess.Popen(
            # Ends with the thread that started it.
            ["setpriv", "--pdeathsig", "KILL", *command],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        with provider:
            try:
                assert provider.stdout is not None
                found = provider.stdout.readline().strip()
                assert found, f"{binary} -debug ended with {provider.wait()}"
                yield {"TF_REATTACH_PROVIDERS": found}
            finally:
                provider.kill()


def kept_file(env: Mapping[str, str], *what: str) -> Path:
    """Return the file that holds an answer for all processes of a run.

    Args:
        env: The environment of the commands, with `SHARED`.
        what: What was asked.
    """
    digest = hashlib.sha256("\n".join(what).encode()).hexdigest()
    return Path(env[SHARED], f"kept-{digest}")


def named_types(folder: Path) -> list[str]:
    """List what mngen's templates and the files of a folder name, such as `aws_vpc`."""
    files = [*_TEMPLATES.rglob("*"), *folder.rglob("*.tf")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return sorted({name for text in texts for name in _TYPE.findall(text)})
