/** `ear.json`: what accent/page/export.py says of the graph beside it. */

export const FORMAT = 1;

export interface AudioParams {
  sample_rate: number;
  silence_db: number;
  margin_seconds: number;
  min_seconds: number;
  max_seconds: number;
}

export interface Thresholds {
  min_speech_seconds: number;
  min_snr_db: number;
  max_clipped_fraction: number;
  min_bandwidth_hz: number;
  min_confidence: number;
}

export interface Evidence {
  voices: Record<string, number>; // by class, in the test split
  clips: Record<string, number>;
  roc_auc: number;
  roc_auc_low: number | null; // ends of the 95% interval, null where too few voices were tested to know them
  roc_auc_high: number | null;
  second_source: boolean; // whether it was also tested on recordings of another source
}

export interface Card {
  format: number;
  weights_sha256: string;
  classes: string[];
  target: string;
  audio: AudioParams;
  high_pass: { step: number; taps: number[] };
  spectrogram: {
    n_fft: number;
    hop_length: number;
    n_mels: number;
    fmin_hz: number;
    fmax_hz: number;
    range_db: number;
  };
  window: number;
  window_hop: number;
  temperature: number;
  thresholds: Thresholds;
  typicality: { mean: number[]; precision: number[][]; allowed: number };
  native_log_odds: number[];
  fitness: { verdicts: boolean; sentence: string }; // what the model has earned
  evidence: Evidence;
}
