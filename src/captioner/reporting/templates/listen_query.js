"use strict";

// Search: a query is a list of terms, all of which a clip has to meet.
//   rain            a word that begins with it, anywhere       "rain"          that very word
//   "heavy rain"    words side by side                         -rain           not there
//   reference:rain caption:rain name:rain author:rain tag:rain                 in one place only

const LETTER = "[\\p{L}\\p{N}]";

/** Give the texts of every clip by place: lists of strings, an entry per clip. */
function searchableTexts({ clips, runs, tags, tagNames }) {
  const join = (texts) => texts.join("\n");
  const heard = (i) =>
    Object.values(tags).flatMap((ofClips) => ofClips[i].map(([tag]) => tagNames[tag]));
  const texts = {
    reference: clips.references.map(join),
    caption: clips.name.map((_, i) => join(runs.map((run) => run.captions[i]))),
    name: clips.name,
    author: clips.author,
    tag: clips.name.map((_, i) => join(heard(i))),
  };
  const places = Object.values(texts);
  return { ...texts, anywhere: clips.name.map((_, i) => join(places.map((place) => place[i]))) };
}

/** Read a query into terms { place, negated, source }; `source` is of a regular expression. */
function parseQuery(query, places, wholeWords) {
  const terms = [];
  const pattern = /(-?)(?:(\p{L}+):)?(?:"([^"]*)"?|([^\s"]+))/gu;
  for (const match of query.replace(/[“”„«»]/g, '"').matchAll(pattern)) {
    const [, minus, before, quoted, bare] = match;
    const place = places.includes(before?.toLowerCase()) ? before.toLowerCase() : "anywhere";
    const other = before && place === "anywhere" ? `${before}:` : ""; // a colon like any other
    const text = (other + (quoted ?? bare)).trim();
    if (text && text !== "-") { // a word is about to follow
      const exact = wholeWords || quoted !== undefined;
      terms.push({ place, negated: minus === "-", source: wordPattern(text, exact) });
    }
  }
  return terms;
}

/** Give a regular expression of a text at the beginning of words, or of whole words. */
function wordPattern(text, exact) {
  const escaped = text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replace(/\s+/g, "[^\\S\\n]+");
  const begins = new RegExp(`^${LETTER}`, "u").test(text) ? `(?<!${LETTER})` : "";
  const ends = exact && new RegExp(`${LETTER}$`, "u").test(text) ? `(?!${LETTER})` : "";
  return begins + escaped + ends;
}

/** Give the numbers of the clips that meet all terms, in the order of the file. */
function findClips(texts, terms) {
  const tests = terms.map(({ place, negated, source }) => {
    const pattern = new RegExp(source, "iu");
    return (i) => pattern.test(texts[place][i]) !== negated;
  });
  return texts.name.map((_, i) => i).filter((i) => tests.every((test) => test(i)));
}

/** Give one regular expression of what to mark in a place, null where nothing was asked for. */
function marksOf(terms, place) {
  const asked = terms.filter((term) => !term.negated && [place, "anywhere"].includes(term.place));
  return asked.length ? new RegExp(asked.map((term) => `(?:${term.source})`).join("|"), "giu") : null;
}
