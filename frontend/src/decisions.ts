/** What the person decided, and how it leaves the page. */

import { COPIES, filesOf, goneOf, isGone, isPlanned, memberOf, OTHERS, weightOfAll, type Group, type PageContent, type PageFile } from "./model.ts";

export type Verdict = "keep" | "remove";

export interface GroupDecision {
  readonly keeper: number;
  /** Files that go; all others stay. */
  readonly remove: readonly number[];
  readonly notDuplicates: boolean;
}

export type Decisions = ReadonlyMap<number, GroupDecision>;

/** Return what the program proposes for a group: planned files go, all others stay. */
export function proposal(group: Group): GroupDecision {
  return {
    keeper: group.keeper,
    remove: group.members.filter(isPlanned).map((member) => member.file),
    notDuplicates: false,
  };
}

/** Return what holds for a group at the moment: what was decided, or else what is proposed. */
export function current(group: Group, decisions: Decisions): GroupDecision {
  return decisions.get(group.id) ?? proposal(group);
}

export function verdictOf(group: Group, decisions: Decisions, file: number): Verdict {
  return current(group, decisions).remove.includes(file) ? "remove" : "keep";
}

/** Why a file cannot go while this file is the keeper; empty if it can. */
export function obstacle(group: Group, keeper: number, file: number): string {
  if (file === keeper) return "It is the file that stays.";
  const chosen = memberOf(group, keeper);
  const other = memberOf(group, file);
  if (other && isGone(other)) return "It has been removed.";
  if (other && OTHERS.has(other.class)) return "It is another photo: it is never removed.";
  if (keeper === group.keeper) return "";
  // Only the first keeper was compared with everything; a part must not replace what it is a part of.
  if (chosen && !COPIES.has(chosen.class)) return "The chosen keeper does not show everything that the first one shows.";
  if (other && !COPIES.has(other.class))
    return "It was compared with the first keeper only, and is not a copy of the whole.";
  return "";
}

function normalised(group: Group, decision: GroupDecision): GroupDecision {
  const order = filesOf(group);
  const remove = order.filter(
    (file) => decision.remove.includes(file) && obstacle(group, decision.keeper, file) === "",
  );
  return { ...decision, remove: decision.notDuplicates ? [] : remove };
}

function having(decisions: Decisions, group: Group, decision: GroupDecision): Decisions {
  const next = new Map(decisions);
  next.set(group.id, normalised(group, decision));
  return next;
}

export function accept(decisions: Decisions, group: Group): Decisions {
  return having(decisions, group, proposal(group));
}

export function decide(decisions: Decisions, group: Group, file: number, verdict: Verdict): Decisions {
  const before = current(group, decisions);
  const remove = before.remove.filter((other) => other !== file);
  if (verdict === "remove") remove.push(file);
  return having(decisions, group, { keeper: before.keeper, remove, notDuplicates: false });
}

/** Make a file the keeper; the former one goes instead, unless it shows more. */
export function makeKeeper(decisions: Decisions, group: Group, file: number): Decisions {
  const before = current(group, decisions);
  if (before.keeper === file) return decisions;
  const remove = [...before.remove.filter((other) => other !== file), before.keeper];
  return having(decisions, group, { keeper: file, remove, notDuplicates: false });
}

export function notDuplicates(decisions: Decisions, group: Group): Decisions {
  return having(decisions, group, { keeper: group.keeper, remove: [], notDuplicates: true });
}

export function forget(decisions: Decisions, group: Group): Decisions {
  const next = new Map(decisions);
  next.delete(group.id);
  return next;
}

/** Apply one change to many groups. */
export function forAll(
  decisions: Decisions,
  groups: readonly Group[],
  change: (decisions: Decisions, group: Group) => Decisions,
): Decisions {
  // One copy, not one for each group: thousands of groups may change at once.
  const next = new Map(decisions);
  for (const group of groups) {
    const changed = change(new Map(next.has(group.id) ? [[group.id, next.get(group.id) as GroupDecision]] : []), group);
    const decision = changed.get(group.id);
    if (decision) next.set(group.id, decision);
    else next.delete(group.id);
  }
  return next;
}

/** Decide one verdict for every file of the groups that a test picks. */
export function decideEach(
  decisions: Decisions,
  groups: readonly Group[],
  picks: (group: Group, file: number) => boolean,
  verdict: Verdict,
): Decisions {
  return forAll(decisions, groups, (one, group) => {
    let changed = one;
    for (const file of filesOf(group)) if (picks(group, file)) changed = decide(changed, group, file, verdict);
    return changed;
  });
}

function pathFields(content: PageContent, file: PageFile): Record<string, string> {
  if (file.exact) {
    const { path, path_bytes } = file.exact;
    return path_bytes === undefined ? { path } : { path, path_bytes };
  }
  return { path: pathOf(content, file) };
}

/** Return a readable folder, relative to the common folder of all roots. */
export function shortFolder(content: PageContent, folder: number): string {
  const name = content.folders[folder]?.name ?? "";
  if (content.base && name === content.base) return name.slice(name.lastIndexOf("/") + 1) || name;
  return content.base && name.startsWith(`${content.base}/`) ? name.slice(content.base.length + 1) : name;
}

/** Return a readable path, relative to the common folder of all roots. */
export function relative(content: PageContent, path: string): string {
  return content.base && path.startsWith(`${content.base}/`) ? path.slice(content.base.length + 1) : path;
}

/** Return the readable path of a file. */
export function pathOf(content: PageContent, file: PageFile): string {
  const folder = content.folders[file.folder]?.name ?? "";
  return folder.endsWith("/") ? `${folder}${file.name}` : `${folder}/${file.name}`;
}

/** Return `decisions.json`: every file of every decided group, named by path and content. */
export function exported(content: PageContent, decisions: Decisions): object {
  const groups = content.groups.filter((group) => decisions.has(group.id));
  return {
    version: 1,
    kind: "py-image-dedup decisions",
    run: content.run,
    groups: groups.map((group) => {
      const decision = current(group, decisions);
      const named = (id: number): object => {
        const file = content.files[id] as PageFile;
        return { ...pathFields(content, file), digest: file.digest };
      };
      return {
        keeper: named(decision.keeper),
        not_duplicates: decision.notDuplicates,
        files: filesOf(group)
          .filter((id) => id !== decision.keeper)
          .map((id) => ({ ...named(id), decision: decision.remove.includes(id) ? "remove" : "keep" })),
      };
    }),
  };
}

/** Return decisions as text that `restored` reads. */
export function stored(decisions: Decisions): string {
  return JSON.stringify([...decisions]);
}

/** Read what `stored` wrote; what does not fit the groups is left out. */
export function restored(content: PageContent, text: string | null): Decisions {
  const known = new Map(content.groups.map((group) => [group.id, group]));
  let next: Decisions = new Map();
  try {
    for (const [id, decision] of JSON.parse(text ?? "[]") as [number, GroupDecision][]) {
      const group = known.get(id);
      if (group && filesOf(group).includes(decision.keeper)) next = having(next, group, decision);
    }
  } catch {
    return new Map();
  }
  return next;
}

export interface Totals {
  readonly groups: number;
  readonly files: number;
  /** Files and bytes that go if every proposal and decision is followed. */
  readonly removable: number;
  readonly bytes: number;
  /** Files and bytes that the run has removed. */
  readonly gone: number;
  readonly goneBytes: number;
  readonly decidedGroups: number;
  /** Files and bytes of decided groups that go. */
  readonly decidedFiles: number;
  readonly decidedBytes: number;
}

export function totals(content: PageContent, groups: readonly Group[], decisions: Decisions): Totals {
  const seen = { groups: groups.length, files: 0, removable: 0, bytes: 0, gone: 0, goneBytes: 0, decidedGroups: 0, decidedFiles: 0, decidedBytes: 0 };
  for (const group of groups) {
    const decision = current(group, decisions);
    const { files, bytes } = weightOfAll(content, group, decision.remove);
    seen.files += group.members.length + 1;
    seen.removable += files;
    seen.bytes += bytes;
    const gone = weightOfAll(content, group, goneOf(group));
    seen.gone += gone.files;
    seen.goneBytes += gone.bytes;
    if (decisions.has(group.id)) {
      seen.decidedGroups += 1;
      seen.decidedFiles += files;
      seen.decidedBytes += bytes;
    }
  }
  return seen;
}
