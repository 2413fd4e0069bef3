"""Where a certificate turns from serving to expiring to expired: to the nanosecond, and in which words."""

from __future__ import annotations

import pytest

from fsd_agent.rules.trust.certificates import CertificateLife, CertificateState, certificate_life

NS, DAY = 1, 86_400_000_000_000
UNTIL = 19_675 * DAY  # 2023-11-14
EXPIRING, EXPIRED = CertificateState.EXPIRING, CertificateState.EXPIRED
WHO, RENEW = "this vehicle's certificate for region 'cn'", "renew it: fsdctl vehicle enrol --renew"
SOON = f"{WHO} expires at 2023-11-14T00:00:00Z; {RENEW}"
OVER = f"{WHO} has expired at 2023-11-14T00:00:00Z; {RENEW}"


@pytest.mark.parametrize(
    ("left_ns", "life"),
    [
        (31 * DAY, CertificateLife(CertificateState.SERVES, 31, "")),
        (30 * DAY + NS, CertificateLife(CertificateState.SERVES, 30, "")),
        (30 * DAY, CertificateLife(EXPIRING, 30, SOON)),
        (30 * DAY - NS, CertificateLife(EXPIRING, 29, SOON)),
        (DAY, CertificateLife(EXPIRING, 1, SOON)),
        (DAY - NS, CertificateLife(EXPIRING, 0, SOON)),
        (NS, CertificateLife(EXPIRING, 0, SOON)),
        (0, CertificateLife(EXPIRED, 0, OVER)),
        (-NS, CertificateLife(EXPIRED, 0, OVER)),
        (-9 * DAY, CertificateLife(EXPIRED, 0, OVER)),
    ],
)
def test_what_is_left_decides(left_ns: int, life: CertificateLife) -> None:
    assert certificate_life("cn", until_wall_ns=UNTIL, now_wall_ns=UNTIL - left_ns) == life


def test_states_for_machines() -> None:
    assert [str(one) for one in CertificateState] == ["serves", "expiring", "expired"]
