"""Products of vectors, spelt out in lanes for the compiler: the same bits on every machine.

A compiler may not reorder a sum of floats, so a plain loop adds one number at a time. Here lane l of 32 adds the
entries l, l + 32, l + 64, ...; the lanes are folded to 8, which take what is left in eights, and are folded to one,
which takes the last few. Five times as fast as the plain loop, where `fastmath` or BLAS would let the machine choose
the order. Where each entry is a sum of its own, lanes change no bit, but a compiler that cannot tell arrays apart tests
whether they overlap, row by row: by fours without that, a triangle takes a third of the time.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ._table import Table

_WIDE, _NARROW = 32, 8
_ROW = 4  # wider ones straddle two lines of the cache each


def _plain_dot(a: Table, start: int, b: Table, first: int, n: int) -> float:
    """The same sum in Python, for runs with the compiler off."""
    sums, done = [0.0] * _WIDE, 0
    for lanes in (_WIDE, _NARROW, 1):
        while len(sums) > lanes:
            half = len(sums) // 2
            sums = [sums[lane] + sums[lane + half] for lane in range(half)]
        while n - done >= lanes:
            sums = [sums[lane] + a[start + done + lane] * b[first + done + lane] for lane in range(lanes)]
            done += lanes
    return sums[0]


def _plain_add_scaled(out: Table, at: int, factor: float, x: Table, first: int, n: int) -> None:
    """The same in Python."""
    for i in range(n):
        out[at + i] += factor * x[first + i]


def _fold(builder: Any, sums: Any, lanes: int) -> Any:
    """Add the upper half of a vector to its lower half until `lanes` are left."""
    while sums.type.count > lanes:
        half = sums.type.count // 2
        undefined = ir.Constant(sums.type, ir.Undefined)
        picks = [ir.Constant(ir.VectorType(ir.IntType(32), half), list(range(i, i + half))) for i in (0, half)]
        sums = builder.fadd(*(builder.shuffle_vector(sums, undefined, pick) for pick in picks))
    return sums


def _base(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Any:
    """Pointer to the entry `start` of an array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [start])


def _check(*arrays: Any) -> None:
    if any(array != types.Array(types.float64, 1, "C") for array in arrays):
        raise TypingError(f"contiguous float64 arrays are needed, not {arrays}")


@intrinsic
def _lane_dot(typing: Any, a: Any, start: Any, b: Any, first: Any, n: Any) -> Any:
    """`sum a[start + i] b[first + i]`, i below n: of contiguous float64 arrays, without a check of bounds."""
    _check(a, b)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_a, start, array_b, first, n = arguments
        base_a = _base(context, builder, signature.args[0], array_a, start)
        base_b = _base(context, builder, signature.args[2], array_b, first)
        sums, done = ir.Constant(ir.VectorType(ir.DoubleType(), _WIDE), [0.0] * _WIDE), ir.Constant(start.type, 0)
        for lanes in (_WIDE, _NARROW, 1):
            sums = _fold(builder, sums, lanes)
            total = cgutils.alloca_once_value(builder, sums)
            count = ir.Constant(start.type, lanes)
            with cgutils.for_range(builder, builder.sdiv(builder.sub(n, done), count)) as loop:
                at = builder.add(done, builder.mul(loop.index, count))
                here = [builder.bitcast(builder.gep(base, [at]), sums.type.as_pointer()) for base in (base_a, base_b)]
                product = builder.fmul(*(builder.load(pointer, align=8) for pointer in here))
                builder.store(builder.fadd(builder.load(total), product), total)
            sums = builder.load(total)
            done = builder.sub(n, builder.srem(builder.sub(n, done), count))
        return builder.extract_element(sums, ir.Constant(ir.IntType(32), 0))

    return types.float64(a, types.intp, b, types.intp, types.intp), generate


@intrinsic
def _lane_add_scaled(typing: Any, out: Any, at: Any, factor: Any, x: Any, first: Any, n: Any) -> Any:
    """Add `factor x[first + i]` to `out[at + i]`, i below n: the same arrays, not overlapping there."""
    _check(out, x)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_out, at, factor, array_x, first, n = arguments
        base_out = _base(context, builder, signature.args[0], array_out, at)
        base_x = _base(context, builder, signature.args[3], array_x, first)
        done = ir.Constant(n.type, 0)
        for lanes in (_ROW, 1):
            vector, count = ir.VectorType(ir.DoubleType(), lanes), ir.Constant(n.type, lanes)
            factors = ir.Constant(vector, ir.Undefined)
            for lane in range(lanes):
                factors = builder.insert_element(factors, factor, ir.Constant(ir.IntType(32), lane))
            with cgutils.for_range(builder, builder.sdiv(builder.sub(n, done), count)) as loop:
                here = builder.add(done, builder.mul(loop.index, count))
                to, of = [builder.bitcast(builder.gep(p, [here]), vector.as_pointer()) for p in (base_out, base_x)]
                product = builder.fmul(factors, builder.load(of, align=8))
                builder.store(builder.fadd(builder.load(to, align=8), product), to, align=8)
            done = builder.sub(n, builder.srem(n, count))
        return context.get_dummy_value()

    return types.void(out, types.intp, types.float64, x, types.intp, types.intp), generate


_is_plain = getattr(config, "DISABLE_JIT")  # noqa: B009
dot: Any = _plain_dot if _is_plain else _lane_dot
add_scaled: Any = _plain_add_scaled if _is_plain else _lane_add_scaled
