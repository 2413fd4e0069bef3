"""The files of a region's directory: one home for every name in it.

region.toml             policy, public: what the operator edits
region.signed           the newest signed policy: what vehicles are given
root/                   root key: signs policies, and nothing else (keep it apart), and its public half
authority/              certificate authority (key stays here)
broker/                 mosquitto's configuration, ACL, certificate, key, persistence
receiver/               receiver's client certificate, sealing private keys, receipt signing key
operator/               operator's client certificate, campaign signing key, sketch of what the region has enough of
observer/               observer's client certificate: may read what vehicles say of themselves, and nothing else
vehicles/<id>.toml      what the region knows of each enrolled vehicle (device public key)
store/<vehicle>/        received clips: <clip id>.mcap with its manifest and what its receipt says
unchecked/<vehicle>/    the same, where `region serve --check` has not looked at them yet: receipted, and for no reader
quarantine/<vehicle>/   the same, of clips that show whom they should hide, each with <clip id>.report: for no reader either
firings/<vehicle>/      <firing id>.json: what the vehicle told of a firing by itself
expired/<vehicle>/      of each clip whose retention was over, the record that it is gone
incoming/<vehicle>/     transfers that are not complete yet
incoming_files/<vehicle>/  the same of the public file convention, by the vehicle that they claim to be from
heads/<vehicle>.head    newest signed head of the vehicle's ledger
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RegionDir:
    """Paths below one region's directory. Makes nothing."""

    root: Path

    @property
    def policy(self) -> Path:
        """The region policy, as its operator edits it."""
        return self.root / "region.toml"

    @property
    def signed_policy(self) -> Path:
        """The region policy, as vehicles get it."""
        return self.root / "region.signed"

    @property
    def root_key(self) -> Path:
        """Raw Ed25519 private key, 32 bytes, mode 0600: signs policies."""
        return self.root / "root" / "root.key"

    @property
    def root_public(self) -> Path:
        """Its public half, as vehicles pin it."""
        return self.root / "root" / "root.pub"

    @property
    def authority_cert(self) -> Path:
        """The region's own certificate authority."""
        return self.root / "authority" / "authority.pem"

    @property
    def authority_key(self) -> Path:
        """Its private key, mode 0600."""
        return self.root / "authority" / "authority.key"

    @property
    def broker_conf(self) -> Path:
        """mosquitto.conf."""
        return self.root / "broker" / "mosquitto.conf"

    @property
    def broker_acl(self) -> Path:
        """Mosquitto's ACL."""
        return self.root / "broker" / "acl"

    @property
    def broker_cert(self) -> Path:
        """The broker's certificate."""
        return self.root / "broker" / "broker.pem"

    @property
    def broker_key(self) -> Path:
        """Its private key."""
        return self.root / "broker" / "broker.key"

    @property
    def broker_data(self) -> Path:
        """Mosquitto's persistence folder."""
        return self.root / "broker" / "data"

    @property
    def sketch(self) -> Path:
        """What the region has enough of (:mod:`fsd_agent.wire.sketch`); goes with each push."""
        return self.root / "operator" / "sketch"

    @property
    def receiver_cert(self) -> Path:
        """The receiver's client certificate (CN ``receiver``)."""
        return self.root / "receiver" / "receiver.pem"

    @property
    def receiver_key(self) -> Path:
        """Its private key."""
        return self.root / "receiver" / "receiver.key"

    @property
    def sealing_key(self) -> Path:
        """Raw X25519 private key, 32 bytes, mode 0600: opens clips that are sealed now."""
        return self.root / "receiver" / "sealing.key"

    def retired_sealing_key(self, key_id: str) -> Path:
        """One that clips were sealed to before, and that still opens those."""
        return self.root / "receiver" / f"sealing-{key_id}.key"

    def sealing_keys(self) -> list[Path]:
        """Every sealing key that is still here."""
        return sorted(self.sealing_key.parent.glob("sealing*.key"))

    @property
    def receipt_key(self) -> Path:
        """Raw Ed25519 private key, 32 bytes, mode 0600: signs receipts."""
        return self.root / "receiver" / "receipt.key"

    @property
    def operator_cert(self) -> Path:
        """The operator's client certificate (CN ``operator``)."""
        return self.root / "operator" / "operator.pem"

    @property
    def operator_key(self) -> Path:
        """Its private key."""
        return self.root / "operator" / "operator.key"

    @property
    def observer_cert(self) -> Path:
        """The observer's client certificate (CN ``observer``)."""
        return self.root / "observer" / "observer.pem"

    @property
    def observer_key(self) -> Path:
        """Its private key."""
        return self.root / "observer" / "observer.key"

    @property
    def campaign_key(self) -> Path:
        """Raw Ed25519 private key, 32 bytes, mode 0600: signs campaign sets."""
        return self.root / "operator" / "campaign.key"

    @property
    def campaign_version(self) -> Path:
        """Number of the newest campaign set that was pushed, decimal."""
        return self.root / "operator" / "campaigns.version"

    def vehicle(self, vehicle: str) -> Path:
        """What the region knows of one enrolled vehicle."""
        return self.root / "vehicles" / f"{vehicle}.toml"

    @property
    def store(self) -> Path:
        """Received clips."""
        return self.root / "store"

    @property
    def unchecked(self) -> Path:
        """Received clips that the checker has not looked at yet."""
        return self.root / "unchecked"

    @property
    def quarantine(self) -> Path:
        """Received clips that failed the check."""
        return self.root / "quarantine"

    @property
    def holding(self) -> tuple[Path, ...]:
        """Everywhere a received clip may be, in the order in which one that is being released can't be missed."""
        return self.unchecked, self.quarantine, self.store

    @property
    def firings(self) -> Path:
        """What vehicles told of firings."""
        return self.root / "firings"

    @property
    def expired(self) -> Path:
        """Records of clips that are gone."""
        return self.root / "expired"

    @property
    def heads(self) -> Path:
        """What vehicles told of their ledgers."""
        return self.root / "heads"

    @property
    def incoming(self) -> Path:
        """Transfers under way."""
        return self.root / "incoming"

    @property
    def incoming_files(self) -> Path:
        """Transfers under way by the public file convention."""
        return self.root / "incoming_files"
