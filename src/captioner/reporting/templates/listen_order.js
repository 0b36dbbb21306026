"use strict";

// Order of the clips: by a score of one run, by the difference of two, by name or by duration.

const MEAN = "mean"; // in place of a run: the mean of those that were trained

/** Give a function of a clip's number: what it is ordered by, null where it has no value. */
function orderValue({ clips, runs }, { sort, of, minus }) {
  if (sort === "name" || sort === "duration") return (i) => clips[sort][i];
  const trained = runs.filter((run) => !run.trivial);
  const score = (id) => {
    const chosen = id === MEAN ? (trained.length ? trained : runs) : runs.filter((r) => r.id === id);
    return (i) => {
      const values = chosen.map((run) => run.scores[sort]?.[i] ?? null);
      return values.includes(null) ? null : values.reduce((a, b) => a + b, 0) / values.length;
    };
  };
  const first = score(of);
  if (!minus) return first;
  const second = score(minus);
  return (i) => {
    const [a, b] = [first(i), second(i)];
    return a === null || b === null ? null : a - b;
  };
}

/** Order numbers of clips; those without a value stay last, equals in the order of the file. */
function ordered(numbers, value, descending) {
  const sign = descending ? -1 : 1;
  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => (typeof a === "string" ? collator.compare(a, b) : a - b);
  return numbers
    .map((i) => [i, value(i)])
    .sort(([i, a], [j, b]) => {
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      return sign * compare(a, b) || i - j;
    })
    .map(([i]) => i);
}
