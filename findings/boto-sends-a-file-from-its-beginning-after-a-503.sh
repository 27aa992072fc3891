#!/usr/bin/env bash
# boto3 1.44.8 (botocore 1.44.8): put_object and upload_part with a file that was read up to a place
# send what follows that place. After a 503 the second try sends the file from its beginning, and
# reports a success.
#
# The reference: Body is "bytes or a seekable file-like object". A program that reads a header from a
# file, or cuts it into parts by seek, gets what it meant as long as the server is well. At the first
# SlowDown the object is longer and another one: the place is not kept, the body is put back to 0, and its
# length, signature and hash are made again for that. Only a checksum that was put into the request before
# (when_supported, the default) tells, if the server checks it; with when_required, which many servers
# of others need, nothing does. upload_fileobj of the same package keeps the place.
. "$(dirname "$0")/common.sh"

boto_install "$work/boto"
cat >"$work/server.py" <<'END_OF_PROGRAM'
# Answers 503 SlowDown to the first PUT of a key and 200 to the second; writes what it received.
import http.server, sys
tries = {}
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(200)
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tries[self.path] = tries.get(self.path, 0) + 1
        print(self.path.split("?")[0], tries[self.path], body.decode(), flush=True)
        self.answer(503 if tries[self.path] == 1 else 200)
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"etag"')
        self.end_headers()
    def log_message(self, *values):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
END_OF_PROGRAM
port=$(free_port)
start server python3 "$work/server.py" "$port"
wait_for "http://127.0.0.1:$port/"
PYTHONPATH=$work/boto python3 -W ignore - "$port" "$work/file" >"$work/told" <<'END_OF_PROGRAM'
import sys
import boto3
from botocore.config import Config
port, path = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
    aws_access_key_id="finder", aws_secret_access_key="finder-secret",
    config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"))
with open(path, "wb") as f:
    f.write(b"header-content")
def at_the_content():
    f = open(path, "rb")
    f.read(len("header-"))
    return f
def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]
print(status(s3.put_object(Bucket="bucket", Key="put", Body=at_the_content())))
print(status(s3.upload_part(Bucket="bucket", Key="part", UploadId="1", PartNumber=1,
    Body=at_the_content())))
s3.upload_fileobj(at_the_content(), "bucket", "fileobj")
END_OF_PROGRAM
seen 'status of put_object, of upload_part' '200 200' "$(paste -s -d ' ' "$work/told")"
seen 'put_object: first try, second try' 'content header-content' \
  "$(sed -n 's/.*\/put [12] //p' "$work/server.log" | paste -s -d ' ')"
seen 'upload_part: first try, second try' 'content header-content' \
  "$(sed -n 's/.*\/part [12] //p' "$work/server.log" | paste -s -d ' ')"
seen 'upload_fileobj: first try, second try' 'content content' \
  "$(sed -n 's/.*\/fileobj [12] //p' "$work/server.log" | paste -s -d ' ')"
