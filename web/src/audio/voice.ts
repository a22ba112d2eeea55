/** The system's own speech synthesis, and of its voices only those that speak on this device. */

export function localVoice(locale: string): SpeechSynthesisVoice | null {
  const voices = window.speechSynthesis?.getVoices() ?? [];
  return voices.find((voice) => voice.localService && voice.lang.toLowerCase().startsWith(locale)) ?? null;
}

/** Call `changed` when the system's voices are known, which may be after the page is. */
export function onVoices(changed: () => void): void {
  window.speechSynthesis?.addEventListener?.("voiceschanged", changed);
}

export function speak(text: string, voice: SpeechSynthesisVoice, rate: number): Promise<void> {
  speechSynthesis.cancel();
  const utterance = new SpeechSynthesisUtterance(text);
  utterance.voice = voice;
  utterance.lang = voice.lang;
  utterance.rate = rate;
  return new Promise((resolve) => {
    utterance.onend = () => resolve();
    utterance.onerror = () => resolve();
    speechSynthesis.speak(utterance);
  });
}
