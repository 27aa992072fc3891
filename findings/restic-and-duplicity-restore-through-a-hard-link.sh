#!/usr/bin/env bash
# restic 0.14.0, duplicity 0.8.22, unsquashfs 4.5.1 and zpaq 7.15: a restore over a file that has a
# second name writes the old content under that name too, outside of what was restored.
#
# Generations of hard links (rsnapshot, `rsync --link-dest`, `cp -al`) share each file that did not
# change. A restore into the newest of them, or into a tree that was copied by `cp -al` to be safe,
# puts its content into every generation, with exit code 0. Other programs (borg, bup, tar, dar, 7z,
# rsync) make a new file and give it the name. The manuals say that existing files are overwritten,
# and nothing of other names of them; duplicity itself makes a new file if one file is asked for.
. "$(dirname "$0")/common.sh"

debian_root restic=0.14.0-1+b5 duplicity=0.8.22-1+b3 squashfs-tools=1:4.5.1-1 zpaq=7.15+repack-1 \
  borgbackup=1.2.4-1
mkdir "$root/finder" "$root/finder/source"
echo first >"$root/finder/source/file"
cat >"$root/finder/run" <<'END_OF_PROGRAM'
export RESTIC_PASSWORD=finder BORG_REPO=/finder/borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
cd /finder/source
case $1 in
backup)
  restic --quiet --no-cache --repo /finder/restic init
  restic --quiet --no-cache --repo /finder/restic backup file
  duplicity -v0 --no-encryption full . file:///finder/duplicity
  mksquashfs . /finder/squashfs -quiet -no-progress
  zpaq add /finder/archive.zpaq file
  borg init --encryption none
  borg create ::first file
  tar --create --file /finder/tar file
  ;;
restore)
  cd /finder/newest
  case $2 in
  restic) restic --quiet --no-cache --repo /finder/restic restore latest --target . ;;
  duplicity) duplicity -v2 --no-encryption --force restore file:///finder/duplicity . ;;
  'duplicity of one file')
    duplicity -v2 --no-encryption --force restore --file-to-restore file file:///finder/duplicity file ;;
  unsquashfs) unsquashfs -force -no-progress -dest . /finder/squashfs ;;
  zpaq) zpaq extract /finder/archive.zpaq -force ;;
  borg) borg extract ::first ;;
  tar) tar --extract --file /finder/tar ;;
  esac
  ;;
esac
END_OF_PROGRAM
chroot "$root" bash -e /finder/run backup >"$work/told" 2>&1 || { cat "$work/told"; exit 1; }
restore() {
  local code=0
  rm -rf "$root"/finder/{older,newest}
  mkdir "$root/finder/older"
  echo other >"$root/finder/older/file"
  cp --archive --link "$root/finder/older" "$root/finder/newest"
  chroot "$root" bash -e /finder/run restore "$1" >"$work/told" 2>&1 || code=$?
  echo "$code $(cat "$root/finder/newest/file") $(cat "$root/finder/older/file")"
}
for program in restic duplicity unsquashfs zpaq; do
  seen "$program: exit code, the file restored, its other name" '0 first first' "$(restore "$program")"
done
for program in 'duplicity of one file' borg tar; do
  seen "$program: the same" '0 first other' "$(restore "$program")"
done
