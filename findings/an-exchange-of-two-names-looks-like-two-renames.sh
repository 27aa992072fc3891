#!/usr/bin/env bash
# Linux 6.18: renameat2 with RENAME_EXCHANGE raises the events of a rename from a to b, and then
# those of a rename from b to a, with two cookies.
#
# rename(2) calls it one atomic exchange; inotify(7) has no word on it. A program that replays renames in a
# table of names moves a over b, forgets what b was, and moves it back: the table then has the old
# identity of a at a, and nothing at b, though both are there. Look at both names again.
. "$(dirname "$0")/common.sh"

uname -sr | cut -d - -f 1
cat >"$work/probe.py" <<'END'
import ctypes, os, struct, sys
folder = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
for name in "ab":
    with open(f"{folder}/{name}", "w") as f:
        f.write("was " + name)
watch = libc.inotify_init1(os.O_NONBLOCK)
FROM, TO = 0x40, 0x80
libc.inotify_add_watch(watch, folder.encode(), FROM | TO)
a, b, HERE, EXCHANGE = f"{folder}/a".encode(), f"{folder}/b".encode(), -100, 2
if libc.renameat2(HERE, a, HERE, b, EXCHANGE):
    sys.exit(os.strerror(ctypes.get_errno()))
table, moving, told = {"a": "was a", "b": "was b"}, {}, []
events, at = os.read(watch, 65536), 0
while at < len(events):
    _, mask, cookie, length = struct.unpack_from("iIII", events, at)
    name = events[at + 16 : at + 16 + length].rstrip(b"\0").decode()
    if mask & FROM:
        moving[cookie] = table.pop(name)
    else:
        table[name] = moving[cookie]
    told.append(("FROM " if mask & FROM else "TO ") + name)
    at += 16 + length
print(", ".join(told))
print(len(moving), "cookies")
print("replayed:", ", ".join(f"{k} {v}" for k, v in sorted(table.items())))
print("there:", ", ".join(f"{k} {open(folder + '/' + k).read()}" for k in sorted(os.listdir(folder))))
END
mkdir "$work/folder"
python3 "$work/probe.py" "$work/folder" >"$work/told"
seen 'events' 'FROM a, TO b, FROM b, TO a' "$(sed -n 1p "$work/told")"
seen 'renames by cookie' '2 cookies' "$(sed -n 2p "$work/told")"
seen 'what a table of names comes to' 'replayed: a was a' "$(sed -n 3p "$work/told")"
seen 'what is there' 'there: a was b, b was a' "$(sed -n 4p "$work/told")"
