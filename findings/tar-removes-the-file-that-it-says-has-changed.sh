#!/usr/bin/env bash
# GNU tar 1.34: `tar --remove-files` says of a log that grows "file changed as we read it", and
# removes it. What was written meanwhile is in no archive and in no file.
#
# The manual: "remove files after adding them to the archive"; of the warning it says that the archive
# may have another content than the file. tar reads as many bytes as the file had at the beginning and
# compares time and size at the end; with the answer in its hand it deletes the file all the same, with
# exit code 1, "some files differ". A job that moves logs in this way loses lines at each run that meets
# a writer. `zip --move` reads to the end of the file; `7z -sdel` keeps a file that grew.
. "$(dirname "$0")/common.sh"

debian_root tar=1.34+dfsg-1.2+deb12u1
mkdir "$root/source"
cat >"$work/run.py" <<'END_OF_PROGRAM'
# Adds a line to the log when tar has read a part of it, which tar shows by what it has written.
import os, subprocess, sys
root, archive = sys.argv[1:]
log = os.path.join(root, "source/log")
with open(log, "wb") as f:
    f.write(b"line\n" * 2_000_000)
writer = os.open(log, os.O_WRONLY | os.O_APPEND)
tar = subprocess.Popen(["chroot", root, "tar", "--create", "--remove-files", "--directory", "/source",
    "--file", "-", "log"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
with open(archive, "wb") as f:
    f.write(tar.stdout.read(10240))
    os.write(writer, b"the last line\n")
    f.write(tar.stdout.read())
print(tar.stderr.read().decode().splitlines()[0])
print(tar.wait())
END_OF_PROGRAM
python3 "$work/run.py" "$root" "$work/archive" >"$work/told"
seen 'what tar says' 'tar: log: file changed as we read it' "$(sed -n 1p "$work/told")"
seen 'its exit code' 1 "$(sed -n 2p "$work/told")"
seen 'names left in the source' '' "$(ls "$root/source")"
seen 'lines in the archive' 2000000 "$(tar --extract --to-stdout --file "$work/archive" | wc -l)"
seen 'of them those written meanwhile' 0 \
  "$(tar --extract --to-stdout --file "$work/archive" | grep -c 'the last line' || true)"
