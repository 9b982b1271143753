"""A dot product in eight lanes, spelt out for the compiler: the same bits on every machine.

A compiler may not reorder a sum of floats, so a plain loop adds one number at a time. Here lane l adds the entries
l, l + 8, l + 16, ...; at the end the lanes are added in a fixed order. Four times as fast as the plain loop, where
`fastmath` or BLAS would let the machine choose the order.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ._table import Table

_LANES = 8


def _plain_dot(a: Table, start: int, b: Table, first: int, n: int) -> float:
    """The same sum in Python, for runs with the compiler off."""
    lanes = [0.0] * _LANES
    whole = n - n % _LANES
    for i in range(0, whole, _LANES):
        for lane in range(_LANES):
            lanes[lane] += a[start + i + lane] * b[first + i + lane]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [lanes[lane] + lanes[lane + half] for lane in range(half)]
    total = lanes[0]
    for i in range(whole, n):
        total += a[start + i] * b[first + i]
    return total


@intrinsic
def _lane_dot(typing: Any, a: Any, start: Any, b: Any, first: Any, n: Any) -> Any:
    """`sum a[start + i] b[first + i]`, i below n: of contiguous float64 arrays, without a check of bounds."""
    if any(array != types.Array(types.float64, 1, "C") for array in (a, b)):
        raise TypingError(f"dot takes contiguous float64 arrays, not {a} and {b}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_a, start, array_b, first, n = arguments
        index, double = start.type, ir.DoubleType()
        vector = ir.VectorType(double, _LANES)
        data_a = context.make_array(signature.args[0])(context, builder, array_a).data
        data_b = context.make_array(signature.args[2])(context, builder, array_b).data
        base_a, base_b = builder.gep(data_a, [start]), builder.gep(data_b, [first])
        lanes = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * _LANES))
        blocks = builder.sdiv(n, ir.Constant(index, _LANES))

        def load(base: Any, at: Any) -> Any:
            pointer = builder.bitcast(builder.gep(base, [at]), vector.as_pointer())
            return builder.load(pointer, align=8)

        with cgutils.for_range(builder, blocks) as loop:
            at = builder.mul(loop.index, ir.Constant(index, _LANES))
            product = builder.fmul(load(base_a, at), load(base_b, at))
            builder.store(builder.fadd(builder.load(lanes), product), lanes)
        sums = [
            builder.extract_element(builder.load(lanes), ir.Constant(ir.IntType(32), lane)) for lane in range(_LANES)
        ]
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [builder.fadd(sums[lane], sums[lane + half]) for lane in range(half)]
        total = cgutils.alloca_once_value(builder, sums[0])
        whole = builder.mul(blocks, ir.Constant(index, _LANES))
        with cgutils.for_range(builder, builder.sub(n, whole)) as loop:
            at = builder.add(whole, loop.index)
            product = builder.fmul(builder.load(builder.gep(base_a, [at])), builder.load(builder.gep(base_b, [at])))
            builder.store(builder.fadd(builder.load(total), product), total)
        return builder.load(total)

    return types.float64(a, types.intp, b, types.intp, types.intp), generate


dot: Any = _plain_dot if getattr(config, "DISABLE_JIT") else _lane_dot  # noqa: B009
