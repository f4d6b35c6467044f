"""The Homebrew formula of a version, made from the one beside this file."""

from __future__ import annotations

from pathlib import Path

_PATTERN = Path(__file__).with_name("sdqctl.rb")


def formula(version: str, digest: str, repository: str) -> str:
    """The formula that installs the source archive of a digest from a release of OWNER/NAME."""
    text = _PATTERN.read_text("utf-8")
    for name, value in {"VERSION": version, "SHA256": digest, "REPOSITORY": repository}.items():
        text = text.replace(f"@{name}@", value)
    return text
