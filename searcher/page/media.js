// The file behind a player: an object URL of a chosen file, or the catalogue's file if the service sends it.

import { hasKey, send } from "./api.js";
import { bytes } from "./words.js";

// A player cannot send a key, so with a key the whole file is fetched first; not beyond this size.
const MOST_FETCHED_BYTES = 256e6;

/** `{url, release}` for a video of the catalogue. signal: ends the download. Raises ApiError, whose message says why
 * there is none. */
export async function catalogueMedia(id, signal) {
  const path = `/v1/videos/${encodeURIComponent(id)}/content`;
  // One byte says whether there is a file, and how large it is.
  const first = await send(path, { signal, headers: { Range: "bytes=0-0" } });
  if (!hasKey()) return { url: path, release: () => {} };
  const size = Number(first.headers.get("Content-Range")?.split("/")[1] ?? 0);
  if (size > MOST_FETCHED_BYTES) {
    throw new Error(`the file has ${bytes(size)}, and with an API key the page shows files of up to ${bytes(MOST_FETCHED_BYTES)}`);
  }
  return fileMedia(await (await send(path, { signal })).blob());
}

/** `{url, release}` for a file that was chosen in this browser. */
export function fileMedia(file) {
  const url = URL.createObjectURL(file);
  return { url, release: () => URL.revokeObjectURL(url) };
}
