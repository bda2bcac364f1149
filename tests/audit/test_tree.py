"""Hashes and proofs of the tree, by the definition and by published roots."""

from __future__ import annotations

import secrets
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biometrics.audit import standalone
from biometrics.audit.tiles import WIDTH, path_of, root_of, span_hash
from biometrics.audit.tree import (
    EMPTY,
    Range,
    check_consistency,
    consistency,
    inclusion,
    leaf_hash,
    prove,
    root,
    root_by_inclusion,
)
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.audit.tree import Span

# Inputs and roots that implementations of Certificate Transparency are tested with.
INPUTS = (
    *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
MOST = 40
HASHES = [leaf_hash(bytes([n])) for n in range(256)]
ALL = [leaf_hash(n.to_bytes(2, "big")) for n in range(2000)]


def hash_of(span: Span) -> bytes:
    """Return the root of a subtree of `HASHES`."""
    first, size = span
    return root(HASHES[first : first + size])


def test_the_published_roots_come_out() -> None:
    """Of every size of those that others are tested with."""
    leaves = [leaf_hash(bytes.fromhex(each)) for each in INPUTS]
    found = [root(leaves[: size + 1]).hex() for size in range(len(leaves))]
    assert found == list(ROOTS)
    assert (
        root([])
        == EMPTY
        == bytes.fromhex(
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
    )


def test_roots_are_those_of_the_definition_for_every_size_to_2000() -> None:
    """Whether it grows leaf by leaf or is made at once, as the RFC's recursion says."""
    grown = Range()
    for size, each in enumerate(ALL, 1):
        grown.append(each)
        if size < 300 or size % 97 == 0 or size in {512, 1024, 1025, 2000}:
            defined = standalone.tree_root(ALL[:size])
            assert grown.root == root(ALL[:size]) == defined


def test_roots_are_those_of_another_library() -> None:
    """For every size to 2,000."""
    pymerkle = pytest.importorskip(
        "pymerkle", reason="its licence (GPL-3.0) keeps it out of the extra `test`"
    )
    theirs, ours = pymerkle.InmemoryTree(algorithm="sha256"), Range()
    for number in range(1, 2001):
        theirs.append_entry(str(number).encode())
        ours.append(leaf_hash(str(number).encode()))
        assert theirs.get_root() == ours.root


def test_every_leaf_is_proved_to_be_in_every_tree() -> None:
    """And by no proof of another leaf, size or order."""
    for size in range(1, MOST):
        expected = root(HASHES[:size])
        for index in range(size):
            proof = prove(inclusion(index, size), hash_of)
            found = root_by_inclusion(HASHES[index], index, size, proof)
            assert found == expected
            standalone_found = standalone.climb_partial(
                HASHES[index], index, size, proof
            )
            assert standalone_found == expected
            for other in {*range(size)} - {index}:
                assert not leads(HASHES[index], other, size, proof, expected)
            for broken in (proof[1:], [*proof, HASHES[0]], proof[::-1]):
                if broken != proof:
                    assert not leads(HASHES[index], index, size, broken, expected)


def leads(  # noqa: PLR0917 - what a proof is of
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes
) -> bool:
    """Say whether a proof leads to a root."""
    try:
        return root_by_inclusion(leaf, index, size, proof) == expected
    except InvalidRequestError:
        return False


def test_every_tree_is_proved_to_begin_with_every_smaller_one() -> None:
    """And with no other one."""
    for size in range(1, MOST):
        after = size, root(HASHES[:size])
        for before in range(1, size + 1):
            earlier = before, root(HASHES[:before])
            proof = prove(consistency(before, size), hash_of)
            check_consistency(earlier, after, proof)
            other = before, root([HASHES[-1], *HASHES[1:before]])
            broken = [proof[1:], [*proof, HASHES[0]], [HASHES[0], *proof]]
            for wrong in (other, (before, EMPTY)):
                with pytest.raises(InvalidRequestError):
                    check_consistency(wrong, after, proof)
            for each in broken:
                if each != proof:
                    with pytest.raises(InvalidRequestError):
                        check_consistency(earlier, after, each)


def test_a_tree_does_not_follow_a_larger_one() -> None:
    """A log that has grown smaller is told as such, whatever its proof."""
    with pytest.raises(InvalidRequestError, match="a tree of 3 cannot follow one of 4"):
        check_consistency((4, EMPTY), (3, EMPTY), [])
    with pytest.raises(InvalidRequestError):
        check_consistency((0, EMPTY), (3, root(HASHES[:3])), [])
    with pytest.raises(InvalidRequestError):
        root_by_inclusion(HASHES[0], 3, 3, [])


def test_what_is_no_hash_is_in_no_proof() -> None:
    """Whatever its bytes would come to beside those of another."""
    size, whole = 3, root(HASHES[:3])
    proof = prove(inclusion(0, size), hash_of)
    cut = [proof[0][:-1], proof[1]]
    for leaf, path in ((HASHES[0][:-1], proof), (HASHES[0], cut)):
        assert not leads(leaf, 0, size, path, whole)
        with pytest.raises(standalone.WrongError, match="another length"):
            standalone.climb_partial(leaf, 0, size, path)
    with pytest.raises(InvalidRequestError, match="has not 32 bytes"):
        check_consistency((2, root(HASHES[:2])), (3, whole), [HASHES[2] + b"0"])
    with pytest.raises(standalone.WrongError, match="another length"):
        standalone.climb(HASHES[0], 0, [b"0"])


class Held:
    """Tiles of hashes that are held in memory."""

    def __init__(self, hashes: list[bytes]) -> None:
        """Build every level of them."""
        self.levels = [hashes]
        while len(self.levels[-1]) >= WIDTH:
            row = self.levels[-1]
            full = range(0, len(row) - len(row) % WIDTH, WIDTH)
            self.levels.append([root(row[i : i + WIDTH]) for i in full])

    def tile(self, level: int, number: int, width: int) -> Sequence[bytes]:
        """Return hashes of a tile."""
        found = self.levels[level][number * WIDTH : number * WIDTH + width]
        assert len(found) == width
        return found


@given(st.integers(0, 2000))
def test_roots_follow_from_tiles(size: int) -> None:
    """Whatever is full is read from the level above."""
    assert root_of(Held(ALL[:size]), size) == root(ALL[:size])


@given(st.integers(1, 2000), st.data())
def test_proofs_follow_from_tiles(size: int, data: st.DataObject) -> None:
    """Inclusion and consistency of trees of several levels."""
    tiles = Held(ALL[:size])
    index = data.draw(st.integers(0, size - 1))
    proof = prove(inclusion(index, size), lambda span: span_hash(tiles, size, span))
    expected = root(ALL[:size])
    assert root_by_inclusion(ALL[index], index, size, proof) == expected
    before = data.draw(st.integers(1, size))
    proof = prove(consistency(before, size), lambda span: span_hash(tiles, size, span))
    check_consistency((before, root(ALL[:before])), (size, expected), proof)


def test_tiles_lie_where_other_tools_look_for_them() -> None:
    """As C2SP's tlog-tiles has it."""
    assert path_of("0", 1234067) == "tile/0/x001/x234/067"
    assert path_of("entries", 0, 5) == "tile/entries/000.p/5"
    assert path_of("1", 999) == "tile/1/999"


def test_a_changed_leaf_changes_the_root() -> None:
    """At every place of some sizes."""
    for size in (1, 2, 3, 7, 8, 9, 33):
        roots = {root(HASHES[:size])}
        for place in range(size):
            changed = [*HASHES[:size]]
            changed[place] = secrets.token_bytes(32)
            roots.add(root(changed))
        assert len(roots) == size + 1
    assert all(a != b for a, b in pairwise(map(root, (HASHES[:2], HASHES[1::-1]))))
