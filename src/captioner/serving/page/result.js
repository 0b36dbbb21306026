// Show the answer to a sound: captions, player, spectrogram, windows, tags.

import { clock, draw } from "./spectrogram.js";

const get = (id) => document.getElementById(id);
const player = get("player");
let answered = null; // what is shown
let addresses = []; // of blobs, let go when the next sound comes

/** Show an answer; `sound` is the Blob that was sent. */
export function show(answer, sound, name) {
  answered = answer;
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [sound, new Blob([JSON.stringify(answer, null, 2)], { type: "application/json" })].map(
    (blob) => URL.createObjectURL(blob),
  );
  get("name").textContent = name;
  const several = answer.windows.length > 1;
  const heard = clock(answer.duration_s);
  get("caption").textContent = several
    ? `${answer.windows.length} windows captioned, from 0:00 to ${heard}.`
    : answer.caption || "No caption fits the options.";
  get("notes").replaceChildren(...answer.notes.map((note) => element("li", note)));
  const channels = answer.n_channels === 1 ? "1 channel" : `${answer.n_channels} channels`;
  get("facts").textContent =
    `${clock(answer.duration_s, 1)} long, ${answer.sample_rate_hz / 1000} kHz, ${channels}. ` +
    `Captioned in ${answer.elapsed_s.toFixed(1)} s.`;
  get("unplayable").hidden = true;
  player.hidden = false;
  player.src = addresses[0];
  get("save").href = addresses[1];
  get("save").download = `${name.replace(/\.[^.]*$/, "")}.captions.json`;
  get("result").hidden = false; // before drawing: the axes have a size
  get("head").hidden = true;
  const axes = [get("spectrogram"), get("hz"), get("seconds")];
  draw(answer.spectrogram, answer.duration_s, ...axes);
  showWindows(several ? answer.windows : []);
  showOthers(answer.n_best);
  showTags(answer.tags, several);
}

function showWindows(windows) {
  get("windows").hidden = !windows.length;
  const rows = windows.map((window) => {
    const start = element("button", `${clock(window.start_s)} – ${clock(window.end_s)}`);
    start.type = "button";
    start.addEventListener("click", () => seek(window.start_s, true));
    const caption = element("td", window.caption);
    if (window.n_best.length > 1) {
      const others = window.n_best.slice(1);
      caption.append(element("ol", ...others.map((each) => element("li", scored(each)))));
      caption.lastChild.start = 2;
    }
    return element("tr", element("td", start), caption);
  });
  get("windows").querySelector("tbody").replaceChildren(...rows);
}

function showOthers(nBest) {
  get("others").hidden = nBest.length < 2;
  const rows = nBest.map((each) => {
    const score = element("td", each.score.toFixed(3));
    score.className = "number";
    return element("tr", element("td", each.caption), score);
  });
  get("others").querySelector("tbody").replaceChildren(...rows);
}

function showTags(tags, several) {
  const entries = Object.entries(tags);
  get("tags").hidden = !entries.length;
  get("tag-tables").replaceChildren(...entries.map(([frontend, found]) => table(frontend, found)));
  get("tags-title").textContent = several ? "Tags, the highest of all windows" : "Tags";
}

function table(frontend, found) {
  const rows = found.map(({ tag, probability }) => {
    const name = element("th", tag);
    name.scope = "row";
    name.className = "tag";
    const bar = element("span");
    bar.className = "bar";
    bar.style.width = `${100 * probability}%`;
    const number = element("td", probability.toFixed(2));
    number.className = "number";
    return element("tr", name, element("td", bar), number);
  });
  const caption = element("caption", `Heard by ${frontend}, with its probability`);
  caption.className = "small";
  return element("table", caption, element("tbody", ...rows));
}

const scored = ({ caption, score }) => `${caption} (${score.toFixed(3)})`;

function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}

function seek(seconds, play) {
  if (player.hidden) return;
  player.currentTime = seconds;
  if (play) player.play();
}

function follow() {
  if (!answered) return;
  const now = player.currentTime;
  get("head").hidden = false;
  get("head").style.left = `${(100 * now) / answered.duration_s}%`;
  get("windows").querySelectorAll("tbody tr").forEach((row, number) => {
    const { start_s: start, end_s: end } = answered.windows[number];
    if (start <= now && now < end) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  });
  if (!player.paused) requestAnimationFrame(follow);
}

player.addEventListener("play", follow);
player.addEventListener("seeked", follow);
player.addEventListener("error", () => {
  player.hidden = true;
  get("unplayable").hidden = false;
});
get("picture").addEventListener("click", ({ offsetX, currentTarget }) => {
  if (answered) seek((offsetX / currentTarget.clientWidth) * answered.duration_s, false);
});
