// What a page must not get wrong for people with a screen reader or weak eyes: gives what it does.
() => {
  const found = [];
  const name = (e) => `${e.tagName.toLowerCase()}${e.id ? `#${e.id}` : ""}.${e.getAttribute("class") ?? ""}`;
  const report = (what, e) => found.push(`${what}: ${name(e)} ${e.textContent.trim().slice(0, 40)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (e) => e.checkVisibility({ visibilityProperty: true });
  const named = (e) =>
    e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim();

  all("img:not([alt])").forEach((e) => report("picture without a text", e));
  all("svg:not([aria-hidden='true'])").forEach((e) => {
    if (e.getAttribute("role") !== "img" || !e.getAttribute("aria-label")) report("drawing without a text", e);
  });
  all("input, select, textarea, audio").forEach((e) => {
    if (!e.labels?.length && !e.getAttribute("aria-label")) report("control without a label", e);
  });
  all("a[href], button, summary").filter((e) => !named(e)).forEach((e) => report("nameless", e));
  all("table").forEach((e) => {
    if (!e.caption?.textContent.trim()) report("table without a caption", e);
  });
  all("th:not([scope])").forEach((e) => report("heading of a table without a scope", e));
  const ids = all("[id]").map((e) => e.id);
  ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => found.push(`id twice: ${id}`));
  all("[aria-labelledby], [aria-describedby], [aria-controls]").forEach((e) => {
    for (const key of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
      for (const id of e.getAttribute(key)?.split(/\s+/) ?? []) {
        if (!document.getElementById(id)) report(`${key} without its element`, e);
      }
    }
  });
  let level = 0;
  all("h1, h2, h3, h4, h5, h6").filter(shown).forEach((e) => {
    const next = Number(e.tagName[1]);
    if (next > level + 1) report(`h${next} after h${level}`, e);
    level = next;
  });
  for (const single of ["main", "h1", "body > header"]) {
    if (all(single).length !== 1) found.push(`${all(single).length} of ${single}`);
  }
  all("nav, [role='region']").filter((e) => !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby"))
    .forEach((e) => report("nameless", e));
  for (const e of document.body.children) {
    const outside = !e.matches("header, nav, main, footer, script, .skip") && shown(e);
    if (outside) report("outside of the landmarks", e);
  }
  all("*").forEach((e) => {
    const scrolls = /auto|scroll/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1;
    const reached = e.tabIndex >= 0 || e.querySelector("a[href], button, input, [tabindex='0']");
    if (scrolls && !reached) report("scrolls, but not by the keyboard", e);
  });

  // Contrast of text (WCAG 2.1, 1.4.3): 4.5, and 3 for large letters.
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((x, i) => x * a + below[i] * (1 - a));
  const behind = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((x) => x / 255).map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || seen.has(e) || !shown(e)) continue;
    if (e.closest(".unseen, script, style, noscript, option, mark, .skip")) continue;
    seen.add(e);
    const style = getComputedStyle(e);
    const below = behind(e);
    const [a, b] = [over(rgba(e.closest("svg") ? style.fill : style.color), below), below].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) report(`contrast ${ratio.toFixed(2)}`, e);
  }
  return found;
}
