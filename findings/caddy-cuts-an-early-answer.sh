#!/usr/bin/env bash
# Caddy 2.6.2 (Debian 12): a client that is still sending when the server behind the proxy answers loses
# the answer, over HTTP/1.1.
#
# Caddy passes the answer on, reads at most 256 KiB more of the request, and closes the connection half a
# second later, while the client is still sending. The kernel then resets the connection. A client that
# reads only when it has sent everything, as many libraries do, reports a broken connection and no status.
# nginx reads on for 30 s by default (lingering_close), HAProxy and Apache until the client has sent
# everything. Go's HTTP server does this for every program in front of which it stands; Caddy has no
# setting for it.
. "$(dirname "$0")/common.sh"

debian_root caddy=2.6.2-5
port=$(free_port)
# A server that answers 413 to the head of a request, and then reads the body to its end.
cat >"$work/server.py" <<END_PY
import socket, threading
def serve(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return
        head += piece
    status = b"200 OK" if head.startswith(b"GET") else b"413 Content Too Large"
    connection.sendall(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass
    connection.close()
listener = socket.create_server(("127.0.0.1", $port))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END_PY
start server python3 "$work/server.py"
front=$(free_port)
printf '{\n\tadmin off\n}\nhttp://127.0.0.1:%s {\n\treverse_proxy 127.0.0.1:%s\n}\n' "$front" "$port" >"$root/Caddyfile"
start caddy chroot "$root" caddy run --adapter caddyfile --config /Caddyfile
wait_for "http://127.0.0.1:$front/"

# A client that sends 64 MiB, one each 20 ms as over a network, and only then reads.
cat >"$work/client.py" <<'END_PY'
import socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
size = 64 << 20
connection.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
sent = 0
try:
    while sent < size:
        connection.sendall(bytes(1 << 20))
        sent += 1 << 20
        time.sleep(0.02)
    print(connection.recv(100).split(b" ")[1].decode())
except OSError as error:
    print("broken after", "part" if sent < size else "all", "of the body")
END_PY
seen 'directly, such a client gets' 413 "$(python3 "$work/client.py" "$port")"
seen 'behind Caddy it gets' 'broken after part of the body' "$(python3 "$work/client.py" "$front")"
