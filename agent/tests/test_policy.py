"""A region's policy is taken whole and exactly, or refused with the file and the field."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.byte_limits import ByteLimits
from fsd_agent.records.region import (
    DataClass,
    Endpoint,
    ExportRule,
    FaceRule,
    Fill,
    LeftClips,
    LocationRule,
    PlateRule,
    RedactionRules,
    SensitiveZone,
    Strictness,
    TransferProfile,
)
from fsd_agent.records.zone import Zone
from fsd_agent.testing.regions import sample_key, sample_region
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

REGION = sample_region("cn", ("CN", "HK"))
SQUARE = Zone("harbour", ((31.2, 121.5), (31.2, 121.6), (31.3, 121.6), (31.3, 121.5)))
HOLE = Zone("harbour", ((31.24, 121.54), (31.24, 121.56), (31.26, 121.55)))
POLICY = dataclasses.replace(REGION.policy, zones=(SensitiveZone("harbour", ((SQUARE, HOLE),)),))
TEXT = encode_policy(POLICY).decode()
ROOT = public_key_of(REGION.root_key)
SEALING = POLICY.sealing_keys[0]


def refused(text: str, match: str) -> None:
    with pytest.raises(PolicyError, match=match) as caught:
        decode_policy(text.encode(), "cn.toml")
    assert str(caught.value).startswith("cn.toml: ")


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def test_round_trip() -> None:
    assert decode_policy(TEXT.encode(), "cn.toml") == POLICY


def test_how_clips_travel_makes_the_round_trip_and_is_left_out_where_older_readers_know_no_other() -> None:
    for transfer in TransferProfile:
        policy = dataclasses.replace(POLICY, transfer=transfer)
        text = encode_policy(policy)
        assert decode_policy(text, "policy") == policy
        assert (b"transfer" in text) is (transfer is not TransferProfile.VEHICLE_TOPICS)


def test_strictness_makes_the_round_trip_and_is_left_out_where_older_readers_know_no_other() -> None:
    for strictness in Strictness:
        rules = dataclasses.replace(POLICY.redaction, strictness=strictness)
        policy = dataclasses.replace(POLICY, redaction=rules)
        text = encode_policy(policy)
        assert decode_policy(text, "policy") == policy
        assert (b"strictness" in text) is (strictness is not Strictness.STANDARD)
    with pytest.raises(PolicyError, match=r"\$\.redaction\.strictness"):
        decode_policy(text.replace(b'"strict"', b'"stricter"'), "policy")


def test_what_is_painted_makes_the_round_trip_and_is_left_out_where_it_is_black() -> None:
    for fill in Fill:
        policy = dataclasses.replace(POLICY, redaction=dataclasses.replace(POLICY.redaction, fill=fill))
        text = encode_policy(policy)
        assert decode_policy(text, "policy") == policy
        assert (b"fill" in text) is (fill is not Fill.SOLID)
    with pytest.raises(PolicyError, match=r"\$\.redaction\.fill"):
        decode_policy(text.replace(b'"pixelate"', b'"blur"'), "policy")


def test_every_rule_makes_the_round_trip() -> None:
    for faces in FaceRule:
        for plates in PlateRule:
            for location in LocationRule:
                rules = RedactionRules(faces, plates, 0, 60_000_000_000, location, 0.001)
                policy = dataclasses.replace(POLICY, redaction=rules)
                assert decode_policy(encode_policy(policy), "cn.toml") == policy


ADDRESSES = (
    st.ip_addresses()
    .filter(lambda one: not (one.is_multicast or one.is_unspecified or getattr(one, "ipv4_mapped", None)))
    .map(str)
)
ENDPOINTS = st.lists(
    st.builds(
        Endpoint,
        host=st.from_regex(r"[a-z]{1,8}\.example", fullmatch=True),
        addresses=st.lists(ADDRESSES, min_size=1, max_size=3, unique=True).map(tuple),
        port=st.integers(1, 65535),
        server_name=st.just("broker.cn.fsd.invalid"),
        country=st.from_regex(r"[A-Z]{2}", fullmatch=True),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: (one.host, one.port),
).map(tuple)
CORNERS = st.lists(st.tuples(st.floats(-90, 90), st.floats(0, 180)), min_size=3, max_size=6, unique=True)
ZONES = st.lists(
    st.lists(CORNERS.map(lambda corners: (tuple(corners),)), min_size=1, max_size=3), max_size=3
).map(
    lambda drawn: tuple(
        SensitiveZone(f"z{n}", tuple(tuple(Zone(f"z{n}", ring) for ring in rings) for rings in polygons))
        for n, polygons in enumerate(drawn)
    )
)
POLICIES = st.builds(
    dataclasses.replace,
    st.just(POLICY),
    version=st.integers(1, 2**53 - 1),
    issued_wall_ns=st.integers(1_600_000_000, 7_000_000_000).map(lambda seconds: seconds * 10**9),
    endpoints=ENDPOINTS,
    broker_pins=st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple),
    data_classes=st.frozensets(st.sampled_from(DataClass)),
    retention_days=st.integers(1, 36_500),
    export=st.sampled_from(ExportRule),
    left_clips=st.sampled_from(LeftClips),
    metered=st.builds(ByteLimits, st.none() | st.integers(0, 2**50), st.none() | st.integers(0, 2**50)),
    transfer=st.sampled_from(TransferProfile),
    zones=ZONES,
    receipt_keys=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=8, unique=True).map(
        lambda keys: tuple(sample_key(public_key_of(key)) for key in keys)
    ),
)


@settings(max_examples=60, deadline=None)
@given(policy=POLICIES)
def test_every_policy_makes_the_round_trip(policy: object) -> None:
    assert dataclasses.is_dataclass(policy)
    assert decode_policy(encode_policy(policy), "cn.toml") == policy  # type: ignore[arg-type]  # a RegionPolicy


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("format = 2", "format = 1", r"\$.format"),
        ("version = 1", "version = 0", r"\$.version"),
        ("version = 1", "version = '1'", r"\$.version"),
        ('issued = "2020-', 'issued = "1970-', r"\$.issued"),
        ('issued = "2020-09-13T12:26:40Z"', "issued = 2020-09-13T12:26:40Z", r"\$.issued"),
        ('region = "cn"', 'region = "CN"', r"\$.region"),
        ('region = "cn"', 'region = "us"', r"\$.identity_uri"),
        ('["CN", "HK"]', "[]", r"\$.jurisdictions"),
        ('["CN", "HK"]', '["CN", "China"]', r"\$.jurisdictions\[1\]"),
        ('["CN", "HK"]', '["CN", "CN"]', r"\$.jurisdictions"),
        ("urn:fsd:region:cn", "urn:fsd:region:eu", r"\$.identity_uri"),
        ("urn:fsd:region:cn", "https://cn", r"\$.identity_uri"),
        ('"signals"]', '"signals", "thoughts"]', r"\$.data_classes\[4\]"),
        ('"signals"]', '"signals", "signals"]', r"\$.data_classes"),
        ("retention_days = 365", "retention_days = 0", r"\$.retention_days"),
        ('export = "never"', 'export = "from_vehicle"', r"\$.export"),
        ('export = "never"\n', "", "export"),
        ('left_clips = "deliver"', 'left_clips = "keep"', r"\$.left_clips"),
        ("broker_pins = []", 'broker_pins = ["AAAA"]', r"3 bytes.*\$.broker_pins"),
        ("port = 8883", "port = 0", r"\$.endpoints\[0\].port"),
        ("port = 8883", "port = 8883\nproxy = 'x'", "proxy"),
        ('host = "127.0.0.1"', 'host = "a b"', r"\$.endpoints\[0\].host"),
        ('host = "127.0.0.1"', 'host = "127.0.0.2"', r"\$.endpoints\[0\].addresses"),
        ('addresses = ["127.0.0.1"]', 'addresses = ["127.0.0.1", "::1"]', r"\$.endpoints\[0\].addresses"),
        ('addresses = ["127.0.0.1"]', 'addresses = ["localhost"]', "not an IP address"),
        ('addresses = ["127.0.0.1"]', 'addresses = ["0:0:0:0:0:0:0:1"]', "usually written ::1"),
        ('addresses = ["127.0.0.1"]', 'addresses = ["224.0.0.1"]', "not the address of one host"),
        ('addresses = ["127.0.0.1"]', 'addresses = ["0.0.0.0"]', "not the address of one host"),
        ('addresses = ["127.0.0.1"]', 'addresses = ["::ffff:127.0.0.1"]', "endpoints"),
        ("broker.cn.fsd.invalid", "*.cn.fsd.invalid", r"\$.endpoints\[0\].server_name"),
        ("broker.cn.fsd.invalid", "127.0.0.1", r"\$.endpoints\[0\].server_name"),
        ("broker.cn.fsd.invalid", "localhost", r"\$.endpoints\[0\].server_name"),
        ('country = "CN"', 'country = "China"', r"\$.endpoints\[0\].country"),
        ('country = "CN"\n', "", "country"),
        (f'seal_to = "{SEALING.key_id}"', 'seal_to = "0123456789abcdef"', r"\$.keys.seal_to"),
        ('faces = "head_zone"', 'faces = "blur"', r"\$.redaction.faces"),
        ('faces = "head_zone"\n', "", "faces"),
        ("hold_ms = 300", "hold_ms = -1", r"\$.redaction.hold_ms"),
        ("location_grid_deg = 0.05", "location_grid_deg = 0", r"\$.redaction.location_grid_deg"),
        ("location_grid_deg = 0.05", "location_grid_deg = nan", r"\$.redaction.location_grid_deg"),
        ('type = "Polygon"', 'type = "Circle"', r"\$.zones\[0\].type"),
        ('type = "Polygon"', 'type = "MultiPolygon"', r"\$.zones\[0\].coordinates"),
        ("[[[121.5, 31.2]", "[[[31.2, 121.5]", r"\$.zones\[0\].coordinates"),
        ("[[[121.5, 31.2]", "[[[nan, 31.2]", r"\$.zones\[0\].coordinates"),
        ("[[[121.5, 31.2]", "[[[121.5, 31.2, 4.0]", r"\$.zones\[0\].coordinates"),
        ("BEGIN CERTIFICATE", "BEGIN NOTHING", r"\$.authority"),
        ("[redaction]", "[redaction", "not TOML"),
    ],
)
def test_a_wrong_field_is_named(old: str, new: str, field: str) -> None:
    refused(changed(old, new), field)


@pytest.mark.parametrize(
    "coordinates",
    [
        "[]",
        "[[]]",
        "[[[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]]",
        "[[[1.0, 2.0], [1.0, 4.0], [3.0, 4.0], [5.0, 6.0]]]",
    ],
)
def test_a_ring_that_is_none_is_refused(coordinates: str) -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith("coordinates"))
    refused(changed(line, f"coordinates = {coordinates}"), r"\$.zones\[0\].coordinates")


def test_a_zone_that_turns_latitude_and_longitude_round_is_told_so() -> None:
    refused(changed("[121.6, 31.2]", "[31.2, 121.6]"), "longitude first")


def test_a_name_needs_its_addresses() -> None:
    text = changed('host = "127.0.0.1"\naddresses = ["127.0.0.1"]', 'host = "broker.example"')
    refused(text, r"every address that it may turn out to be.*\$.endpoints\[0\].addresses")


def test_an_address_as_host_allows_itself() -> None:
    text = changed('addresses = ["127.0.0.1"]\n', "")
    assert decode_policy(text.encode(), "cn.toml").endpoints == POLICY.endpoints


def test_two_endpoints_that_are_one_are_refused() -> None:
    start, end = TEXT.index("[[endpoints]]"), TEXT.index("[keys]")
    refused(TEXT[:end] + TEXT[start:], r"\$.endpoints")
    refused(TEXT[:start] + TEXT[end:], "endpoints")


def test_unknown_and_missing_tables_are_named() -> None:
    refused(TEXT + "\n[exports]\nallowed = true\n", "exports")
    refused(TEXT[: TEXT.index("[redaction]")], "redaction")


def with_key(purpose: str, key: bytes) -> str:
    """The text with this key, under its own id, in the place of that purpose's only one."""
    head, _, rest = TEXT.partition(f"[keys.{purpose}]\n")
    _, _, rest = rest.partition("\n")
    line = f'{key_id_of(key)} = "{base64.b64encode(key).decode()}"'
    text = f"{head}[keys.{purpose}]\n{line}\n{rest}"
    return text.replace(f'"{SEALING.key_id}"', f'"{key_id_of(key)}"') if purpose == "sealing" else text


@pytest.mark.parametrize("purpose", ["sealing", "receipt", "campaigns"])
def test_keys_are_32_bytes_of_base64(purpose: str) -> None:
    refused(with_key(purpose, bytes(31)), rf"31 bytes.*\$.keys.{purpose}")
    refused(with_key(purpose, bytes(32)).replace("AAAA", "A!A!", 1), rf"not base64.*\$.keys.{purpose}")


def test_a_key_that_is_not_the_one_its_id_names_is_refused() -> None:
    key = base64.b64encode(SEALING.public_key).decode()
    refused(changed(key, base64.b64encode(bytes(range(32))).decode()), r"\$.keys.sealing")


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31), bytes.fromhex("ec" + "ff" * 30 + "7f")])
def test_a_key_that_is_everyones_is_refused(point: bytes) -> None:
    for purpose in ("sealing", "receipt", "campaigns"):
        refused(with_key(purpose, point), rf"small order.*\$.keys.{purpose}")


def test_a_signing_key_that_is_not_on_the_curve_is_refused() -> None:
    for purpose in ("receipt", "campaigns"):
        refused(with_key(purpose, b"\2" + bytes(31)), rf"not a point of the curve.*\$.keys.{purpose}")


def test_the_first_of_several_sealing_keys_is_the_one_that_is_sealed_to() -> None:
    other = sample_key(sample_region("other").policy.sealing_public_key)
    for keys in ((SEALING, other), (other, SEALING)):
        policy = dataclasses.replace(POLICY, sealing_keys=keys)
        read = decode_policy(encode_policy(policy), "cn.toml")
        assert read == policy
        assert read.sealing_key_id == keys[0].key_id
    moved = encode_policy(dataclasses.replace(POLICY, sealing_keys=(SEALING, other))).decode()
    text = moved.replace(f'seal_to = "{SEALING.key_id}"', f'seal_to = "{other.key_id}"')
    assert decode_policy(text.encode(), "cn.toml").sealing_keys == (other, SEALING)


def test_one_authority_and_no_more() -> None:
    pem = POLICY.authority_pem.decode()
    refused(TEXT.replace(pem.strip(), pem + pem), "2 certificates")
    refused(TEXT.replace(pem.strip(), ""), r"\$.authority")


def test_size_and_text_are_bounded() -> None:
    refused("#" * (MAX_POLICY_BYTES + 1), "at most")
    with pytest.raises(PolicyError, match="not TOML"):
        decode_policy(b"\xff", "cn.toml")


def test_a_policy_that_would_be_refused_is_not_written() -> None:
    for changes in (
        {"version": 0},
        {"issued_wall_ns": 1},
        {"identity_uri": "urn:fsd:region:eu"},
        {"sealing_keys": (dataclasses.replace(SEALING, key_id="0" * 16),)},
        {"redaction": dataclasses.replace(POLICY.redaction, hold_ns=1)},
        {"redaction": dataclasses.replace(POLICY.redaction, location_grid_deg=float("nan"))},
        {"authority_pem": b"'''\nformat = 3"},
    ):
        with pytest.raises(PolicyError):
            encode_policy(dataclasses.replace(POLICY, **changes))  # type: ignore[arg-type]  # fields of the record


SIGNED = REGION.signed()


def test_a_signed_policy_is_opened_with_its_root_alone() -> None:
    assert open_policy(SIGNED, ROOT, "cn.signed") == encode_policy(REGION.policy)
    with pytest.raises(PolicyError, match=r"cn\.signed: bad_signature"):
        open_policy(SIGNED, public_key_of(bytes(32)), "cn.signed")
    with pytest.raises(PolicyError, match=r"cn\.signed: wrong_context"):
        open_policy(seal_envelope("campaigns", TEXT.encode(), "a", REGION.root_key), ROOT, "cn.signed")
    with pytest.raises(PolicyError, match=r"cn\.signed: more than"):
        open_policy(bytes(MAX_SIGNED_POLICY_BYTES + 1), ROOT, "cn.signed")
    with pytest.raises(PolicyError, match=r"cn\.signed: malformed"):
        open_policy(TEXT.encode(), ROOT, "cn.signed")


def test_what_would_be_refused_is_not_signed() -> None:
    with pytest.raises(PolicyError, match=r"cn\.toml: .*version"):
        sign_policy(changed("version = 1", "version = 0").encode(), REGION.root_key, "cn.toml")


@settings(max_examples=200)
@given(at=st.integers(0, len(SIGNED) - 1), byte=st.integers(0, 255), kind=st.sampled_from("cir"))
def test_mutated_bytes_are_never_accepted_but_as_the_identical_policy(at: int, byte: int, kind: str) -> None:
    """Cut off, with a byte put in, with a byte replaced."""
    tail = {"c": b"", "i": bytes([byte]) + SIGNED[at:], "r": bytes([byte]) + SIGNED[at + 1 :]}[kind]
    mutated = SIGNED[:at] + tail
    if mutated == SIGNED:
        return
    with pytest.raises(PolicyError, match=r"^cn\.signed: "):
        open_policy(mutated, ROOT, "cn.signed")
