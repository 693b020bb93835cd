"""Tags as AWS's calls take and give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def tag_specifications(tags: Mapping[str, str], *kinds: str) -> Any:
    """Returns the `TagSpecifications` that give resources their tags as they are made.

    Args:
        tags: The tags.
        kinds: Resource types, such as `instance` and `volume`.
    """
    listed = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    return [{"ResourceType": kind, "Tags": listed} for kind in kinds]


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    """Returns the tags of a resource as EC2, EFS and IAM describe it."""
    tags: Sequence[Mapping[str, str]] = described.get("Tags", [])
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


def with_id(ami: str) -> Any:
    """Returns the filters for one AMI."""
    return [{"Name": "image-id", "Values": [ami]}]


def with_tags(tags: Mapping[str, str], *keys: str) -> Any:
    """Returns the filters for what carries these tags, and any value of the keys."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(tags.items())]
    return [*filters, *({"Name": "tag-key", "Values": [key]} for key in keys)]
