// Stands for a player where the file is gone: the thumbnail at the moment that is shown.

import { el } from "./dom.js";
import { paint, thumbnails } from "./stills.js";
import { undoing, undoneColours } from "./transform.js";

const SIZE = { w: 480, h: 270 };
const STEP_SECONDS = 0.5;

/** `{node, show(seconds, match, undone), stills}` of a video of the catalogue; null if it has no thumbnails. side:
 * query or ref. */
export async function stillPlayer(id, side) {
  const stills = thumbnails(id);
  if (!(await stills.at(0))) return null;
  const node = el("canvas", { width: SIZE.w, height: SIZE.h, role: "img", "aria-label": "Thumbnail of this moment" });
  let wanted = "";
  const show = async (seconds, match, undone) => {
    const slot = Math.floor(seconds / STEP_SECONDS);
    const key = `${slot} ${undone}`;
    if (key === wanted) return;
    wanted = key;
    const found = await stills.at(seconds).catch(() => null);
    // Another moment may be wanted by now.
    if (!found || key !== wanted) return;
    const turned = side === "query" && undone;
    paint(node, found, turned ? undoing(match, found, null, SIZE) : null, turned ? undoneColours(match) : "");
  };
  return { node, show };
}
