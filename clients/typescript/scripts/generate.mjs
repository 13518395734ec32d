// Writes src/generated/openapi.ts: the types of the schemas in a server's OpenAPI document.
//
//   npm run generate                      from the server at SHARQ_URL, or http://127.0.0.1:8080
//   npm run generate -- URL_OR_FILE       from another server's document, or from a file
//   npm run generate -- URL_OR_FILE -     to the standard output
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const HEAD = `/**
 * The shapes of requests and answers, from the server's OpenAPI document. Written by \`npm run generate\`: do not edit.
 */
`;
const target = new URL("../src/generated/openapi.ts", import.meta.url);
const [
  source = `${(process.env.SHARQ_URL ?? "http://127.0.0.1:8080").replace(/\/+$/, "")}/openapi.json`,
  output = fileURLToPath(target),
] = process.argv.slice(2);

const document = JSON.parse(/^https?:/.test(source) ? await fetched(source) : await readFile(source, "utf8"));
// The client names its paths itself; their types would be five sixths of the file.
document.paths = {};
const text = HEAD + astToString(await openapiTS(document, { defaultNonNullable: false }));
if (output === "-") process.stdout.write(text);
else await writeFile(output, text);

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: answered ${answer.status}`);
  return answer.text();
}
