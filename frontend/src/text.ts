/** Values in words. */

import type { Group, Member, PageContent, PageFile } from "./model.ts";

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

/** Return a length as `0:06` or `1:02:05`. */
export function lengthWords(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number): string => `${value}`.padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function rateWords(video: { rate: number }): string {
  return `${+video.rate.toFixed(2)} frames/s`;
}

export function soundWords(video: { audio: readonly string[] }): string {
  return video.audio.join(" + ") || "no sound";
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

/** What an action has done to a file, by its name. */
export const DONE_WORDS: Readonly<Record<string, string>> = {
  move: "moved",
  quarantine: "quarantined",
  delete: "deleted",
  trash: "trashed",
  hardlink: "linked",
};

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

/** Return the metadata that one file has and another one has not, in words. */
export function onlyHere(file: PageFile, other: PageFile): readonly string[] {
  const found = [
    file.gps && !other.gps ? "position" : "",
    file.captured && !other.captured ? "date taken" : "",
    file.camera && !other.camera ? "camera" : "",
  ].filter(Boolean);
  if (found.length === 0 && file.exif > other.exif) found.push(countWords(file.exif - other.exif, "EXIF field"));
  return found;
}

/** Return what was done to a file, in words: what the program measured, and what follows from the two files. */
export function whatWasDone(content: PageContent, group: Group, member: Member): readonly string[] {
  const turn = ORIENTATION_WORDS[member.orientation] ?? "";
  const words = member.words.length > 0 ? [...member.words] : turn === "" ? [] : [turn];
  const [keeper, file] = [content.files[group.keeper] as PageFile, content.files[member.file] as PageFile];
  if (file.video || keeper.video || (member.class !== "similar" && member.class !== "edited")) return words;
  const share = Math.sqrt((file.width * file.height) / (keeper.width * keeper.height));
  if (share > 0 && Math.abs(share - 1) > 0.01) words.push(`${share < 1 ? "reduced" : "enlarged"} to ${Math.round(share * 100)} %`);
  const again = /^B was (saved again) from A(.*)$/.exec(member.original);
  if (again) words.push(`${again[1]} from the keeper${again[2]}`);
  else if (file.format !== keeper.format) words.push(`saved as ${file.format}`);
  else if (words.length === 0) words.push("re-encoded");
  return words;
}
