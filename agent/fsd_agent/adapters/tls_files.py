"""TLS keys and certificates of a vehicle: a folder for every key, and one link that says which pair is in use.

::

    tls/<region>/<key id>/private.key       EC P-256 private key, PEM: made here, never copied
    tls/<region>/<key id>/request.pem       what was asked for with it (PKCS #10): under which pseudonym
    tls/<region>/<key id>/certificate.pem   its certificate, issued by that region's authority
    tls/<region>/current                    link to the <key id> in use

The key is durable before anybody is asked for its certificate, the certificate before the link is changed, and the link
by one rename: whatever is cut off when, ``current`` leads to a key and the certificate for it. The pair before is kept
until the one after it is taken, for whoever has just been told its paths. The private key is a file also where the
device's other keys are in a token: Python's ``ssl`` can use no other.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fsd_agent.adapters.durable import remove, sync_folder, translated, write_file
from fsd_agent.adapters.private_files import KeyFileError, read_private, settle_private, write_private
from fsd_agent.adapters.vehicle_dir import CERTIFICATE, PRIVATE_KEY, REQUEST, VehicleDir
from fsd_agent.ports.spool import SpoolError
from fsd_agent.wire.enrolment import tls_key_id

_KEY_ID = re.compile(r"[0-9a-f]{16}\Z")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """See the module. Raises :class:`KeyFileError`."""

    files: VehicleDir

    def regions(self) -> list[str]:
        """Regions that the vehicle has a pair for."""
        return sorted(path.parent.name for path in self.files.tls.glob("*/current"))

    def pair(self, region_id: str) -> tuple[Path, Path]:
        """(certificate, private key) in use: both of one folder, whatever is put in use meanwhile."""
        link = self.files.tls_current(region_id)
        if not link.is_symlink() and not link.exists():
            raise KeyFileError(f"{link}: missing; enrol the vehicle with region {region_id!r}")
        try:
            folder = link.resolve(strict=True)
        except OSError as error:
            raise KeyFileError(
                f"{link}: leads nowhere; enrol the vehicle with region {region_id!r}"
            ) from error
        certificate, key = folder / CERTIFICATE, folder / PRIVATE_KEY
        read_private(key)
        if not certificate.is_file():
            raise KeyFileError(f"{certificate}: missing; enrol the vehicle with region {region_id!r}")
        return certificate, key

    def certificate(self, region_id: str) -> x509.Certificate:
        """The one in use."""
        path, _ = self.pair(region_id)
        try:
            return x509.load_pem_x509_certificate(path.read_bytes())
        except OSError as error:
            raise KeyFileError(f"{path}: can't be read: {error.strerror}") from error
        except (ValueError, x509.InvalidVersion) as error:
            raise KeyFileError(f"{path}: is not a certificate: {error}") from error

    def until_ns(self, region_id: str) -> int:
        """Until when it is valid, Unix time."""
        return (
            (self.certificate(region_id).not_valid_after_utc - _EPOCH) // dt.timedelta(microseconds=1) * 1000
        )

    def asking(self, region_id: str) -> ec.EllipticCurvePrivateKey:
        """A key that has no certificate yet: the one that was asked for last, or a new one."""
        for folder in self._folders(region_id):
            if not (folder / CERTIFICATE).exists() and (folder / PRIVATE_KEY).exists():
                settle_private(folder)
                return self._key(folder / PRIVATE_KEY)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(self.files.tls / region_id / tls_key_id(key.public_key()) / PRIVATE_KEY, pem)
        return key

    def note(self, region_id: str, csr: x509.CertificateSigningRequest) -> None:
        """Keep what is asked for with a key of :meth:`asking`, before anybody is asked."""
        key = csr.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise KeyFileError(f"{self.files.tls / region_id}: a request for a key of another kind")
        path = self.files.tls / region_id / tls_key_id(key) / REQUEST
        try:
            write_file(path, [csr.public_bytes(serialization.Encoding.PEM)])
        except SpoolError as error:
            raise KeyFileError(str(error)) from error

    def asked(self, region_id: str) -> dict[str, str]:
        """Keys that are there and whose certificate was asked for: by key id, the common name that was asked for."""
        found = {}
        for folder in self._folders(region_id):
            path = folder / REQUEST
            if not path.exists() or not (folder / PRIVATE_KEY).exists():
                continue
            key_id = tls_key_id(self._key(folder / PRIVATE_KEY).public_key())
            try:
                csr = x509.load_pem_x509_csr(path.read_bytes())
            except OSError as error:
                raise KeyFileError(f"{path}: can't be read: {error.strerror}") from error
            except ValueError as error:
                raise KeyFileError(f"{path}: is not a certificate request: {error}") from error
            names = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            found[key_id] = str(names[0].value) if len(names) == 1 else ""
        return found

    def take(self, region_id: str, key_id: str, certificate_pem: bytes) -> Path:
        """Put a key and its certificate in use; the certificate's path."""
        home = self.files.tls / region_id
        path, link = home / key_id / CERTIFICATE, self.files.tls_current(region_id)
        before = link.readlink().name if link.is_symlink() else ""
        try:
            write_file(path, [certificate_pem])
            with translated(link):
                fresh = home / ".current.tmp"
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(key_id)
                fresh.replace(link)
            sync_folder(home)
            with translated(home):
                for folder in self._folders(region_id):
                    if folder.name not in {key_id, before}:
                        remove(folder / PRIVATE_KEY)  # first: what is left without it is no pair any more
                        shutil.rmtree(folder)
        except SpoolError as error:
            raise KeyFileError(str(error)) from error
        return path

    def _folders(self, region_id: str) -> list[Path]:
        home = self.files.tls / region_id
        return sorted(path for path in home.glob("*") if _KEY_ID.match(path.name) and not path.is_symlink())

    def _key(self, path: Path) -> ec.EllipticCurvePrivateKey:
        try:
            key = serialization.load_pem_private_key(read_private(path), password=None)
        except ValueError as error:
            raise KeyFileError(f"{path}: is not a private key: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyFileError(f"{path}: is not an elliptic-curve key")
        return key
