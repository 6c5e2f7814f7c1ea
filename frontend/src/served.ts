/** The program behind a served page: apply, progress, undo, what was done earlier, end. */

import type { MatchClass, Matrix, Served } from "./model.ts";

/** A run that removed something. */
export interface EarlierRun {
  readonly run: string;
  /** ISO 8601. */
  readonly when: string;
  /** Files that it removed; restored ones too. */
  readonly done: number;
  readonly bytes: number;
  readonly restored: number;
  readonly restorable: number;
  readonly problem: string;
}

/** A file that a run removed. */
export interface EarlierFile {
  readonly number: number;
  readonly path: string;
  readonly keeper: string;
  readonly class: MatchClass;
  readonly bytes: number;
  /** Where it is now, in words. */
  readonly place: string;
  readonly restorable: boolean;
  readonly message: string;
}

/** One step that was applied: a run of its own, which can be taken back. */
export interface Applied {
  readonly run: string;
  readonly groups: readonly number[];
  readonly done: number;
  readonly failed: number;
  readonly bytes: number;
  readonly undone: boolean;
  /** What could not be done, in sentences. */
  readonly messages: readonly string[];
  /** Files that were to go and did not. */
  readonly left: readonly number[];
}

export interface Status {
  /** What is going on; `null` if nothing is. */
  readonly job: { readonly verb: "compare" | "apply" | "undo"; readonly done: number; readonly total: number } | null;
  readonly applied: readonly Applied[];
  /** Why the last step failed as a whole; empty if it did not. */
  readonly error: string;
}

async function call<T>(served: Served, method: "GET" | "POST", name: string, body?: object): Promise<T> {
  const answer = await fetch(`${served.base}${name}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text || `The program answered ${answer.status}.`);
  return JSON.parse(text) as T;
}

/** Ask where a file lies in its keeper; `null` if that cannot be found out. */
export async function placement(served: Served, keeper: number, file: number): Promise<Matrix | null> {
  const answer = await fetch(`${served.base}placement/${keeper}/${file}`);
  return answer.ok ? ((await answer.json()) as Matrix | null) : null;
}

export const status = (served: Served): Promise<Status> => call(served, "GET", "status");
export const apply = (served: Served, decisions: object): Promise<Status> => call(served, "POST", "apply", decisions);
export const undo = (served: Served, run: string, files?: readonly number[]): Promise<Status> => call(served, "POST", "undo", { run, ...(files ? { files } : {}) });
export const history = (served: Served): Promise<readonly EarlierRun[]> => call(served, "GET", "history");
export const historyOf = (served: Served, run: string): Promise<readonly EarlierFile[]> => call(served, "GET", `history/${encodeURIComponent(run)}`);
export const end = (served: Served): Promise<Status> => call(served, "POST", "end", {});

/** End the session; the page is of no use from then on. */
export async function logout(served: Served): Promise<void> {
  await fetch(`${served.home}logout`, { method: "POST" });
  location.assign(served.home);
}
