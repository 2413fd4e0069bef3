"""A PKCS #11 token in software, in a folder of its own: SoftHSM2, as Debian has it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.pkcs11_keys import Pkcs11Element

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "482913"

needs_softhsm = pytest.mark.skipif(
    "CI" not in os.environ and not (MODULE.exists() and importlib.util.find_spec("pkcs11")),
    reason="needs SoftHSM2 (tools/setup_system.sh) and the 'pkcs11' extra",
)


class SoftToken:
    """Holds the token's folder; taken out is moved away."""

    def __init__(self, folder: Path, label: str = "car-1") -> None:
        self.folder, self.label = folder, label
        self.pin_file = folder / "pin"
        self.pin_file.parent.mkdir(mode=0o700)
        self.write_pin(PIN)
        (folder / "tokens").mkdir()
        text = f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        (folder / "softhsm2.conf").write_text(text)
        subprocess.run(
            [
                "softhsm2-util",
                "--init-token",
                "--free",
                "--label",
                label,
                "--pin",
                PIN,
                "--so-pin",
                "12345678",
            ],
            env=self.environment(),
            check=True,
            capture_output=True,
        )

    def environment(self) -> dict[str, str]:
        """For processes that use this token."""
        return os.environ | {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def write_pin(self, pin: str) -> None:
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(f"{pin}\n")

    def element(self) -> Pkcs11Element:
        return Pkcs11Element(MODULE, self.label, self.pin_file)

    def options(self) -> list[str]:
        """For fsdctl."""
        return [
            "--token-module", str(MODULE), "--token-label", self.label, "--token-pin-file", str(self.pin_file)
        ]  # fmt: skip

    def take_out(self) -> None:
        (self.folder / "tokens").rename(self.folder / "away")
        (self.folder / "tokens").mkdir()

    def put_back(self) -> None:
        (self.folder / "tokens").rmdir()
        (self.folder / "away").rename(self.folder / "tokens")


@contextlib.contextmanager
def using(token: SoftToken) -> Iterator[SoftToken]:
    """This process' module is one for all tests, so it is told anew where the token lies."""
    import pkcs11

    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(token.folder / "softhsm2.conf")
    pkcs11.lib(str(MODULE)).reinitialize()
    try:
        yield token
    finally:
        pkcs11.lib(str(MODULE)).finalize()
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before
