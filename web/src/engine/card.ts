/** `ear.json`: what accent/page/export.py says of the graph beside it. */

export const FORMAT = 2;

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

/** How the grade is made, and how natives' takes of each length are graded: accent/grading/. */
export interface GradeCard {
  centre: number; // mean grade of natives
  between: number; // variance of the grade of very long takes
  within: number; // and what one second of speech adds to it
  deviations: number[]; // percentiles 0 to 100 of natives, in standard deviations
  stretch: number; // smoothed frames' grade that 5% of natives' frames lie below
  takes: number;
  speakers: number;
  frame_seconds: number;
  frame_samples: number;
  context_seconds: number;
  step_seconds: number;
  min_silence_seconds: number;
  silence_db: number;
  block_seconds: number;
  student: number[]; // t of 2, 3, ... degrees of freedom that 97.5% lie below
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
  grade: GradeCard;
  fitness: { verdicts: boolean; sentence: string }; // what the model has earned
  evidence: Evidence;
}
