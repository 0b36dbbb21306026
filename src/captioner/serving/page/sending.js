// Send a sound to the server; what the server cannot read but this browser can goes as WAV.

import { encodeWav, mix } from "./wav.js";

const NOT_READ = 415;
const DECODING_HZ = 44100;

/** What went wrong, in words for the page. */
export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/**
 * Give the server's answer. `told(text, share)` hears of progress, share is null where it is not
 * known. Throws Problem, and the signal's AbortError.
 */
export async function caption(sound, query, limits, told, signal) {
  check(sound, limits);
  try {
    return await send(sound, query, told, signal);
  } catch (problem) {
    if (problem.status !== NOT_READ) throw problem;
    told("Converting in this browser…", null);
    const converted = await convert(sound);
    signal.throwIfAborted();
    if (!converted) throw problem; // the server's words
    check(converted, limits);
    return send(converted, query, told, signal);
  }
}

function check(sound, limits) {
  if (limits && sound.size > limits.max_bytes) {
    const [found, most] = [sound.size, limits.max_bytes].map((n) => `${(n / 1e6).toFixed(1)} MB`);
    throw new Problem(`Found a sound of ${found}, expected at most ${most}. Choose a part of it.`);
  }
}

/** Decode whatever this browser plays (m4a, webm, ...); null if it cannot. */
async function convert(sound) {
  try {
    const decoder = new OfflineAudioContext(1, 1, DECODING_HZ);
    const decoded = await decoder.decodeAudioData(await sound.arrayBuffer());
    const channels = Array.from({ length: decoded.numberOfChannels }, (_, i) =>
      decoded.getChannelData(i),
    );
    return encodeWav(mix(channels), decoded.sampleRate);
  } catch {
    return null;
  }
}

/** By XMLHttpRequest: fetch does not tell how much of a body is sent. */
function send(sound, query, told, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `caption?${new URLSearchParams(query)}`);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => told("Sending…", loaded / total);
    request.upload.onload = () => told("Captioning…", null);
    request.onload = () => {
      if (request.status === 200 && request.response) resolve(request.response);
      else reject(new Problem(request.response?.error ?? "The server failed.", request.status));
    };
    request.onerror = () =>
      reject(new Problem("The server cannot be reached. Is captioner serve still running?"));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort(), { once: true });
    told("Sending…", 0);
    request.send(sound);
  });
}
