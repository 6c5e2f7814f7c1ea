/** What can be freed, by folder, class and year; and which folder lies in which. */

import { current, type Decisions } from "./decisions.ts";
import { COPIES, goneOf, memberOf, weightOf, type Group, type PageContent } from "./model.ts";
import { CLASS_WORDS, yearOf } from "./text.ts";

export interface Bar {
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
}

function bars(entries: Iterable<readonly [string, { readonly files: number; readonly bytes: number }]>): Bar[] {
  const found = new Map<string, { files: number; bytes: number }>();
  for (const [name, weight] of entries) {
    const bar = found.get(name) ?? { files: 0, bytes: 0 };
    bar.files += weight.files;
    bar.bytes += weight.bytes;
    found.set(name, bar);
  }
  return [...found].map(([name, bar]) => ({ name, ...bar })).sort((a, b) => b.bytes - a.bytes);
}

export interface Numbers {
  readonly folders: readonly Bar[];
  readonly classes: readonly Bar[];
  readonly years: readonly Bar[];
}

/** Return what goes, by decision or proposal, or has gone, in three ways. */
export function numbers(content: PageContent, groups: readonly Group[], decisions: Decisions): Numbers {
  const gone = groups.flatMap((group) =>
    [...current(group, decisions).remove, ...goneOf(group)].map((id) => ({ group, file: content.files[id]!, weight: weightOf(content, group, id) })),
  );
  return {
    folders: bars(gone.map(({ file, weight }) => [content.folders[file.folder]?.name ?? "", weight])),
    classes: bars(
      gone.map(({ group, file, weight }) => [CLASS_WORDS[memberOf(group, file.id)?.class ?? "similar"], weight]),
    ),
    years: bars(gone.map(({ file, weight }) => [yearOf(file), weight])).sort((a, b) => (a.name < b.name ? 1 : -1)),
  };
}

export interface Containment {
  /** Index of the folder whose pictures are in the other one, too. */
  readonly folder: number;
  /** Index of the folder that has the keepers. */
  readonly other: number;
  readonly files: number;
  readonly bytes: number;
  /** Files of the folder that are in the other one; 0 to 1, or `null` if the folder's size is not known. */
  readonly share: number | null;
  readonly groups: readonly Group[];
}

/** Return pairs of folders of which one has keepers of the other's files, the fullest first. */
export function containments(content: PageContent): Containment[] {
  const found = new Map<string, { folder: number; other: number; files: Set<number>; groups: Set<Group> }>();
  for (const group of content.groups) {
    const other = content.files[group.keeper]!.folder;
    for (const member of group.members) {
      const folder = content.files[member.file]!.folder;
      if (folder === other || !COPIES.has(member.class)) continue;
      const key = `${folder} ${other}`;
      const pair = found.get(key) ?? { folder, other, files: new Set(), groups: new Set() };
      pair.files.add(member.file);
      pair.groups.add(group);
      found.set(key, pair);
    }
  }
  return [...found.values()]
    .map(({ folder, other, files, groups }) => ({
      folder,
      other,
      files: files.size,
      bytes: [...files].reduce((sum, id) => sum + content.files[id]!.size, 0),
      share: content.folders[folder]!.files ? Math.min(1, files.size / content.folders[folder]!.files) : null,
      groups: [...groups],
    }))
    .sort((a, b) => (b.share ?? 0) * b.files - (a.share ?? 0) * a.files || b.files - a.files);
}

/** Whether a file of a group lies in one folder and its keeper in the other. */
export function isBetween(content: PageContent, group: Group, file: number, folder: number, other: number): boolean {
  return content.files[file]?.folder === folder && content.files[group.keeper]?.folder === other;
}
