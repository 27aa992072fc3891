# The btrfs half of ./demo: backs up a filesystem in a file, changes it, and
# restores it. Sourced by ./demo; uses the functions of ./demo and narrate.sh.

# shellcheck shell=bash

BTRFS_MIB=64
btrfs_mounted=no

# Unmounts the filesystem. Its file is removed with the directory of the demo.
btrfs_clean_up() {
  [[ $btrfs_mounted == no ]] || umount "$work/btrfs" || umount --lazy "$work/btrfs"
}

btrfs_left_out() {
  title 'Snapshots of a btrfs filesystem'
  note "LEFT OUT: $1"
}

# Prints why this part cannot run here; prints nothing if it can.
btrfs_obstacle() {
  if ((EUID != 0)); then
    echo 'mounting a filesystem needs root; run ./demo with sudo'
  elif ! can_mount_btrfs; then
    echo 'this kernel has no btrfs or no loop devices'
  fi
}

btrfs_make() {
  mkdir "$work/btrfs"
  truncate -s 2G "$work/btrfs.img"
  mkfs.btrfs -q "$work/btrfs.img" >"$work/log/mkfs.log" 2>&1 || give_up 'mkfs.btrfs failed'
  mount -o loop "$work/btrfs.img" "$work/btrfs" || give_up 'cannot mount the filesystem'
  btrfs_mounted=yes
  btrfs subvolume create "$work/btrfs/data" >/dev/null
  mkdir "$work/btrfs/snapshots"
  cat >"$work/btrfs.toml" <<END
[global]
lock_path = "$work/btrfs.lock"
state_path = "$work/btrfs.state"
[snapshots]
base_dir = "$work/btrfs/snapshots"
[subvolumes]
paths = ["$work/btrfs/data"]
[s3]
bucket = "demo"
region = "us-east-1"
prefix = "nas/"
endpoint = "$s3_url"
storage_class_chunks = "STANDARD"
part_size_bytes = 5242880
chunk_size_bytes = 20000000
END
  say 'created a btrfs filesystem in a file, with a subvolume'
}

btrfs_to_s3() {
  AWS_ACCESS_KEY_ID=devstore AWS_SECRET_ACCESS_KEY=$s3_secret \
    "$bin/btrfs-to-s3" --config "$work/btrfs.toml" "$@" 2>>"$work/log/btrfs.log"
}

# btrfs_back_up KIND: one run, which must make a backup of that kind.
btrfs_back_up() {
  local started line bytes chunks
  started=$(now_ms)
  busy 'backing up'
  btrfs_to_s3 backup --once || give_up 'the backup failed'
  line=$(grep 'event=backup_uploaded' "$work/log/btrfs.log" | tail -n 1)
  [[ $line == *" kind=$1 "* ]] || give_up "expected a backup of kind $1, found: $line"
  bytes=$(grep -o 'total_bytes=[0-9]*' <<<"$line" | cut -d = -f 2)
  chunks=$(grep -o 'chunks=[0-9]*' <<<"$line" | cut -d = -f 2)
  say "$1: $(size "$bytes") in $chunks chunk(s), uploaded and published, $(seconds_since "$started")"
}

btrfs_write() {
  local data=$work/btrfs/data
  mkdir -p "$data/photos/2026" "$data/etc"
  head -c $((BTRFS_MIB << 20)) /dev/urandom >"$data/photos/video.mp4"
  echo 'a name in Latin-1' >"$data/photos/"$'caf\xe9.jpg'
  echo secret >"$data/etc/shadow" && chmod 0600 "$data/etc/shadow"
  echo tool >"$data/etc/tool" && chmod 4755 "$data/etc/tool"
  echo owned >"$data/etc/owned" && chown 1000:1001 "$data/etc/owned"
  touch -d '2001-02-03 04:05:06.789012345' "$data/etc/owned"
  setfattr -n user.origin -v 'a camera' "$data/photos/video.mp4"
  ln -s photos/video.mp4 "$data/link" && ln "$data/etc/tool" "$data/etc/hard-link"
  truncate -s 100M "$data/sparse"
  mkfifo "$data/fifo"
  note 'files with modes, owners, times, attributes, links and holes; names that are not UTF-8'
}

btrfs_change_once() {
  local data=$work/btrfs/data
  mv "$data/photos" "$data/pictures" && rm "$data/etc/shadow"
  echo 'second edition' >"$data/etc/tool"
  head -c 3M /dev/urandom >"$data/pictures/2026/new.jpg"
}

btrfs_change_twice() {
  local data=$work/btrfs/data
  echo 'appended' >>"$data/pictures/video.mp4"
  chown 33:33 "$data/etc/tool" && chmod 2750 "$data/etc"
  setfattr -n user.origin -v 'a phone' "$data/pictures/video.mp4"
}

# Prints one digest of all that a restore must reproduce: names, kinds, modes,
# owners, times, link counts, sizes, targets, attributes, content.
btrfs_digest() {
  (
    cd "$1"
    each() { LC_ALL=C sort -z | xargs -0 "$@"; }
    find . -print0 | each stat --printf '%N %f %u:%g %.9Y %h %s\n'
    find . -print0 | each getfattr --no-dereference --match=- --dump --encoding=hex
    find . -type f -print0 | each sha256sum
  ) | sha256sum
}

btrfs_story() {
  local data=$work/btrfs/data restored=$work/btrfs/restored started files
  title 'Snapshots of a btrfs filesystem'
  btrfs_make
  btrfs_write
  btrfs_back_up full
  btrfs_change_once
  btrfs_back_up incremental
  btrfs_change_twice
  btrfs_back_up incremental

  started=$(now_ms)
  busy 'restoring'
  btrfs_to_s3 restore --subvolume data --target "$restored" || give_up 'the restore failed'
  [[ $(btrfs_digest "$data") == "$(btrfs_digest "$restored")" ]] ||
    give_up 'the restored subvolume differs from the original'
  files=$(find "$restored" -mindepth 1 | wc -l)
  say "restored all three backups: $files entries, identical in content, modes, owners, times and attributes, $(seconds_since "$started")"
  if btrfs_to_s3 restore --subvolume data --target "$restored" 2>/dev/null; then
    give_up 'a restore replaced an existing target'
  fi
  say 'a second restore to the same target is refused'
}
