// Uploads a file with node:https and prints the status of the answer.
import { createReadStream, statSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";

const [url, key, path] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}`, "Content-Length": statSync(path).size };
const { request } = url.startsWith("https:") ? https : http;
const sent = request(url, { method: "PUT", headers }, (answer) => {
  console.log(answer.statusCode);
  process.exit();
});
sent.on("error", (error) => {
  console.log("error:", error.message);
  process.exit();
});
createReadStream(path).pipe(sent);
