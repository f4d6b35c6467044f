"""States that only who has the key can read: files encrypted by age (age-encryption.org/v1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdqctl.errors import BundleError, RuntimeMissingError, StoreError, UsageError
from sdqctl.fs import replacing, writing

if TYPE_CHECKING:
    from pyrage import x25519

KEY_VARIABLE = "SDQCTL_STATE_KEY"
"""An identity of age (`AGE-SECRET-KEY-1...`), or several lines of them."""
_MAGIC = b"age-encryption.org/v1"


def is_sealed(file: Path) -> bool:
    """Whether a file is encrypted by age."""
    with file.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


@dataclass(frozen=True)
class Seal:
    """Who may read what is written, and the keys to read with."""

    recipients: Sequence[x25519.Recipient]
    identities: Sequence[x25519.Identity]

    @classmethod
    def of(cls, recipients: Sequence[str], key: str | None) -> Seal | None:
        """The seal of recipients (`age1...`) and of a key, whose owner may read, too; None where
        there is neither.

        Raises UsageError for what is none, RuntimeMissingError where age is not installed.
        """
        lines = [line.strip() for line in (key or "").splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        if not recipients and not keys:
            return None
        try:
            import pyrage
            from pyrage import x25519
        except ImportError as error:
            raise RuntimeMissingError(
                "encrypted states need `pyrage`, which is not installed",
                hint="`pipx install 'sdqctl[age]'`",
            ) from error
        try:
            to = [x25519.Recipient.from_str(each) for each in recipients]
        except pyrage.RecipientError as error:
            raise UsageError(f"--state-recipient: {error}", hint="it begins with age1") from error
        try:
            identities = [x25519.Identity.from_str(line) for line in keys]
        except pyrage.IdentityError as error:
            raise UsageError(
                f"{KEY_VARIABLE} is no identity of age", hint="`age-keygen` makes one"
            ) from error
        return cls([*to, *(each.to_public() for each in identities)], identities)

    def close(self, source: Path, target: Path) -> None:
        """Write a file encrypted, whole and at once. Raises StoreError."""
        import pyrage

        try:
            with source.open("rb") as plain, writing(target) as stream:
                pyrage.encrypt_io(plain, stream, self.recipients)
        except (OSError, pyrage.EncryptError) as error:
            raise StoreError(f"{target} cannot be written: {error}") from error

    def open(self, source: Path, target: Path) -> None:
        """Write what an encrypted file holds. Raises BundleError where no key of this seal fits."""
        import pyrage

        if not self.identities:
            raise _locked(source)
        try:
            with source.open("rb") as sealed, replacing(target) as stream:
                pyrage.decrypt_io(sealed, stream, self.identities)
        except (OSError, pyrage.DecryptError) as error:
            raise BundleError(
                f"{source} cannot be decrypted: {error}", hint=f"{KEY_VARIABLE} is another key"
            ) from error


def _locked(file: Path) -> BundleError:
    return BundleError(f"{file} is encrypted", hint=f"{KEY_VARIABLE} holds the key to read it")


def opened(file: Path, seal: Seal | None, folder: Path) -> Path:
    """The file, or in `folder` what it holds where it is encrypted. Raises BundleError."""
    if not is_sealed(file):
        return file
    if seal is None:
        raise _locked(file)
    target = folder / "opened"
    seal.open(file, target)
    return target
