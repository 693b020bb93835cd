"""Names of the metadata of objects in S3, which may have an underscore.

Source: MotoRequestHandler of moto.moto_server.werkzeug_app, whose variable moto reads.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("moto")

from mngen.sandbox.emulator._http import HEADER
from mngen.sandbox.emulator._moto import _preserve_names


def test_an_underscore_is_kept_in_the_names_of_metadata_alone() -> None:
    environ: dict[str, Any] = {"HTTP_X_AMZ_META_OTHER_ONE": "3"}
    environ[HEADER] = [
        ("X_Amz_Date", "no"),
        ("X-Amz-Meta-My_Key", "1"),
        ("x-amz-meta-my_key", "2"),
        ("x-amz-meta-other_one", "no"),
        ("x-amz-meta-other-one", "3"),
    ]
    _preserve_names(environ)
    assert environ.pop("moto.preserved_header_names") == {
        "HTTP_X_AMZ_META_MY_KEY": "X-Amz-Meta-My_Key"
    }
    del environ[HEADER]
    assert environ == {"HTTP_X_AMZ_META_OTHER_ONE": "3", "HTTP_X_AMZ_META_MY_KEY": "1,2"}
