/** The data of a page, as `py_image_dedup/report/html.py` writes it. */

export type MatchClass =
  | "identical"
  | "same-pixels"
  | "similar"
  | "edited"
  | "partial"
  | "another-shot"
  | "not-the-same";

/** Surest first. */
export const CLASSES: readonly MatchClass[] = [
  "identical",
  "same-pixels",
  "similar",
  "edited",
  "partial",
  "another-shot",
  "not-the-same",
];

/** Files of these classes show the whole picture of their keeper. */
export const COPIES: ReadonlySet<MatchClass> = new Set(["identical", "same-pixels", "similar"]);

/** Files of these classes are never removed. */
export const OTHERS: ReadonlySet<MatchClass> = new Set(["another-shot", "not-the-same"]);

/** A path that needs more than the readable folder and name: control characters, or bytes that are not UTF-8. */
export interface ExactPath {
  readonly path: string;
  readonly path_bytes?: string;
  /** As a `file:` address. */
  readonly address: string;
}

export interface Video {
  readonly seconds: number;
  readonly codec: string;
  /** Frames per second. */
  readonly rate: number;
  /** Audio tracks in words. */
  readonly audio: readonly string[];
}

export interface PageFile {
  readonly id: number;
  /** Readable: control characters are written out. */
  readonly name: string;
  /** Index into `folders`. */
  readonly folder: number;
  readonly exact?: ExactPath;
  /** Bytes. */
  readonly size: number;
  /** Pixels as shown; 0 if unknown. */
  readonly width: number;
  readonly height: number;
  readonly format: string;
  /** Modification time, seconds since the epoch. */
  readonly modified: number;
  /** Local time of the camera, ISO 8601 without zone. */
  readonly captured?: string;
  readonly camera?: string;
  readonly exif: number;
  readonly gps: boolean;
  readonly frames: number;
  readonly video?: Video;
  /** Whether its name or folder is one that a messenger gives. */
  readonly messenger?: boolean;
  /** BLAKE3 of the bytes, hexadecimal. */
  readonly digest: string;
  /** Why the picture is not whole. */
  readonly damage?: string;
}

/** A rectangle in which two files differ, pixels of the keeper. */
export interface Region {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly kind: string;
}

/** The 3 x 3 matrix, row by row, that maps pixels of the other file onto pixels of the keeper. */
export type Matrix = readonly [number, number, number, number, number, number, number, number, number];

export interface Member {
  readonly file: number;
  readonly class: MatchClass;
  readonly distance: number;
  /** EXIF orientation that makes the keeper look like this file. */
  readonly orientation: number;
  /** What was done to it: "rotated 90°", "crop: 43 % of the keeper". */
  readonly words: readonly string[];
  readonly rule: string;
  /** A sentence: why the keeper is better. */
  readonly why: string;
  readonly action: string | null;
  readonly outcome: string | null;
  readonly message: string | null;
  /** A sentence: what comparing the two files in full found; empty if they were not compared. */
  readonly found: string;
  /** A sentence: which of the two was made from the other; the keeper is A, this file B. */
  readonly original: string;
  readonly regions: readonly Region[];
  readonly matrix?: Matrix;
  /** Further files of the same photo, which go and stay with this one. */
  readonly parts?: readonly { readonly name: string; readonly size: number }[];
}

export interface Group {
  readonly id: number;
  readonly keeper: number;
  readonly members: readonly Member[];
  /** Shown only: nothing of it is planned. */
  readonly reported: boolean;
}

export interface Served {
  /** Path of the requests of this page, ending with a slash. */
  readonly base: string;
  /** Path of the newest page, ending with a slash. */
  readonly home: string;
  /** Whether the page may end the review. */
  readonly end: boolean;
  /** Whether there is a session to log out of. */
  readonly logout: boolean;
  /** Whether what earlier runs did is shown. */
  readonly history: boolean;
  /** Whether the program removes files by itself, too. */
  readonly removes: boolean;
}

export interface PageContent {
  readonly version: 1;
  readonly run: string;
  readonly started: string;
  readonly dry_run: boolean;
  /** Readable. */
  readonly roots: readonly string[];
  /** The folder that all roots are in, readable; empty if there is none. */
  readonly base: string;
  /** Whether pictures were compared at all. */
  readonly compared: boolean;
  readonly files_searched: number;
  readonly unreadable: number;
  readonly folders: readonly Folder[];
  readonly files: readonly PageFile[];
  readonly groups: readonly Group[];
  /** Pictures are files in this folder beside the page; embedded if missing. */
  readonly pictures_beside?: string;
  readonly served?: Served;
}

export interface Folder {
  /** Readable and absolute. */
  readonly name: string;
  /** Number of pictures directly in it; 0 if unknown. */
  readonly files: number;
  /** As a `file:` address without the last slash, or missing. */
  readonly address?: string;
}

/** Every file of a group, the keeper first. */
export function filesOf(group: Group): number[] {
  return [group.keeper, ...group.members.map((member) => member.file)];
}

export function memberOf(group: Group, file: number): Member | undefined {
  return group.members.find((member) => member.file === file);
}

/** Return the number of files that go with one file of a group, itself included, and their size in bytes. */
export function weightOf(content: PageContent, group: Group, file: number): { files: number; bytes: number } {
  const parts = memberOf(group, file)?.parts ?? [];
  return {
    files: 1 + parts.length,
    bytes: parts.reduce((sum, part) => sum + part.size, content.files[file]?.size ?? 0),
  };
}

/** Return the sum of what goes with several files of a group. */
export function weightOfAll(content: PageContent, group: Group, files: readonly number[]): { files: number; bytes: number } {
  const each = files.map((file) => weightOf(content, group, file));
  return { files: each.reduce((sum, one) => sum + one.files, 0), bytes: each.reduce((sum, one) => sum + one.bytes, 0) };
}

/** Whether the run has removed a file. */
export function isGone(member: Member): boolean {
  return member.outcome === "done";
}

/** Return the files of a group that the run has removed. */
export function goneOf(group: Group): number[] {
  return group.members.filter(isGone).map((member) => member.file);
}

export function isPlanned(member: Member): boolean {
  return member.action !== null && member.outcome === "planned";
}
