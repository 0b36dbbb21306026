"use strict";

// Listen and compare: the state of the view, kept in the address, and the cards of one page.

if (typeof listening !== "undefined") {
  const PAGE_SIZE = 20;
  const data = listening;
  const defaults = { sort: "spider", of: MEAN, minus: "", order: "asc", q: "", whole: "", page: "1" };
  const state = { ...defaults };
  const part = (id) => document.getElementById(id);
  const [tools, holder, found] = [part("tools"), part("clips"), part("found")];
  const controls = {
    sort: part("sort"), of: part("of"), minus: part("minus"), order: part("order"), q: part("query"),
  };
  const texts = searchableTexts(data);
  const places = Object.keys(texts).filter((place) => place !== "anywhere");
  let numbers = []; // of the clips that are found, in order
  let terms = [];

  const byScore = () => state.sort in data.metrics;
  const nPages = () => Math.max(1, Math.ceil(numbers.length / PAGE_SIZE));
  const page = () => Math.min(nPages(), Math.max(1, Math.trunc(Number(state.page)) || 1));

  const arrange = () => {
    terms = parseQuery(state.q, places, Boolean(state.whole));
    const value = orderValue(data, state);
    numbers = ordered(findClips(texts, terms), value, state.order === "desc");
    const total = data.clips.name.length;
    found.textContent =
      numbers.length === total ? `${total} clips` : `${numbers.length} of ${total} clips`;
    show();
  };

  const show = () => {
    const value = orderValue(data, state);
    const metric = byScore() ? state.sort : "spider";
    const isDifference = byScore() && state.minus;
    const view = {
      metric,
      marks: { caption: marksOf(terms, "caption"), reference: marksOf(terms, "reference") },
      ordered: (i) => {
        if (!byScore() || value(i) === null) return null;
        const name = (!isDifference && state.of === MEAN ? "mean " : "") + data.metrics[metric];
        const text = isDifference ? `difference ${signed(value(i))}` : scoreText(value(i));
        return element("span", { class: "ordered" }, `${name} ${text}`);
      },
    };
    pausePlayers();
    const start = (page() - 1) * PAGE_SIZE;
    const cards = numbers.slice(start, start + PAGE_SIZE).map((i) => makeCard(data, i, view));
    const nothing = element("p", { class: "empty" }, "No clip has all of these words.");
    holder.replaceChildren(...(cards.length ? cards : [nothing]));
    for (const pager of pagers) pager.update();
  };

  // Controls follow the state, and the other way round.
  const fillControls = () => {
    for (const [key, control] of Object.entries(controls)) control.value = state[key];
    part("whole").checked = Boolean(state.whole);
    controls.of.disabled = controls.minus.disabled = !byScore();
  };
  const choices = (select, options) =>
    select.append(...options.map(([value, text]) => element("option", { value }, text)));
  const runs = data.runs.map((run) => [run.id, run.label]);
  choices(controls.sort, [
    ...Object.entries(data.metrics), ["name", "File name"], ["duration", "Duration"],
  ]);
  choices(controls.of, [[MEAN, "the trained systems, mean"], ...runs]);
  choices(controls.minus, [["", "nothing"], [MEAN, "the trained systems, mean"], ...runs]);

  const makePager = (place, after) => {
    const button = (text, step) => {
      const made = element("button", { type: "button" }, text);
      made.addEventListener("click", () => turn(page() + step));
      return made;
    };
    const turn = (to) => {
      state.page = String(to);
      writeAddress();
      show();
      after();
    };
    const [back, on] = [button("Previous", -1), button("Next", 1)];
    const select = element("select", { "aria-label": "Page" });
    const count = element("span");
    select.addEventListener("change", () => turn(Number(select.value)));
    place.append(back, select, count, on);
    return {
      update() {
        const n = nPages();
        if (select.length !== n) {
          select.replaceChildren();
          choices(select, Array.from({ length: n }, (_, k) => [k + 1, `Page ${k + 1}`]));
        }
        select.value = String(page());
        count.textContent = `of ${n}`;
        back.disabled = page() === 1;
        on.disabled = page() === n;
        place.hidden = n === 1;
      },
    };
  };
  const toTop = () => {
    tools.scrollIntoView();
    holder.querySelector("h3 a")?.focus({ preventScroll: true });
  };
  const pagers = [makePager(part("pager-above"), () => {}), makePager(part("pager-below"), toTop)];

  // The address: `#clip=NAME` opens a clip; whatever differs from the default view stands there too.
  const readAddress = () => {
    const text = location.hash.slice(1);
    if (!text.includes("=")) return null;
    return Object.fromEntries(
      text.split("&").map((pair) => {
        const [key, ...rest] = pair.split("=");
        return [key, decoded(rest.join("="))];
      }),
    );
  };
  const writeAddress = () => {
    const changed = Object.keys(defaults).filter((key) => state[key] !== defaults[key]);
    const pairs = changed.map((key) => `${key}=${encodeURIComponent(state[key])}`);
    history.replaceState(null, "", `#${pairs.join("&") || "listen"}`);
  };
  const takeState = (given) => {
    const known = (select, value) => [...select.options].some((option) => option.value === value);
    for (const key of Object.keys(defaults)) {
      const control = controls[key];
      const valid = !(control instanceof HTMLSelectElement) || known(control, given[key]);
      state[key] = key in given && valid ? given[key] : defaults[key];
    }
  };
  const openClip = (name) => {
    const i = data.clips.name.indexOf(name);
    if (i < 0) return;
    if (!numbers.includes(i)) {
      state.q = "";
      fillControls();
      arrange();
    }
    state.page = String(Math.floor(numbers.indexOf(i) / PAGE_SIZE) + 1);
    show();
    const card = holder.querySelector(`[data-clip="${i}"]`);
    card.classList.add("chosen");
    card.querySelector(".more").open = true;
    card.scrollIntoView({ behavior: "instant" });
    card.querySelector("h3 a").focus({ preventScroll: true });
  };
  const followAddress = () => {
    const given = readAddress();
    if (!given || !Object.keys(given).some((key) => key === "clip" || key in defaults)) return false;
    const onlyClip = Object.keys(given).every((key) => key === "clip");
    if (!onlyClip) takeState(given);
    fillControls();
    arrange();
    if (given.clip) openClip(given.clip);
    else tools.scrollIntoView({ behavior: "instant" });
    return true;
  };

  let writing = 0;
  const changed = () => {
    for (const [key, control] of Object.entries(controls)) state[key] = control.value;
    state.whole = part("whole").checked ? "1" : "";
    state.page = "1";
    fillControls();
    arrange();
    clearTimeout(writing); // browsers refuse an address that changes with every letter
    writing = setTimeout(writeAddress, 400);
  };
  tools.addEventListener("input", changed);
  tools.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", followAddress);
  tools.hidden = false;
  if (!followAddress()) {
    fillControls();
    arrange();
  }
}
