// The picture of a query as its original shows it: CSS for a player, and the same for a canvas.

const CSS = {
  flip_h: "scaleX(-1)",
  flip_v: "scaleY(-1)",
  rotate_90: "rotate(-90deg)",
  rotate_180: "rotate(180deg)",
  rotate_270: "rotate(90deg)",
};

/** `{transform, filter, turned}` that undo what was done to the original; empty where nothing is to undo.
 * turned: by a quarter, so that width and height are exchanged. */
export function undo(match) {
  const edit = match.transform;
  if (edit && edit.rotation_degrees !== undefined) {
    // The original was mirrored first, then turned clockwise.
    const steps = [edit.mirrored && "scaleX(-1)", edit.rotation_degrees && `rotate(${-edit.rotation_degrees}deg)`];
    return {
      transform: steps.filter(Boolean).join(" "),
      filter: edit.inverted ? "invert(1)" : "",
      turned: Math.abs(Math.abs(edit.rotation_degrees) - 90) < 45,
    };
  }
  const view = match.search_view ?? match.view;
  return {
    transform: CSS[view] ?? "",
    filter: view === "negative" ? "invert(1)" : "",
    turned: view === "rotate_90" || view === "rotate_270",
  };
}
