// The picture of a query as its original shows it: CSS for a player, and the same for a canvas.

const CSS = {
  flip_h: "scaleX(-1)",
  flip_v: "scaleY(-1)",
  rotate_90: "rotate(-90deg)",
  rotate_180: "rotate(180deg)",
  rotate_270: "rotate(90deg)",
};

/** `{transform, filter}` that undo what was done to the original; empty strings where nothing is to undo. */
export function undo(match) {
  return {
    transform: CSS[match.view] ?? "",
    filter: match.view === "negative" ? "invert(1)" : "",
    turned: match.view === "rotate_90" || match.view === "rotate_270",
  };
}
