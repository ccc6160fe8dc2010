// What a front end does with the types that openapi-typescript made of /openapi.json: node program.js URL
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./schema.js";

declare const process: { argv: string[] };

type Item = components["schemas"]["Item"];
type Problem = components["schemas"]["Problem"];
type OrderLine = components["schemas"]["OrderLine"];
// These lines compile only if operations are named after functions, and documented with their headers.
type ETag = operations["read_item"]["responses"][200]["headers"]["ETag"] &
  operations["read_item"]["responses"][304]["headers"]["ETag"];
type Refused = operations["change_item"]["responses"][412]["content"]["application/problem+json"];
type Location = operations["create_item"]["responses"][201]["headers"]["Location"];

const client = createClient<paths>({ baseUrl: process.argv[2] });
let checks = 0;

function must(holds: boolean, promise: string): asserts holds {
  checks += 1;
  if (!holds) throw new Error(`Broken promise: ${promise}`);
}

function header<T>(response: Response, name: string): T {
  const value = response.headers.get(name);
  must(value !== null, `${name} is sent`);
  return value as T;
}

const name = `typed ${Date.now()}`;
const draft: components["schemas"]["ItemDraft"] = { name, price_cents: 1250, tags: ["typed"] };

const made = await client.POST("/api/v1/items", { body: draft });
must(made.response.status === 201 && made.data !== undefined, "an item is created");
const item: Item = made.data;
const location = header<Location>(made.response, "Location");
must(location === `/api/v1/items/${item.id}`, "Location leads to the item");

const path = { row_id: item.id };
const read = await client.GET("/api/v1/items/{row_id}", { params: { path } });
must(read.data?.name === name && read.data.description === null, "the item is read");
const etag = header<ETag>(read.response, "ETag");
const again = await client.GET("/api/v1/items/{row_id}", { params: { path, header: { "If-None-Match": etag } } });
must(again.response.status === 304, "what is known is not sent again");

const changed = await client.PATCH("/api/v1/items/{row_id}", {
  params: { path, header: { "If-Match": etag } },
  body: { price_cents: 1300 },
});
must(changed.data?.price_cents === 1300 && changed.data.name === name, "only what is given changes");
const late = await client.PATCH("/api/v1/items/{row_id}", {
  params: { path, header: { "If-Match": etag } },
  body: { price_cents: 1 },
});
const refused: Refused | undefined = late.error;
must(late.response.status === 412 && refused?.status === 412, "a change of an old version is refused");

const drafts = [1, 2, 3].map((number) => ({ name: `${name} ${number}`, price_cents: number, tags: [name] }));
const batch = await client.POST("/api/v1/items/batch", { body: drafts });
must(batch.data?.created === 3, "a batch is created");

const found: Item[] = [];
let after: string | undefined;
do {
  const page = await client.GET("/api/v1/items", { params: { query: { limit: 2, tags: name, after } } });
  must(page.data !== undefined, "a page is answered");
  found.push(...page.data.items);
  after = page.data.next ?? undefined;
} while (after !== undefined);
must(found.length === 3, "the cursor leads through all pages");

const summary = await client.GET("/api/v1/items/summary");
must((summary.data?.count ?? 0) >= 4 && typeof summary.data?.price_cents.mean === "number", "the summary counts");
must(summary.data.tags.every((each) => each.count > 0), "the summary counts the values of a list");

const exported = await client.GET("/api/v1/items/export", { parseAs: "text" });
must(exported.data?.includes(name) === true, "the export has the item");

const taken = await client.POST("/api/v1/items", { body: draft });
const problem: Problem | undefined = taken.error;
must(taken.response.status === 409 && problem?.field === "name", "a taken name is a conflict at its field");
const invalid = await client.POST("/api/v1/items", { body: { ...draft, price_cents: -1 } });
must(invalid.response.status === 422, "an invalid item is refused");
must(invalid.error?.errors?.[0]?.loc.at(-1) === "price_cents", "the problem names the field");

const person = await client.POST("/api/v1/customers", { body: { email: `${name}@example.com` } });
must(person.data?.vip === false, "a default is filled in");
const line = await client.POST("/api/v1/order-lines", {
  body: { number: name, item_id: item.id, buyer_id: person.data.id, quantity: 2, price: "19.9", extra: { a: [1] } },
});
must(line.data?.price === "19.90" && line.data.status === "open", "a decimal is text with all its places");
const lines = await client.GET("/api/v1/order-lines", {
  params: { query: { item_id: item.id, status: "open", price: "19.90", expand: "item,buyer" } },
});
must(lines.data?.items[0]?.item?.name === name, "what is expanded is in it");
const plain: OrderLine | undefined = lines.data.items[0];
must(plain?.buyer_id === person.data.id, "an expanded line is a line");

const used = await client.DELETE("/api/v1/items/{row_id}", { params: { path } });
must(used.response.status === 409, "what is referred to stays");
const gone = await client.DELETE("/api/v1/order-lines/{row_id}", { params: { path: { row_id: line.data.id } } });
must(gone.response.status === 204, "a line is removed");
const removed = await client.DELETE("/api/v1/items/{row_id}", { params: { path } });
must(removed.response.status === 204, "the item is removed");
const missing = await client.GET("/api/v1/items/{row_id}", { params: { path } });
must(missing.response.status === 404 && missing.error?.title === "Not Found", "a removed item is missing");

const live = await client.GET("/health/live", { params: { header: { "X-Request-ID": "typed" } } });
must(header<string>(live.response, "X-Request-ID") === "typed", "the id of a request comes back");
console.log(`${checks} checks`);
