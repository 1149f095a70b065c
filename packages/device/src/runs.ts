/** @file The contiguous runs of bytes of a strided box. */

/** Visits runs in no particular order; runs that overlap are visited one by one. Axes with stride 0 count once. */
export function forEachRun(
  counts: Int32Array, strides: readonly number[], elementBytes: number, address: number, visit: (begin: number, end: number) => void,
): void {
  let lowest = address;
  const axes: { readonly stride: number; readonly count: number }[] = [];
  strides.forEach((stride, d) => {
    const count = counts[d]!;
    if (count <= 1 || stride === 0) return;
    if (stride < 0) lowest += stride * (count - 1);
    axes.push({ stride: Math.abs(stride), count });
  });
  axes.sort((a, b) => b.stride - a.stride);
  let run = elementBytes;
  while (axes.length > 0 && axes.at(-1)!.stride === run) run *= axes.pop()!.count;
  const walk = (depth: number, begin: number): void => {
    const axis = axes[depth];
    if (axis === undefined) visit(begin, begin + run);
    else for (let k = 0; k < axis.count; k++) walk(depth + 1, begin + k * axis.stride);
  };
  walk(0, lowest);
}
