#!/usr/bin/env bash
# mergerfs 2.33.5, as it is mounted without options: two hard links have two inode numbers, the
# directory lists a third one for each, and a new mount numbers the files again, by the order of look-ups.
#
# POSIX: st_ino and d_ino are the serial number of the file, and st_dev with st_ino identify it. A
# tool that records the inode to know a file again reads the whole pool again after each mount,
# and one that finds hard links by it stores each name. `-o use_ino` gives stable numbers.
. "$(dirname "$0")/common.sh"

debian_root mergerfs=2.33.5-1
mkdir "$root/pool" "$root/mnt/merged"
echo content >"$root/pool/one"
ln "$root/pool/one" "$root/pool/two"
echo content >"$root/pool/other"
merged=$root/mnt/merged
look() {
  start "mergerfs-$1" chroot "$root" mergerfs -f "${@:3}" /pool /mnt/merged
  wait_mounted "$merged"
  [[ $2 != backwards ]] || stat "$merged/two" >/dev/null
  one=$(stat --format %i "$merged/one") two=$(stat --format %i "$merged/two")
  listed=$(python3 -c 'import os, sys
print(*(e.inode() for e in os.scandir(sys.argv[1]) if e.name == "one"))' "$merged")
  links=$(stat --format %h "$merged/one")
  umount "$merged"
}
equal() { [[ $1 == "$2" ]] && echo equal || echo different; }
look first forwards
before=$one
seen 'links' 2 "$links"
seen 'inodes of the two links' different "$(equal "$one" "$two")"
seen 'inode of stat and of the listing' different "$(equal "$one" "$listed")"
look second backwards
seen 'inode after a new mount, looked up in another order' different "$(equal "$one" "$before")"
look third forwards -o use_ino
before=$one
seen 'inodes of the two links with use_ino' equal "$(equal "$one" "$two")"
look fourth backwards -o use_ino
seen 'inode after a new mount with use_ino' equal "$(equal "$one" "$before")"
