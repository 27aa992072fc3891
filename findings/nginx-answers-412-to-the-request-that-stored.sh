#!/usr/bin/env bash
# nginx 1.22.1 before two servers: when the first one stores a PUT with If-None-Match: * and its
# answer is lost, nginx sends the request again to the other, and the client, who has sent it once,
# reads 412.
#
# proxy_next_upstream: a request with a method that is not idempotent (POST, LOCK, PATCH) is by
# default not sent again. PUT is not in that list, but one with a condition that it makes false
# itself is not the same twice. A client that takes 412 for "somebody else has this name" (a lock,
# the next number of a log) believes to have lost against itself, and leaves a lock without an
# owner. Look at what is stored before believing it, or set proxy_next_upstream off.
. "$(dirname "$0")/common.sh"

debian_root nginx-light=1.22.1-9+deb12u11
port=$(free_port)
cat >"$work/server.py" <<'END_OF_PROGRAM'
import http.server, sys
stored = {}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200)
    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        print("PUT", flush=True)
        if self.headers.get("If-None-Match") == "*" and self.path in stored:
            return self.answer(412)
        stored[self.path] = content
        if self.path.startswith("/lost"):
            return self.connection.shutdown(2)
        self.answer(200)
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
END_OF_PROGRAM
start server python3 -u "$work/server.py" "$port"
next=$(free_port) off=$(free_port)
mkdir "$root/nginx"
cat >"$root/nginx/nginx.conf" <<END_OF_FILE
daemon off;
pid /nginx/pid;
events {}
http {
  access_log off;
  proxy_http_version 1.1;
  upstream servers { server 127.0.0.1:$port; server localhost:$port; }
  server { listen 127.0.0.1:$next; location / { proxy_pass http://servers; } }
  server { listen 127.0.0.1:$off; location / { proxy_pass http://servers; proxy_next_upstream off; } }
}
END_OF_FILE
start nginx chroot "$root" nginx -c /nginx/nginx.conf
wait_for "http://127.0.0.1:$next/"
put() {
  curl --silent --output /dev/null --write-out '%{http_code}' --request PUT --data-binary content \
    --header 'If-None-Match: *' "http://127.0.0.1:$1$2"
}
puts() { grep -c PUT "$work/server.log"; }
seen 'an answer that arrives' 200 "$(put "$next" /told)"
seen 'requests at the servers' 1 "$(puts)"
seen 'an answer that is lost' 412 "$(put "$next" /lost)"
seen 'requests at the servers' 3 "$(puts)"
seen 'the same with proxy_next_upstream off' 502 "$(put "$off" /lost-again)"
seen 'requests at the servers' 4 "$(puts)"
