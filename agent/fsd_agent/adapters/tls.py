"""TLS to one region's broker: whoever else answers learns nothing of the vehicle.

A connection must pass, in this order: (a) the peer's chain ends in the region's own authority, the only one that is
trusted; (b) its certificate carries the endpoint's ``server_name``, whatever host was dialled; (c) it carries the
region's identity as its one URI, no wildcard, and a key that the policy pins if it pins any. TLS 1.3 (RFC 8446), nothing older.

All three are decided before the vehicle's certificate is sent. OpenSSL does (a) and (b) when the peer's Certificate
message arrives. It has no rule for URIs, so (c) looks at that same message as it is read, through the context's
message callback; where the identity is wrong the socket is shut down under OpenSSL, whose next flight, the one with
the vehicle's certificate, then has nowhere to go. A certificate that can't be judged, for whatever cause, is refused
there too. The callback is a private name of Python's ssl module: if it ever stops being called, the check after the
handshake notices that nobody looked, and refuses every peer.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fsd_agent.records.region import Endpoint, RegionPolicy

_CERTIFICATE = 11
"""Handshake message type (RFC 8446, section 4)."""
_HANDSHAKE = 22
"""Content type (RFC 8446, section 5.1)."""


class BrokerRefusedError(Exception):
    """The peer is not this region's broker (authority, name or identity); the message says in what way.

    Not a network fault: trying again soon doesn't help.
    """


def region_context(policy: RegionPolicy, endpoint: Endpoint, cert: Path, key: Path) -> ssl.SSLContext:
    """A client context for this broker of the region and no other; ``cert`` and ``key`` are the vehicle's PEM files.

    Sockets that it wraps ignore the ``server_hostname`` they are given. Their handshake raises
    :class:`BrokerRefusedError` for a peer that is not the region's broker, and closes the socket; ssl.SSLError or OSError
    for broken connections. A broker that refuses the *vehicle's* certificate shows on the first read, as an
    ssl.SSLError (RFC 8446, section 4.4.2.4). Raises OSError (ssl.SSLError included) when the files can't be used.
    """
    # This protocol demands a certificate, and the name that was asked for.
    context = _RegionContext(ssl.PROTOCOL_TLS_CLIENT)
    context.policy, context.endpoint = policy, endpoint
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.hostname_checks_common_name = False
    context.load_verify_locations(cadata=policy.authority_pem.decode("ascii"))
    context.load_cert_chain(cert, key)
    return context


def identity_fault(certificate: bytes, policy: RegionPolicy, endpoint: Endpoint) -> str | None:
    """What is wrong with a broker's DER certificate as this region's identity; None where nothing is.

    Raises what ``cryptography.x509`` raises for certificates that it does not understand.
    """
    try:
        leaf = x509.load_der_x509_certificate(certificate)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        return f"has no readable alternative names: {error}"
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if uris != [policy.identity_uri]:
        return f"has the identity {', '.join(uris) or 'none'}, expected {policy.identity_uri} alone"
    dns = names.get_values_for_type(x509.DNSName)
    if endpoint.server_name not in dns or any("*" in name for name in dns):
        return f"has the names {', '.join(dns) or 'none'}, expected {endpoint.server_name} and no wildcard"
    if policy.broker_pins and _key_hash(leaf) not in policy.broker_pins:
        return "has a key that the region's policy does not pin"
    return None


def _key_hash(certificate: x509.Certificate) -> bytes:
    """SHA-256 of its SubjectPublicKeyInfo."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).digest()


def identity_of(certificate: bytes) -> str:
    """The one URI in a DER certificate that passed :func:`identity_fault`; empty where there is none."""
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ""
    return ", ".join(names.get_values_for_type(x509.UniformResourceIdentifier))


class _RegionSocket(ssl.SSLSocket):
    """Refuses a peer that is not the region's broker."""

    region_judged: tuple[bytes, ...] = ()
    """The certificate that (c) was decided on, DER; none until it was."""
    region_fault: str | None = None

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands or raise; see :func:`region_context`."""
        try:
            super().do_handshake(block)
        except ssl.SSLCertVerificationError as error:
            raise self._refusal(error.verify_message) from error
        except OSError:
            if self.region_fault is None:
                raise
        if self.region_fault is not None:
            raise self._refusal(f"its certificate {self.region_fault}")
        if self.region_judged != (self.getpeercert(binary_form=True),):
            raise self._refusal("its identity was not checked during the handshake")
        # Nothing more is to be judged, and each record of data would be shown: a seventh of what sending costs.
        self.context._msg_callback = None  # type: ignore[attr-defined]  # noqa: SLF001 - see the module

    def _refusal(self, reason: str) -> BrokerRefusedError:
        self.close()
        context: Any = self.context  # A _RegionContext: nothing else makes such sockets
        region_id = context.policy.region_id
        return BrokerRefusedError(f"the peer is not the broker of region {region_id!r}: {reason}")


class _RegionContext(ssl.SSLContext):
    """Carries what its sockets check, and the only server name they ask for."""

    sslsocket_class = _RegionSocket
    policy: RegionPolicy
    endpoint: Endpoint

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,  # noqa: ARG002 - what was dialled does not say who must answer
        session: ssl.SSLSession | None = None,  # noqa: ARG002 - a resumed session would skip the certificate
    ) -> ssl.SSLSocket:
        """As the base class does, for the endpoint's server name."""
        self._msg_callback = _look
        return super().wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=self.endpoint.server_name,
        )


def _look(connection: Any, direction: str, _version: Any, content: Any, kind: Any, data: bytes) -> None:
    """Called for every protocol message: decide (c) on the peer's Certificate message.

    What is raised here comes out only when the handshake is over, so nothing is raised: the socket is shut down.
    """
    if direction != "read" or content != _HANDSHAKE or kind != _CERTIFICATE:
        return
    leaf, context = _leaf(data), connection.context
    connection.region_judged = (leaf,)
    try:
        fault = identity_fault(leaf, context.policy, context.endpoint)
    except Exception as error:  # noqa: BLE001 - whatever it is, the vehicle's certificate must not be sent
        fault = f"can't be judged: {error}"
    if fault is not None:
        connection.region_fault = fault
        # Not SSLSocket.shutdown, which would forget the TLS state that OpenSSL is using at this moment.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _leaf(message: bytes) -> bytes:
    """The first certificate (DER) of a TLS 1.3 Certificate message (RFC 8446, section 4.4.2); empty if there is none."""
    _, behind = _vector(message[4:], 1)  # The request's context, behind type and length
    certificates, _ = _vector(behind, 3)
    leaf, _ = _vector(certificates, 3)
    return leaf


def _vector(data: bytes, width: int) -> tuple[bytes, bytes]:
    """What is announced in the first ``width`` bytes (RFC 8446, section 3.4), as far as it is there; what comes behind."""
    end = width + int.from_bytes(data[:width], "big")
    return data[width:end], data[end:]
