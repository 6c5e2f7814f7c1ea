/** How one picture lies on another. */

import type { Matrix } from "./model.ts";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** What each orientation does to x (to the right) and y (downwards): two rows. */
const TURNS: Readonly<Record<number, readonly [number, number, number, number]>> = {
  1: [1, 0, 0, 1],
  2: [-1, 0, 0, 1],
  3: [-1, 0, 0, -1],
  4: [1, 0, 0, -1],
  5: [0, 1, 1, 0],
  6: [0, -1, 1, 0],
  7: [0, -1, -1, 0],
  8: [0, 1, -1, 0],
};

/**
 * Return the map from a whole picture onto the whole keeper.
 *
 * @param orientation The turn that makes the keeper look like the other picture.
 */
export function wholeMatrix(orientation: number, keeper: Size, other: Size): Matrix {
  const [a, b, c, d] = TURNS[orientation] ?? [1, 0, 0, 1];
  // A turn is orthogonal: its inverse is its transpose.
  const inverse = [a, c, b, d] as const;
  const sx = keeper.width / (Math.abs(inverse[0]) * other.width + Math.abs(inverse[1]) * other.height || 1);
  const sy = keeper.height / (Math.abs(inverse[2]) * other.width + Math.abs(inverse[3]) * other.height || 1);
  const m = [inverse[0] * sx, inverse[1] * sx, inverse[2] * sy, inverse[3] * sy] as const;
  const tx = keeper.width / 2 - m[0] * (other.width / 2) - m[1] * (other.height / 2);
  const ty = keeper.height / 2 - m[2] * (other.width / 2) - m[3] * (other.height / 2);
  return [m[0], m[1], tx, m[2], m[3], ty, 0, 0, 1];
}

export function apply(matrix: Matrix, x: number, y: number): [number, number] {
  const w = matrix[6] * x + matrix[7] * y + matrix[8];
  return [(matrix[0] * x + matrix[1] * y + matrix[2]) / w, (matrix[3] * x + matrix[4] * y + matrix[5]) / w];
}

/** Return a matrix as the value of the CSS property `transform`, for an element whose origin is its upper left corner. */
export function cssOf(m: Matrix): string {
  const column = [m[0], m[3], 0, m[6], m[1], m[4], 0, m[7], 0, 0, 1, 0, m[2], m[5], 0, m[8]];
  return `matrix3d(${column.map((value) => +value.toFixed(9)).join(",")})`;
}

/** Return the inverse of a matrix. */
export function inverse(m: Matrix): Matrix {
  const [a, b, c, d, e, f, g, h, i] = m;
  const A = e * i - f * h;
  const B = c * h - b * i;
  const C = b * f - c * e;
  const det = a * A + d * B + g * C;
  const raw = [A, B, C, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d];
  return raw.map((value) => value / det) as unknown as Matrix;
}

export function multiply(p: Matrix, q: Matrix): Matrix {
  const product: number[] = [];
  for (let row = 0; row < 3; row++)
    for (let column = 0; column < 3; column++) {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += (p[row * 3 + k] as number) * (q[k * 3 + column] as number);
      product.push(sum);
    }
  return product as unknown as Matrix;
}

/** Zoom and pan: stage pixels are `scale * picture + (x, y)`. */
export interface ViewBox {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

/** Return the view that shows the whole picture in the middle of a stage. */
export function fitView(picture: Size, stage: Size): ViewBox {
  const scale = Math.min(stage.width / (picture.width || 1), stage.height / (picture.height || 1));
  return {
    scale,
    x: (stage.width - picture.width * scale) / 2,
    y: (stage.height - picture.height * scale) / 2,
  };
}

/** Return a view zoomed by a factor around a point of the stage, which stays where it is. */
export function zoomAt(view: ViewBox, factor: number, x: number, y: number, least: number, most: number): ViewBox {
  const scale = Math.min(most, Math.max(least, view.scale * factor));
  const real = scale / view.scale;
  return { scale, x: x - (x - view.x) * real, y: y - (y - view.y) * real };
}
