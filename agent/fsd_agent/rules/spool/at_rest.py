"""Of which clips a start has nothing to do: nearly all, where thousands wait for delivery.

A clip is at rest when its row is SEALED, its one file is the sealed one and lies in its row's compartment, and the ledger's
account of it says the same: of its region, neither given up nor signed for, the sealed copy and no other. Then the table of
``rules.spool.recover`` and that of ``pipeline.recover_ledger`` ask for nothing, as long as the compartment has its key and its
purpose is consented to. Everything else is gone over one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

from fsd_agent.records.clip_ids import IdsAt
from fsd_agent.records.purpose import Compartment
from fsd_agent.rules.id_sets import common, repeated, without


def at_rest(
    rows: IdsAt, accounts: Mapping[str, bytes], files: IdsAt, staged: bytes
) -> dict[Compartment, bytes]:
    """Their ids, packed, by compartment.

    ``rows``: of SEALED rows. ``accounts``: by region, of accounts that say so. ``files``: of sealed files; ``staged``: of
    staged ones, wherever they lie.
    """
    elsewhere_too = repeated(b"".join((*files.values(), staged)))
    return {
        place: without(
            common(common(ids, files.get(place, b"")), accounts.get(place.region_id, b"")), elsewhere_too
        )
        for place, ids in rows.items()
    }
