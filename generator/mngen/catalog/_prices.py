"""Prices of instance types: on demand, Linux, shared tenancy, an hour, by region; and their file.

The file is JSON, one line an instance type, so that a refresh diffs by line. Each line has a price
for each region of the header, or null where there is none.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from mngen.catalog._beside import path_beside, read_beside
from mngen.catalog._file import malformed
from mngen.errors import InputError, Problem

PRICES_NAME = "mngen-prices.json"
FORMAT = 1

# Where the price list is served, by the beginning of the region whose prices are wanted. All three
# of the partition `aws` know the prices of all its regions.
# Source: https://docs.aws.amazon.com/general/latest/gr/billing.html
_ENDPOINTS = {
    "us-gov-": None,
    "cn-": "cn-northwest-1",
    "ap-": "ap-south-1",
    "eu-": "eu-central-1",
    "": "us-east-1",
}
_SHIPPED = Path(__file__).with_name("instance-prices.json")
_WHAT = "price table"
_MEND = (
    "restore the file from version control, or recreate it with "
    "`mngen instances --refresh`, or delete it to use the prices that mngen ships"
)


class PricedRegion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and when prices hold.

    Attributes:
        name: The region, such as `us-east-1`.
        date: The day on which the prices were read.
        currency: Such as `USD`; `CNY` in China. Prices are never converted.
        source: Where they were read, in words.
    """

    name: str
    date: date
    currency: str
    source: str


_Price = Annotated[float, Meta(gt=0)]


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of a price table; `prices` has one column for each region."""

    format: int
    regions: list[PricedRegion]
    prices: dict[str, list[_Price | None]]


class Prices:
    """What an hour of each instance type costs on demand, by region.

    Attributes:
        path: The file that the prices came from; None for the one that mngen ships.
    """

    __slots__ = ("_hourly", "_regions", "path")

    def __init__(
        self,
        regions: Iterable[PricedRegion],
        hourly: Mapping[str, Mapping[str, float]],
        path: Path | None = None,
    ) -> None:
        """Takes the regions, and the prices by region and instance type."""
        self._regions = {each.name: each for each in regions}
        self._hourly = hourly
        self.path = path

    @property
    def regions(self) -> tuple[PricedRegion, ...]:
        """The regions, in the order of the file."""
        return tuple(self._regions.values())

    def region(self, name: str) -> PricedRegion | None:
        """Returns a region, or None for one without prices."""
        return self._regions.get(name)

    def hourly(self, instance: str, region: str) -> float | None:
        """Returns the price of an hour, in the region's currency; None where it is not known."""
        return self._hourly.get(region, {}).get(instance)

    def of_region(self, region: str) -> Mapping[str, float]:
        """Returns the prices of an hour in a region, by instance type; none for an unknown one."""
        return self._hourly.get(region, {})


def encode_prices(prices: Prices, names: Iterable[str]) -> bytes:
    """Returns the bytes of a price table; the same prices always give the same bytes.

    Args:
        prices: The prices.
        names: The instance types to write, in this order; one without a price is left out.
    """
    head = msgspec.json.encode({"format": FORMAT, "regions": prices.regions})
    rows = []
    for name in names:
        row = [prices.hourly(name, each.name) for each in prices.regions]
        if any(each is not None for each in row):
            rows.append(msgspec.json.encode(name) + b":" + msgspec.json.encode(row))
    return head[:-1] + b',"prices":{\n' + b",\n".join(rows) + b"\n}}\n"


def decode_prices(data: bytes, file: str, path: Path | None = None) -> Prices:
    """Reads a price table.

    Args:
        data: The file's content.
        file: Its name, for errors.
        path: What the prices bear as their path.

    Raises:
        InputError: It is damaged, of another version, or contradicts itself.
    """
    try:
        content = msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as error:
        raise _unusable(file, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(data, file, error, _WHAT, _MEND) from None
    if content.format != FORMAT:
        raise _unusable(
            file, f"it has format {content.format}, and this mngen reads format {FORMAT}"
        )
    names = [each.name for each in content.regions]
    if len(set(names)) != len(names):
        raise _unusable(file, "it names a region more than once")
    for instance, row in content.prices.items():
        if len(row) != len(names):
            raise _unusable(file, f"{instance} has {len(row)} prices for {len(names)} regions")
    hourly = {
        region: {
            instance: price
            for instance, row in content.prices.items()
            if (price := row[column]) is not None
        }
        for column, region in enumerate(names)
    }
    return Prices(content.regions, hourly, path)


def price_list_region(region: str) -> str | None:
    """Returns the region to ask for the prices of a region; None where none can be asked.

    GovCloud has no price list, and its credentials do not open that of the other regions.
    Source: https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/using-services.html
    """
    return next(found for start, found in _ENDPOINTS.items() if region.startswith(start))


def prices_path(beside: Path) -> Path:
    """Returns where the price table of a spec would be: in its folder, by a fixed name.

    Args:
        beside: The spec, or the folder that holds it.
    """
    return path_beside(beside, PRICES_NAME)


def load_prices(beside: Path | None = None) -> Prices:
    """Returns the prices to use for a spec: the file beside it, or else those that mngen ships.

    Args:
        beside: The spec, or the folder that holds it; None for the shipped prices.

    Raises:
        InputError: The file beside the spec is damaged, unreadable or of another version.
    """
    if beside is None:
        return _shipped()
    return read_beside(prices_path(beside), _read, _shipped, _WHAT)


@lru_cache(maxsize=1)
def _shipped() -> Prices:
    return decode_prices(_SHIPPED.read_bytes(), str(_SHIPPED))


@lru_cache(maxsize=4)
def _read(path: Path, mtime_ns: int, size: int) -> Prices:
    """Reads a file once for as long as it does not change: time and size are the cache's key."""
    del mtime_ns, size
    return decode_prices(path.read_bytes(), str(path), path)


def _unusable(file: str, reason: str) -> InputError:
    return InputError(Problem(f"cannot use the {_WHAT}: {reason}", file=file, hint=_MEND))
