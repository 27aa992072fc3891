#!/usr/bin/env bash
# Measures whether the refusal of an upload reaches the client while it is still sending: real clients,
# directly and behind real proxies with the settings of packaging/proxies. --help says more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/install.sh

usage() {
  cat <<'USAGE'
Usage: scripts/early-answers.sh [--yes] [--runs N] [--megabytes "N ..."]
                                [--clients "NAME ..."] [--routes "NAME ..."]

Each run uploads a file to a gateway that refuses it: with 413 (over the size limit), 401 (unknown key),
403 (no right to upload) and 400 (bad path) in turn. A run counts if the client prints that status. Prints
one line for each route, size and client; exits with 1 if a run did not count.

  --runs       20 by default
  --megabytes  "5 300" by default
  --clients    curl curl-no-expect go python php-curl php-stream node node-fetch
               java java-connection wget
  --routes     direct direct-tls nginx haproxy caddy apache
  --yes        install missing Debian packages without asking

S3UP_PROGRAMS is a directory with s3up-server and s3up-devstore; without it, cargo builds them.
USAGE
}

yes=no runs=20 sizes='5 300'
clients='curl curl-no-expect go python php-curl php-stream node node-fetch java java-connection wget'
routes='direct direct-tls nginx haproxy caddy apache'
while (($#)); do
  case $1 in
    --yes) yes=yes ;;
    --runs) runs=$2 && shift ;;
    --megabytes) sizes=$2 && shift ;;
    --clients) clients=$2 && shift ;;
    --routes) routes=$2 && shift ;;
    --help | -h) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done

need_tools "$yes" openssl curl nginx haproxy caddy apache2 go python-requests php php-curl node java wget

work=$(mktemp -d)
pids=()
end() {
  set +e
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null
  wait 2>/dev/null
  rm -rf "$work"
}
trap end EXIT

# Runs a server in the background, with its output in a file.
start() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  pids+=($!)
}

# Waits until an HTTP server answers.
wait_for() {
  local n
  for ((n = 0; n < 300; n++)); do
    curl --silent --output /dev/null --max-time 2 --cacert "$work/cert.pem" "$1" && return
    sleep 0.1
  done
  echo "no answer from $1" >&2
  tail -n 5 "$work"/*.log >&2
  return 1
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

programs=${S3UP_PROGRAMS:-}
if [[ ! $programs ]]; then
  cargo build --quiet --locked --package s3up-server --package s3up-devstore
  programs=${CARGO_TARGET_DIR:-target}/debug
fi

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
  -addext 'subjectAltName=DNS:localhost' -keyout "$work/cert.key" -out "$work/cert.pem" 2>/dev/null
keytool -importcert -noprompt -alias s3up -file "$work/cert.pem" -keystore "$work/trust.p12" \
  -storepass changeit 2>/dev/null
chmod 644 "$work"/cert.* "$work/trust.p12" && chmod 755 "$work"

s3_port=$(free_port)
start s3 "$programs/s3up-devstore" --root "$work/s3" --listen "127.0.0.1:$s3_port" --bucket backups --versioned
wait_for "http://127.0.0.1:$s3_port/"

limited=limited-0123456789012345678901234567890 reader=reader-01234567890123456789012345678901
# start_gateway PORT TLS
start_gateway() {
  cat >"$work/server-$1.yaml" <<YAML
server: { host: "127.0.0.1", port: $1, tls: { enabled: $2, cert_file: $work/cert.pem, key_file: $work/cert.key } }
s3: { endpoint: "http://127.0.0.1:$s3_port", region: us-east-1, bucket: backups, access_key_id: devstore,
      secret_access_key: devstore-secret }
database: { path: "$work/gateway-$1.db" }
clients:
  - { name: limited, api_key: "$limited", max_file_size_mb: 1 }
  - { name: reader, api_key: "$reader", allow: [exists, download] }
YAML
  chmod 600 "$work/server-$1.yaml"
  start "gateway-$1" "$programs/s3up-server" --config "$work/server-$1.yaml"
}
plain=$(free_port) && start_gateway "$plain" false
tls=$(free_port) && start_gateway "$tls" true
wait_for "http://127.0.0.1:$plain/health"
wait_for "https://localhost:$tls/health"

start_proxy() {
  local port
  port=$(free_port)
  start "$1" scripts/proxy.sh "$1" "$work" "$port" "127.0.0.1:$plain"
  url[$1]=https://localhost:$port
  wait_for "https://localhost:$port/health"
}

declare -A url=([direct]=http://127.0.0.1:$plain [direct-tls]=https://localhost:$tls)
for route in $routes; do
  [[ ${url[$route]:-} ]] || start_proxy "$route"
done

sources=scripts/early-answers
[[ " $clients " != *' go '* ]] || GOCACHE=$work/go go build -o "$work/go-client" "$sources/client.go"
[[ " $clients " != *' java'* ]] || javac -d "$work" "$sources/Client.java"

# run CLIENT URL KEY FILE: prints the status that the client got.
run() {
  local client=$1 url=$2 key=$3 file=$4
  case $client in
    curl | curl-no-expect)
      local -a more=()
      [[ $client == curl ]] || more=(--header 'Expect:')
      timeout 120 curl --silent --show-error --cacert "$work/cert.pem" --output /dev/null --write-out '%{http_code}\n' \
        --header "Authorization: Bearer $key" "${more[@]}" --upload-file "$file" "$url" 2>&1
      ;;
    go) SSL_CERT_FILE=$work/cert.pem timeout 120 "$work/go-client" "$url" "$key" "$file" ;;
    python) REQUESTS_CA_BUNDLE=$work/cert.pem timeout 120 python3 "$sources/client.py" "$url" "$key" "$file" ;;
    php-curl) timeout 120 php -d curl.cainfo="$work/cert.pem" "$sources/client-curl.php" "$url" "$key" "$file" ;;
    php-stream) timeout 120 php -d openssl.cafile="$work/cert.pem" "$sources/client-stream.php" "$url" "$key" "$file" ;;
    node) NODE_EXTRA_CA_CERTS=$work/cert.pem timeout 120 node "$sources/client.mjs" "$url" "$key" "$file" ;;
    node-fetch)
      NODE_NO_WARNINGS=1 NODE_EXTRA_CA_CERTS=$work/cert.pem timeout 120 node "$sources/client-fetch.mjs" "$url" "$key" "$file"
      ;;
    java | java-connection)
      timeout 120 java -cp "$work" -Djavax.net.ssl.trustStore="$work/trust.p12" \
        -Djavax.net.ssl.trustStorePassword=changeit Client \
        "$([[ $client == java ]] && echo client || echo connection)" "$url" "$key" "$file"
      ;;
    # By default it tries 20 times; the first answer counts.
    wget)
      timeout 120 wget --quiet --server-response --tries=2 --output-document=- --ca-certificate="$work/cert.pem" \
        --method=PUT --header="Authorization: Bearer $key" --body-file="$file" "$url" 2>&1 |
        sed -n 's|^ *HTTP/[0-9.]* \([0-9]*\).*|\1|p' | tr '\n' ' '
      ;;
  esac
}

all=yes
for megabytes in $sizes; do
  file=$work/$megabytes.bin
  truncate --size "${megabytes}M" "$file"
  for route in $routes; do
    for client in $clients; do
      right=0 others=''
      for ((n = 0; n < runs; n++)); do
        key=$limited path=a
        case $((n % 4)) in
          0) want=413 ;;
          1) want=401 key=unknown-0123456789012345678901234567890 ;;
          2) want=403 key=$reader ;;
          3) want=400 path=a%5Cb ;;
        esac
        found=$(run "$client" "${url[$route]}/files/$path" "$key" "$file" 2>&1 | tail -n 1) || true
        if [[ ${found%% } == "$want" ]]; then ((right += 1)); else others+="  $want: $found"$'\n'; fi
      done
      printf '%-11s %4d MB  %-16s %2d of %d\n' "$route" "$megabytes" "$client" "$right" "$runs"
      [[ ! $others ]] || { all=no && sort <<<"${others%$'\n'}" | uniq -c | sed 's/^/    /'; }
    done
  done
done
[[ $all == yes ]]
