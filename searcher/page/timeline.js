// Two time lines, the query above and the reference below, with a ribbon for each matched range.

import { el, svg } from "./dom.js";
import { length, percent, range, time } from "./words.js";

const BAR = 14;
const GAP = 54;
const TOP = 30;
const HEIGHT = TOP + BAR + GAP + BAR + 30;
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const TICK_PIXELS = 64;
const LEAST_PIXELS = 2;
const MOST_SPOKEN = 5;

/**
 * The two time lines. query, ref: `{label, seconds}`. ranges: matches with their four times and `decision`.
 * onSeek(querySeconds): a click on the upper line. onSelect(index): a click on a ribbon.
 */
export function timeline({ query, ref, ranges, onSeek, onSelect }) {
  const node = el("div", { class: "timeline" });
  const cursor = { query: null, ref: null };
  let selected = 0;
  let marks = null;

  const draw = () => {
    const width = Math.max(240, node.clientWidth);
    const at = (seconds, whole) => (Math.min(Math.max(seconds, 0), whole) / whole) * width;
    const lower = TOP + BAR + GAP;
    const picture = svg("svg", {
      width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img",
      "aria-label": spoken(query, ref, ranges),
    });
    for (const [line, y, above] of [[query, TOP, true], [ref, lower, false]]) {
      picture.append(svg("rect", { class: "track", x: 0, y, width, height: BAR, rx: 4 }));
      ticks(picture, line.seconds, width, above ? y - 8 : y + BAR + 18, y, at);
    }
    ranges.forEach((one, index) => {
      const [a, b] = [at(one.query_start_seconds, query.seconds), at(one.query_end_seconds, query.seconds)];
      let [c, d] = [at(one.ref_start_seconds, ref.seconds), at(one.ref_end_seconds, ref.seconds)];
      const kind = `${one.decision}${index === selected ? " selected" : ""}`;
      for (const [x, end, y] of [[a, b, TOP], [c, d, lower]]) {
        picture.append(svg("rect", {
          class: `range ${kind}`, x, y, width: Math.max(LEAST_PIXELS, end - x), height: BAR, rx: 3,
        }));
      }
      // A copy that runs backwards has a ribbon that crosses over.
      if (one.evidence?.tempo < 0) [c, d] = [d, c];
      const [y1, y2] = [TOP + BAR, lower];
      const bend = (y1 + y2) / 2;
      const ribbon = svg("path", {
        class: `ribbon ${kind}`,
        d: `M${a} ${y1} C${a} ${bend} ${c} ${bend} ${c} ${y2} L${d} ${y2} C${d} ${bend} ${b} ${bend} ${b} ${y1}Z`,
        onclick: () => onSelect?.(index),
      });
      ribbon.append(svg("title", {}, `${range(one.query_start_seconds, one.query_end_seconds)} ↔ ` +
        range(one.ref_start_seconds, one.ref_end_seconds)));
      picture.append(ribbon);
    });
    marks = [
      svg("line", { class: "cursor", y1: TOP - 4, y2: TOP + BAR + 4 }),
      svg("line", { class: "cursor", y1: lower - 4, y2: lower + BAR + 4 }),
    ];
    picture.append(...marks);
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      if (event.clientY - box.top < TOP + BAR + 6) onSeek?.(((event.clientX - box.left) / box.width) * query.seconds);
    });
    node.replaceChildren(
      el("p", { class: "line-label" }, el("b", {}, el("bdi", {}, query.label)), ` ${length(query.seconds)}`),
      picture,
      el("p", { class: "line-label below" }, el("b", {}, el("bdi", {}, ref.label)), ` ${length(ref.seconds)}`),
    );
    place();
  };

  const place = () => {
    const width = Math.max(240, node.clientWidth);
    [[cursor.query, query.seconds], [cursor.ref, ref.seconds]].forEach(([seconds, whole], index) => {
      const mark = marks[index];
      const x = seconds === null ? -9 : Math.min(Math.max(seconds / whole, 0), 1) * width;
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
    });
  };

  new ResizeObserver(() => draw()).observe(node);
  return {
    node,
    select(index) {
      selected = index;
      if (marks) draw();
    },
    moveTo(querySeconds, refSeconds) {
      cursor.query = querySeconds;
      cursor.ref = refSeconds;
      if (marks) place();
    },
  };
}

/** The ranges in words; only the best ones of many. */
function spoken(query, ref, ranges) {
  const said = ranges.slice(0, MOST_SPOKEN).map((one) =>
    `${range(one.query_start_seconds, one.query_end_seconds)} of ${query.label} matches ` +
    `${range(one.ref_start_seconds, one.ref_end_seconds)} of ${ref.label}, ${percent(one.probability)}`);
  const more = ranges.length - said.length;
  return [...said, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

function ticks(picture, seconds, width, textY, barY, at) {
  const most = Math.max(2, Math.floor(width / TICK_PIXELS));
  const step = STEPS.find((one) => seconds / one <= most) ?? seconds;
  for (let second = 0; second <= seconds + 1e-6; second += step) {
    const x = at(second, seconds);
    const anchor = second === 0 ? "start" : x > width - 24 ? "end" : "middle";
    picture.append(svg("text", { class: "tick", x, y: textY, "text-anchor": anchor }, time(second)));
    if (second > 0 && x < width - 2) {
      picture.append(svg("line", { class: "tick-line", x1: x, x2: x, y1: barY, y2: barY + BAR }));
    }
  }
}

/** A thin bar that shows where in the query a match lies. */
export function miniBar(match, seconds) {
  const from = (100 * match.query_start_seconds) / seconds;
  const size = (100 * (match.query_end_seconds - match.query_start_seconds)) / seconds;
  return svg(
    "svg", { class: "mini", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 6 }),
    svg("rect", { class: `range ${match.decision}`, x: from, width: Math.max(1, size), height: 6 }),
  );
}
