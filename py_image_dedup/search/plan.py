"""Plans that exclude pairs which cannot be near: the coordinates that are compared, and the products of them.

Every plan bounds the cosine of two signatures from above, by a product of few columns, and all of them are exact:

- *one orientation*: ``cos <= Pa . Pb + |Ra| |Rb|``, P the coordinates on the strongest directions, R the residual;
- *invariant*: the same on the part that no orientation changes (A1), and the lengths of the other parts: one product
  bounds all eight orientations. Enough for small distances;
- *half*: A1 and one more part, whose sign half of the orientations change: two products, each for four of them;
- *signed*: all coordinates. Rotating by 180 degrees keeps the even ones and negates the odd ones, so
  ``even + |odd|`` bounds two orientations at once: four pairs of products;
- *full*: no bound, the products of all 272 values.

The plan and its number of directions are chosen by the share of a sample that they exclude.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import BoolArray, Float32Array, Float64Array, Int8Array, IntpArray, UInt8Array
from py_image_dedup.signature.orientation import ORIENTATIONS, SIGNS, SOURCES, compose, orient_signature

E_PART = 4
"""The part on which a rotation by 180 degrees changes every sign; 0 to 3 are A1, A2, B1, B2."""

_QUARTERS = frozenset({Orientation.ROTATE_90, Orientation.ROTATE_270})
_MIRRORS = frozenset({Orientation.MIRROR, Orientation.FLIP})
_DIAGONALS = frozenset({Orientation.TRANSPOSE, Orientation.TRANSVERSE})

# Signs under quarter turns, mirrorings and diagonal mirrorings; a rotation by 180 degrees changes none.
_ONE_DIMENSIONAL = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """An orthonormal basis of the 272 dimensions, the strongest direction of each part first.

    Attributes:
        directions: float32, shape ``(272, 272)``, one direction a column.
        strength: float64, shape ``(272,)``: the mean square of unit signatures along each direction.
        part: uint8, shape ``(272,)``: the part of the group's representation that a direction lies in.
    """

    directions: Float32Array
    strength: Float64Array
    part: UInt8Array


def sign_of(part: int, orientation: Orientation) -> int:
    """Return the factor that an orientation has on the coordinates of one of the parts 0 to 3: 1 or -1."""
    quarter, mirror, diagonal = _ONE_DIMENSIONAL[part]
    if orientation in _QUARTERS:
        return quarter
    if orientation in _MIRRORS:
        return mirror
    return diagonal if orientation in _DIAGONALS else 1


def fit(sample: Int8Array, *, orientations: bool) -> Basis:
    """Fit a basis to a sample of signatures.

    Args:
        sample: int8, shape ``(n, 272)``; a few hundred to a few thousand of those that will be searched.
        orientations: Whether the basis must respect the eight orientations.
    """
    units = unit(sample).astype(np.float64)
    moments = units.T @ units / max(1, len(units))
    if not orientations:
        strength, directions = _strongest_axes(moments)
        return Basis(directions.astype(np.float32), strength, np.zeros(SIGNATURE_LENGTH, dtype=np.uint8))
    turns = {orientation: _matrix(orientation) for orientation in ORIENTATIONS}
    moments = np.mean([matrix @ moments @ matrix.T for matrix in turns.values()], axis=0)
    projectors = [
        np.mean([sign_of(part, orientation) * matrix for orientation, matrix in turns.items()], axis=0)
        for part in range(E_PART)
    ]
    projectors.append(np.eye(SIGNATURE_LENGTH) - np.sum(projectors, axis=0))
    strengths, columns, parts = [], [], []
    for part, projector in enumerate(projectors):
        inside = _span(projector)
        strength, directions = _strongest_axes(inside.T @ moments @ inside)
        strengths.append(strength)
        columns.append(inside @ directions)
        parts.append(np.full(len(strength), part, dtype=np.uint8))
    whole = np.concatenate(columns, axis=1).astype(np.float32)
    return Basis(whole, np.concatenate(strengths), np.concatenate(parts))


def unit(values: Int8Array) -> Float32Array:
    """Return signatures scaled to length 1, float32; that of a featureless picture stays zero."""
    floats = values.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", floats, floats))
    floats /= np.where(lengths > 0, lengths, 1)[:, None]
    return floats


def _matrix(orientation: Orientation) -> Float64Array:
    matrix = np.zeros((SIGNATURE_LENGTH, SIGNATURE_LENGTH))
    matrix[np.arange(SIGNATURE_LENGTH), SOURCES[orientation]] = SIGNS[orientation]
    return matrix


def _span(projector: Float64Array) -> Float64Array:
    """Return orthonormal columns that span the range of a projector."""
    kept, vectors = np.linalg.eigh(projector)
    return vectors[:, kept > 0.5]  # they are 0 or 1


def _strongest_axes(moments: Float64Array) -> tuple[Float64Array, Float64Array]:
    strength, directions = np.linalg.eigh(moments)
    return strength[::-1], directions[:, ::-1]


SLACK = 2e-5
"""A generous bound on the rounding error of a cosine in float32."""

_SAMPLE = 2000
_SEED = 272
_ALMOST = 1.2

# Nanoseconds per pair on one core; only their ratios matter.
_PRODUCT, _COLUMN, _PASS, _COMPARE, _EXACT, _FULL, _DENSE = 0.10, 0.0175, 0.05, 0.09, 200.0, 5.1, 15.0


@dataclass(frozen=True, slots=True)
class BoundProduct:
    """A product of a plan, which bounds the cosine in several orientations at once.

    Attributes:
        turned: The orientation of the left signatures in the product.
        bounds: The orientations that the product bounds.
    """

    turned: Orientation
    bounds: tuple[Orientation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The columns to compare and the products to compare them in.

    Attributes:
        basis: The directions; ``None`` for the plan *full*, which has no products either.
        even: Columns of the basis with a signed product.
        odd: Columns of the basis whose product counts by its absolute value.
        residuals: Sets of the other columns, each bounded by one product of lengths.
        products: One product for each set of orientations.
    """

    basis: Basis | None
    even: IntpArray
    odd: IntpArray
    residuals: tuple[IntpArray, ...]
    products: tuple[BoundProduct, ...]

    def columns(self, values: Int8Array) -> tuple[Float32Array, Float32Array]:
        """Return the even columns followed by the lengths of the residuals, and the odd columns, of signatures."""
        if self.basis is None:
            raise ValueError("the full plan has no columns")
        return self.columns_of(unit(values) @ self.basis.directions)

    def columns_of(self, coordinates: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return ``columns`` of coordinates along all directions of the basis."""
        lengths = [
            np.sqrt(np.einsum("ij,ij->i", part, part))
            for part in (coordinates[:, residual] for residual in self.residuals)
        ]
        even = np.concatenate([coordinates[:, self.even], np.stack(lengths, axis=1)], axis=1)
        return np.ascontiguousarray(even), np.ascontiguousarray(coordinates[:, self.odd])


_NONE: IntpArray = np.zeros(0, dtype=np.intp)
FULL = Plan(None, _NONE, _NONE, (), ())
"""The plan without a bound: every pair is evaluated."""


def least_cosine(max_distance: float) -> float:
    """Return the least cosine of a pair within the distance, whatever its lengths.

    ``|a - b|^2 <= t^2 (|a| + |b|)^2`` means ``cos >= (|a|/|b| + |b|/|a|) (1 - t^2) / 2 - t^2``, least at equal lengths.
    """
    return 1 - 2 * max_distance * max_distance


def choose(signatures: Int8Array, max_distance: float, *, orientations: bool) -> Plan:
    """Choose the cheapest plan for some signatures and a distance.

    Args:
        signatures: int8, shape ``(n, 272)``; a sample of them is used.
        max_distance: 0 to 1.
        orientations: Whether all eight orientations are searched.
    """
    random = np.random.default_rng(_SEED)
    sample = signatures[random.permutation(len(signatures))[:_SAMPLE]]
    basis = fit(sample, orientations=orientations)
    left, right = np.split(sample, [len(sample) // 5])
    rights = unit(right) @ basis.directions
    turns = ORIENTATIONS if orientations else (Orientation.UPRIGHT,)
    lefts = {orientation: unit(orient_signature(left, orientation)) @ basis.directions for orientation in turns}
    least = np.float32(least_cosine(max_distance) - SLACK)
    # No plan excludes the pairs that are near, or nearly; where there are many, they form grids and cost little.
    nearly = np.float32(least_cosine(_ALMOST * max_distance))
    apart = np.logical_and.reduce([coordinates @ rights.T < nearly for coordinates in lefts.values()])
    near = 1 - float(np.mean(apart)) if apart.size else 0.0
    whole = _FULL * len(turns)
    best, lowest = FULL, whole
    for plan in _plans(basis, orientations=orientations):
        fixed = _fixed_cost(plan) + near * (whole + _DENSE)
        if fixed < lowest:
            cost = fixed + _EXACT * _share_left(plan, lefts, rights, least, apart)
            if cost < lowest:
                best, lowest = plan, cost
    return best


def _plans(basis: Basis, *, orientations: bool) -> Iterator[Plan]:
    if not orientations:
        only = (BoundProduct(Orientation.UPRIGHT, (Orientation.UPRIGHT,)),)
        for count in (7, 11, 15, 19, 23, 27, 31, 35, 39, 47, 55, 63, 79, 95):
            yield _plan(basis, _strongest(basis, range(1), count), only, by_part=False)
        return
    for count in (4, 8, 12, 16, 20, 27):
        yield _plan(basis, _strongest(basis, range(1), count), (BoundProduct(Orientation.UPRIGHT, ORIENTATIONS),))
    for part in (1, 2, 3):
        for count in (8, 12, 16, 20, 24, 28, 36):
            yield _plan(basis, _strongest(basis, (0, part), count), tuple(_halves(part)))
    for count in (16, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96):
        yield _plan(basis, _strongest(basis, range(E_PART + 1), count), tuple(_opposites()), by_part=False)


def _halves(part: int) -> Iterator[BoundProduct]:
    for sign in (1, -1):
        bounded = tuple(orientation for orientation in ORIENTATIONS if sign_of(part, orientation) == sign)
        yield BoundProduct(bounded[0], bounded)


def _opposites() -> Iterator[BoundProduct]:
    for turned in (Orientation.UPRIGHT, Orientation.MIRROR, Orientation.TRANSPOSE, Orientation.ROTATE_90):
        yield BoundProduct(turned, (turned, compose(turned, Orientation.ROTATE_180)))


def _plan(basis: Basis, chosen: IntpArray, products: tuple[BoundProduct, ...], *, by_part: bool = True) -> Plan:
    """Make a plan of the chosen columns; the others are bounded by one length, or by one for each part.

    Lengths by part are for products that bound more than the orientations of one coset of the half turn: those mix
    nothing between the parts, and keep the length of each. The chosen parts share one residual, as their coordinates
    are fixed.
    """
    others = np.setdiff1d(np.arange(SIGNATURE_LENGTH), chosen)
    if by_part:
        fixed = np.isin(basis.part[others], basis.part[chosen])
        residuals = [others[fixed]] + [others[~fixed & (basis.part[others] == part)] for part in range(E_PART + 1)]
    else:
        residuals = [others]
    odd = basis.part[chosen] == E_PART
    return Plan(basis, chosen[~odd], chosen[odd], tuple(residual for residual in residuals if len(residual)), products)


def _strongest(basis: Basis, parts: range | tuple[int, ...], count: int) -> IntpArray:
    columns = np.flatnonzero(np.isin(basis.part, np.array(list(parts))))
    strongest: IntpArray = columns[np.argsort(-basis.strength[columns], kind="stable")[:count]]
    return strongest


def _fixed_cost(plan: Plan) -> float:
    one = _PRODUCT + _COLUMN * (len(plan.even) + len(plan.residuals)) + _COMPARE
    if len(plan.odd):
        one += _PRODUCT + _COLUMN * len(plan.odd) + 2 * _PASS
    return one * len(plan.products)


def _share_left(
    plan: Plan,
    lefts: Mapping[Orientation, Float32Array],
    rights: Float32Array,
    least: np.float32,
    apart: BoolArray,
) -> float:
    """Return the mean number of exact products that a pair which is not near needs after the plan."""
    if not apart.size:
        return 0.0
    right_even, right_odd = plan.columns_of(rights)
    share = 0.0
    for product in plan.products:
        left_even, left_odd = plan.columns_of(lefts[product.turned])
        bound = left_even @ right_even.T
        if len(plan.odd):
            bound += np.abs(left_odd @ right_odd.T)
        share += float(np.mean((bound >= least) & apart)) * len(product.bounds)
    return share
