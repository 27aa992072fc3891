#!/usr/bin/env bash
# Python 3.11, tarfile: add(…, filter=…) with a filter that gives the names a prefix, or leaves one
# out, writes an archive without the content of files that have a second name.
#
# The reference: the filter "takes a TarInfo object argument and returns the changed TarInfo object";
# one that returns None leaves the member out. The name of the first of two hard links is remembered
# before the filter is called. The second one then refers to a name that is not in the archive, also if
# the filter left the first out, and has no content of its own. The archive is made without an error, and
# no program can restore the second file. GNU tar with --transform or --exclude, and tar of npm, store
# what can be restored.
. "$(dirname "$0")/common.sh"

mkdir "$work/source"
echo content >"$work/source/a"
ln "$work/source/a" "$work/source/b"
cd "$work"
python3 --version
python3 - <<'END_OF_PROGRAM'
import tarfile
def prefix(member):
    member.name = "backup/" + member.name
    return member
def without_a(member):
    return None if member.name == "source/a" else member
for chosen in prefix, without_a:
    with tarfile.open(chosen.__name__ + ".tar", "w") as archive:
        archive.add("source", filter=chosen)
END_OF_PROGRAM
cd /
tar --create --file "$work/gnu_prefix.tar" --directory "$work" --transform 's,^,backup/,' source
tar --create --file "$work/gnu_without_a.tar" --directory "$work" --exclude source/a source
restored() {
  local code=0
  rm -rf "$work/restored"
  mkdir "$work/restored"
  tar --extract --file "$work/$1.tar" --directory "$work/restored" 2>"$work/told" || code=$?
  echo "$code $(cd "$work/restored" && find . -type f | sort | paste -s -d ' ')"
}
seen 'with a prefix: exit code of the restore, files' '2 ./backup/source/a' "$(restored prefix)"
seen 'what it says' "tar: backup/source/b: Cannot hard link to 'source/a': No such file or directory" \
  "$(head -n 1 "$work/told")"
seen 'without the first name: exit code of the restore, files' '2 ' "$(restored without_a)"
seen 'GNU tar with a prefix' '0 ./backup/source/a ./backup/source/b' "$(restored gnu_prefix)"
seen 'GNU tar without the first name' '0 ./source/b' "$(restored gnu_without_a)"
