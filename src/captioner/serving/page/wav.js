// PCM WAV of one channel, 16 bits: what every reader reads.

const HEADER_BYTES = 44;

/** The average of the channels (Float32Arrays of one length), as the server mixes them. */
export function mix(channels) {
  const mixed = new Float32Array(channels[0].length);
  for (const channel of channels) {
    for (let i = 0; i < mixed.length; i++) mixed[i] += channel[i] / channels.length;
  }
  return mixed;
}

/** A Blob of samples in [-1, 1], those beyond clipped. */
export function encodeWav(samples, sampleRateHz) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 2 * samples.length));
  const text = (at, said) => [...said].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, sampleRateHz, true);
  view.setUint32(28, 2 * sampleRateHz, true); // bytes per second
  view.setUint16(32, 2, true); // bytes per frame
  view.setUint16(34, 16, true); // bits
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) {
    const value = Math.round(32768 * samples[i]);
    view.setInt16(HEADER_BYTES + 2 * i, Math.max(-32768, Math.min(32767, value)), true);
  }
  return new Blob([view.buffer], { type: "audio/wav" });
}
