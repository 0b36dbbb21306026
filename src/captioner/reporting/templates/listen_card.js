"use strict";

// The card of a clip: what is known of it, what people and systems say, every score on demand.

const scoreText = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
const clipAddress = (name) => `#clip=${encodeURIComponent(name)}`;

/** Make the card of clip `i`; `view` says { metric, marks: { caption, reference }, ordered }. */
function makeCard(data, i, view) {
  const { clips, runs } = data;
  const link = element("a", { href: clipAddress(clips.name[i]), class: "plain" }, clips.name[i]);
  const heading = element("h3", { id: `clip-${i}` }, link);
  const copy = element("button", { type: "button", class: "copy" }, "Copy link");
  copy.setAttribute("aria-label", `Copy a link to ${clips.name[i]}`);
  copy.addEventListener("click", () => copyLink(copy, link.href));
  const shown = runs.filter((run) => run.first);
  return element(
    "article",
    { class: "clip", "aria-labelledby": `clip-${i}`, "data-clip": i },
    element("header", {}, heading, view.ordered(i), copy),
    element("div", { class: "media" }, ...makeMedia(data, i), ...makeFacts(data, i)),
    element(
      "div",
      { class: "said" },
      makeCaptions(data, shown, i, view),
      element("h4", {}, "References"),
      element(
        "ol",
        { class: "references" },
        ...clips.references[i].map((text) => element("li", {}, ...marked(text, view.marks.reference))),
      ),
    ),
    makeMore(data, i, view, runs.length > shown.length),
  );
}

function makeFacts({ clips, licences, tags, tagNames }, i) {
  const facts = [`${clips.duration[i].toFixed(1)} s`, `${clips.rate[i] / 1000} kHz`];
  if (clips.author[i]) facts.push(`by ${clips.author[i]}`);
  const [licence, address] = licences[clips.licence[i]];
  if (licence) {
    const link = { href: address, rel: "noopener license" };
    facts.push(address ? element("a", link, licence) : licence);
  }
  if (clips.source[i]) {
    facts.push(element("a", { href: clips.source[i], rel: "noopener" }, "the recording’s page"));
  }
  const separated = facts.flatMap((fact, k) => (k ? [" · ", fact] : [fact]));
  const heard = Object.entries(tags).map(([frontend, ofClips]) => {
    const named = ofClips[i].map(([tag, p]) => `${tagNames[tag]} ${p.toFixed(2)}`).join(", ");
    return named ? element("p", {}, element("code", {}, frontend), ` hears ${named}`) : null;
  });
  return [element("p", {}, ...separated), ...heard.filter(Boolean)];
}

function makeCaptions(data, runs, i, view) {
  const rows = runs.map((run) =>
    element(
      "tr",
      { class: run.trivial ? "trivial" : null },
      element("th", { scope: "row" }, run.label),
      element("td", {}, ...captionOf(run, i, view)),
      element("td", { class: "number" }, scoreText(run.scores[view.metric]?.[i])),
    ),
  );
  const headings = ["System", "Caption", data.metrics[view.metric]].map((text, k) =>
    element("th", { scope: "col", class: k === 2 ? "number" : null }, text),
  );
  return element(
    "table",
    { class: "predictions" },
    element("caption", { class: "unseen" }, "Captions of the systems"),
    element("thead", {}, element("tr", {}, ...headings)),
    element("tbody", {}, ...rows),
  );
}

/** What opens: all scores, the other seeds, and a place per run for what else is known of it. */
function makeMore(data, i, view, seeds) {
  const parts = [seeds && "seeds", window.attention && "attention"].filter(Boolean);
  const last = parts.length ? ` and ${parts.pop()}` : "";
  const title = ["All scores", ...parts].join(", ") + last;
  const more = element("details", { class: "more" }, element("summary", {}, title));
  const fill = () => {
    if (!more.open || more.childElementCount > 1) return;
    const places = data.runs.map(() => element("div", { class: "attention" }));
    more.append(makeScores(data, i, view), ...places);
    if (window.attention) places.forEach((place, run) => window.attention(i, run, place));
  };
  more.addEventListener("toggle", fill);
  return more;
}

function makeScores({ runs, metrics }, i, view) {
  const names = Object.keys(metrics);
  const rows = runs.map((run) => {
    const label = element("th", { scope: "row" }, run.label);
    if (!run.first) label.append(element("span", { class: "detail" }, ...captionOf(run, i, view)));
    const cells = names.map((name) =>
      element("td", { class: "number" }, scoreText(run.scores[name]?.[i])),
    );
    return element("tr", { class: run.trivial ? "trivial" : null }, label, ...cells);
  });
  const headings = names.map((name) => element("th", { scope: "col", class: "number" }, metrics[name]));
  const table = element(
    "table",
    {},
    element("caption", { class: "unseen" }, "Scores of this clip"),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "System"), ...headings)),
    element("tbody", {}, ...rows),
  );
  const region = { class: "scroll", role: "group", "aria-label": "Scores of this clip", tabindex: 0 };
  return element("div", region, table);
}

function captionOf(run, i, view) {
  const text = run.captions[i];
  return text ? marked(text, view.marks.caption) : [element("em", { class: "alarm" }, "empty")];
}

/** Cut a text into strings and <mark>s. */
function marked(text, pattern) {
  if (!pattern) return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(end, match.index), element("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

async function copyLink(button, address) {
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy link"), 2000);
  } catch {
    window.prompt("The link to this clip", address); // browsers that keep the clipboard closed
  }
}
