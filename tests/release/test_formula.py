"""The Homebrew formula is that of the version and of the archive that would be published."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from release.check import keep
from release.formula import formula

DIGEST = "0123456789abcdef" * 4


def test_it_names_the_archive_of_the_version_and_its_digest() -> None:
    text = formula("1.2.3", DIGEST, "owner/name")
    (url,) = re.findall(r'^ +url "(.*)"$', text, re.MULTILINE)
    assert url == "https://github.com/owner/name/releases/download/v1.2.3/sdqctl-1.2.3.tar.gz"
    assert re.findall(r'^ +sha256 "(.*)"$', text, re.MULTILINE) == [DIGEST]
    assert not re.search(r"@[A-Z0-9]+@", text)


def test_what_would_be_published_lies_together(tmp_path: Path) -> None:
    (source := tmp_path / "sdqctl-1.2.3.tar.gz").write_bytes(b"source")
    (wheel := tmp_path / "sdqctl-1.2.3-py3-none-any.whl").write_bytes(b"wheel")
    (dist := tmp_path / "dist").mkdir()
    (dist / "sdqctl-1.2.2.tar.gz").touch()
    keep((source, wheel), "1.2.3", "owner/name", dist)
    names = {source.name, wheel.name, "SHA256SUMS", "sdqctl.rb"}
    assert {path.name for path in dist.iterdir()} == names
    digest = hashlib.sha256(b"source").hexdigest()
    assert f"{digest}  {source.name}" in (dist / "SHA256SUMS").read_text()
    assert f'sha256 "{digest}"' in (dist / "sdqctl.rb").read_text()
