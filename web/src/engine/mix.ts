/** Channels -> one: accent/audio/waveform.py's `mix`. */

const OPPOSITE = -0.5; // correlation with the loudest channel below which a channel is turned over

/** The mean of channels, with those of the opposite phase turned over, so that they cannot cancel out. */
export function mix(channels: Float32Array[]): Float32Array {
  if (channels.length === 1) return channels[0];
  const product = (a: Float32Array, b: Float32Array) => a.reduce((sum, sample, i) => sum + sample * b[i], 0);
  const energy = channels.map((channel) => product(channel, channel));
  const loudest = energy.indexOf(Math.max(...energy));
  const opposite = channels.map(
    (channel, i) => product(channel, channels[loudest]) < OPPOSITE * Math.sqrt(energy[i] * energy[loudest]),
  );
  const signs = opposite.map((is) => (is === opposite[0] ? 1 : -1)); // the first stays
  return channels[0].map(
    (_, i) => channels.reduce((sum, channel, c) => sum + signs[c] * channel[i], 0) / channels.length,
  );
}
