// Record the microphone as WAV. MediaRecorder would give webm, which the server does not read.

import { encodeWav } from "./wav.js";

const SILENT_DB = -60;

/** Why there is no microphone here; "" if there may be one. */
export function whyNot() {
  if (!window.isSecureContext) return "Browsers record at localhost and https addresses only.";
  if (!navigator.mediaDevices?.getUserMedia) return "This browser cannot record.";
  return "";
}

/**
 * Start; gives { stop() }, which gives the Blob, or null if nothing was heard.
 * `heard(seconds, db)` is told the length and the last block's peak.
 */
export async function record(heard) {
  const stream = await navigator.mediaDevices.getUserMedia({
    // The sound as it is: these are made for speech and take away what else there is to caption.
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  const blocks = [];
  let nSamples = 0;

  const end = () => {
    stream.getTracks().forEach((track) => track.stop());
    return context.close();
  };
  try {
    await context.audioWorklet.addModule("recorder.js");
  } catch (error) {
    await end();
    throw error;
  }
  const recorder = new AudioWorkletNode(context, "recorder", {
    numberOfOutputs: 0,
    channelCount: 1,
    channelCountMode: "explicit",
  });
  recorder.port.onmessage = ({ data }) => {
    blocks.push(data);
    nSamples += data.length;
    const peak = data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    heard(nSamples / context.sampleRate, Math.max(SILENT_DB, 20 * Math.log10(peak || 1e-9)));
  };
  context.createMediaStreamSource(stream).connect(recorder);

  return {
    async stop() {
      const rate = context.sampleRate;
      await end();
      const samples = new Float32Array(nSamples);
      let start = 0;
      for (const block of blocks) {
        samples.set(block, start);
        start += block.length;
      }
      return nSamples ? encodeWav(samples, rate) : null;
    },
  };
}
