// Uploads a file with fetch() of Node and prints the status of the answer.
import { openAsBlob } from "node:fs";

const [url, key, path] = process.argv.slice(2);
try {
  const body = await openAsBlob(path);
  const answer = await fetch(url, { method: "PUT", headers: { Authorization: `Bearer ${key}` }, body });
  console.log(answer.status);
} catch (error) {
  console.log("error:", error.message, error.cause?.message ?? "");
}
process.exit();
