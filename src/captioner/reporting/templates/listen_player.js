"use strict";

// A clip's picture and player: a line moves over the spectrogram, and a click in it seeks.

const TIME_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const MOST_TIMES = 7;

/** Make an element; children that are null are left out, strings become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Make spectrogram, time axis and player of a clip, as far as it has them. */
function makeMedia({ clips, marks }, i) {
  const name = clips.name[i];
  const duration = clips.duration[i];
  if (!clips.picture[i]) {
    return [element("p", { class: "alarm" }, `No audio: ${clips.problem[i]}`)];
  }
  const picture = element("img", {
    src: clips.picture[i],
    alt: `Mel spectrogram of ${name}, ${duration.toFixed(1)} s`,
    loading: "lazy",
    decoding: "async",
  });
  const frequencies = marks.map(([label, height]) =>
    element("span", { class: "mark", style: `bottom: ${100 * height}%`, "aria-hidden": true }, label),
  );
  const head = element("span", { class: "head", hidden: "" });
  const spectrogram = element("div", { class: "spectrogram" }, picture, ...frequencies, head);
  const axis = makeTimeAxis(duration);
  if (!clips.audio[i]) return [spectrogram, axis];
  const player = element("audio", {
    controls: "",
    preload: "none",
    src: clips.audio[i],
    "aria-label": name,
  });
  connect(player, spectrogram, head, duration);
  return [spectrogram, axis, player];
}

function makeTimeAxis(duration) {
  const step = TIME_STEPS_S.find((s) => duration / s <= MOST_TIMES) ?? duration;
  const times = Array.from({ length: Math.floor(duration / step) + 1 }, (_, k) => k * step);
  const labels = times.map((time) =>
    element("span", { style: `left: ${(100 * time) / duration}%` }, `${Number(time.toFixed(1))}`),
  );
  labels.at(-1).append(" s");
  if (times.at(-1) > 0.93 * duration) labels.at(-1).classList.add("end");
  return element("div", { class: "axis", "aria-hidden": true }, ...labels);
}

function connect(player, spectrogram, head, duration) {
  const follow = () => {
    head.hidden = false;
    head.style.left = `${Math.min(100, (100 * player.currentTime) / duration)}%`;
    if (!player.paused && player.isConnected) requestAnimationFrame(follow);
  };
  player.addEventListener("play", () => {
    pausePlayers(player);
    follow();
  });
  player.addEventListener("seeked", follow);
  player.addEventListener("error", () => {
    player.replaceWith(element("p", { class: "alarm" }, "The audio cannot be played from here."));
  });
  spectrogram.classList.add("seekable");
  spectrogram.addEventListener("click", (event) => {
    const box = spectrogram.getBoundingClientRect();
    player.currentTime = (duration * (event.clientX - box.left)) / box.width;
    player.play().catch(() => {}); // the player says itself what is wrong
  });
}

/** Let no clip play, or none but one. */
function pausePlayers(except = null) {
  for (const player of document.querySelectorAll("#clips audio")) {
    if (player !== except) player.pause();
  }
}
