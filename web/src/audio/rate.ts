/** The sample rate that a file's header states, so that the browser decodes at it and not at the loudspeaker's. */

/** In Hz; null where the header is of no known format. */
export function statedRate(bytes: Uint8Array): number | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const rate = stated(bytes, view);
    return rate && rate >= 4000 && rate <= 384000 ? rate : null;
  } catch (error) {
    if (error instanceof RangeError) return null; // it ends inside its header
    throw error;
  }
}

function stated(bytes: Uint8Array, view: DataView): number | null {
  const at = (text: string, place: number) => tag(bytes, place, text.length) === text;
  if (at("RIFF", 0) && at("WAVE", 8)) return wav(bytes, view);
  if (at("fLaC", 0)) return streamInfo(view, 8);
  if (at("OggS", 0)) return ogg(bytes, view);
  if (at("ftyp", 4)) return mp4(bytes, view, 0, bytes.length);
  if (view.getUint32(0) === 0x1a45dfa3) return matroska(bytes, view, 0, bytes.length);
  return mpeg(bytes, view);
}

function tag(bytes: Uint8Array, place: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(place, place + length));
}

function wav(bytes: Uint8Array, view: DataView): number | null {
  for (let place = 12; place + 16 <= bytes.length;) {
    if (tag(bytes, place, 4) === "fmt ") return view.getUint32(place + 12, true);
    const size = view.getUint32(place + 4, true);
    place += 8 + size + (size % 2);
  }
  return null;
}

/** Of FLAC's STREAMINFO, whose rate is the 20 bits after its first 10 bytes. */
function streamInfo(view: DataView, place: number): number {
  return view.getUint32(place + 10) >>> 12;
}

function ogg(bytes: Uint8Array, view: DataView): number | null {
  const packet = 27 + bytes[26];
  if (tag(bytes, packet + 1, 6) === "vorbis") return view.getUint32(packet + 12, true);
  if (tag(bytes, packet, 8) === "OpusHead") return 48000; // decoded at 48 kHz, whatever went in
  if (tag(bytes, packet + 1, 4) === "FLAC") return streamInfo(view, packet + 17);
  return null;
}

const BOXES = ["moov", "trak", "mdia", "minf", "stbl"];
const SAMPLE_ENTRIES = ["mp4a", "alac", "fLaC", "Opus", "ac-3"];

function mp4(bytes: Uint8Array, view: DataView, from: number, to: number): number | null {
  for (let place = from; place + 8 <= to;) {
    const size = view.getUint32(place);
    const length = size === 1 ? Number(view.getBigUint64(place + 8)) : size || to - place;
    const name = tag(bytes, place + 4, 4);
    const inside = size === 1 ? 16 : 8;
    if (SAMPLE_ENTRIES.includes(name)) return view.getUint16(place + inside + 24); // 16.16, of which the whole part
    const found = BOXES.includes(name)
      ? mp4(bytes, view, place + inside, Math.min(place + length, to))
      : name === "stsd"
        ? mp4(bytes, view, place + inside + 8, Math.min(place + length, to))
        : null;
    if (found) return found;
    if (length < 8) return null;
    place += length;
  }
  return null;
}

const MASTERS = [0x18538067, 0x1654ae6b, 0xae, 0xe1]; // Segment, Tracks, TrackEntry, Audio
const SAMPLING_FREQUENCY = 0xb5;
const CODEC = 0x86;
const CLUSTER = 0x1f43b675;

function matroska(bytes: Uint8Array, view: DataView, from: number, to: number): number | null {
  for (let place = from; place < to;) {
    const idLength = Math.clz32(bytes[place]) - 23;
    let id = 0;
    for (let i = 0; i < idLength; i++) id = id * 256 + bytes[place + i];
    place += idLength;
    const sizeLength = Math.clz32(bytes[place]) - 23;
    let size = bytes[place] & (0xff >> sizeLength);
    let known = size !== 0xff >> sizeLength;
    for (let i = 1; i < sizeLength; i++) {
      known ||= bytes[place + i] !== 0xff;
      size = size * 256 + bytes[place + i];
    }
    place += sizeLength;
    if (id === CLUSTER) return null;
    if (id === SAMPLING_FREQUENCY) return size === 8 ? view.getFloat64(place) : view.getFloat32(place);
    if (id === CODEC && tag(bytes, place, 6) === "A_OPUS") return 48000; // whatever went in, as in Ogg
    const end = known ? Math.min(place + size, to) : to; // a live recording states no sizes
    const found = MASTERS.includes(id) ? matroska(bytes, view, place, end) : null;
    if (found) return found;
    place = end;
  }
  return null;
}

const MP3_RATES = [44100, 48000, 32000];
const AAC_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/** MP3, or AAC in ADTS: the first frame's header, after an ID3 tag if there is one. */
function mpeg(bytes: Uint8Array, view: DataView): number | null {
  let place = 0;
  if (tag(bytes, 0, 3) === "ID3") {
    const size = [6, 7, 8, 9].reduce((sum, i) => sum * 128 + bytes[i], 0);
    place = 10 + size;
  }
  for (const last = Math.min(place + 4096, bytes.length - 4); place < last; place++) {
    const header = view.getUint16(place);
    if ((header & 0xfff6) === 0xfff0) return AAC_RATES[(bytes[place + 2] >> 2) & 15] ?? null;
    const version = (header >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    const rate = MP3_RATES[(bytes[place + 2] >> 2) & 3];
    if (header >= 0xffe0 && version !== 1 && ((header >> 1) & 3) === 1 && rate) {
      return version === 3 ? rate : version === 2 ? rate / 2 : rate / 4;
    }
  }
  return null;
}
