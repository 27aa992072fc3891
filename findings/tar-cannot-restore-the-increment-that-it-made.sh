#!/usr/bin/env bash
# GNU tar 1.34: an incremental backup (--listed-incremental) of a tree in which a directory was renamed
# to the name of a file or symlink is made with exit code 0, and cannot be restored: the files of the
# directory are not where they were.
#
# The manual: restore the full, then each increment in its order, and the tree is as it was. The
# increment holds "rename r2 to current" in place of the content. At the restore the symlink
# `current` of the full is in the way: the rename fails, an empty directory takes the name, and
# the content stays under the name that is gone. A switch of releases is the case from life. Nothing is
# said when the backup is made; the content is in no increment again. A directory that takes the name of a
# directory is restored well, and so are two that change places.
. "$(dirname "$0")/common.sh"

debian_root tar=1.34+dfsg-1.2+deb12u1
mkdir -p "$root"/finder/source/{r1,r2}
cd "$root/finder/source"
echo one >r1/file
echo two >r2/file
ln -s r1 current
mkdir c d
echo three >d/file
backup() {
  local code=0
  chroot "$root" tar --create --directory /finder/source --listed-incremental /finder/notes \
    --file "/finder/$1.tar" . 2>"$work/told" || code=$?
  echo "$code $(cat "$work/told")"
}
seen 'exit code of the full, what it says' '0 ' "$(backup full)"
sleep 1.1
rm current
mv r2 current
rmdir c
mv d c
echo four >current/later
seen 'exit code of the increment, what it says' '0 ' "$(backup increment)"
cd /
mkdir "$root/finder/restored"
restore() {
  local code=0
  chroot "$root" tar --extract --directory /finder/restored --listed-incremental /dev/null \
    --file "/finder/$1.tar" 2>"$work/told" || code=$?
  echo "$code"
}
seen 'exit code of the restore of the full' 0 "$(restore full)"
seen 'exit code of the restore of the increment' 2 "$(restore increment)"
seen 'what it says' "tar: Cannot rename './r2' to './current': Not a directory" \
  "$(head -n 1 "$work/told")"
files() { (cd "$root/finder/$1" && find . -type f | sort | paste -s -d ' '); }
seen 'files that were' './c/file ./current/file ./current/later ./r1/file' "$(files source)"
seen 'files restored' './c/file ./current/later ./r1/file ./r2/file' "$(files restored)"
