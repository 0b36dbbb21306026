// The page: what the model is, three ways to give a sound, progress, errors.

import { record, whyNot } from "./recording.js";
import { show } from "./result.js";
import { caption, Problem } from "./sending.js";
import { clock } from "./spectrogram.js";

const get = (id) => document.getElementById(id);
let about = null;
let working = null; // AbortController of the sound being captioned
let recording = null;

async function introduce() {
  get("curl").textContent = `curl --data-binary @dog.wav '${new URL("caption?n_best=3", location)}'`;
  try {
    about = await (await fetch("about")).json();
  } catch {
    fail("The server cannot be reached. Is captioner serve still running?");
    return;
  }
  const { models, max_bytes: bytes, max_s: seconds } = about;
  get("limits").textContent =
    `wav, flac, ogg, mp3 and what this browser plays; up to ${length(seconds)}, ${bytes / 1e6} MB`;
  const names = models.map((model) => model.title ?? model.family).join(" + ");
  const corpora = [...new Set(models.flatMap((model) => model.trained_on.map((part) => part.corpus)))];
  document.title = `${names}: captions for any sound`;
  const trained = corpora.length ? `trained on ${corpora.join(", ")}` : "training data not stated";
  get("model").querySelector("summary").textContent = `${names}, ${trained}`;
  get("model").querySelector("dl").replaceChildren(...models.flatMap(facts).flatMap(row));
  get("model").hidden = false;
  const encoders = models.flatMap(({ frontends }) => Object.values(frontends).filter((each) => each.checkpoint));
  warnSynthetic(corpora, [...models.flatMap((model) => model.started_from), ...encoders]);
}

const length = (s) => (s % 60 ? `${s} s` : `${s / 60} min`);

function warnSynthetic(corpora, before) {
  const unknown = [{ corpus: "" }]; // what others trained heard recordings, for all we know
  const earlier = before.flatMap((start) => start.trained_on ?? unknown).map((part) => part.corpus);
  const synthetic = [...corpora, ...earlier].map((corpus) => corpus.startsWith("synthetic"));
  if (!synthetic.includes(true)) return;
  const all = !synthetic.includes(false);
  const strong = document.createElement("strong");
  strong.textContent = "Synthetic training";
  get("synthetic").replaceChildren(
    strong,
    all
      ? "This model heard only sounds that a program made: of recorded sounds its captions are guesses."
      : "This model also learned from sounds that a program made.",
  );
  get("synthetic").hidden = false;
}

function facts(model) {
  const frontends = Object.entries(model.frontends).map(
    ([name, settings]) => `${name} (${settings.kind}, ${settings.sample_rate_hz / 1000} kHz)`,
  );
  const parts = model.trained_on.map((part) => {
    const clips = part.n_clips ? `, ${part.n_clips.toLocaleString("en")} clips` : "";
    const licences = Object.entries(part.licences ?? {}).map(([name, n]) => `${name} (${n})`);
    return `${part.corpus}, ${part.split}${clips}${licences.length ? `: ${licences.join(", ")}` : ""}`;
  });
  const scores = Object.entries(model.scores).flatMap(([decoding, splits]) =>
    Object.entries(splits).map(([split, metrics]) => {
      const shown = ["spider", "cider", "spice"].filter((name) => metrics[name] != null);
      return `${decoding} on ${split}: ${shown.map((name) => `${name} ${metrics[name].toFixed(3)}`).join(", ")}`;
    }),
  );
  return [
    ["system", model.title ?? "not stated"],
    ["family", model.family],
    ["parameters", model.parameters_with_encoders.toLocaleString("en")],
    ["hears through", frontends.join("; ")],
    ["words", model.vocabulary.n_words.toLocaleString("en")],
    ["trained on", parts.join("; ") || "not stated"],
    ...model.started_from.map(({ what }) => ["started from", what]),
    ...(scores.length ? [["scores", scores.join("; ")]] : []),
  ];
}

function row([name, value]) {
  const cells = [document.createElement("dt"), document.createElement("dd")];
  [cells[0].textContent, cells[1].textContent] = [name, value];
  return cells;
}

async function take(sound, name) {
  working?.abort();
  const mine = (working = new AbortController());
  fail("");
  get("result").classList.add("old");
  const started = Date.now();
  const told = (text, share) => {
    if (mine !== working) return;
    get("status").textContent = text;
    get("progress").hidden = get("cancel").hidden = false;
    if (share === null) get("progress").removeAttribute("value");
    else get("progress").value = share;
  };
  const window = get("window").value;
  const query = { n_best: get("n-best").value, spectrogram: 1 };
  if (window) Object.assign(query, { window, hop: window / 2 });
  try {
    const answer = await caption(sound, query, about, told, mine.signal);
    if (mine !== working) return;
    show(answer, sound, name);
    get("result").classList.remove("old");
    end(`Done in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
  } catch (error) {
    if (mine !== working) return;
    end(error.name === "AbortError" ? "Cancelled." : "");
    if (error.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    fail(`${name}: ${error.message}`);
  }
}

function end(said) {
  working = null;
  get("status").textContent = said;
  get("progress").hidden = get("cancel").hidden = true;
}

function fail(message) {
  get("error").hidden = !message;
  get("error").textContent = message;
}

async function toggleRecording() {
  if (recording) {
    const { stop } = recording;
    showRecording(null);
    const sound = await stop();
    if (sound) take(sound, `Recording of ${new Date().toLocaleTimeString()}.wav`);
    else fail("Nothing was recorded. Record for a second at least.");
    return;
  }
  fail("");
  get("record").disabled = true; // while the browser asks
  try {
    const longest = about?.max_s ?? Infinity;
    let full = false;
    showRecording(
      await record((seconds, db) => {
        get("recorded").textContent = clock(seconds, 1);
        get("level").value = db;
        if (!full && seconds > longest - 1 && recording) {
          full = true;
          toggleRecording();
        }
      }),
    );
  } catch (error) {
    fail(`The microphone cannot be used (${error.message}). Allow it in the browser, or choose a file.`);
  } finally {
    get("record").disabled = false;
  }
}

function showRecording(now) {
  recording = now;
  get("record").classList.toggle("on", Boolean(now));
  get("record-label").textContent = now ? "Stop" : "Record";
  get("level").hidden = !now;
  get("recorded").textContent = now ? clock(0, 1) : "";
}

function dropZone() {
  const over = (on) => get("drop").classList.toggle("over", on);
  // The whole page takes a drop: a browser would leave for the file that misses the zone.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || over(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    const [file, ...others] = event.dataTransfer.files;
    if (!file) fail("Found no file in what was dropped, expected a sound.");
    else if (others.length) fail(`Found ${others.length + 1} files, expected one sound at a time.`);
    else take(file, file.name);
  });
}

get("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) take(file, file.name);
  target.value = ""; // the same file may be chosen again
});
get("give").addEventListener("submit", (event) => event.preventDefault());
get("cancel").addEventListener("click", () => working?.abort());
get("record").addEventListener("click", toggleRecording);
const reason = whyNot();
if (reason) {
  get("record").disabled = true;
  get("recorded").textContent = reason;
}
dropZone();
introduce();
