/** Content of pages, made by hand. */

import { COPIES, type Group, type MatchClass, type Member, type PageContent, type PageFile } from "../src/model.ts";

export function file(id: number, changes: Partial<PageFile> = {}): PageFile {
  return {
    id,
    name: `photo${id}.jpg`,
    folder: 0,
    size: 1000,
    width: 40,
    height: 30,
    format: "JPEG",
    modified: 1_600_000_000,
    exif: 3,
    gps: false,
    frames: 1,
    digest: `${id}`.padStart(64, "0"),
    ...changes,
  };
}

export function member(id: number, kind: MatchClass, changes: Partial<Member> = {}): Member {
  const isRemovable = COPIES.has(kind);
  return {
    file: id,
    class: kind,
    distance: 0,
    orientation: 1,
    words: [],
    rule: "higher-pixel-count",
    why: "It has more pixels.",
    action: isRemovable ? "delete" : null,
    outcome: isRemovable ? "planned" : null,
    message: null,
    found: "",
    original: "",
    regions: [],
    ...changes,
  };
}

export function group(id: number, keeper: number, ...members: Member[]): Group {
  return { id, keeper, members, reported: false };
}

export function content(files: PageFile[], groups: Group[]): PageContent {
  return {
    version: 1,
    run: "run",
    started: "2025-01-02T03:04:05+00:00",
    dry_run: true,
    roots: ["/photos"],
    base: "/photos",
    compared: true,
    files_searched: files.length,
    unreadable: 0,
    folders: [
      { name: "/photos/2019", files: 10 },
      { name: "/photos/Backup/2019", files: 4 },
      { name: "/photos/Backup", files: 0 },
    ],
    files,
    groups,
  };
}
