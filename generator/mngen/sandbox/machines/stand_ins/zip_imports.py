"""Python's sitecustomize: keeps what it compiles of modules in zip files while the machine is up.

Ansible sends each module of a playbook as a zip file with some 30 files that all modules share.
Python would compile them again for each: half of what a module takes. The code is the same. It is
kept in memory, so nothing of it gets into an image. A traceback names the zip file in which a
source came first.

Source: zipimport.py of Python 3.11, which Debian 12 has (_get_module_code).
"""

from __future__ import annotations

import marshal
import os
import zipimport

FOLDER = "/run/mngen-compiled"

_names = vars(zipimport)
_compile = _names["_compile_source"]


def compiled(path: str, source: bytes) -> object:
    """Returns the code of a module, as compiled before where its source is the same."""
    from importlib.util import source_hash

    file = os.path.join(FOLDER, source_hash(source).hex())
    try:
        with open(file, "rb") as found:
            return marshal.load(found)
    except (OSError, EOFError):
        code = _compile(path, source)
    try:
        # A folder that root alone can write to: it holds code.
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        with open(f"{file}.{os.getpid()}", "wb") as new:
            marshal.dump(code, new)
        os.rename(new.name, file)
    except OSError:
        # Another user, who compiles it each time.
        pass
    return code


_names["_compile_source"] = compiled
