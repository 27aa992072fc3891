#!/usr/bin/env bash
# Lets schemathesis test a gateway against its own description (GET /openapi.json).
#
#   scripts/schemathesis.sh SCHEMATHESIS PROGRAMS [OPTION...]
#
# SCHEMATHESIS is the program, PROGRAMS a directory with s3up-server and s3up-devstore; the options go to
# `schemathesis run`. Exits with 1 if it finds something.
set -euo pipefail

schemathesis=$1 programs=$2
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
pids=()
end() {
  set +e
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null
  wait 2>/dev/null
  rm -rf "$work"
}
trap end EXIT

# started NAME PATTERN: waits until a line of the log matches, and prints its last word.
started() {
  local n found
  for ((n = 0; n < 300; n++)); do
    found=$(grep -m 1 -o -E "$2" "$work/$1.log" 2>/dev/null) && { echo "${found##*[= ]}"; return; }
    sleep 0.1
  done
  echo "$1 did not start" >&2
  cat "$work/$1.log" >&2
  return 1
}

"$programs/s3up-devstore" --root "$work/s3" --bucket backups --versioned >"$work/s3.log" 2>&1 &
pids+=($!)
endpoint=$(started s3 'listening on http://.*')
key=schemathesis-0123456789012345678901234
# The same one is in schemathesis.toml.
admin_key=schemathesis-admin-0123456789012345678
# The shortest name, so that the longest path of the description fits into a key.
cat >"$work/server.yaml" <<YAML
server: { host: "127.0.0.1", port: 0 }
s3: { endpoint: "$endpoint", region: us-east-1, bucket: backups, access_key_id: devstore,
      secret_access_key: devstore-secret }
database: { path: "$work/gateway.db" }
clients: [{ name: w, api_key: "$key" }]
admin_keys: ["$admin_key"]
YAML
chmod 600 "$work/server.yaml"
"$programs/s3up-server" --config "$work/server.yaml" >"$work/gateway.log" 2>&1 &
pids+=($!)
url=$(started gateway 'url="?http://[0-9.:]*')
url=${url#\"}

cd "$work"
"$schemathesis" --config-file "$OLDPWD/schemathesis.toml" run "$url/openapi.json" \
  --header "Authorization: Bearer $key" "$@"
if grep -E 'level=error|panicked' "$work/gateway.log"; then
  echo 'the gateway logged an error' >&2
  exit 1
fi
