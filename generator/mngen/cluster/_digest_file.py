"""The record of container images that were pushed: a digest for each tag."""

from __future__ import annotations

import msgspec

from mngen.cluster._record_file import RecordFile


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    container_digests: dict[str, str] = {}


class DigestFile(RecordFile[str]):
    """The digests of pushed images on disk, by tag."""

    content = _Content
    title = "the record of pushed images"
    remedy = "remove it and push again"

    def record(self, tag: str, digest: str) -> None:
        """Records what was pushed under a tag.

        Args:
            tag: The tag.
            digest: `sha256:` and 64 hexadecimal digits.

        Raises:
            InputError: The record is damaged.
            ToolError: It cannot be written.
        """
        hint = f"the image was pushed; write its digest there by hand: {digest}"
        self.update({tag: digest}, hint=hint)
