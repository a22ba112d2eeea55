/** The spectrogram that the network heard, in the page's own colours. */

import type { Picture } from "../engine/engine";
import type { Texts } from "../text/en";
import type { Numbers } from "../text/texts";
import { colour, h, onResize } from "./dom";

const HEIGHT = 140; // px

export function spectrogram(picture: Picture, say: Texts, numbers: Numbers): HTMLElement {
  const { frames, nMels, cells } = picture.spectrogram;
  const canvas = h("canvas", {
    role: "img",
    "aria-label": say.spectrogramLabel(numbers.number(picture.maxHz)),
    class: "spectrogram",
  });
  const element = h("div", {}, canvas);
  const draw = () => {
    canvas.width = frames;
    canvas.height = nMels;
    canvas.style.height = `${HEIGHT}px`;
    const context = canvas.getContext("2d")!;
    const [paper, ink] = [rgb(colour("surface")), rgb(colour("ink"))];
    const image = context.createImageData(frames, nMels);
    for (let frame = 0; frame < frames; frame++) {
      for (let band = 0; band < nMels; band++) {
        const share = (cells[frame * nMels + band] / 255) ** 1.5;
        const place = 4 * ((nMels - 1 - band) * frames + frame);
        for (let c = 0; c < 3; c++) image.data[place + c] = paper[c] + share * (ink[c] - paper[c]);
        image.data[place + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
  };
  onResize(element, draw);
  return element;
}

/** The parts of a colour written as rgb(r, g, b). */
function rgb(text: string): number[] {
  return text.match(/\d+/g)!.map(Number);
}
