// Numbers and decisions in words that need no manual.

/** Seconds as m:ss or h:mm:ss, with a tenth where it is not 0. */
export function time(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const hours = Math.floor(tenths / 36000);
  const minutes = Math.floor((tenths % 36000) / 600);
  const rest = (tenths % 600) / 10;
  const whole = String(Math.floor(rest)).padStart(2, "0");
  const tenth = tenths % 10 ? `.${tenths % 10}` : "";
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${whole}${tenth}` : `${minutes}:${whole}${tenth}`;
}

/** Two times; the word joiners keep them on one line. */
export const range = (start, end) => `${time(start)}\u2060–\u2060${time(end)}`;

/** A length in words: "12 s", "3 min 20 s". */
export function length(seconds) {
  const tenths = Math.round(seconds * 10) / 10;
  if (tenths < 60) return `${tenths}\u00a0s`;
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = whole % 60;
  const parts = [hours && `${hours} h`, minutes && `${minutes} min`, !hours && rest && `${rest} s`];
  return parts.filter(Boolean).join(" ");
}

/** A probability; never 100 % and never 0 %. */
export function percent(probability) {
  if (probability > 0.999) return ">99.9\u00a0%";
  if (probability < 0.001) return "<0.1\u00a0%";
  const value = 100 * probability;
  return `${value >= 10 && value < 99 ? Math.round(value) : value.toFixed(1)}\u00a0%`;
}

export const share = (fraction) => (fraction > 0 && fraction < 0.01 ? "<1\u00a0%" : `${Math.round(100 * fraction)}\u00a0%`);

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export const number = (count) => count.toLocaleString("en");

export function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
  }
  return "just now";
}

// Characters that turn the direction of the text behind them, and letters that are written from right to left.
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

// Characters of a name; no sentence with a longer one could be read.
const MOST_NAME = 120;

/** What a person calls a video: its title, else the last part of its id without a suffix. */
export function nameOf(id, found) {
  const last = String(id).split("/").pop();
  const name = (found?.title ?? "").replace(TURNING, "").trim()
    || (last.replace(/\.[A-Za-z0-9]{1,5}$/, "") || String(id)).replace(TURNING, "");
  const letters = Array.from(name);
  return letters.length > MOST_NAME ? `${letters.slice(0, MOST_NAME).join("")}…` : name;
}

/** A name inside a sentence: one that is written from right to left leaves the rest of the sentence in its order. */
export const inline = (name) => (RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name);

/** What a person calls the reference of a stored match. */
export const refName = (match) => nameOf(match.ref_video_id, { title: match.ref_title });

/** What a person calls the query of a stored match. */
export const queryName = (match) => nameOf(match.query.video_id ?? match.query.uri, match.query);

export const DECISIONS = { copy: "Copy", review: "Perhaps a copy", no_match: "No match" };
/** The decision on a stored match: "no match" is one that an exception took out. */
export const decisionOf = (match) => (match.decision === "no_match" ? "Excepted" : DECISIONS[match.decision]);
export const VERDICTS = {
  copy: "Copy",
  licensed: "Licensed copy",
  not_copy: "Not a copy",
  unsure: "Unsure",
  none: "Withdrawn",
};

/** How the query showed the copy, by view, in the words of `searcher/transform/edit_words.py`. */
const SEEN = {
  identity: "",
  flip_h: "seen when mirrored",
  flip_v: "seen when flipped upside down",
  rotate_90: "seen when turned by 90 degrees",
  rotate_180: "seen when turned by 180 degrees",
  rotate_270: "seen when turned by 270 degrees",
  negative: "seen with inverted colours",
  brightened: "seen when brightened",
  left: "seen in the left half",
  right: "seen in the right half",
  top: "seen in the top half",
  bottom: "seen in the bottom half",
  top_left: "seen in the top left quarter",
  top_right: "seen in the top right quarter",
  bottom_left: "seen in the bottom left quarter",
  bottom_right: "seen in the bottom right quarter",
  centre: "seen in the centre",
  middle: "seen in the middle",
  inner: "seen in a picture within the picture",
  inner_2: "seen in a second picture within the picture",
  inner_3: "seen in a third picture within the picture",
  trimmed: "seen without the bars around it",
};

/** What was done to the reference, in words, as `searcher/transform/edit_words.py` says it; empty if nothing, and of what is no copy of it. */
export function changes(match) {
  if (match.decision === "no_match") return "";
  const words = match.transform?.words;
  if (words) return words === "unchanged" ? "" : words;
  if (match.view.startsWith("cell_")) return `seen in cell ${match.view.slice(5)} of a grid`;
  return SEEN[match.view] ?? `seen through the view ${match.view}`;
}

/** "12 s of this upload (0:03–0:15) are 0:05–0:17 of Tea": the answer in one sentence. */
export function sentence(match, query, name) {
  const from = match.query_start_seconds;
  const to = match.query_end_seconds;
  const doubt = match.range_certain === false ? " (place uncertain)" : "";
  const there = `${range(match.ref_start_seconds, match.ref_end_seconds)} of ${inline(name)}${doubt}`;
  if (to - from >= 0.97 * query.duration_seconds) {
    return `The whole ${query.noun} (${length(query.duration_seconds)}) is ${there}.`;
  }
  return `${length(to - from)} of this ${query.noun} (${range(from, to)}) are ${there}.`;
}

/** The rule that decided a stored match, and by how much. */
export function ruleInWords(rule, probability, bank) {
  const by = `${(100 * Math.abs(rule.margin)).toFixed(1)} percentage points`;
  if (rule.name === "coverage_too_small") {
    const least = [
      rule.min_seconds > 0 && length(rule.min_seconds),
      rule.min_coverage > 0 && `${share(rule.min_coverage)} of the query`,
    ].filter(Boolean).join(" and ");
    return `Probability ${percent(probability)} is enough for a copy, but bank ${inline(bank)} requires matches of at least ${least}.`;
  }
  const wanted = rule.name === "copy_probability" ? "A copy" : "A review";
  return `Probability ${percent(probability)}. ${wanted} needs at least ${percent(rule.threshold)} in bank ${inline(bank)}; this is ${by} ${rule.margin < 0 ? "below" : "above"}.`;
}

/** Why a match got its decision. */
export function why(match) {
  const evidence = match.evidence ?? {};
  const { copy_probability: copy, review_probability: review } = evidence;
  const said = [];
  if (copy === undefined) said.push(`Probability ${percent(match.probability)}.`);
  else if (match.decision === "copy") {
    said.push(`Probability ${percent(match.probability)}. A copy needs at least ${percent(copy)}.`);
  } else if (match.decision === "review") {
    said.push(
      match.probability >= copy
        ? `Probability ${percent(match.probability)} is enough for a copy, but the matched part is too short for the policy of bank ${inline(match.bank)}. So a person decides.`
        : `Probability ${percent(match.probability)}. A copy needs at least ${percent(copy)}, so a person decides.`,
    );
  } else if (match.probability >= review) {
    said.push(
      `Probability ${percent(match.probability)} is enough, but the matched part (${length(match.query_end_seconds - match.query_start_seconds)}) is too short for the policy of bank ${inline(match.bank)}.`,
    );
  } else {
    said.push(`Probability ${percent(match.probability)}. A review needs at least ${percent(review)}, a copy ${percent(copy)}.`);
  }
  if (evidence.document_frequency > 4) {
    said.push(
      `${evidence.document_frequency} different videos share this part, so it is perhaps an intro or a logo. This lowers the probability.`,
    );
  }
  return said.join(" ");
}
