import assert from "node:assert/strict";
import { test } from "node:test";

import { accept, decide, obstacle, totals } from "../src/decisions.ts";
import { chosen, EVERYTHING, facets, indexed } from "../src/filter.ts";
import { containments, numbers } from "../src/folders.ts";
import { apply, inverse, multiply, wholeMatrix, zoomAt } from "../src/geometry.ts";
import { bounds, graphOf, step } from "../src/layout.ts";
import { weightOf } from "../src/model.ts";
import { lengthWords, onlyHere, rateWords, sizeWords, whatWasDone, withNames } from "../src/text.ts";
import { content, file, group, member } from "./content.ts";

const page = content(
  [
    file(0, { captured: "2019-05-06T07:08:09" }),
    file(1, { folder: 1, size: 500 }),
    file(2, { folder: 1, size: 300, format: "PNG", name: "Urlaub.png" }),
    file(3, { captured: "2021-01-01T00:00:00" }),
    file(4, { folder: 1, size: 90_000 }),
  ],
  [
    group(0, 0, member(1, "identical"), member(2, "similar", { distance: 0.2, words: ["rotated 90°"] })),
    group(1, 3, member(4, "partial", { distance: 0.4, rule: "whole-picture" })),
  ],
);
const index = indexed(page);
const ids = (filter: Partial<typeof EVERYTHING>): number[] =>
  chosen(index, { ...EVERYTHING, ...filter }, new Map()).map((each) => each.id);

test("text finds names, folders and what was done, each word", () => {
  assert.deepEqual(ids({ text: "urlaub" }), [0]);
  assert.deepEqual(ids({ text: "backup rotated" }), [0]);
  assert.deepEqual(ids({ text: "urlaub nowhere" }), []);
});

test("the folder that all paths have in common is not searched", () => {
  assert.deepEqual(ids({ text: "photos" }), []);
});

test("class, folder, format, reason and state are filters", () => {
  assert.deepEqual(ids({ classes: new Set(["partial"]) }), [1]);
  assert.deepEqual(ids({ folder: "/photos/Backup" }), [1, 0]);
  assert.deepEqual(ids({ folder: "/photos/Back" }), []);
  assert.deepEqual(ids({ format: "PNG" }), [0]);
  assert.deepEqual(ids({ rule: "whole-picture" }), [1]);
  const decided = accept(new Map(), page.groups[0]!);
  assert.deepEqual(chosen(index, { ...EVERYTHING, state: "open" }, decided).map((each) => each.id), [1]);
});

test("groups are sorted by what can be freed, date, and distance", () => {
  assert.deepEqual(ids({ sort: "gain" }), [1, 0]);
  assert.deepEqual(ids({ sort: "oldest" }), [0, 1]);
  assert.deepEqual(ids({ sort: "newest" }), [1, 0]);
  assert.deepEqual(ids({ sort: "distance" }), [1, 0]);
});

test("facets count groups", () => {
  const found = facets(index);
  assert.deepEqual(found.classes, [["identical", 1], ["similar", 1], ["partial", 1]]);
  assert.deepEqual(found.formats, [["JPEG", 2], ["PNG", 1]]);
});

test("a folder inside another one is named with its share", () => {
  const [pair] = containments(page);
  assert.equal(pair!.folder, 1);
  assert.equal(pair!.other, 0);
  assert.equal(pair!.files, 2);
  assert.equal(pair!.share, 0.5);
  assert.equal(pair!.bytes, 800);
});

test("numbers follow what goes", () => {
  const found = numbers(page, page.groups, new Map());
  assert.deepEqual(found.folders, [{ name: "/photos/Backup/2019", files: 2, bytes: 800 }]);
  assert.deepEqual(found.years, [{ name: "2020", files: 2, bytes: 800 }]);
});

test("a turned picture lies on its keeper, corner on corner", () => {
  const keeper = { width: 40, height: 30 };
  // Turned by 90° clockwise, the keeper's upper left corner is the other's upper right one.
  const turned = { width: 60, height: 80 };
  const matrix = wholeMatrix(6, keeper, turned);
  assert.deepEqual(apply(matrix, 60, 0).map(Math.round), [0, 0]);
  assert.deepEqual(apply(matrix, 60, 80).map(Math.round), [40, 0]);
  assert.deepEqual(apply(matrix, 0, 80).map(Math.round), [40, 30]);
});

for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8])
  test(`orientation ${orientation} maps the whole picture onto the whole keeper`, () => {
    const keeper = { width: 40, height: 30 };
    const other = orientation >= 5 ? { width: 15, height: 20 } : { width: 20, height: 15 };
    const matrix = wholeMatrix(orientation, keeper, other);
    const corners = [[0, 0], [other.width, 0], [0, other.height], [other.width, other.height]];
    const mapped = corners.map(([x, y]) => apply(matrix, x!, y!).map(Math.round).join());
    assert.deepEqual(mapped.sort(), ["0,0", "0,30", "40,0", "40,30"]);
  });

test("a matrix times its inverse changes nothing", () => {
  const matrix = [1.2, 0.1, 5, -0.2, 0.9, 7, 0.0001, 0, 1] as const;
  multiply(matrix, inverse(matrix)).forEach((value, place) => assert.ok(Math.abs(value - (place % 4 === 0 ? 1 : 0)) < 1e-9));
});

test("zooming leaves the point under the pointer where it is", () => {
  const view = { scale: 0.5, x: 10, y: 20 };
  const next = zoomAt(view, 3, 100, 80, 0.01, 10);
  assert.equal(((100 - view.x) / view.scale).toFixed(6), ((100 - next.x) / next.scale).toFixed(6));
  assert.equal(zoomAt(view, 1000, 0, 0, 0.01, 10).scale, 10);
});

test("the layout pulls matches together, keeps pictures apart, and is the same every time", () => {
  const settle = (): ReturnType<typeof graphOf> => {
    const graph = graphOf(page.groups, 2000);
    for (let round = 0; round < 200; round++) step(graph, 1 - round / 250);
    return graph;
  };
  const graph = settle();
  assert.equal(graph.nodes.length, 5);
  assert.equal(graph.edges.length, 3);
  for (const one of graph.nodes)
    for (const two of graph.nodes) if (one !== two) assert.ok(Math.hypot(one.x - two.x, one.y - two.y) > 20);
  for (const edge of graph.edges) {
    const [one, two] = [graph.nodes[edge.from]!, graph.nodes[edge.to]!];
    assert.ok(Math.hypot(one.x - two.x, one.y - two.y) < 110);
  }
  assert.deepEqual(graph.nodes.map(({ x, y }) => [x, y]), settle().nodes.map(({ x, y }) => [x, y]));
  assert.ok(bounds(graph).width > 40);
});

test("2,000 pictures are laid out step by step within a frame's time", () => {
  const members = Array.from({ length: 1999 }, (_, place) => member(place + 1, "similar", { distance: 0.1 }));
  const graph = graphOf([group(0, 0, ...members)], 2000);
  for (let round = 0; round < 20; round++) step(graph, 1);
  const begun = performance.now();
  for (let round = 0; round < 10; round++) step(graph, 1);
  assert.ok((performance.now() - begun) / 10 < 60);
  assert.equal(graph.nodes.length, 2000);
});

test("sizes are rounded with their unit", () => {
  assert.equal(sizeWords(1), "1 byte");
  assert.equal(sizeWords(999), "999 bytes");
  assert.equal(sizeWords(4_500_000), "4.3 MiB");
  assert.equal(sizeWords(45_000_000), "43 MiB");
});

test("what was said of A and B is said of the keeper and the other file", () => {
  assert.equal(withNames("A is whole, 6 % of B is missing"), "The keeper is whole, 6 % of the other file is missing");
  assert.equal(withNames("B was made from A: it is smaller"), "The other file was made from the keeper: it is smaller");
});

test("the metadata that only one file has is named, and counted where nothing better is known", () => {
  const bare = file(0, { exif: 3 });
  assert.deepEqual(onlyHere(file(1, { gps: true, captured: "2019-05-06T07:08:09", exif: 30 }), bare), ["position", "date taken"]);
  assert.deepEqual(onlyHere(file(1, { exif: 4 }), bare), ["1 EXIF field"]);
  assert.deepEqual(onlyHere(file(1, { exif: 2 }), file(0, { gps: true })), []);
});

test("what was done to a copy is said in words, the measured ones first", () => {
  const files = [
    file(0, { width: 400, height: 300 }),
    file(1, { width: 150, height: 200 }),
    file(2, { width: 400, height: 300, format: "PNG" }),
    file(3, { width: 400, height: 300 }),
    file(4, { width: 40, height: 30, video: { seconds: 5, codec: "h264", rate: 25, audio: [] } }),
  ];
  const members = [
    member(1, "similar", { orientation: 6 }),
    member(2, "similar"),
    member(3, "similar"),
    member(3, "similar", { original: "B was saved again from A at quality 60" }),
    member(3, "identical"),
    member(4, "similar", { words: ["40 x 30"] }),
  ];
  const page = content(files, [group(0, 0, ...members)]);
  const words = members.map((each) => whatWasDone(page, page.groups[0]!, each));
  assert.deepEqual(words, [
    ["rotated 90°", "reduced to 50 %"],
    ["saved as PNG"],
    ["re-encoded"],
    ["saved again from the keeper at quality 60"],
    [],
    ["40 x 30"],
  ]);
});

test("lengths and frame rates of videos are rounded", () => {
  assert.equal(lengthWords(5.6), "0:06");
  assert.equal(lengthWords(3725), "1:02:05");
  assert.equal(rateWords({ rate: 29.97003 }), "29.97 frames/s");
});

test("the further files of a photo count with the file that leads it", () => {
  const parts = [{ name: "photo1.raw", size: 20_000 }];
  const page = content([file(0), file(1)], [group(0, 0, member(1, "identical", { parts }))]);
  assert.deepEqual(weightOf(page, page.groups[0]!, 1), { files: 2, bytes: 21_000 });
  const sums = totals(page, page.groups, accept(new Map(), page.groups[0]!));
  assert.deepEqual([sums.removable, sums.bytes, sums.decidedFiles], [2, 21_000, 2]);
  assert.deepEqual(numbers(page, page.groups, new Map()).classes, [{ name: "identical", files: 2, bytes: 21_000 }]);
});

test("files that the run has removed are counted as such and cannot be decided on", () => {
  const done = { action: "quarantine", outcome: "done" };
  const page = content([file(0), file(1), file(2)], [group(0, 0, member(1, "similar", done), member(2, "identical"))]);
  const only = page.groups[0]!;
  const sums = totals(page, page.groups, new Map());
  assert.deepEqual([sums.gone, sums.goneBytes, sums.removable], [1, 1000, 1]);
  assert.equal(obstacle(only, 0, 1), "It has been removed.");
  assert.deepEqual(decide(new Map(), only, 1, "remove").get(0)?.remove, [2]);
  assert.deepEqual(numbers(page, page.groups, new Map()).classes.map((bar) => bar.files), [1, 1]);
});
