"""Where a member of a policy file turns from accepted to refused: every limit, from both of its sides."""

from __future__ import annotations

import base64
import copy
import dataclasses
import datetime as dt
import ipaddress
import tomllib
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from fsd_agent.records.region import DataClass, TransferProfile
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.envelope import key_id_of, public_key_of, seal_envelope
from fsd_agent.wire.policy import (
    MAX_POLICY_BYTES,
    MAX_SIGNED_POLICY_BYTES,
    PolicyError,
    decode_policy,
    encode_policy,
    open_policy,
    sign_policy,
)
from fsd_agent.wire.policy_file import EndpointFile, PolicyFile
from fsd_agent.wire.policy_parts import FieldError, authority_of, decode_key, endpoint_of, signing_keys

REGION = sample_region("cn")
TEXT = encode_policy(REGION.policy)
RAW = tomllib.loads(TEXT.decode())
ENDPOINT = RAW["endpoints"][0]
RING = [[1.0, 2.0], [3.0, 4.0], [5.0, 2.0], [1.0, 2.0]]


def keys(count: int) -> dict[str, str]:
    return {str(number): "" for number in range(count)}


def polygon(name: str = "harbour", **more: object) -> dict[str, object]:
    return {"type": "Polygon", "name": name, "coordinates": [RING], **more}


def several(name: str = "harbour", **more: object) -> dict[str, object]:
    return {"type": "MultiPolygon", "name": name, "coordinates": [[RING]], **more}


def read(*way: str | int, value: object) -> Any:
    """The sample policy with one member changed, as its shape is checked; the member as it was read."""
    raw: Any = copy.deepcopy(RAW)
    inner = raw
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = value
    found: Any = msgspec.convert(raw, PolicyFile)
    for step in way:
        found = getattr(found, step) if isinstance(step, str) else found[step]
    return found


CASES: list[tuple[tuple[str | int, ...], list[object], list[object]]] = [
    (("format",), [2], [1, 3]),
    (("region",), ["a", "x" * 32, "a-9"], ["", "x" * 33, "A", "a_", "a\n", "\na", "é"]),
    (("version",), [1, 2**53 - 1], [0, -1, 2**53]),
    (("jurisdictions",), [["CN"], ["CN"] * 250], [[], ["CN"] * 251]),
    (("jurisdictions", 0), ["ZZ"], ["", "C", "CNX", "cn", "C1", "CN\n", "xCN", "\nCN"]),
    (("identity_uri",), ["urn:a", "urn:9:.-z", "urn:" + "x" * 124],
     ["urn:", "urn::", "urn:A", "urn:a_", "urn:a\n", "xurn:a", "\nurn:a", "urn:" + "x" * 125, "urn:a b"]),
    (("data_classes",), [[], [str(one) for one in DataClass]], [["audio"] * (len(DataClass) + 1)]),
    (("retention_days",), [1, 36_500], [0, 36_501]),
    (("metered_bytes_per_day",), [0, 2**50], [-1, 2**50 + 1, 0.5]),
    (("metered_bytes_per_month",), [0, 2**50], [-1, 2**50 + 1, 0.5]),
    (("transfer",), ["vehicle_topics", "file_async"], ["", "FILE_ASYNC", "file"]),
    (("broker_pins",), [[], ["x"] * 8], [["x"] * 9]),
    (("endpoints",), [[ENDPOINT], [ENDPOINT] * 16], [[], [ENDPOINT] * 17]),
    (("endpoints", 0, "host"), ["a", "x" * 253, "Az09.:-"], ["", "x" * 254, "a b", "a\n", " a", "a/", "é"]),
    (("endpoints", 0, "port"), [1, 65_535], [0, 65_536]),
    (("endpoints", 0, "country"), ["ZZ"], ["", "C", "CNX", "cn", "CN\n", "xCN"]),
    (("endpoints", 0, "addresses"), [[], ["x"] * 32], [["x"] * 33]),
    (("keys", "sealing"), [keys(1), keys(8)], [keys(0), keys(9)]),
    (("keys", "receipt"), [keys(1), keys(8)], [keys(0), keys(9)]),
    (("keys", "campaigns"), [keys(1), keys(8)], [keys(0), keys(9)]),
    (("redaction", "hold_ms"), [0, 60_000], [-1, 60_001]),
    (("redaction", "max_gap_ms"), [0, 60_000], [-1, 60_001]),
    (("redaction", "location_grid_deg"), [5e-324, 10.0], [0.0, -1.0, 10.000001]),
    (("zones",), [[], [polygon()] * 500], [[polygon()] * 501, [{**polygon(), "type": "polygon"}]]),
    (("zones",), [[polygon("x"), polygon("x" * 100)]], [[polygon("")], [polygon("x" * 101)]]),
    (("zones",), [[several("x"), several("x" * 100)]], [[several("")], [several("x" * 101)]]),
]  # fmt: skip


@pytest.mark.parametrize(("way", "good", "bad"), CASES, ids=lambda value: str(value)[:40])
def test_each_member_ends_where_it_should(
    way: tuple[str | int, ...], good: list[object], bad: list[object]
) -> None:
    for value in good:
        read(*way, value=value)
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            read(*way, value=value)


@pytest.mark.parametrize("way", [("x",), ("endpoints", 0, "x"), ("keys", "x"), ("redaction", "x")])
def test_a_member_that_nobody_knows_is_refused_at_every_level(way: tuple[str | int, ...]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        read(*way, value=1)


def test_nor_is_one_of_a_zone() -> None:
    for zone in (polygon(x=1), several(x=1)):
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            read("zones", value=[zone])


def test_what_may_be_left_out_is_nothing_then() -> None:
    raw = copy.deepcopy(RAW)
    del raw["endpoints"][0]["addresses"]
    read_back = msgspec.convert(raw, PolicyFile)
    assert (read_back.endpoints[0].addresses, read_back.zones) == ((), ())
    assert read_back.transfer is TransferProfile.VEHICLE_TOPICS


def test_a_policy_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert (MAX_POLICY_BYTES, MAX_SIGNED_POLICY_BYTES) == (262_144, 262_656)
    room = MAX_POLICY_BYTES - len(TEXT)
    assert decode_policy(TEXT + b"#" * room, "cn.toml") == REGION.policy
    with pytest.raises(PolicyError, match=r"^cn\.toml: 262145 bytes, at most 262144$"):
        decode_policy(TEXT + b"#" * (room + 1), "cn.toml")


def test_its_envelope_may_be_as_large_as_the_limit_and_no_larger() -> None:
    def sealed(size: int) -> bytes:
        return seal_envelope("policy", bytes(size), "k", REGION.root_key)

    room = MAX_SIGNED_POLICY_BYTES - (len(sealed(1 << 17)) - (1 << 17))
    assert len(sealed(room)) == MAX_SIGNED_POLICY_BYTES
    root = public_key_of(REGION.root_key)
    assert open_policy(sealed(room), root, "cn.signed") == bytes(room)
    with pytest.raises(PolicyError, match=r"^cn\.signed: more than 262656 bytes$"):
        open_policy(sealed(room + 1), root, "cn.signed")


LABEL = "x" * 63


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        ("a.b", True),
        (f"{LABEL}.{LABEL}", True),
        (f"{LABEL}.{LABEL}.{LABEL}." + "x" * 61, True),
        (f"{LABEL}.{LABEL}.{LABEL}." + "x" * 62, False),
        (f"{LABEL}x.a", False),
        (f"a.{LABEL}x", False),
        ("a-9.b-9", True),
        ("9.b", True),
        ("a.9", False),
        ("a", False),
        ("a.", False),
        (".a", False),
        ("-a.b", False),
        ("a-.b", False),
        ("a.b-", False),
        ("A.b", False),
        ("a.b\n", False),
        ("a.bc", True),
        ("a_b.c", False),
        ("a.b_c", False),
        ("a.b_", False),
        ("a_.b", False),
        ("axb", False),
        ("*.b", False),
    ],
)
def test_which_names_a_broker_s_certificate_may_have(name: str, fine: bool) -> None:
    file = msgspec.convert({**ENDPOINT, "server_name": name}, EndpointFile)
    if fine:
        assert endpoint_of(0, file).server_name == name
        return
    with pytest.raises(FieldError, match=r"endpoints\[0\]\.server_name"):
        endpoint_of(0, file)


def said(old: str, new: str) -> str:
    """Why the text is refused once a part of it is another."""
    assert TEXT.decode().count(old) == 1
    with pytest.raises(PolicyError) as caught:
        decode_policy(TEXT.decode().replace(old, new).encode(), "cn.toml")
    return str(caught.value)


HOST = 'host = "127.0.0.1"\naddresses = ["127.0.0.1"]'


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("224.0.0.1", "224.0.0.1 is not the address of one host"),
        ("::", ":: is not the address of one host"),
        (str(ipaddress.ip_address("::ffff:10.0.0.1")), "is not the address of one host"),
        ("10.0.0.01", "'10.0.0.01' is not an IP address"),
        ("0::1", "'0::1' is usually written ::1"),
        ("x" * 61, f"'{'x' * 60}' is not an IP address"),
    ],
)
def test_an_address_is_one_machine_s_in_its_one_spelling(address: str, reason: str) -> None:
    text = said(HOST, f'host = "broker.example"\naddresses = ["10.0.0.1", "{address}"]')
    assert reason in text
    assert text.endswith(" - at `$.endpoints[0].addresses[1]`")


def test_an_address_is_given_once() -> None:
    assert said(HOST, 'host = "broker.example"\naddresses = ["10.0.0.1", "10.0.0.2", "10.0.0.1"]') == (
        "cn.toml: an address is given twice - at `$.endpoints[0].addresses`"
    )


def test_an_address_as_host_is_dialled_and_no_other() -> None:
    assert said(HOST, 'host = "127.0.0.1"\naddresses = ["127.0.0.2"]') == (
        "cn.toml: the host is the address 127.0.0.1: give that one or none - at `$.endpoints[0].addresses`"
    )


KEY = base64.b64encode(REGION.policy.receipt_keys[0].public_key).decode()


@pytest.mark.parametrize(
    "text", [f"{KEY[:8]} {KEY[8:]}", f"{KEY[:8]}!{KEY[8:]}", KEY + "\n", KEY[:-1], "é" + KEY]
)
def test_a_key_is_base64_and_nothing_beside_it(text: str) -> None:
    with pytest.raises(FieldError, match=r"^not base64: .* - at `\$\.f`$"):
        decode_key("f", text)
    assert decode_key("f", KEY) == REGION.policy.receipt_keys[0].public_key


def test_a_faulty_key_is_named_by_purpose_and_id() -> None:
    long = "x" * 50
    with pytest.raises(FieldError) as caught:
        signing_keys("keys.receipt", {long: base64.b64encode(bytes(31)).decode()})
    assert str(caught.value) == f"31 bytes, expected 32 - at `$.keys.receipt.{long[:40]}`"
    with pytest.raises(FieldError) as caught:
        signing_keys("keys.receipt", {long: KEY})
    own = REGION.policy.receipt_keys[0].key_id
    assert str(caught.value) == f"'{long[:40]}' is not this key's id '{own}' - at `$.keys.receipt`"


def test_faulty_sealing_keys_are_named_too() -> None:
    sealing = REGION.policy.sealing_keys[0]
    text = base64.b64encode(sealing.public_key).decode()
    assert said(text, base64.b64encode(bytes(31)).decode()) == (
        f"cn.toml: 31 bytes, expected 32 - at `$.keys.sealing.{sealing.key_id}`"
    )
    zero = key_id_of(bytes(32))
    both = TEXT.decode().replace(sealing.key_id, zero).replace(text, base64.b64encode(bytes(32)).decode())
    with pytest.raises(PolicyError) as caught:
        decode_policy(both.encode(), "cn.toml")
    assert str(caught.value) == (
        f"cn.toml: not a usable X25519 public key (small order) - at `$.keys.sealing.{zero}`"
    )


def certificate(*, ca: bool | None) -> str:
    """Self-signed, with or without leave to sign others; None: that says nothing of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin.replace(year=2046))
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (certificate(ca=False), "the certificate is not an authority's (basicConstraints CA is false)"),
        (certificate(ca=None), "not a certificate of an authority: "),
        (certificate(ca=True) + certificate(ca=True), "2 certificates, exactly one is trusted"),
        ("", "not a certificate of an authority: "),
    ],
)
def test_an_authority_is_one_certificate_that_may_sign(pem: str, reason: str) -> None:
    with pytest.raises(FieldError) as caught:
        authority_of(pem)
    assert str(caught.value).startswith(reason)
    assert str(caught.value).endswith(" - at `$.authority`")


def test_an_authority_is_kept_without_what_is_around_it() -> None:
    pem = certificate(ca=True)
    assert authority_of(f"\n\n{pem}\n") == pem.encode()


def zoned(kind: str, coordinates: object) -> bytes:
    return TEXT + f'[[zones]]\nname = "z"\ntype = "{kind}"\ncoordinates = {coordinates}\n'.encode()


@pytest.mark.parametrize(
    ("kind", "coordinates", "reason"),
    [
        ("MultiPolygon", [], "no polygon"),
        ("MultiPolygon", [[RING], []], "a polygon without an outline"),
        ("Polygon", [], "a polygon without an outline"),
        ("Polygon", [[*RING[:2], RING[0]]], "a ring has at least four positions, and ends where it begins"),
        ("Polygon", [RING[:3]], "a ring has at least four positions, and ends where it begins"),
        ("Polygon", [[*RING[:3], RING[1]]], "a ring has at least four positions, and ends where it begins"),
    ],
)
def test_a_zone_that_is_none_is_refused_whole(kind: str, coordinates: object, reason: str) -> None:
    with pytest.raises(PolicyError) as caught:
        decode_policy(zoned(kind, coordinates), "cn.toml")
    assert str(caught.value) == f"cn.toml: {reason} - at `$.zones[0].coordinates`"


def test_zones_are_read_with_latitude_first() -> None:
    hole = [[2.0, 2.5], [3.0, 3.0], [4.0, 2.5], [2.0, 2.5]]
    (zone,) = decode_policy(zoned("MultiPolygon", [[RING, hole], [RING]]), "cn.toml").zones
    outer, inner = ((2.0, 1.0), (4.0, 3.0), (2.0, 5.0)), ((2.5, 2.0), (3.0, 3.0), (2.5, 4.0))
    assert [[ring.corners for ring in polygon] for polygon in zone.polygons] == [[outer, inner], [outer]]
    assert {ring.name for polygon in zone.polygons for ring in polygon} == {"z"}


def test_text_that_nests_without_end_is_no_policy() -> None:
    with pytest.raises(PolicyError, match=r"^cn\.toml: not TOML: "):
        decode_policy(b"a = " + b"[" * 100_000, "cn.toml")


def test_the_envelope_names_the_root_key() -> None:
    signed = sign_policy(TEXT, REGION.root_key, "cn.toml")
    assert msgspec.msgpack.decode(signed)["key_id"] == key_id_of(public_key_of(REGION.root_key))


def test_a_policy_that_can_not_be_written_is_named() -> None:
    for change in ({"version": 0}, {"issued_wall_ns": 1}):
        with pytest.raises(PolicyError, match=r"^policy of region 'cn': "):
            encode_policy(dataclasses.replace(REGION.policy, **change))


def refusal(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        decode_policy(text.encode(), "cn.toml")
    return str(caught.value).removeprefix("cn.toml: one of them is given twice - at ")


def test_what_is_given_twice_is_named() -> None:
    text = TEXT.decode()
    start, end = text.index("[[endpoints]]"), text.index("[keys]")
    assert refusal(text.replace('["CN"]', '["CN", "CN"]')) == "`$.jurisdictions`"
    assert refusal(text.replace('"signals"]', '"signals", "signals"]')) == "`$.data_classes`"
    assert refusal(text[:end] + text[start:]) == "`$.endpoints`"
    once, other = (
        zoned("Polygon", [RING]).decode(),
        f'[[zones]]\nname = "y"\ntype = "Polygon"\ncoordinates = [{RING}]\n',
    )
    assert refusal(once + other.replace('"y"', '"z"')) == "`$.zones`"
    assert [zone.name for zone in decode_policy((once + other).encode(), "cn.toml").zones] == ["z", "y"]


def test_endpoints_differ_in_host_or_in_port() -> None:
    text = TEXT.decode()
    start, end = text.index("[[endpoints]]"), text.index("[keys]")
    first = text[start:end]
    for second in (first.replace("8883", "8884"), first.replace("127.0.0.1", "127.0.0.2")):
        assert len(decode_policy((text[:end] + second + text[end:]).encode(), "cn.toml").endpoints) == 2


def test_faulty_pins_and_keys_are_named_by_their_table() -> None:
    assert (
        said("broker_pins = []", 'broker_pins = ["AAAA"]')
        == "cn.toml: 3 bytes, expected 32 - at `$.broker_pins`"
    )
    short = base64.b64encode(bytes(31)).decode()
    for purpose, keys_of in (
        ("receipt", REGION.policy.receipt_keys),
        ("campaigns", REGION.policy.campaign_keys),
    ):
        text = base64.b64encode(keys_of[0].public_key).decode()
        assert said(text, short) == (
            f"cn.toml: 31 bytes, expected 32 - at `$.keys.{purpose}.{keys_of[0].key_id}`"
        )
