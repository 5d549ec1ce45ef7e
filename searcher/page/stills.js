// Single pictures of a video: of its file, or of the thumbnails that the service keeps.

import { send, withQuery } from "./api.js";

const WAIT_MILLISECONDS = 8000;

/** `{picture, w, h}` that a canvas can draw; null where there is none. */
const drawable = (picture, w, h) => (w && h ? { picture, w, h } : null);

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
    if (video.error) done(false);
    else if (video.readyState > 0) go();
    else video.addEventListener("loadedmetadata", go, { once: true });
  });
}

/** The pictures of a file. at(seconds) waits for the picture before; close it at the end. signal: closes it too, so that
 * it reads no file that was given back. */
export function fileStills(url, signal) {
  const video = document.createElement("video");
  video.preload = "auto";
  video.muted = true;
  video.src = url;
  const close = () => {
    video.removeAttribute("src");
    video.load();
  };
  signal.addEventListener("abort", close, { once: true });
  return {
    at: async (seconds) => ((await seeked(video, seconds)) ? drawable(video, video.videoWidth, video.videoHeight) : null),
    close,
  };
}

/** The thumbnails of a video of the catalogue. */
export function thumbnails(id) {
  return {
    at: async (seconds) => {
      const response = await send(withQuery(`/v1/videos/${encodeURIComponent(id)}/thumbnail`, { seconds: Math.max(0, seconds).toFixed(2) }));
      if (response.status !== 200) return null;
      const picture = await createImageBitmap(await response.blob());
      return drawable(picture, picture.width, picture.height);
    },
    close: () => {},
  };
}

/** Draw a picture into a canvas as large as it fits; matrix: about the middle, or null; filter: CSS. */
export function paint(place, still, matrix = null, filter = "") {
  const context = place.getContext("2d");
  const [width, height] = [place.width, place.height];
  const fit = Math.min(width / still.w, height / still.h);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.translate(width / 2, height / 2);
  if (matrix) context.transform(...matrix);
  context.filter = filter || "none";
  context.drawImage(still.picture, (-still.w * fit) / 2, (-still.h * fit) / 2, still.w * fit, still.h * fit);
  place.hidden = false;
}
