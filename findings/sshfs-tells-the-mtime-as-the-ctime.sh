#!/usr/bin/env bash
# sshfs 3.7.3: the ctime that it tells is the mtime, so that `touch -d` sets it; the nanoseconds
# are dropped, and a time before 1970 comes back as one after 2106.
#
# POSIX gives no call that sets st_ctime, and backup tools take it for the proof that content did
# not change. Through sshfs a file whose content was replaced while size and mtime were kept
# (`rsync --inplace -t`, `cp -p`) is told with the same size, mtime, ctime and inode as before.
# Version 3 of SFTP has 32 bits of seconds and no ctime; sshfs says nothing of it.
. "$(dirname "$0")/common.sh"

debian_root sshfs=3.7.3-1.2~deb12u1 openssh-server openssh-client
port=$(free_port)
mkdir -p "$root/run/sshd" "$root/served" "$root/mnt/remote"
ssh-keygen -q -t ed25519 -N '' -f "$root/host-key"
ssh-keygen -q -t ed25519 -N '' -f "$root/key"
chmod 600 "$root/key.pub"
cat >"$root/sshd.conf" <<END
Port $port
ListenAddress 127.0.0.1
HostKey /host-key
AuthorizedKeysFile /key.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
PidFile none
END
start sshd chroot "$root" /usr/sbin/sshd -D -f /sshd.conf
for ((n = 0; n < 100; n++)); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
start sshfs chroot "$root" sshfs -f -o "port=$port,IdentityFile=/key" \
  -o StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null 127.0.0.1:/served /mnt/remote
file=$root/mnt/remote/file
wait_mounted "$root/mnt/remote"
stamps() { stat --format 'size %s mtime %.9Y ctime %.9Z' "$1"; }
echo first >"$file"
touch --date=@1000000000.5 "$file"
seen 'after touch' 'size 6 mtime 1000000000.000000000 ctime 1000000000.000000000' \
  "$(stamps "$file")"
before=$(stat --format %i "$file")
sleep 1.1
echo other >"$file"
touch --date=@1000000000.5 "$file"
seen 'after the content was replaced, and touch' \
  'size 6 mtime 1000000000.000000000 ctime 1000000000.000000000' "$(stamps "$file")"
seen 'inode' "$before" "$(stat --format %i "$file")"
touch --date=@-5 "$file"
seen 'after touch to 5 seconds before 1970' 4294967291 "$(stat --format %Y "$file")"
seen 'ctime in the directory that is served, now' yes \
  "$( (($(date +%s) - $(stat --format %Z "$root/served/file") < 60)) && echo yes || echo no)"
