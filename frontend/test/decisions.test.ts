import assert from "node:assert/strict";
import { test } from "node:test";

import * as decide from "../src/decisions.ts";
import { content, file, group, member } from "./content.ts";

const page = content(
  [file(0), file(1, { size: 500 }), file(2, { size: 300 }), file(3, { name: "crop.jpg", folder: 1 }), file(4), file(5)],
  [
    group(0, 0, member(1, "identical"), member(2, "similar"), member(3, "partial")),
    group(1, 4, member(5, "same-pixels")),
  ],
);
const [first, second] = page.groups;
const none: decide.Decisions = new Map();

test("the proposal removes what is planned and keeps the rest", () => {
  assert.deepEqual(decide.proposal(first!).remove, [1, 2]);
});

test("what is not decided is not exported", () => {
  const text = decide.exported(page, decide.accept(none, second!)) as { groups: { keeper: { path: string } }[] };
  assert.deepEqual(
    text.groups.map((each) => each.keeper.path),
    ["/photos/2019/photo4.jpg"],
  );
});

test("a decided file is named by path, content and verdict", () => {
  const exported = decide.exported(page, decide.decide(none, first!, 2, "keep")) as { groups: { files: object[] }[] };
  assert.deepEqual(exported.groups[0]!.files, [
    { path: "/photos/2019/photo1.jpg", digest: "1".padStart(64, "0"), decision: "remove" },
    { path: "/photos/2019/photo2.jpg", digest: "2".padStart(64, "0"), decision: "keep" },
    { path: "/photos/Backup/2019/crop.jpg", digest: "3".padStart(64, "0"), decision: "keep" },
  ]);
});

test("a path that is not UTF-8 is exported with its bytes and without its address", () => {
  const exact = { path: "/photos/\ufffd.jpg", path_bytes: "L3Bob3Rvcy//LmpwZw==", address: "file:///photos/%FF.jpg" };
  const hostile = content([file(0, { exact }), file(1)], [group(0, 0, member(1, "identical"))]);
  const exported = decide.exported(hostile, decide.accept(none, hostile.groups[0]!)) as { groups: { keeper: object }[] };
  assert.deepEqual(exported.groups[0]!.keeper, {
    path: "/photos/\ufffd.jpg",
    path_bytes: "L3Bob3Rvcy//LmpwZw==",
    digest: "0".padStart(64, "0"),
  });
});

test("the keeper never goes", () => {
  const decisions = decide.decide(none, first!, 0, "remove");
  assert.deepEqual(decisions.get(0)!.remove, [1, 2]);
});

test("another keeper sends the former one away", () => {
  const decisions = decide.makeKeeper(none, first!, 2);
  assert.equal(decisions.get(0)!.keeper, 2);
  assert.deepEqual(decisions.get(0)!.remove, [0, 1]);
});

test("a part as the keeper removes nothing that shows more", () => {
  const decisions = decide.makeKeeper(none, first!, 3);
  assert.deepEqual(decisions.get(0)!.remove, []);
});

test("a part is not removed for a keeper that it was not compared with", () => {
  const decisions = decide.decide(decide.makeKeeper(none, first!, 1), first!, 3, "remove");
  assert.deepEqual(decisions.get(0)!.remove, [0, 2]);
  assert.notEqual(decide.obstacle(first!, 1, 3), "");
});

test("another shot is never removed", () => {
  const shots = content([file(0), file(1)], [group(0, 0, member(1, "another-shot"))]);
  assert.deepEqual(decide.decide(none, shots.groups[0]!, 1, "remove").get(0)!.remove, []);
});

test("not duplicates keeps everything, and one more verdict ends it", () => {
  const decisions = decide.notDuplicates(none, first!);
  assert.deepEqual(decisions.get(0), { keeper: 0, remove: [], notDuplicates: true });
  assert.equal(decide.decide(decisions, first!, 1, "remove").get(0)!.notDuplicates, false);
});

test("many groups are decided at once, and forgotten again", () => {
  const decisions = decide.forAll(none, page.groups, decide.accept);
  assert.equal(decisions.size, 2);
  assert.equal(decide.forAll(decisions, page.groups, decide.forget).size, 0);
});

test("files of one kind are decided in every group", () => {
  const decisions = decide.decideEach(none, page.groups, (_, id) => id === 1 || id === 5, "keep");
  assert.deepEqual(decisions.get(0)!.remove, [2]);
  assert.deepEqual(decisions.get(1)!.remove, []);
});

test("stored decisions are restored, and what does not fit the groups is left out", () => {
  const decisions = decide.makeKeeper(decide.accept(none, second!), first!, 1);
  assert.deepEqual(decide.restored(page, decide.stored(decisions)), decisions);
  assert.equal(decide.restored(page, '[[0,{"keeper":77,"remove":[0]}]]').size, 0);
  assert.equal(decide.restored(page, "{broken").size, 0);
});

test("totals count what goes, and what of it is decided", () => {
  const totals = decide.totals(page, page.groups, decide.accept(none, second!));
  assert.deepEqual(totals, {
    groups: 2,
    files: 6,
    removable: 3,
    bytes: 1800,
    gone: 0,
    goneBytes: 0,
    decidedGroups: 1,
    decidedFiles: 1,
    decidedBytes: 1000,
  });
});
