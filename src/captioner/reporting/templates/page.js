"use strict";

// Tables: a button in each heading sorts the rows by the cells' data-value; empty values stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const numeric = heading.matches(".number, .share");
      const first = numeric ? "descending" : "ascending";
      const other = numeric ? "ascending" : "descending";
      const direction = heading.getAttribute("aria-sort") === first ? other : first;
      headings.forEach((cell) => cell.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => (numeric ? a - b : a.localeCompare(b));
      const body = table.tBodies[0];
      const sorted = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        return (x === "") - (y === "") || sign * compare(x, y);
      });
      body.append(...sorted);
    });
  });
}

// A link to a part that is folded away opens it.
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
};
window.addEventListener("hashchange", unfold);
unfold();

// Examples: order and filter.
const tools = document.getElementById("tools");
if (tools) {
  const holder = document.getElementById("examples");
  const filter = document.getElementById("filter");
  const order = document.getElementById("order");
  const shown = document.getElementById("shown");
  const examples = [...holder.children];
  const words = (example) => [...example.querySelectorAll("h3, td, li, .media")];
  const texts = new Map(
    examples.map((example) => [
      example,
      words(example).map((part) => part.textContent.toLowerCase()).join("\n"),
    ]),
  );

  const show = () => {
    const wanted = filter.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    let count = 0;
    for (const example of examples) {
      example.hidden = !wanted.every((word) => texts.get(example).includes(word));
      count += !example.hidden;
    }
    shown.textContent = `${count} of ${examples.length} clips`;
  };

  const arrange = () => {
    const [key, sign] = order.value.split(":");
    const value = (example) => example.getAttribute(`data-${key}`);
    const compare = (a, b) => (key === "name" ? a.localeCompare(b) : a - b);
    examples.sort((a, b) => Number(sign) * compare(value(a), value(b)));
    holder.append(...examples);
  };

  filter.addEventListener("input", show);
  order.addEventListener("change", arrange);
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.hidden = false;
  arrange(); // a browser may restore both controls when the page is loaded again
  show();
}

// Players: one at a time; a line moves over the spectrogram, and a click in it seeks.
const players = [...document.querySelectorAll(".example audio")];
for (const player of players) {
  const picture = player.previousElementSibling;
  const head = picture.querySelector(".head");
  player.addEventListener("play", () => {
    players.filter((other) => other !== player).forEach((other) => other.pause());
  });
  player.addEventListener("timeupdate", () => {
    head.hidden = false;
    head.style.left = `${(100 * player.currentTime) / player.duration}%`;
  });
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const seek = () => {
      player.currentTime = ((event.clientX - box.left) / box.width) * player.duration;
      player.play();
    };
    if (player.readyState > 0) {
      seek();
    } else {
      player.addEventListener("loadedmetadata", seek, { once: true });
      player.load();
    }
  });
}
