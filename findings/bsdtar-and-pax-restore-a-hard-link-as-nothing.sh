#!/usr/bin/env bash
# bsdtar and bsdcpio 3.6.2 and pax 20201030: of a cpio archive in the format newc, a file that has two
# names is restored by its first name as a file of 0 bytes, with exit code 0.
#
# In this format the content is with the last name of a group; the others have a length of 0 and the
# same inode. A restore of everything links them at the end. A restore of one name, the case from life
# ("give me that file back"), leaves the empty one and says nothing; by the last name both refuse,
# since the first is not there. GNU cpio and 7z give the content for each name. The archives are
# those of GNU cpio, and of bsdcpio itself.
. "$(dirname "$0")/common.sh"

debian_root cpio=2.13+dfsg-7.1 libarchive-tools=3.6.2-1+deb12u5 pax=1:20201030-1
mkdir -p "$root/finder/source" "$root/finder/restored"
echo content >"$root/finder/source/first"
ln "$root/finder/source/first" "$root/finder/source/second"
run() { chroot "$root" bash -c "cd /finder/$1 && $2" 2>"$work/told"; }
run source "printf 'first\nsecond\n' | cpio --create --format newc >../gnu.cpio"
run source "printf 'first\nsecond\n' | bsdcpio --create --format newc >../bsd.cpio"
# Prints the exit code and the bytes of what is there under the name.
restored() {
  local code=0
  rm -f "$root"/finder/restored/*
  run restored "$2" >/dev/null || code=$?
  echo "$code $(stat --format %s "$root/finder/restored/$1" 2>/dev/null || echo none)"
}
for archive in gnu bsd; do
  file=../$archive.cpio
  seen "$archive, by bsdtar, first: exit code, bytes" '0 0' "$(restored first "bsdtar -xf $file first")"
  seen "$archive, by bsdcpio, first" '0 0' "$(restored first "bsdcpio -i first <$file")"
  seen "$archive, by pax, first" '0 0' "$(restored first "pax -r first <$file")"
  seen "$archive, by bsdtar, second" '1 none' "$(restored second "bsdtar -xf $file second")"
  seen "$archive, by GNU cpio, first" '0 8' "$(restored first "cpio --extract first <$file")"
  seen "$archive, by GNU cpio, second" '0 8' "$(restored second "cpio --extract second <$file")"
  seen "$archive, by bsdtar, both" '0 8' "$(restored first "bsdtar -xf $file")"
done
