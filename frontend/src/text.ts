/** Values in words. */

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

/** Return a size as `312 KiB`, rounded as the terminal report rounds. */
export function sizeWords(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (Math.abs(amount) >= 1000 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  if (unit === 0) return `${bytes} byte${bytes === 1 ? "" : "s"}`;
  return `${amount < 10 ? amount.toFixed(1) : amount.toFixed(0)} ${UNITS[unit]}`;
}

export function countWords(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Return the day of a picture: when it was taken, or else when the file was changed. */
export function dayOf(file: { captured?: string; modified: number }): string {
  return file.captured?.slice(0, 10) ?? new Date(file.modified * 1000).toISOString().slice(0, 10);
}

export function yearOf(file: { captured?: string; modified: number }): string {
  return dayOf(file).slice(0, 4);
}

export function pixelWords(file: { width: number; height: number }): string {
  return file.width > 0 ? `${file.width} × ${file.height}` : "size unknown";
}

export const CLASS_WORDS = {
  identical: "identical",
  "same-pixels": "same pixels",
  similar: "similar",
  edited: "edited",
  partial: "partial",
  "another-shot": "another shot",
  "not-the-same": "not the same",
} as const;

export const CLASS_MEANING = {
  identical: "The same bytes.",
  "same-pixels": "The same picture to the last pixel, stored in other bytes.",
  similar: "The same photo, re-encoded, resized, recoloured, rotated or lightly edited.",
  edited: "The same photo with something added, covered or erased.",
  partial: "One shows a part of the other.",
  "another-shot": "Another photo of the same scene.",
  "not-the-same": "Alike, but different pictures.",
} as const;

export const ORIENTATION_WORDS: Readonly<Record<number, string>> = {
  1: "",
  2: "mirrored",
  3: "rotated 180°",
  4: "flipped top to bottom",
  5: "mirrored and rotated 270°",
  6: "rotated 90°",
  7: "mirrored and rotated 90°",
  8: "rotated 270°",
};

/** Return what the program said of A, the keeper, and B, the other file, with words for the letters. */
export function withNames(words: string): string {
  const named = words.replace(/\bA\b/g, "the keeper").replace(/\bB\b/g, "the other file");
  return named.charAt(0).toUpperCase() + named.slice(1);
}
