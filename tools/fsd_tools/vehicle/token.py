"""The options that name a token, for every command that makes or uses the vehicle's keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from fsd_agent.adapters.pkcs11_keys import Pkcs11Element
from fsd_tools.errors import UsageError


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class TokenChoice:
    """All three, or none: then the vehicle's keys are files."""

    token_module: Path | None = None
    """Shared library of the PKCS #11 token that holds the vehicle's keys."""
    token_label: str = ""
    """The token's name."""
    token_pin_file: Path | None = None
    """File with its user PIN, which only its owner can read."""

    def element(self) -> Pkcs11Element | None:
        """The token; None where the keys are files. Raises :class:`UsageError` where options are missing."""
        if self.token_module is None and not self.token_label and self.token_pin_file is None:
            return None
        if self.token_module is None or not self.token_label or self.token_pin_file is None:
            raise UsageError("--token-module, --token-label and --token-pin-file go together.")
        if not self.token_module.is_absolute():
            raise UsageError(f"--token-module {self.token_module}: give its full path.")
        return Pkcs11Element(self.token_module, self.token_label, self.token_pin_file)


NO_TOKEN = TokenChoice()
