"""What a recovered spec has from the environments alone."""

from __future__ import annotations

import pytest

from mngen.adoption._deployed import Deployed
from mngen.adoption._draft import Draft
from mngen.adoption._inventory import Inventory
from mngen.adoption._item import Item
from mngen.adoption._lines import Place
from mngen.adoption._recover import _image
from mngen.catalog import load_catalog
from mngen.cluster import batch_image_type


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize(
    ("base", "section"),
    [("amazon-linux-2023", {}), ("amazon-linux-2", {"base": "amazon-linux-2"})],
)
def test_the_base_is_that_of_the_environments(
    base: str, section: dict[str, str], *, gpu: bool
) -> None:
    resources = {"ec2Configuration": [{"imageType": batch_image_type(base, gpu=gpu)}]}
    found = Item({"computeResources": resources}, Place("account"))
    draft = Draft(Inventory(source="account", environments=[found]), load_catalog())
    assert _image(draft, Deployed(name="cfd")) == section
