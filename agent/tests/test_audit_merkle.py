"""The Merkle tree against RFC 6962's example, known vectors, and the definition itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.rules.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

VECTOR_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The vectors that Certificate Transparency's implementations share: roots over the first 1 to 8 leaves."""


def frontier_of(leaves: Sequence[bytes]) -> Frontier:
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.add(leaf)
    return frontier


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962, 2.1, writes it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def test_known_vectors() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    leaves = [leaf_hash(bytes.fromhex(text)) for text in VECTOR_LEAVES]
    for size, root in enumerate(VECTOR_ROOTS, 1):
        assert frontier_of(leaves[:size]).root().hex() == root
        assert Tree(leaves).root(size).hex() == root


def test_the_example_of_the_rfc() -> None:
    """RFC 6962, 2.1.3: seven leaves a b c d e f j; g = ab, h = cd, i = ef, k = gh, l = ij."""
    a, b, c, d, e, f, j = leaves = [leaf_hash(f"d{n}".encode()) for n in range(7)]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l_ = node_hash(g, h), node_hash(i, j)
    tree = Tree(leaves)
    assert tree.root(7) == node_hash(k, l_)
    assert tree.inclusion(0, 7) == (b, h, l_)
    assert tree.inclusion(3, 7) == (c, g, l_)
    assert tree.inclusion(4, 7) == (f, j, k)
    assert tree.inclusion(6, 7) == (i, k)
    assert tree.consistency(3, 7) == (c, d, g, l_)
    assert tree.consistency(4, 7) == (l_,)
    assert tree.consistency(6, 7) == (i, j, k)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 70))
def test_every_proof_holds_and_none_other(data: st.DataObject, size: int) -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    assert frontier_of(leaves).root() == defined_root(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    tree, root = Tree(leaves), defined_root(leaves)
    path = tree.inclusion(index, size)
    assert verify_inclusion(leaves[index], index, size, path, root)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, path, root)
    assert not verify_inclusion(leaves[index], index, size, (*path, root), root)
    wrong = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else size
    assert not verify_inclusion(leaves[index], wrong, size, path, root)
    between = tree.consistency(old, size)
    assert verify_consistency(old, size, defined_root(leaves[:old]), root, between)
    assert not verify_consistency(old, size, leaf_hash(b"x"), root, between)
    # The empty tree is the beginning of every other.
    assert (old == 0) == verify_consistency(old, size, defined_root(leaves[:old]), leaf_hash(b"x"), between)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(2, 70))
def test_proofs_about_what_is_left_need_nothing_of_what_is_gone(data: st.DataObject, size: int) -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    gone = data.draw(st.integers(0, size - 1))
    whole, rest = Tree(leaves), Tree(leaves[gone:], frontier_of(leaves[:gone]))
    assert rest.size == size
    for index in range(gone, size):
        assert rest.inclusion(index, size) == whole.inclusion(index, size)
    for old in range(gone, size + 1):
        assert rest.root(old) == whole.root(old)
        assert rest.consistency(old, size) == whole.consistency(old, size)


def test_what_is_gone_or_never_was_is_refused() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(7)]
    rest = Tree(leaves[4:], frontier_of(leaves[:4]))
    with pytest.raises(ValueError, match="record 0 is needed and was removed"):
        rest.root(3)
    for size, index in ((8, 0), (7, 7), (7, -1), (0, 0)):
        with pytest.raises(ValueError, match="this ledger has 7"):
            rest.inclusion(index, size)
    with pytest.raises(ValueError, match="1 subtrees can't hold 3 records"):
        Frontier(3, (leaves[0],))
    assert not verify_inclusion(leaves[0], 0, 0, (), EMPTY_ROOT)
    assert not verify_consistency(3, 2, EMPTY_ROOT, EMPTY_ROOT, ())
    assert not verify_consistency(3, 5, EMPTY_ROOT, EMPTY_ROOT, ())
