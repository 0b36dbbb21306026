// Draw the spectrogram that the server sends, with its axes.

// Matplotlib's colour map magma at 17 even steps (CC0): even in lightness, for every eye.
const MAGMA = [
  [0, 0, 4], [10, 8, 34], [29, 17, 71], [54, 16, 107], [81, 18, 124], [106, 28, 129],
  [131, 38, 129], [156, 46, 127], [183, 55, 121], [208, 65, 111], [231, 82, 99], [245, 107, 92],
  [252, 137, 97], [254, 167, 114], [254, 196, 136], [253, 226, 163], [252, 253, 191],
];
const TICKS_HZ = [300, 1000, 3000, 10000];
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
const MOST_TICKS = 7;

/** Fill the canvas and the elements of both axes. */
export function draw(spectrogram, durationS, canvas, hzAxis, timeAxis) {
  const { n_columns: width, n_bands: height, hz } = spectrogram;
  const levels = Uint8Array.from(atob(spectrogram.levels), (c) => c.charCodeAt(0));
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let column = 0; column < width; column++) {
    for (let band = 0; band < height; band++) {
      const pixel = 4 * ((height - 1 - band) * width + column);
      image.data.set(colour(levels[column * height + band] / 255), pixel);
    }
  }
  context.putImageData(image, 0, 0);
  canvas.setAttribute(
    "aria-label",
    `Spectrogram: ${durationS.toFixed(1)} seconds from left to right, ${Math.round(hz[0])} to ` +
      `${Math.round(hz[height - 1])} Hz from bottom to top, brighter is louder`,
  );
  hzAxis.replaceChildren(
    ...TICKS_HZ.map((tick) => {
      const share = (bandOf(tick, hz) + 0.5) / height;
      return label(tick < 1000 ? `${tick} Hz` : `${tick / 1000} kHz`, "bottom", share);
    }),
  );
  const step = STEPS_S.find((each) => durationS / each <= MOST_TICKS) ?? durationS;
  const ticks = Array.from({ length: Math.floor(durationS / step) + 1 }, (_, i) => i * step);
  timeAxis.replaceChildren(
    ...ticks.map((tick) => label(clock(tick, step < 1 ? 1 : 0), "left", tick / durationS)),
  );
}

/** 75.5 -> "1:15.5". */
export function clock(seconds, digits = 0) {
  const whole = Number(seconds.toFixed(digits));
  const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return `${Math.floor(whole / 60)}:${rest}`;
}

function colour(share) {
  const place = share * (MAGMA.length - 1);
  const index = Math.min(Math.floor(place), MAGMA.length - 2);
  const [low, high] = [MAGMA[index], MAGMA[index + 1]];
  return [...low.map((value, i) => value + (place - index) * (high[i] - value)), 255];
}

/** The place of a frequency among the bands' centres, between bands too. */
function bandOf(tick, hz) {
  const above = hz.findIndex((centre) => centre >= tick);
  return above - (hz[above] - tick) / (hz[above] - hz[above - 1]);
}

function label(text, side, share) {
  const span = document.createElement("span");
  span.textContent = text;
  span.style[side] = `${100 * share}%`;
  return span;
}
