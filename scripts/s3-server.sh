#!/usr/bin/env bash
# Runs an S3 server that we did not write, for a test, until its standard input ends.
#
#   scripts/s3-server.sh rgw RADOSGW        Ceph RGW, from Debian's packages; needs root
#   scripts/s3-server.sh swift PROXY        OpenStack Swift, from Debian's packages; needs root
#   scripts/s3-server.sh seaweedfs WEED     SeaweedFS
#   scripts/s3-server.sh rclone RCLONE      `rclone serve s3`
#
# The second word is the program of the server.
#
# It prints "listening on URL KEY_ID SECRET" on stderr once the server answers. All that it writes
# lies in a temporary directory. The end of the standard input stops it, and not a signal alone,
# because a test that is killed can send none.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
KEY_ID=s3up-test SECRET=s3up-test-secret-1234

directory=$(mktemp -d)
pids=()
trap stop EXIT

stop() {
  local code=$? file pid n
  set +e
  ((code == 0)) || tail -n 3 "$directory"/log/* >&2
  for file in "$directory"/run/*.pid; do [[ ! -s $file ]] || pids+=("$(<"$file")"); done
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null
  for pid in "${pids[@]}"; do
    for ((n = 0; n < 100; n++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null
  done
  rm -rf "$directory"
  exit "$code"
}

fail() {
  printf 's3-server.sh: %s\n' "$*" >&2
  exit 1
}

# Prints free ports of 127.0.0.1; 10,000 above each is another one, which SeaweedFS takes.
free_ports() {
  python3 - "$1" <<'END'
import random, socket, sys
found = []
while len(found) < int(sys.argv[1]):
    port = random.randrange(20000, 30000)
    try:
        for number in (port, port + 10000):
            with socket.socket() as s:
                s.bind(("127.0.0.1", number))
    except OSError:
        continue
    if port not in found:
        found.append(port)
print(*found)
END
}

# Runs a server in the background.
start() {
  local name=$1
  shift
  # It has no part in the standard input that stops this script.
  "$@" </dev/null >"$directory/log/$name" 2>&1 &
  pids+=($!)
}

wait_for() {
  local n
  for ((n = 0; n < 600; n++)); do
    ! curl --silent --output /dev/null --max-time 2 "$1" || return 0
    sleep 0.1
  done
  fail "no answer from $1"
}

# One monitor and one OSD that keeps everything in memory.
run_rgw() {
  local port mon_v2 mon_v1 conf=$directory/ceph.conf keyring=$directory/keyring fsid osd n
  read -r port mon_v2 mon_v1 <<<"$(free_ports 3)"
  fsid=$(</proc/sys/kernel/random/uuid) osd=$(</proc/sys/kernel/random/uuid)
  mkdir -p "$directory"/{mon,osd,rgw}
  cat >"$conf" <<END
[global]
fsid = $fsid
keyring = $keyring
mon_host = [v2:127.0.0.1:$mon_v2,v1:127.0.0.1:$mon_v1]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_memory_target = 939524096
run_dir = $directory/run
admin_socket = $directory/run/\$name.asok
pid_file = $directory/run/\$name.pid
log_file = $directory/log/\$name
mon_cluster_log_file = $directory/log/cluster
mon_data = $directory/mon
osd_data = $directory/osd
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:$port
rgw_data = $directory/rgw
# As behind TLS, where RGW takes requests for encryption.
rgw_crypt_require_ssl = false
END
  export CEPH_CONF=$conf
  {
    ceph-authtool --create-keyring "$keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
    ceph-authtool "$keyring" --gen-key -n client.rgw.a --cap mon 'allow rwx' --cap osd 'allow rwx'
    ceph-authtool "$keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_v2,v1:127.0.0.1:$mon_v1]" \
      "$directory/monmap"
    ceph-mon -i a --mkfs --monmap "$directory/monmap"
    ceph-mon -i a
    ceph auth import -i "$keyring"
    ceph osd new "$osd"
    echo memstore >"$directory/osd/type"
    ceph-osd -i 0 --mkfs --osd-uuid "$osd"
    ceph-osd -i 0
    for ((n = 0; n < 60; n++)); do ! ceph osd stat | grep -q '1 up' || break; sleep 1; done
    radosgw-admin user create --uid=s3up --display-name=s3up --access-key=$KEY_ID --secret-key=$SECRET
    # A zone may have a class of any name; without this one RGW refuses our default.
    radosgw-admin zonegroup placement add --rgw-zonegroup=default --placement-id=default-placement \
      --storage-class=DEEP_ARCHIVE
    radosgw-admin zone placement add --rgw-zone=default --placement-id=default-placement \
      --storage-class=DEEP_ARCHIVE --data-pool=default.rgw.buckets.data
    "$1" -n client.rgw.a
  } </dev/null >"$directory/log/setup" 2>&1
  ready "http://127.0.0.1:$port" $KEY_ID $SECRET
}

run_swift() {
  local port account container object cache name server
  read -r port account container object cache <<<"$(free_ports 5)"
  mkdir -p "$directory"/{etc,srv/d1}
  cat >"$directory/etc/swift.conf" <<END
[swift-hash]
swift_hash_path_suffix = suffix
swift_hash_path_prefix = prefix
[storage-policy:0]
name = one
default = yes
END
  for server in account:$account container:$container object:$object; do
    name=${server%:*}
    {
      swift-ring-builder "$directory/etc/$name.builder" create 8 1 1
      swift-ring-builder "$directory/etc/$name.builder" add "r1z1-127.0.0.1:${server#*:}/d1" 1
      swift-ring-builder "$directory/etc/$name.builder" rebalance
    } >"$directory/log/ring-$name" 2>&1
    cat >"$directory/etc/$name-server.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${server#*:}
workers = 1
user = root
swift_dir = $directory/etc
devices = $directory/srv
mount_check = false
[pipeline:main]
pipeline = $name-server
[app:$name-server]
use = egg:swift#$name
allow_versions = true
[$name-replicator]
[$name-updater]
END
  done
  {
    cat <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
workers = 2
user = root
swift_dir = $directory/etc
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$cache
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
END
    for name in catch_errors gatekeeper healthcheck listing_formats bulk copy slo dlo symlink; do
      printf '[filter:%s]\nuse = egg:swift#%s\n' $name $name
    done
  } >"$directory/etc/proxy-server.conf"
  export SWIFT_DIR=$directory/etc
  start memcached memcached -u root -l 127.0.0.1 -p "$cache" -m 64
  for name in account container object; do
    start $name swift-$name-server "$directory/etc/$name-server.conf" -v
  done
  start proxy "$1" "$directory/etc/proxy-server.conf" -v
  wait_for "http://127.0.0.1:$port/healthcheck"
  # curl takes no key with a colon: the bucket is made by Swift's own protocol.
  made() {
    local token
    token=$(curl --silent --max-time 30 --header 'X-Auth-User: test:tester' \
      --header 'X-Auth-Key: testing' --output /dev/null --dump-header - \
      "http://127.0.0.1:$port/auth/v1.0" | sed -n 's/^X-Auth-Token: \([^\r]*\).*/\1/Ip')
    [[ $(curl --silent --max-time 30 --header "X-Auth-Token: $token" --output /dev/null \
      --write-out '%{http_code}' --request "$1" \
      "http://127.0.0.1:$port/v1/AUTH_test/s3up-is-it-up") == 2* ]]
  }
  ready "http://127.0.0.1:$port" test:tester testing
}

run_seaweedfs() {
  local port master volume filer
  read -r port master volume filer <<<"$(free_ports 4)"
  mkdir "$directory/data"
  cat >"$directory/s3.json" <<END
{"identities": [{"name": "s3up", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$KEY_ID", "secretKey": "$SECRET"}]}]}
END
  start seaweedfs "$1" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$directory/data" \
    -master.port="$master" -volume.port="$volume" -filer -filer.port="$filer" -s3 -s3.port="$port" \
    -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$directory/s3.json" \
    -master.volumeSizeLimitMB=256 -volume.max=400
  ready "http://127.0.0.1:$port" $KEY_ID $SECRET
}

run_rclone() {
  local port
  port=$(free_ports 1)
  mkdir "$directory/data"
  start rclone "$1" serve s3 --config "$directory/rclone.conf" --addr "127.0.0.1:$port" \
    --auth-key "$KEY_ID,$SECRET" --vfs-cache-mode full --cache-dir "$directory/cache" "$directory/data"
  ready "http://127.0.0.1:$port" $KEY_ID $SECRET
}

# Waits until a bucket can be made: a server that answers may not be able to write yet.
ready() {
  local url=$1 key_id=$2 secret=$3 n
  wait_for "$url/"
  for ((n = 0; n < 600; n++)); do
    if made PUT; then
      made DELETE
      printf 'listening on %s %s %s\n' "$url" "$key_id" "$secret" >&2
      return 0
    fi
    sleep 0.1
  done
  fail 'a bucket cannot be made'
}

# Makes or removes a bucket.
made() {
  [[ $(curl --silent --max-time 30 --aws-sigv4 aws:amz:us-east-1:s3 --user "$key_id:$secret" \
    --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --output /dev/null \
    --write-out '%{http_code}' --request "$1" "$url/s3up-is-it-up") == 2* ]]
}

name=${1:?rgw, swift, seaweedfs or rclone} program=${2:?the program of the server}
mkdir "$directory"/{log,run}
case $name in
  rgw | swift | seaweedfs | rclone) "run_$name" "$program" ;;
  *) fail "no server is called $name" ;;
esac
cat >/dev/null
