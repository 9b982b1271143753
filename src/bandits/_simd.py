"""A dot product in 32 lanes, spelt out for the compiler: the same bits on every machine.

A compiler may not reorder a sum of floats, so a plain loop adds one number at a time. Here lane l adds the entries
l, l + 32, l + 64, ...; the lanes are folded to 8, which take what is left in eights, and are folded to one, which takes
the last few. Five times as fast as the plain loop, where `fastmath` or BLAS would let the machine choose the order.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ._table import Table

_WIDE, _NARROW = 32, 8


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


def _fold(builder: Any, sums: Any, lanes: int) -> Any:
    """Add the upper half of a vector to its lower half until `lanes` are left."""
    while sums.type.count > lanes:
        half = sums.type.count // 2
        undefined = ir.Constant(sums.type, ir.Undefined)
        picks = [ir.Constant(ir.VectorType(ir.IntType(32), half), list(range(i, i + half))) for i in (0, half)]
        sums = builder.fadd(*(builder.shuffle_vector(sums, undefined, pick) for pick in picks))
    return sums


@intrinsic
def _lane_dot(typing: Any, a: Any, start: Any, b: Any, first: Any, n: Any) -> Any:
    """`sum a[start + i] b[first + i]`, i below n: of contiguous float64 arrays, without a check of bounds."""
    if any(array != types.Array(types.float64, 1, "C") for array in (a, b)):
        raise TypingError(f"dot takes contiguous float64 arrays, not {a} and {b}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_a, start, array_b, first, n = arguments
        base_a = builder.gep(context.make_array(signature.args[0])(context, builder, array_a).data, [start])
        base_b = builder.gep(context.make_array(signature.args[2])(context, builder, array_b).data, [first])
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


dot: Any = _plain_dot if getattr(config, "DISABLE_JIT") else _lane_dot  # noqa: B009
