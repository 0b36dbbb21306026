"use strict";

// Where in a clip each word of a caption looked: a row per word, dark where it looked. The data
// (captioner/reporting/attention.py) come in files, loaded when a card that needs one is opened.

if (attending.runs.length) {
  const LEVELS = 15;
  const DARKEST = 16;
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const files = new Map(); // "RUN-FILE" -> { clips: a promise, resolve }

  window.receiveAttention = (run, file, clips) => files.get(`${run}-${file}`).resolve(clips);

  const load = (run, file) => {
    const key = `${run}-${file}`;
    if (!files.has(key)) {
      const entry = {};
      entry.clips = new Promise((resolve, reject) => {
        entry.resolve = resolve;
        const script = element("script", { src: `data/attention-${key}.js` });
        script.addEventListener("error", () => {
          files.delete(key); // the next card tries again
          reject(new Error(script.getAttribute("src")));
        });
        document.head.append(script);
      });
      files.set(key, entry);
    }
    return files.get(key).clips;
  };

  /** Fill `place`, an empty element of clip `i`'s card, with the map of a run, if it has one. */
  window.attention = async (i, run, place) => {
    if (!attending.runs.includes(run)) return;
    const file = Math.floor(i / attending.size);
    try {
      const row = (await load(run, file))[i % attending.size];
      if (!row) return;
      const map = makeMap(listening, i, run, row, place.closest("article"));
      place.replaceChildren(map, ...(run === attending.runs[0] ? [makeNote()] : []));
    } catch (error) {
      place.replaceChildren(element("p", { class: "alarm" }, `Not found: ${error.message}`));
    }
  };

  const makeMap = ({ clips, runs }, i, run, row, card) => {
    const [start, binLength, nBins, peaks, packed] = row;
    const duration = clips.duration[i];
    const levels = unpack(packed);
    const player = card?.querySelector("audio");
    const play = (seconds) => {
      player.currentTime = seconds;
      player.play().catch(() => {}); // the player says itself what is wrong
    };
    const rows = runs[run].captions[i].split(" ").map((word, k) => {
      const bin = DIGITS.indexOf(peaks[k]);
      const peak = Math.min(duration, Math.max(0, start + (bin + 0.5) * binLength));
      const cells = levels.slice(k * nBins, (k + 1) * nBins);
      const track = makeTrack(cells, bin, start, binLength, duration);
      if (player) seekBy(track, duration, play);
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, player ? makeWord(word, peak, play) : word),
        element("td", { class: "number" }, `${peak.toFixed(1)} s`),
        element("td", {}, track),
      );
    });
    const table = element(
      "table",
      { class: player ? "looks seekable" : "looks" },
      makeCaption(runs[run].label),
      makeHead(clips.picture[i]),
      element("tbody", {}, ...rows),
      element("tfoot", {}, element("tr", {}, element("td", { colspan: 2 }), makeAxis(duration))),
    );
    if (player) follow(player, table, duration);
    return table;
  };

  const makeNote = () =>
    element(
      "p",
      { class: "small" },
      "The frame, and the seconds beside a word, are where it looked most beside the other words: " +
        "much attention rests on a clip’s first and last moments whatever the word. It is a hint, " +
        "no proof of what was heard: each moment of an encoded clip holds something of its " +
        "surroundings.",
    );

  const makeCaption = (label) => {
    const key = [0, 1, 4, 16].map((times) =>
      element(
        "span",
        { class: "key" },
        element("i", { style: `background: ${shade(LEVELS * Math.sqrt(times / DARKEST))}` }),
        times ? ` ${times} ×` : " 0",
      ),
    );
    const text = `Where ${label} looked for each word; shades in multiples of an even look:`;
    return element("caption", {}, text, ...key);
  };

  const makeHead = (picture) => {
    const image = picture ? element("img", { src: picture, alt: "" }) : null;
    const track = element("div", { class: "track" }, image);
    return element(
      "thead",
      {},
      element(
        "tr",
        {},
        element("th", { scope: "col" }, "Word"),
        element("th", { scope: "col", class: "number" }, "Most"),
        element("th", { scope: "col" }, element("span", { class: "unseen" }, "Over time"), track),
      ),
    );
  };

  const makeAxis = (duration) => element("td", {}, makeTimeAxis(duration));

  const makeWord = (word, peak, play) => {
    const button = element("button", { type: "button", title: "Play from there" }, word);
    button.addEventListener("click", () => play(peak));
    return button;
  };

  /** Make the row's picture: stripes of even shade, from the first bin's start to the last's end. */
  const makeTrack = (levels, peak, start, binLength, duration) => {
    const stops = [];
    levels.forEach((level, bin) => {
      if (level === levels[bin - 1]) return;
      let end = bin + 1;
      while (levels[end] === level) end += 1;
      const [from, to] = [bin, end].map((edge) => ((100 * edge) / levels.length).toFixed(2));
      stops.push(`${shade(level)} ${from}% ${to}%`);
    });
    const place = (first, n) =>
      `left: ${(100 * (start + first * binLength)) / duration}%; ` +
      `width: ${(100 * n * binLength) / duration}%`;
    const gradient = `background: linear-gradient(to right, ${stops.join(", ")})`;
    return element(
      "div",
      { class: "track", "aria-hidden": true },
      element("span", { style: `${place(0, levels.length)}; ${gradient}` }),
      element("span", { class: "peak", style: place(peak, 1) }),
    );
  };

  const seekBy = (track, duration, play) => {
    track.addEventListener("click", (event) => {
      const box = track.getBoundingClientRect();
      play((duration * (event.clientX - box.left)) / box.width);
    });
  };

  /** Move a line over the rows while the clip plays: `--at` is where, 0 to 1. */
  const follow = (player, table, duration) => {
    const move = () => {
      table.style.setProperty("--at", Math.min(1, player.currentTime / duration));
      if (!player.paused && table.isConnected) requestAnimationFrame(move);
    };
    player.addEventListener("play", move);
    player.addEventListener("seeked", move);
  };

  const shade = (level) =>
    `color-mix(in srgb, var(--looked) ${((100 * level) / LEVELS).toFixed(0)}%, transparent)`;

  const unpack = (packed) =>
    [...atob(packed)].flatMap((byte) => [byte.charCodeAt(0) >> 4, byte.charCodeAt(0) & 15]);
}
