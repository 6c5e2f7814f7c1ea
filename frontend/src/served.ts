/** The program behind a served page: apply, progress, undo, end. */

import type { Matrix, Served } from "./model.ts";

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

async function call(served: Served, method: "GET" | "POST", name: string, body?: object): Promise<Status> {
  const answer = await fetch(`${served.base}${name}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text || `The program answered ${answer.status}.`);
  return JSON.parse(text) as Status;
}

/** Ask where a file lies in its keeper; `null` if that cannot be found out. */
export async function placement(served: Served, keeper: number, file: number): Promise<Matrix | null> {
  const answer = await fetch(`${served.base}placement/${keeper}/${file}`);
  return answer.ok ? ((await answer.json()) as Matrix | null) : null;
}

export const status = (served: Served): Promise<Status> => call(served, "GET", "status");
export const apply = (served: Served, decisions: object): Promise<Status> => call(served, "POST", "apply", decisions);
export const undo = (served: Served, run: string): Promise<Status> => call(served, "POST", "undo", { run });
export const end = (served: Served): Promise<Status> => call(served, "POST", "end", {});
