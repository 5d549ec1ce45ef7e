// Two players at the matched moments with one clock: seconds of the query.

import { el } from "./dom.js";
import { isChanged, undoing, undoneColours } from "./transform.js";

// Beyond this difference the reference is set anew while both play.
const MOST_DRIFT_SECONDS = 0.12;
const USUAL_FRAME_SECONDS = 1 / 25;

/** Seconds of the reference at seconds of the query, by the ranges of a match. */
export function toReference(match, seconds) {
  const size = match.query_end_seconds - match.query_start_seconds || 1;
  const slope = (match.ref_end_seconds - match.ref_start_seconds) / size;
  const passed = (seconds - match.query_start_seconds) * slope;
  return match.evidence?.tempo < 0 ? match.ref_end_seconds - passed : match.ref_start_seconds + passed;
}

/** The middle of the most similar pair: at its edges a range may show a frame of another scene. */
function firstMoment(match) {
  const pair = match.evidence?.pairs?.[0];
  if (!pair) return match.query_start_seconds;
  const middle = (pair.query_start_seconds + pair.query_end_seconds) / 2;
  return Math.min(Math.max(middle, match.query_start_seconds), match.query_end_seconds);
}

export class Players {
  /** querySeconds: length of the query. onTime(querySeconds, refSeconds). */
  constructor(match, querySeconds, onTime) {
    this.match = match;
    this.querySeconds = querySeconds;
    this.onTime = onTime;
    this.seconds = firstMoment(match);
    this.loop = true;
    this.half = false;
    this.undone = true;
    this.playing = false;
    this.frameSeconds = USUAL_FRAME_SECONDS;
    this.onChange = () => {};
    this.query = this.#player("Query");
    this.ref = this.#player("Reference");
    for (const video of [this.query, this.ref]) video.addEventListener("loadedmetadata", () => this.turn());
    this.#measureFrames();
  }

  #player(label) {
    const video = el("video", { muted: true, playsinline: true, preload: "auto", "aria-label": label, tabindex: -1 });
    video.muted = true;
    video.addEventListener("loadeddata", () => this.seek(this.seconds));
    video.addEventListener("click", () => this.toggle());
    return video;
  }

  // The time between frames, as the browser presents them.
  #measureFrames() {
    if (!this.query.requestVideoFrameCallback) return;
    let last = null;
    const note = (_, { mediaTime }) => {
      const step = last === null ? 0 : mediaTime - last;
      if (this.playing && step > 0.004 && step < 0.25) this.frameSeconds = Math.min(this.frameSeconds * 1.05, step);
      last = mediaTime;
      this.query.requestVideoFrameCallback(note);
    };
    this.query.requestVideoFrameCallback(note);
  }

  /** Play a file on one side, query or ref. onError(): if the browser cannot play it. */
  open(side, url, onError) {
    this[side].onerror = onError;
    this[side].src = url;
  }

  /** No file is played on this side any more. */
  close(side) {
    this.pause();
    this[side].onerror = null;
    this[side].removeAttribute("src");
    // Without this it keeps its connection, of which a browser opens six to one service.
    this[side].load();
  }

  get #main() {
    return this.query.readyState > 0 || !this.ref.src ? this.query : this.ref;
  }

  get reversed() {
    return this.match.evidence?.tempo < 0;
  }

  /** Show another range. */
  select(match) {
    this.match = match;
    this.turn();
    this.seek(firstMoment(match));
  }

  /** Show the query's picture as the original shows it, or as it is; also after the box has changed. */
  turn() {
    const video = this.query;
    const box = { w: video.clientWidth, h: video.clientHeight };
    let matrix = "";
    if (this.undone && isChanged(this.match) && video.videoWidth && box.w) {
      const ref = this.ref.videoWidth ? { w: this.ref.videoWidth, h: this.ref.videoHeight } : null;
      matrix = `matrix(${undoing(this.match, { w: video.videoWidth, h: video.videoHeight }, ref, box).join(", ")})`;
    }
    video.style.transform = matrix;
    video.style.filter = this.undone ? undoneColours(this.match) : "";
    this.onChange();
  }

  seek(seconds) {
    this.seconds = Math.min(Math.max(0, seconds), this.querySeconds);
    const ref = Math.max(0, toReference(this.match, this.seconds));
    if (this.query.readyState > 0) this.query.currentTime = this.seconds;
    if (this.ref.readyState > 0) this.ref.currentTime = ref;
    this.onTime(this.seconds, ref);
  }

  /** Move by seconds and stop. */
  jump(seconds) {
    this.pause();
    this.seek(this.seconds + seconds);
  }

  /** Move by frames and stop. */
  step(frames) {
    this.jump(frames * this.frameSeconds);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.#main.readyState === 0) return;
    const { query_start_seconds: start, query_end_seconds: end } = this.match;
    if (this.loop && (this.seconds < start || this.seconds >= end - 0.05)) this.seek(start);
    if (!this.loop && this.seconds >= this.querySeconds - 0.05) this.seek(0);
    this.playing = true;
    this.ticked = performance.now();
    this.#setSpeed();
    if (this.query.readyState > 0) this.query.play().catch(() => this.pause());
    if (this.ref.readyState > 0 && !this.reversed) this.ref.play().catch(() => this.pause());
    requestAnimationFrame(() => this.#tick());
    this.onChange();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.query.pause();
    this.ref.pause();
    this.seek(this.seconds);
    this.onChange();
  }

  #slope() {
    const { query_start_seconds: a, query_end_seconds: b, ref_start_seconds: c, ref_end_seconds: d } = this.match;
    return (d - c) / (b - a || 1) || 1;
  }

  #setSpeed() {
    const speed = this.half ? 0.5 : 1;
    this.query.playbackRate = speed;
    this.ref.playbackRate = Math.min(4, Math.max(0.1, speed * this.#slope()));
  }

  #tick() {
    const main = this.#main;
    if (!this.playing || !main.isConnected) {
      this.pause();
      return;
    }
    const before = this.ticked;
    this.ticked = performance.now();
    // No player runs backwards: alone, the reference is set to one moment after the other.
    const alone = main === this.ref && this.reversed;
    if (main === this.query) this.seconds = main.currentTime;
    else if (alone) this.seconds += ((this.ticked - before) / 1000) * (this.half ? 0.5 : 1);
    else this.seconds = this.match.query_start_seconds + (main.currentTime - this.match.ref_start_seconds) / this.#slope();
    if (this.loop && this.seconds >= this.match.query_end_seconds) {
      this.seek(this.match.query_start_seconds);
    } else if (main.ended || ((main === this.query || alone) && this.seconds >= this.querySeconds)) {
      this.pause();
      return;
    }
    const ref = toReference(this.match, this.seconds);
    if ((main === this.query || alone) && this.ref.readyState > 0 && !this.ref.seeking) {
      const drift = Math.abs(this.ref.currentTime - ref);
      if (drift > MOST_DRIFT_SECONDS) this.ref.currentTime = Math.max(0, ref);
    }
    this.onTime(this.seconds, ref);
    requestAnimationFrame(() => this.#tick());
  }

  setLoop(on) {
    this.loop = on;
    this.onChange();
  }

  setHalf(on) {
    this.half = on;
    this.#setSpeed();
    this.onChange();
  }

  setUndone(on) {
    this.undone = on;
    this.turn();
    this.seek(this.seconds);
  }
}
