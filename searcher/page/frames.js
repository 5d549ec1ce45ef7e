// The pairs that decided, with the pictures at their moments, and the best non-match beside them.

import { el } from "./dom.js";
import { toReference } from "./players.js";
import { paint } from "./stills.js";
import { undoing, undoneColours } from "./transform.js";
import { range } from "./words.js";

const BOX = { w: 176, h: 99 };
// Of a non-match: enough to see why it is none.
const MOST_OF_NON_MATCH = 2;

/** `{start, end}` seconds of the segment of a pair in the reference. */
function segmentOf(pair) {
  if (pair.ref_start_seconds !== undefined) return { start: pair.ref_start_seconds, end: pair.ref_end_seconds };
  const found = /@(\d+)-(\d+)$/.exec(pair.segment_id);
  return found ? { start: found[1] / 1000, end: found[2] / 1000 } : { start: 0, end: 0 };
}

/** The list of pairs of a match. onSeek(querySeconds). most: pairs at most.
 * Returns `{node, show(queryStills, refStills)}`. */
export function framePairs(match, onSeek, most = Infinity) {
  const pairs = (match.evidence?.pairs ?? []).slice(0, most);
  const moments = pairs.map((pair) => {
    const middle = (pair.query_start_seconds + pair.query_end_seconds) / 2;
    const at = Math.min(Math.max(middle, match.query_start_seconds), match.query_end_seconds);
    return { query: at, ref: Math.max(0, toReference(match, at)) };
  });
  const places = pairs.map(() => ({ query: canvas(), ref: canvas() }));
  const node = el(
    "ul", { class: "pairs" },
    pairs.map((pair, index) => {
      const segment = segmentOf(pair);
      return el(
        "li", {},
        el(
          "button", { type: "button", class: "pair", onclick: () => onSeek(moments[index].query) },
          el("span", { class: "stills" }, places[index].query, places[index].ref),
          el(
            "span", { class: "pair-text" },
            el("span", {}, `${range(pair.query_start_seconds, pair.query_end_seconds)} ↔ ${range(segment.start, segment.end)}`),
            el("b", { title: "Similarity; 1 is the most" }, pair.similarity.toFixed(2)),
          ),
        ),
      );
    }),
  );
  /** queryStills, refStills: see `stills.js`; null where there are none. */
  const show = async (queryStills, refStills) => {
    for (const [index, place] of places.entries()) {
      if (!node.isConnected) break;
      const ref = await still(refStills, moments[index].ref);
      if (ref) paint(place.ref, ref);
      const query = await still(queryStills, moments[index].query);
      if (query) paint(place.query, query, undoing(match, query, ref, BOX), undoneColours(match));
    }
    queryStills?.close();
    refStills?.close();
  };
  return { node, show, empty: pairs.length === 0 };
}

/** The pairs of the best non-match. Returns as `framePairs`. */
export const nonMatchPairs = (match, onSeek) => framePairs(match, onSeek, MOST_OF_NON_MATCH);

const still = async (stills, seconds) => {
  try {
    return (await stills?.at(seconds)) ?? null;
  } catch {
    return null;
  }
};

function canvas() {
  return el("canvas", { width: BOX.w, height: BOX.h, hidden: true, "aria-hidden": "true" });
}
