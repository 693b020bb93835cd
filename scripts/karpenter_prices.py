"""Write the price table that mngen ships from Karpenter's, which are read from AWS's price list.

git clone https://github.com/aws/karpenter-provider-aws
python scripts/karpenter_prices.py karpenter-provider-aws
"""

from __future__ import annotations

import re
import sys
from datetime import date
from pathlib import Path

from mngen.catalog import PricedRegion, Prices, encode_prices, load_catalog

TABLE = Path(__file__).resolve().parents[1] / "generator/mngen/catalog/instance-prices.json"

_FOLDER = Path("pkg/providers/pricing")
_CURRENCIES = {
    "zz_generated.pricing_aws.go": "USD",
    "zz_generated.pricing_aws_us_gov.go": "USD",
    "zz_generated.pricing_aws_cn.go": "CNY",
}
_GENERATED = re.compile(r"^// generated at (\d{4}-\d\d-\d\d)T", re.MULTILINE)
_REGION = re.compile(r'^\t"([a-z0-9-]+)": \{$(.*?)^\t\},$', re.MULTILINE | re.DOTALL)
_PRICE = re.compile(r'"([a-z0-9-]+\.[a-z0-9-]+)": (\d+\.\d+)')


def main() -> None:
    """Writes the table."""
    (checkout,) = sys.argv[1:]
    folder = Path(checkout) / _FOLDER
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in _CURRENCIES}
    TABLE.write_bytes(encode_prices(read_prices(texts), load_catalog().names))


def read_prices(texts: dict[str, str]) -> Prices:
    """Returns the prices of Karpenter's files, which are Go.

    Args:
        texts: The files by name.

    Raises:
        ValueError: A file does not look as expected.
    """
    regions = []
    hourly = {}
    for name, text in texts.items():
        generated, tables = _GENERATED.search(text), _REGION.findall(text)
        if generated is None or not tables:
            raise ValueError(f"{name} has no date or no region")
        for region, rows in tables:
            regions.append(
                PricedRegion(
                    name=region,
                    date=date.fromisoformat(generated[1]),
                    currency=_CURRENCIES[name],
                    source=f"aws/karpenter-provider-aws {_FOLDER}/{name} (Apache License 2.0)",
                )
            )
            hourly[region] = {each: float(price) for each, price in _PRICE.findall(rows)}
    return Prices(regions, hourly)


if __name__ == "__main__":
    main()
