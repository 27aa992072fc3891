#!/usr/bin/env bash
# XFS (Linux 6.18): root finds each POSIX ACL of a file twice among its extended attributes, as
# system.posix_acl_access and as trusted.SGI_ACL_FILE. A copy of all attributes to ext4 keeps the second
# one as well, where it means nothing and changes with no chmod.
#
# xattr(7): trusted attributes are for programs with CAP_SYS_ADMIN; the kernel gives them no meaning. A backup that
# records all attributes as root stores the ACL in two forms of different byte order. Where it compares a
# restored file with its source, the second form differs after each chmod of a copy on ext4. GNU tar
# with --xattrs-include='*' shows it.
. "$(dirname "$0")/common.sh"

debian_root attr acl xfsprogs e2fsprogs tar
for kind in xfs ext4; do
  truncate --size=400M "$work/$kind.img"
  PATH=$root/sbin:$PATH "mkfs.$kind" -q "$work/$kind.img"
  mkdir "$root/mnt/$kind"
  mount -o loop "$work/$kind.img" "$root/mnt/$kind"
done
source=/mnt/xfs copy=/mnt/ext4
names() { chroot "$root" getfattr --absolute-names --match=- "$1" | grep -v '^#' | xargs; }
printf 'XFS of Linux %s, %s\n' "$(uname -r | cut -d . -f 1-2)" "$(chroot "$root" tar --version | sed -n 1p)"
echo content >"$root$source/file"
chroot "$root" setfacl --modify user:1234:rw "$source/file"
seen 'attributes on XFS' 'system.posix_acl_access trusted.SGI_ACL_FILE' "$(names "$source/file")"
chroot "$root" tar --create --file=/archive.tar --directory="$source" --acls --xattrs --xattrs-include='*' file
chroot "$root" tar --extract --file=/archive.tar --directory="$copy" --acls --xattrs --xattrs-include='*'
seen 'attributes of the copy on ext4' 'system.posix_acl_access trusted.SGI_ACL_FILE' "$(names "$copy/file")"
twin() { chroot "$root" getfattr --absolute-names --only-values --name=trusted.SGI_ACL_FILE "$1" | sha256sum; }
before=$(twin "$copy/file")
chroot "$root" setfacl --modify user:1234:- "$copy/file"
seen 'the second form on ext4 after the ACL was changed' same \
  "$([[ $(twin "$copy/file") == "$before" ]] && echo same || echo changed)"
before=$(twin "$source/file")
chroot "$root" setfacl --modify user:1234:- "$source/file"
seen 'the second form on XFS after the ACL was changed' changed \
  "$([[ $(twin "$source/file") == "$before" ]] && echo same || echo changed)"
