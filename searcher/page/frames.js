// The pairs that decided, with the pictures at their moments where the files are at hand.

import { el } from "./dom.js";
import { toReference } from "./players.js";
import { undo } from "./transform.js";
import { range } from "./words.js";

const WIDTH = 176;
const HEIGHT = 99;
const WAIT_MILLISECONDS = 8000;

/** `{start, end}` seconds of the segment of a pair in the reference. */
function segmentOf(pair) {
  if (pair.ref_start_seconds !== undefined) return { start: pair.ref_start_seconds, end: pair.ref_end_seconds };
  const found = /@(\d+)-(\d+)$/.exec(pair.segment_id);
  return found ? { start: found[1] / 1000, end: found[2] / 1000 } : { start: 0, end: 0 };
}

/** The list of pairs of a match. onSeek(querySeconds). Returns `{node, show(queryUrl, refUrl)}`. */
export function framePairs(match, onSeek) {
  const pairs = match.evidence?.pairs ?? [];
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
  const show = async (queryUrl, refUrl) => {
    for (const [side, url] of [["query", queryUrl], ["ref", refUrl]]) {
      if (!url) continue;
      const video = el("video", { preload: "auto" });
      video.muted = true;
      video.src = url;
      for (const [index, place] of places.entries()) {
        if (!node.isConnected || !(await seeked(video, moments[index][side]))) break;
        draw(place[side], video, side === "query" ? undo(match) : null);
      }
      video.removeAttribute("src");
      video.load();
    }
  };
  return { node, show, empty: pairs.length === 0 };
}

function canvas() {
  return el("canvas", { width: WIDTH, height: HEIGHT, hidden: true, "aria-hidden": "true" });
}

/** Whether the video shows the picture at these seconds; false if it cannot. */
function seeked(video, seconds) {
  return new Promise((resolve) => {
    const done = (ok) => {
      clearTimeout(timer);
      video.onseeked = video.onerror = null;
      resolve(ok);
    };
    const timer = setTimeout(() => done(false), WAIT_MILLISECONDS);
    video.onseeked = () => done(true);
    video.onerror = () => done(false);
    const go = () => (video.currentTime = Math.min(seconds, Math.max(0, video.duration - 0.05)));
    if (video.readyState > 0) go();
    else video.addEventListener("loadedmetadata", go, { once: true });
  });
}

function draw(place, video, undone) {
  const context = place.getContext("2d");
  const turned = undone?.turned ?? false;
  const [w, h] = [video.videoWidth, video.videoHeight];
  const fit = turned ? Math.min(WIDTH / h, HEIGHT / w) : Math.min(WIDTH / w, HEIGHT / h);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, WIDTH, HEIGHT);
  context.translate(WIDTH / 2, HEIGHT / 2);
  if (undone?.transform) {
    const matrix = new DOMMatrix(undone.transform);
    context.transform(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f);
  }
  context.filter = undone?.filter || "none";
  context.drawImage(video, (-w * fit) / 2, (-h * fit) / 2, w * fit, h * fit);
  place.hidden = false;
}
