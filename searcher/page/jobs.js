// A match as a job: it waits its turn, tells how far it is, and ends when it is cancelled.

import { ApiError, call } from "./api.js";
import { length } from "./words.js";

// The service answers when the job changes, after this time at the latest.
const WAIT_SECONDS = 20;
// Between two calls, where the service cannot wait or is not reached.
const FIRST_PAUSE_MILLISECONDS = 200;
const MOST_PAUSE_MILLISECONDS = 1500;
// The job goes on while the connection is lost or the service has no time, so it is asked for again: for a minute or more.
const MOST_FAILURES = 40;
const PASSING = new Set([0, 429, 502, 503, 504]);
const STAGES = { decoding: "Reading the video", "first pass": "Looking for matches", "second pass": "Looking more closely" };

let known = null;

/** Whether the service has jobs; its own description says so. */
export async function hasJobs() {
  known ??= call("GET", "/openapi.json").then(({ paths }) => "/v1/jobs" in paths);
  known.catch(() => (known = null));
  return known;
}

/** Wait for the result of a job. progress(words, fraction). Raises ApiError, or AbortError when cancelled. */
export async function resultOf(job, progress, signal) {
  let pause = FIRST_PAUSE_MILLISECONDS;
  let failures = 0;
  const path = `/v1/jobs/${encodeURIComponent(job.id)}`;
  const cancel = () => call("DELETE", path).catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    while (job.state === "queued" || job.state === "running") {
      progress(...inWords(job));
      const before = JSON.stringify(job);
      const soon = performance.now() + pause;
      try {
        job = await call("GET", `${path}?wait_seconds=${WAIT_SECONDS}`, { signal });
        failures = 0;
      } catch (error) {
        if (!PASSING.has(error.status) || ++failures > MOST_FAILURES) throw error;
      }
      if (JSON.stringify(job) !== before) pause = FIRST_PAUSE_MILLISECONDS;
      else if (failures || performance.now() < soon) {
        await new Promise((resolve) => setTimeout(resolve, pause));
        pause = Math.min(MOST_PAUSE_MILLISECONDS, pause * 1.3);
      }
      if (signal.aborted) throw new DOMException("cancelled", "AbortError");
    }
  } finally {
    signal.removeEventListener("abort", cancel);
  }
  if (job.state === "done") return job.result;
  if (job.state === "failed") throw new ApiError(0, job.error.code, job.error.message);
  throw new DOMException("cancelled", "AbortError");
}

function inWords(job) {
  if (job.state === "queued") {
    const before = job.position ?? 0;
    return [before === 0 ? "Next in the queue" : before === 1 ? "One other video is before this one" : `${before} other videos are before this one`];
  }
  const { stage, pieces_done: done, pieces, decoded_seconds: decoded } = job.progress ?? { stage: "decoding", pieces: null };
  if (stage === "decoding" && decoded) return [`${STAGES.decoding}: ${length(decoded)} so far`];
  return pieces > 1 ? [STAGES[stage] ?? stage, done / pieces] : [STAGES[stage] ?? stage];
}
