/** Which groups are shown, and in which order. */

import { current, pathOf, shortFolder, type Decisions } from "./decisions.ts";
import { CLASSES, filesOf, weightOfAll, type Group, type MatchClass, type PageContent, type PageFile } from "./model.ts";
import { dayOf } from "./text.ts";

export type Sort = "gain" | "newest" | "oldest" | "folder" | "distance" | "files";

export const SORTS: Readonly<Record<Sort, string>> = {
  gain: "Most to free",
  newest: "Newest",
  oldest: "Oldest",
  folder: "Folder",
  distance: "Least alike",
  files: "Most files",
};

export type State = "all" | "open" | "decided";

export interface Filter {
  readonly text: string;
  readonly classes: ReadonlySet<MatchClass>;
  readonly folder: string;
  readonly format: string;
  readonly rule: string;
  readonly state: State;
  readonly sort: Sort;
}

export const EVERYTHING: Filter = {
  text: "",
  classes: new Set(),
  folder: "",
  format: "",
  rule: "",
  state: "all",
  sort: "gain",
};

export function isFiltered(filter: Filter): boolean {
  const { text, classes, folder, format, rule, state } = filter;
  return text !== "" || classes.size > 0 || folder !== "" || format !== "" || rule !== "" || state !== "all";
}

/** What is asked of a group again and again, computed once. */
export interface Indexed {
  readonly group: Group;
  readonly text: string;
  readonly classes: ReadonlySet<MatchClass>;
  readonly folders: ReadonlySet<string>;
  readonly formats: ReadonlySet<string>;
  readonly rules: ReadonlySet<string>;
  readonly bytes: number;
  readonly day: string;
  readonly distance: number;
  readonly folder: string;
}

export function indexed(content: PageContent): Indexed[] {
  return content.groups.map((group) => {
    const files = filesOf(group).map((id) => content.files[id] as PageFile);
    const words = group.members.flatMap((member) => member.words);
    return {
      group,
      // Below the common folder: what all paths have in common would be found everywhere.
      text: [...files.map((file) => `${shortFolder(content, file.folder)}/${file.name}`), ...words].join("\n").toLowerCase(),
      classes: new Set(group.members.map((member) => member.class)),
      folders: new Set(files.map((file) => content.folders[file.folder]?.name ?? "")),
      formats: new Set(files.map((file) => file.format)),
      rules: new Set(group.members.map((member) => member.rule).filter(Boolean)),
      bytes: weightOfAll(content, group, filesOf(group).slice(1)).bytes * (group.reported ? 1e-9 : 1),
      day: dayOf(files[0] as PageFile),
      distance: Math.max(...group.members.map((member) => member.distance)),
      folder: pathOf(content, files[0] as PageFile),
    };
  });
}

const ORDERS: Readonly<Record<Sort, (a: Indexed, b: Indexed) => number>> = {
  gain: (a, b) => b.bytes - a.bytes,
  newest: (a, b) => b.day.localeCompare(a.day),
  oldest: (a, b) => a.day.localeCompare(b.day),
  folder: (a, b) => (a.folder < b.folder ? -1 : a.folder > b.folder ? 1 : 0),
  distance: (a, b) => b.distance - a.distance,
  files: (a, b) => b.group.members.length - a.group.members.length,
};

/** Return the groups that a filter leaves, sorted; ties stay in the order of the run. */
export function chosen(all: readonly Indexed[], filter: Filter, decisions: Decisions): Group[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = all.filter(
    (one) =>
      (filter.classes.size === 0 || [...filter.classes].some((each) => one.classes.has(each))) &&
      (filter.folder === "" || isIn(one.folders, filter.folder)) &&
      (filter.format === "" || one.formats.has(filter.format)) &&
      (filter.rule === "" || one.rules.has(filter.rule)) &&
      (filter.state === "all" || decisions.has(one.group.id) === (filter.state === "decided")) &&
      words.every((word) => one.text.includes(word)),
  );
  return shown.sort((a, b) => ORDERS[filter.sort](a, b) || a.group.id - b.group.id).map((one) => one.group);
}

function isIn(folders: ReadonlySet<string>, folder: string): boolean {
  for (const each of folders) if (each === folder || each.startsWith(`${folder}/`)) return true;
  return false;
}

export interface Facets {
  readonly classes: readonly [MatchClass, number][];
  readonly folders: readonly [string, number][];
  readonly formats: readonly [string, number][];
  readonly rules: readonly [string, number][];
}

/** Return what can be filtered by, with the number of groups of each. */
export function facets(all: readonly Indexed[]): Facets {
  const count = (keys: (one: Indexed) => Iterable<string>): [string, number][] => {
    const found = new Map<string, number>();
    for (const one of all) for (const key of keys(one)) found.set(key, (found.get(key) ?? 0) + 1);
    return [...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  };
  const classes = new Map(count((one) => one.classes));
  return {
    classes: CLASSES.filter((each) => classes.has(each)).map((each) => [each, classes.get(each) as number]),
    folders: count((one) => one.folders),
    formats: count((one) => one.formats),
    rules: count((one) => one.rules),
  };
}

/** Return the files of a group that would be removed from a folder with this class. */
export function isLike(content: PageContent, group: Group, file: number, kind: MatchClass, folder: number): boolean {
  const member = group.members.find((each) => each.file === file);
  return member?.class === kind && content.files[file]?.folder === folder;
}

export function isDecided(group: Group, decisions: Decisions): boolean {
  return decisions.has(group.id);
}

/** Whether anything of this group goes. */
export function goesPartly(group: Group, decisions: Decisions): boolean {
  return current(group, decisions).remove.length > 0;
}
