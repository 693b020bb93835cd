"""The container image: really built from the rendered folder, looked into, pushed, and run."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mngen.sandbox import start_sandbox
from tests.support.cli import CHECKOUT, DEAF, mngen
from tests.support.deploy import started, wait_until
from tests.support.images import (
    BASE,
    LocalRegistry,
    empty_store,
    local_registry,
    push_layers,
    registry_unavailable,
)
from tests.support.mpi_image import NAME, SOON, SPEC, build, nodes_of, rendered, store_with, text_of
from tests.support.needs import skip_without
from tests.support.processes import mentioned
from tests.support.sandbox import client
from tests.support.serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.sandbox import Sandbox
    from tests.support.images import Store

# One worker builds, and all of them look.
pytestmark = pytest.mark.xdist_group("container image")

PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with store_with(BASE, tmp_path_factory.mktemp("images")) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec with its rendered tree."""
    return rendered(tmp_path_factory.mktemp("deployment"))


@pytest.fixture(scope="module")
def emulated() -> Iterator[Sandbox]:
    with start_sandbox() as box:
        client(box, "ecr").create_repository(
            repositoryName="seismic/mpi", imageTagMutability="IMMUTABLE"
        )
        yield box


@pytest.fixture(scope="module")
def image(store: Store, folder: Path) -> str:
    return build(store, folder, BASE)


@pytest.fixture(scope="module")
def root(store: Store, image: str) -> Path:
    """The image's files."""
    return store.unpacked(image)


@pytest.mark.parametrize(
    ("start", "number"),
    [((), signal.SIGINT), ((), signal.SIGHUP), (DEAF, signal.SIGTERM)],
    ids=["SIGINT", "SIGHUP", "deaf"],
)
@pytest.mark.usefixtures("hang_ups")
def test_an_interrupted_build_leaves_nothing_running(
    store: Store, folder: Path, tmp_path: Path, start: tuple[str, ...], number: signal.Signals
) -> None:
    mark = f"86405.{os.getpid()}{time.monotonic_ns() % 10**6}"
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN exec sleep {mark}\n", "utf-8")
    arguments = ("container", "build", "--engine", "buildah", "--context", str(tmp_path))
    before = store.buildah("containers", "--quiet")
    with started(*arguments, cwd=folder, env=store.env, program=(*start, *CHECKOUT)) as running:
        wait_until(lambda: bool(mentioned(f"sleep\0{mark}")), running.text, SOON)
        running.process.send_signal(number)
        assert running.process.wait(SOON) == 130
    assert "interrupted while building" in running.text
    assert mentioned(mark) == []
    assert store.buildah("containers", "--quiet") == before


def test_it_is_named_after_the_deployment_and_says_what_it_is(store: Store, image: str) -> None:
    assert image == f"{NAME}:v1"
    config = store.config(image)
    assert config["User"] == "mpi"
    assert config["Entrypoint"][0] == "/usr/bin/tini"
    assert config["Entrypoint"][-1] == "/opt/mngen/wireup.py"
    assert config["Labels"]["org.opencontainers.image.version"] == "v1"
    assert [variable.partition("=")[0] for variable in config["Env"]] == ["PATH"]


def test_it_holds_no_keys_and_nothing_that_a_build_leaves_behind(root: Path) -> None:
    assert (root / "usr/sbin/sshd").is_file()
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    files = [
        path
        for top in ("etc", "home", "opt", "root", "srv", "tmp", "usr/local", "var")
        for path in (root / top).rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    assert [path for path in files if PRIVATE_KEY.search(path.read_bytes())] == []
    assert [path for path in files if path.name in {"authorized_keys", "known_hosts"}] == []
    for empty in ("var/lib/apt/lists", "var/cache/apt/archives", "var/log", "tmp", "root/.cache"):
        left = [path for path in (root / empty).rglob("*") if path.is_file()]
        assert [path for path in left if path.stat().st_size] == [], empty


def test_the_ranks_user_can_log_in_by_key_alone(root: Path) -> None:
    users = (root / "etc/passwd").read_text(encoding="utf-8")
    assert "mpi:x:1000:1000:" in users
    # The base held another user of this number, as Ubuntu's images do.
    assert "ubuntu" not in users
    assert "\nmpi:*:" in (root / "etc/shadow").read_text(encoding="utf-8")
    home = (root / "home/mpi").stat()
    assert (home.st_uid, home.st_gid) == (1000, 1000)
    for name in ("fetch_inputs.py", "wireup.py", "mpi_example.py", "mngen_wireup/plan.py"):
        copied = root / "opt/mngen" / name
        assert (copied.stat().st_uid, copied.stat().st_mode & 0o777) == (0, 0o644)


def test_the_wire_up_is_compiled_and_a_changed_file_counts(root: Path) -> None:
    def run() -> str:
        """Start it as the ranks' user, who cannot write there, with Python listing its imports."""
        done = subprocess.run(
            ["chroot", "--userspec=1000:1000", str(root), "python3", "-v", "/opt/mngen/wireup.py"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )
        assert done.returncode == 64
        assert "end: exit 64" in done.stderr
        return done.stderr

    package = "/opt/mngen/mngen_wireup"
    text = run()
    for name in ("__init__", "start", "plan"):
        assert re.search(rf"code object from '{package}/__pycache__/{name}\.[^.]*\.pyc'", text)
    assert f"code object from '{package}/plan.py'" not in text, "compiled again"
    plan = root / package.lstrip("/") / "plan.py"
    original, times = plan.read_text(encoding="utf-8"), plan.stat()
    # Of the same size and age, as files are in layers whose times are fixed.
    plan.write_text(original.replace("no command to run", "NO COMMAND TO RUN"), encoding="utf-8")
    os.utime(plan, ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        assert "error: NO COMMAND TO RUN" in run()
    finally:
        plan.write_text(original, encoding="utf-8")


def test_it_adds_little_to_its_base(root: Path, store: Store) -> None:
    sizes = {
        image["names"][0]: image["size"]
        for image in json.loads(store.buildah("images", "--json"))
        if image.get("names")
    }
    megabytes = {
        name: float(size.split()[0]) * {"MB": 1, "GB": 1000}[size.split()[1]]
        for name, size in sizes.items()
    }
    assert megabytes[f"{NAME}:v1"] - megabytes[BASE] < 200


def test_the_same_files_give_the_same_digest(store: Store, folder: Path, image: str) -> None:
    again = build(store, folder, BASE, "--tag", "again", "--build-arg", "VERSION=v1")
    ids = [
        json.loads(store.buildah("inspect", "--type", "image", name))["FromImageDigest"]
        for name in (image, again)
    ]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("user", ["mpi", "root"])
def test_two_nodes_run_the_example_in_it(root: Path, store: Store, image: str, user: str) -> None:
    words = ("python3", "/opt/mngen/mpi_example.py")
    with nodes_of(store, image, root, words, user, MNGEN_RANKS_PER_NODE="2") as nodes:
        ended = nodes.wait(SOON)
        text = text_of(nodes)
    assert ended, text
    assert dict(nodes.exit_codes) == {0: 0, 1: 0}, text
    assert "the sum over all ranks is 10, as it should be" in text
    assert len(re.findall(r"rank [0-3] of 4 runs on node[01]", text)) == 4


@pytest.fixture(scope="module")
def with_cuda(store: Store, with_root: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image to build on, with a library where NVIDIA's images have NCCL."""
    library = tmp_path_factory.mktemp("cuda") / "libnccl.so.2"
    library.touch()
    container = store.buildah("from", "--pull-never", with_root)
    place = "/usr/local/cuda/lib64/libnccl.so.2"
    store.buildah("copy", "--quiet", container, str(library), place)
    store.buildah("commit", "--quiet", "--rm", container, "localhost/test/with-cuda:1")
    return "localhost/test/with-cuda:1"


@pytest.fixture(scope="module")
def with_root(store: Store, image: str) -> str:
    """An image to build on, which differs from the one that was built in its user alone."""
    container = store.buildah("from", "--pull-never", image)
    store.buildah("config", "--user", "root", container)
    store.buildah("commit", "--quiet", "--rm", container, "localhost/test/as-root:1")
    return "localhost/test/as-root:1"


def test_with_a_bucket_it_has_the_client_that_fetches_inputs(
    store: Store, folder: Path, with_root: str, emulated: Sandbox, tmp_path: Path
) -> None:
    """The distribution's own boto3, as the ranks' user, on the image's own files."""
    (tmp_path / "mngen.yaml").write_text(SPEC + "storage: {bucket: seismic-inputs}\n")
    context = ("--context", str(folder / "deploy/container"), "--tag", "with-s3")
    (tmp_path / "deploy").mkdir()
    done = mngen(
        *("container", "build", "--engine", "buildah", *context),
        *("--build-arg", f"BASE={with_root}"),
        cwd=tmp_path,
        env=store.env,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    s3 = client(emulated, "s3")
    s3.create_bucket(Bucket="seismic-inputs")
    s3.put_object(Bucket="seismic-inputs", Key="in/sub/a.txt", Body=b"fetched")
    root = store.unpacked(f"{NAME}:with-s3")
    shared = root / "efs"
    shared.mkdir()
    # As `mngen bake` leaves a new file system: root's, and open to all.
    shared.chmod(0o1777)

    fetched = subprocess.run(
        [
            *("chroot", "--userspec=1000:1000", str(root)),
            *("/usr/bin/python3", "-I", "/opt/mngen/fetch_inputs.py"),
            *("s3://seismic-inputs/in/", "/efs/mngen-inputs/seismic/0123"),
        ],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/home/mpi",
            **emulated.environment(base={}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )

    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    assert fetched.stdout.startswith("1 file, 7 B from s3://seismic-inputs/in/ in ")
    file = shared / "mngen-inputs/seismic/0123/sub/a.txt"
    assert (file.read_text(), file.stat().st_uid) == ("fetched", 1000)
    assert not [path for path in (root / "var/lib/apt/lists").rglob("*") if path.is_file()]


INSTALLER = """\
#!/bin/sh -eu
# As that of 1.50.0: it takes part of a base with CUDA for its own unless it is told not to, and it
# brings aws-ofi-nccl.
# Source: https://github.com/awslabs/awsome-distributed-ai (micro-benchmarks/nccl-tests)
case "$*" in
  *" --disable-ngc") ngc=" --disable-ngc" ;;
  *) ngc= ;;
esac
[ "$*" = "--yes --mpi=openmpi4 --skip-kmod --skip-limit-conf --no-verify$ngc" ]
if [ -e /usr/local/cuda ]; then [ -n "$ngc" ]; else [ -z "$ngc" ]; fi
mkdir -p /opt/amazon/openmpi/bin /opt/amazon/efa/bin /opt/amazon/ofi-nccl/lib
cp /usr/lib/*-linux-gnu/libm.so.6 /opt/amazon/ofi-nccl/lib/libnccl-net-ofi.so
echo installed > /opt/amazon/efa/bin/fi_info
"""


def signed_installer(folder: Path) -> str:
    """Put a signed installer with its key in a folder; return the key's fingerprint."""
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    source = folder / "aws-efa-installer"
    source.mkdir()
    (source / "efa_installer.sh").write_text(INSTALLER, encoding="utf-8")
    (source / "efa_installer.sh").chmod(0o755)
    archive = "aws-efa-installer-1.0.tar.gz"
    gpg = ("gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback")

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    run("tar", "-czf", archive, source.name)
    run(*gpg, "--passphrase", "", "--quick-generate-key", "a test", "ed25519", "sign", "never")
    run(*gpg, "--output", f"{archive}.sig", "--detach-sign", archive)
    run(*gpg, "--armor", "--output", "aws-efa-installer.key", "--export")
    listed = run(*gpg, "--with-colons", "--fingerprint")
    run("gpgconf", "--homedir", str(home), "--kill", "all")
    (fingerprint,) = re.findall(r"^fpr:+([0-9A-F]{40}):$", listed, re.MULTILINE)
    return str(fingerprint)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = serve(server)
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("key", ["right", "other"])
def test_efa_is_installed_from_what_the_right_key_has_signed(
    store: Store, folder: Path, with_cuda: str, tmp_path: Path, key: str
) -> None:
    """Amazon's installer cannot be had here: one of ours is served, signed with a key of ours.

    Neither can NVIDIA's base: the base here has a file where that has NCCL.
    """
    skip_without("gpg")
    # The very Dockerfile, but that it takes files from loopback without TLS.
    context = tmp_path / "context"
    shutil.copytree(folder / "deploy/container", context)
    text = (context / "Dockerfile").read_text(encoding="utf-8")
    assert text.count("--proto '=https' --tlsv1.2") == 1
    (context / "Dockerfile").write_text(
        text.replace("--proto '=https' --tlsv1.2", "--noproxy '*'"), encoding="utf-8"
    )
    (tmp_path / "site").mkdir()
    fingerprint = signed_installer(tmp_path / "site")
    with served(tmp_path / "site") as site:
        done = mngen(
            *("container", "build", "--engine", "buildah", "--tag", key, "--context", str(context)),
            *("--build-arg", f"BASE={with_cuda}", "--build-arg", "EFA=yes"),
            *("--build-arg", "CUDA=yes"),
            *("--build-arg", "EFA_VERSION=1.0", "--build-arg", f"EFA_SITE={site}"),
            *("--build-arg", f"EFA_KEY={fingerprint if key == 'right' else '0' * 40}"),
            cwd=folder,
            env=store.env,
            timeout=400,
        )
    if key == "other":
        assert done.returncode == 3
        assert f"building {NAME}:{key} failed" in done.stderr
        assert store.buildah("images", "--quiet", "--filter", f"reference={NAME}:{key}") == ""
        return
    assert done.returncode == 0, done.stderr
    root = store.unpacked(f"{NAME}:{key}")
    assert (root / "opt/amazon/efa/bin/fi_info").read_text() == "installed\n"
    assert (root / "etc/ld.so.conf.d/000-mngen-openmpi.conf").read_text() == (
        "/opt/amazon/openmpi/lib\n"
    )
    # NCCL opens libnccl-net.so if no other name is set:
    # https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-net-plugin
    plugin = root / "opt/amazon/ofi-nccl/lib/libnccl-net.so"
    assert plugin.readlink() == Path("libnccl-net-ofi.so")
    assert (root / "etc/ld.so.conf.d/000-mngen-ofi-nccl.conf").read_text() == (
        "/opt/amazon/ofi-nccl/lib\n"
    )
    assert not (root / "usr/bin/curl").exists()
    assert not list((root / "tmp").iterdir())


def test_cuda_is_not_built_on_a_base_without_nccl(
    store: Store, folder: Path, with_root: str
) -> None:
    done = mngen(
        *("container", "build", "--engine", "buildah", "--tag", "cuda"),
        *("--build-arg", f"BASE={with_root}", "--build-arg", "CUDA=yes"),
        cwd=folder,
        env=store.env,
        timeout=400,
    )
    assert done.returncode == 3
    assert "the base has no NCCL: BASE must be such as nvcr.io/nvidia/cuda:" in done.stderr


def deployed(folder: Path, url: str, env: dict[str, str]) -> None:
    """Give the deployment's Terraform the outputs that `mngen apply` would have left."""
    for file in (folder / "terraform").glob("*.tf*"):
        file.unlink()
    (folder / "terraform" / "main.tf").write_text(
        f'output "repository_url" {{\n  value = "{url}"\n}}\n'
        'output "job_definitions" {\n  value = { hello = "seismic-hello" }\n}\n',
        encoding="utf-8",
    )
    subprocess.run(
        ["terraform", "apply", "-auto-approve", "-no-color"],
        cwd=folder / "terraform",
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=True,
    )


def copied(folder: Path, target: Path) -> Path:
    (target / "deploy" / "terraform").mkdir(parents=True)
    (target / "mngen.yaml").write_bytes((folder / "mngen.yaml").read_bytes())
    return target


def fetched(
    registry: LocalRegistry, tag: str, user: str, password: str
) -> tuple[str, dict[str, Any]]:
    """Ask a registry for a tag; return the digest and the manifest that it has."""
    request = urllib.request.Request(
        f"https://{registry.host}/v2/seismic/mpi/manifests/{tag}",
        headers={
            "Accept": "application/vnd.oci.image.manifest.v1+json",
            "Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(),
        },
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cafile=registry.certificate)
        ),
    )
    with opener.open(request, timeout=60) as answer:
        return answer.headers["Docker-Content-Digest"], json.load(answer)


@pytest.fixture
def small(store: Store, image: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two images, of a layer with one file and of two: the first is called as the deployment's.

    A registry stores layers as they are, and to compress those of a whole system takes seconds.
    """
    names = ("localhost/test/first:1", "localhost/test/second:1")
    for base, name in zip(("scratch", names[0]), names, strict=True):
        container = store.buildah("from", "--pull-never", base)
        (tmp_path / "file").write_text(name, encoding="utf-8")
        store.buildah("copy", "--quiet", container, str(tmp_path / "file"), "/")
        store.buildah("commit", "--quiet", "--rm", container, name)
    store.buildah("tag", image, f"{NAME}:kept")
    store.buildah("tag", names[0], image)
    yield names
    store.buildah("tag", f"{NAME}:kept", image)


def test_pushed_it_is_in_the_registry_under_the_recorded_digest(
    store: Store,
    folder: Path,
    image: str,
    small: tuple[str, str],
    emulated: Sandbox,
    terraform_env: dict[str, str],
    tmp_path: Path,
) -> None:
    if reason := registry_unavailable():
        pytest.skip(reason)
    store.buildah("tag", small[1], image)
    token = client(emulated, "ecr").get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(token["authorizationToken"]).decode().split(":")
    place = copied(folder, tmp_path)
    env = emulated.environment(base=store.env | {"PATH": terraform_env["PATH"]})
    with local_registry(tmp_path / "registry", user, password) as registry:
        env["SSL_CERT_FILE"] = str(registry.certificate)
        deployed(place / "deploy", f"{registry.host}/seismic/mpi", env)

        done = mngen("container", "push", "--engine", "buildah", cwd=place, env=env, timeout=300)

        assert done.returncode == 0, done.stderr
        digest, manifest = fetched(registry, "v1", user, password)
        assert password not in done.stdout + done.stderr + registry.log.read_text()
    assert len(manifest["layers"]) == 2
    assert done.stdout.strip() == f"{registry.host}/seismic/mpi@{digest}"
    record = place / "deploy/terraform/container.auto.tfvars.json"
    assert json.loads(record.read_text()) == {"container_digests": {"v1": digest}}
    assert not list(Path(store.env["TMPDIR"]).glob("mngen-login-*"))


def test_a_registry_that_refuses_the_login_is_named(
    store: Store,
    folder: Path,
    image: str,
    emulated: Sandbox,
    terraform_env: dict[str, str],
    tmp_path: Path,
) -> None:
    if reason := registry_unavailable():
        pytest.skip(reason)
    place = copied(folder, tmp_path)
    env = emulated.environment(base=store.env | {"PATH": terraform_env["PATH"]})
    with local_registry(tmp_path / "registry", "AWS", "another password") as registry:
        env["SSL_CERT_FILE"] = str(registry.certificate)
        deployed(place / "deploy", f"{registry.host}/seismic/mpi", env)
        done = mngen("container", "push", "--engine", "buildah", cwd=place, env=env, timeout=300)
    assert done.returncode == 3
    assert f"logging in to {registry.host} failed" in done.stderr
    assert "unauthorized" in done.stderr or "invalid username/password" in done.stderr
    assert "auth-token" not in done.stderr
    assert not (place / "deploy/terraform/container.auto.tfvars.json").exists()


def test_a_pull_fetches_no_layer_that_is_there(tmp_path: Path) -> None:
    # What a node with a preloaded image asks the registry for, and one without: by another engine
    # than Docker, with the same rule.
    skip_without("buildah")
    if reason := registry_unavailable():
        pytest.skip(reason)
    login = ("AWS", "password")
    with (
        local_registry(tmp_path / "registry", *login) as registry,
        empty_store(tmp_path / "store", registry) as node,
    ):
        three, four = (
            push_layers(registry, *login, repository="seismic/mpi", tag=f"v{count}", layers=count)
            for count in (3, 4)
        )
        asked = []
        for digest in (three, three, four):
            before = len(registry.requests())
            place = f"{registry.host}/seismic/mpi@{digest}"
            node.buildah("pull", "--quiet", "--policy=always", "--creds=" + ":".join(login), place)
            asked.append([each.split("/")[4] for each in registry.requests()[before:]])
    without, preloaded, changed = asked
    assert without == ["manifests", *["blobs"] * 4]
    # Of the blobs, Docker fetches not even the configuration, see test_playbooks_bake.
    assert preloaded == ["manifests", "blobs"]
    assert changed == ["manifests", "blobs", "blobs"]


def test_the_emulated_registry_takes_each_tag_once(
    store: Store,
    folder: Path,
    image: str,
    small: tuple[str, str],
    emulated: Sandbox,
    terraform_env: dict[str, str],
    tmp_path: Path,
) -> None:
    place = copied(folder, tmp_path)
    env = emulated.environment(base=store.env | {"PATH": terraform_env["PATH"]})
    url = "123456789012.dkr.ecr.us-east-1.amazonaws.com/seismic/mpi"
    deployed(place / "deploy", url, env)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        options = () if words[1] == "list" else ("--engine", "buildah")
        return mngen(*words, *options, "--sandbox", cwd=place, env=env, timeout=300)

    def sandboxed() -> None:
        copy = next(emulated.home.glob("deploy-*/terraform"))
        subprocess.run(
            ["terraform", "apply", "-auto-approve", "-no-color"],
            cwd=copy,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=True,
        )

    assert run("container", "list").returncode == 1
    sandboxed()
    empty = run("container", "list")
    assert (empty.returncode, empty.stdout) == (0, ""), empty.stderr
    assert "No container images yet" in empty.stderr

    first, second = run("container", "push"), run("container", "push")

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout
    assert first.stdout.startswith(f"{url}@sha256:")
    assert "already exists" in second.stderr
    # Another image under the same tag, as after a change of the Dockerfile.
    store.buildah("tag", small[1], image)
    third = run("container", "push")
    assert third.returncode == 1
    assert "the tag `v1` already names another image" in third.stderr
    assert "`tag: v2`" in third.stderr
    listed = json.loads(run("container", "list", "--format", "json").stdout)
    # Recorded for the sandbox alone: the real tree must not name what only the emulator has.
    assert [(each["tags"], each["recorded"]) for each in listed] == [(["v1"], ["v1"])]
    assert not (place / "deploy/terraform/container.auto.tfvars.json").exists()
    assert f"{url}@{listed[0]['digest']}" == first.stdout.strip()
