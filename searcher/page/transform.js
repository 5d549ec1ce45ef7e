// The picture of a query as its original shows it: a matrix for a player or a canvas.

const OF_VIEW = {
  flip_h: { mirrored: true, degrees: 0 },
  flip_v: { mirrored: true, degrees: 180 },
  rotate_90: { mirrored: false, degrees: 90 },
  rotate_180: { mirrored: false, degrees: 180 },
  rotate_270: { mirrored: false, degrees: -90 },
};
const WHOLE = [0, 0, 1, 1];
// A region whose sides are at least this long is whole: what is missing may be an encoder's edge.
const LEAST_WHOLE = 0.96;

const isWhole = ([left, top, right, bottom]) => right - left >= LEAST_WHOLE && bottom - top >= LEAST_WHOLE;
const fitting = (picture, box) => Math.min(box.w / picture.w, box.h / picture.h);

/** What was done to the picture of the original. regions: left, top, right, bottom as shares of a picture. */
function editOf(match) {
  const told = match.transform;
  if (told && told.rotation_degrees !== undefined) {
    const region = (given) => (given && !isWhole(given) ? given : WHOLE);
    return {
      mirrored: told.mirrored, degrees: told.rotation_degrees, inverted: told.inverted,
      query: region(told.query_region), ref: region(told.reference_region),
    };
  }
  const view = match.search_view ?? match.view;
  return { mirrored: false, degrees: 0, ...OF_VIEW[view], inverted: view === "negative", query: WHOLE, ref: WHOLE };
}

/** Whether anything is to undo. */
export function isChanged(match) {
  const edit = editOf(match);
  return edit.mirrored || edit.degrees !== 0 || edit.inverted || edit.query !== WHOLE || edit.ref !== WHOLE;
}

/** The CSS filter that undoes what was done to the colours. */
export const undoneColours = (match) => (editOf(match).inverted ? "invert(1)" : "");

/**
 * The matrix [a, b, c, d, e, f] that moves the query's picture to where the original shows it. Both pictures lie
 * in the middle of a box, as large as they fit; the matrix is about that middle, in pixels.
 * query, box: `{w, h}`; ref: the same, or null where the size of the original is unknown.
 */
export function undoing(match, query, ref, box) {
  const edit = editOf(match);
  // The original was mirrored first, then turned clockwise.
  const turn = (-edit.degrees * Math.PI) / 180;
  const [cos, sin] = [Math.round(1e6 * Math.cos(turn)) / 1e6, Math.round(1e6 * Math.sin(turn)) / 1e6];
  const flip = edit.mirrored ? -1 : 1;
  const linear = [flip * cos, sin, flip * -sin, cos];
  if (edit.degrees % 90 !== 0) return [...linear, 0, 0];
  const shown = { w: query.w * fitting(query, box), h: query.h * fitting(query, box) };
  const part = { w: (edit.query[2] - edit.query[0]) * shown.w, h: (edit.query[3] - edit.query[1]) * shown.h };
  const upright = edit.degrees % 180 === 0 ? part : { w: part.h, h: part.w };
  let [wide, tall, x, y] = [1, 1, 0, 0];
  if (ref) {
    const whole = { w: ref.w * fitting(ref, box), h: ref.h * fitting(ref, box) };
    wide = ((edit.ref[2] - edit.ref[0]) * whole.w) / upright.w;
    tall = ((edit.ref[3] - edit.ref[1]) * whole.h) / upright.h;
    x = ((edit.ref[0] + edit.ref[2] - 1) / 2) * whole.w;
    y = ((edit.ref[1] + edit.ref[3] - 1) / 2) * whole.h;
  } else {
    wide = tall = fitting(upright, box);
  }
  const [a, b, c, d] = [linear[0] * wide, linear[1] * tall, linear[2] * wide, linear[3] * tall];
  const from = { x: ((edit.query[0] + edit.query[2] - 1) / 2) * shown.w, y: ((edit.query[1] + edit.query[3] - 1) / 2) * shown.h };
  return [a, b, c, d, x - a * from.x - c * from.y, y - b * from.x - d * from.y].map((one) => Math.round(1e4 * one) / 1e4 + 0);
}
