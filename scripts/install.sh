# What ./check and ./demo need from the system, and how they get it. Sourced,
# never run: it sets no options and leaves none behind.
#
#   need_tools YES NAME...   installs what is missing of the tools named below;
#                            YES is "yes" to install without asking
#   need_rust                finds a Rust toolchain that is new enough
#   need_moto YES            installs moto where that is possible, and exports
#                            where it is: S3UP_MOTO_SERVER
#   need_garage              builds garage, and exports where it is: S3UP_GARAGE

# shellcheck shell=bash

# Servers that the tests of the store run against; nowhere else is a version.
MOTO_VERSION=5.2.5
GARAGE_VERSION=2.5.0

# tool | Debian package | there when this command, file or Python module is
tool_facts() {
  case $1 in
    attr) echo "attr getfattr" ;;
    btrfs) echo "btrfs-progs mkfs.btrfs" ;;
    cc) echo "build-essential cc" ;;
    certificates) echo "ca-certificates /etc/ssl/certs/ca-certificates.crt" ;;
    curl) echo "curl curl" ;;
    openssl) echo "openssl openssl" ;;
    postgresql) echo "postgresql /usr/lib/postgresql/*/bin/initdb" ;;
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
  local yes=$1 folder
  folder=$(test_programs)/moto-$MOTO_VERSION
  if [[ ! -e $folder/complete ]]; then
    echo "Installing moto $MOTO_VERSION, an S3 server for the tests"
    if ! install_moto "$yes" "$folder"; then
      [[ ! -e $folder/log ]] || tail -n 1 "$folder/log"
      echo 'moto cannot be installed here: the tests that want it are skipped'
      return 0
    fi
  fi
  export S3UP_MOTO_SERVER=$folder/bin/moto_server
}

# The last file tells a whole one from one that was interrupted.
install_moto() {
  local yes=$1 folder=$2
  (need_tools "$yes" venv) || return 1
  rm -rf "$folder"
  mkdir -p "$folder"
  if python3 -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check \
    "moto[server]==$MOTO_VERSION"; then
    touch "$folder/complete"
  else
    return 1
  fi >"$folder/log" 2>&1
}

need_garage() {
  local folder
  folder=$(test_programs)/garage-$GARAGE_VERSION
  if [[ ! -x $folder/bin/garage ]]; then
    CARGO_TARGET_DIR=$folder/build cargo install garage --locked --version "$GARAGE_VERSION" \
      --root "$folder" || return 1
    rm -rf "$folder/build"
  fi
  export S3UP_GARAGE=$folder/bin/garage
}
