"""The device's keys in a PKCS #11 token (OASIS PKCS #11 v2.40 and 3.0), through python-pkcs11.

In the token lie the device's Ed25519 pairs (label ``fsd device``, id as in ``wire.envelope.key_id_of``; CKM_EDDSA) and one AES key
of 256 bits (label ``fsd wrapping``; CKM_AES_GCM), all of them sensitive and not extractable. Wrapped data is a nonce of 12
random bytes, ciphertext, tag of 16 bytes.

- One lock for each module, around every call: python-pkcs11 initialises modules without asking them for locks of their own,
  and a module may then be entered by one thread at a time.
- A call that fails has its session opened anew and is tried once more. Where the token is gone, the module is initialised
  anew, because some look for tokens then alone. So a token that comes back is found at the next call.
- A PIN that was refused is not tried again until its file says something else: tokens lock themselves after a few.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from fsd_agent.adapters.private_files import read_private
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.wire.envelope import key_id_of

DEVICE_LABEL: Final = "fsd device"
WRAPPING_LABEL: Final = "fsd wrapping"
UNWRAP: Final = "unwrap a key"
NONCE_BYTES: Final = 12
TAG_BITS: Final = 128
_ED25519: Final = bytes.fromhex("06032b6570")
"""CKA_EC_PARAMS: the curve's object identifier, 1.3.101.112 (RFC 8410), DER."""
_OCTETS: Final = bytes.fromhex("0420")
"""DER of an octet string of 32 bytes, in which tokens before PKCS #11 3.0 put the public key."""

_T = TypeVar("_T")


class TokenError(VehicleKeyError):
    """The token, its PIN or a key in it can't be used; the message names the token and the reason."""


@dataclass(slots=True)
class _Module:
    """A loaded module; shared by everyone in this process who uses it."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    generation: int = 0
    """Grows when it is initialised anew: sessions of before are worth nothing then."""


_MODULES: Final[dict[str, _Module]] = {}
_LOADING: Final = threading.Lock()


class Pkcs11Element:
    """Implements :class:`fsd_agent.ports.secure_element.SecureElement`. Opens nothing before it is used."""

    def __init__(self, module: Path, label: str, pin_file: Path) -> None:
        """``module``: the token's shared library; ``pin_file``: a file with the user PIN that only its owner can read."""
        self._so = str(module)
        self._label = label
        self._pin_file = pin_file
        self._refused_pin = ""
        self._session: Any = None
        self._generation = -1
        self._handles: dict[tuple[str, bytes], Any] = {}
        with _LOADING:
            self._module = _MODULES.setdefault(self._so, _Module())

    @property
    def name(self) -> str:
        """See the port."""
        return self._label

    def create_device_key(self) -> bytes:
        """See the port."""
        return self._call("make a device key", self._create)

    def has_device_key(self, public_key: bytes) -> bool:
        """See the port."""
        return self._call("look for a device key", lambda: self._find(public_key) is not None)

    def destroy_device_key(self, public_key: bytes) -> None:
        """See the port."""
        self._call("destroy a device key", lambda: self._destroy(public_key))

    def sign(self, public_key: bytes, message: bytes) -> bytes:
        """See the port."""

        def act() -> bytes:
            from pkcs11 import Mechanism

            key = self._find(public_key)
            if key is None:
                raise TokenError(f"token {self._label!r} does not hold device key {key_id_of(public_key)}")
            return bytes(key.sign(message, mechanism=Mechanism.EDDSA))

        return self._call("sign", act)

    def wrap(self, data: bytes) -> bytes:
        """See the port."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._call("wrap a key", lambda: self._crypt("encrypt", nonce, data, make=True))

    def unwrap(self, wrapped: bytes) -> bytes:
        """See the port."""
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        return self._call(UNWRAP, lambda: self._crypt("decrypt", nonce, sealed, make=False))

    def _create(self) -> bytes:
        from pkcs11 import Attribute, KeyType, Mechanism

        session = self._open()
        curve = session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519}, local=True
        )
        private = {Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        public, secret = curve.generate_keypair(
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            label=DEVICE_LABEL,
            store=True,
            private_template=private,
        )
        point = bytes(public[Attribute.EC_POINT])
        raw = point[len(_OCTETS) :] if len(point) == 34 and point.startswith(_OCTETS) else point
        if len(raw) != 32:
            raise TokenError(
                f"token {self._label!r} gives a public key of {len(raw)} bytes, an Ed25519 key has 32"
            )
        for one in (public, secret):  # the id is known only now
            one[Attribute.ID] = bytes.fromhex(key_id_of(raw))
        return raw

    def _destroy(self, public_key: bytes) -> None:
        from pkcs11 import Attribute

        wanted = {Attribute.LABEL: DEVICE_LABEL, Attribute.ID: bytes.fromhex(key_id_of(public_key))}
        for found in list(self._open().get_objects(wanted)):
            found.destroy()
        self._handles.clear()

    def _find(self, public_key: bytes) -> Any:
        from pkcs11 import ObjectClass

        return self._key(ObjectClass.PRIVATE_KEY, DEVICE_LABEL, bytes.fromhex(key_id_of(public_key)))

    def _crypt(self, what: str, nonce: bytes, data: bytes, *, make: bool) -> bytes:
        from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass

        key = self._key(ObjectClass.SECRET_KEY, WRAPPING_LABEL, b"")
        if key is None and make:
            template = {Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
            key = self._open().generate_key(
                KeyType.AES, 256, label=WRAPPING_LABEL, store=True, template=template
            )
        if key is None:
            raise TokenError(
                f"token {self._label!r} holds no wrapping key: what was wrapped, another one wrapped"
            )
        crypt = key.encrypt if what == "encrypt" else key.decrypt
        params = GCMParams(nonce, b"", TAG_BITS)
        return bytes(crypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=params))

    def _key(self, kind: Any, label: str, key_id: bytes) -> Any:
        """A key's handle in the present session; None where the token holds none."""
        found = self._search(kind, label, key_id)
        if found is None:  # to some modules a token that was taken out looks like an empty one
            self._anew()
            found = self._search(kind, label, key_id)
        return found

    def _search(self, kind: Any, label: str, key_id: bytes) -> Any:
        from pkcs11 import Attribute

        session = self._open()
        if (label, key_id) not in self._handles:
            wanted: dict[Any, Any] = {Attribute.CLASS: kind, Attribute.LABEL: label}
            found = list(session.get_objects(wanted | ({Attribute.ID: key_id} if key_id else {})))
            if len(found) > 1:
                raise TokenError(
                    f"token {self._label!r} holds {len(found)} keys {label!r} {key_id.hex()}, expected one"
                )
            if not found:
                return None
            self._handles[label, key_id] = found[0]
        return self._handles[label, key_id]

    def _call(self, what: str, act: Callable[[], _T]) -> _T:
        """Run ``act`` alone in the module, a second time in a new session where the first failed."""
        with self._module.lock, self._plainly(what):
            try:
                return act()
            except _foreign():
                self._anew()
                return act()

    def _open(self) -> Any:
        """The session; opened where there is none, or none that still counts."""
        if self._session is not None and self._generation == self._module.generation:
            return self._session
        import pkcs11

        pin = read_private(self._pin_file).decode("utf-8", errors="replace").strip()
        if pin == self._refused_pin:
            raise TokenError(
                f"{self._pin_file}: token {self._label!r} refused this PIN; it is not tried again before the file is changed"
            )
        self._handles.clear()
        token = pkcs11.lib(self._so).get_token(token_label=self._label)
        try:
            self._session = token.open(rw=True, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another user of the module: a login is the whole process'
            self._session = token.open(rw=True)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            self._refused_pin = pin
            raise TokenError(f"{self._pin_file}: token {self._label!r} refuses this PIN") from None
        self._generation = self._module.generation
        return self._session

    def _anew(self) -> None:
        """Look for tokens from the start: a token may have gone and come back."""
        import pkcs11

        self._session = None
        self._module.generation += 1
        pkcs11.lib(self._so).reinitialize()

    @contextlib.contextmanager
    def _plainly(self, what: str) -> Iterator[None]:
        """Foreign errors in words."""
        try:
            yield
        except ImportError as error:
            raise TokenError(
                f"token {self._label!r}: python-pkcs11 is not installed; install the 'pkcs11' extra"
            ) from error
        except _foreign() as error:
            raise TokenError(
                f"token {self._label!r} can't {what}: {_reason(error, self._so, what)}"
            ) from error


def _foreign() -> tuple[type[Exception], ...]:
    """What python-pkcs11 raises; nothing where it is not installed: then there is an ImportError before."""
    try:
        from pkcs11.exceptions import PKCS11Error
    except ImportError:
        return ()
    return (PKCS11Error,)


_REASONS: Final = {
    "NoSuchToken": "there is no token of this name; is it plugged in, and initialised?",
    "TokenNotPresent": "it is not there; is it plugged in?",
    "DeviceRemoved": "it was taken out",
    "PinLocked": "its PIN is locked after too many wrong ones; unlock it with its security officer's PIN",
    "UserPinNotInitialized": "its user PIN was never set",
    "MechanismInvalid": "it can't do Ed25519 (CKM_EDDSA) or AES-GCM (CKM_AES_GCM)",
    "FunctionNotSupported": "it can't do what is asked of it",
}


def _reason(error: Exception, module: str, what: str) -> str:
    name, text = type(error).__name__, str(error)
    hint = "; it was changed, or another token wrapped it" if what == UNWRAP else ""
    return _REASONS.get(name) or f"{module}: {name}{f': {text}' if text else ''}{hint}"
