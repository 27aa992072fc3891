"""Ways to write a file, each in a directory of its own.

    ways.py prepare DIR         creates the files that are written to later
    ways.py run DIR [BELOW]     writes, prints "way: done" or "way: not possible" for each,
                                and keeps its mappings and descriptors until its input ends

BELOW is the directory that a filesystem in user space serves as DIR.
"""

import ctypes
import mmap
import os
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_FOLLOW, RENAME_EXCHANGE = -100, 0x400, 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 0x10
OLD = b"content from before".ljust(8192, b".")
NEW = b"content from now".ljust(8192, b".")
kept = []


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def put(path, content, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    fd = os.open(path, flags, 0o644)
    os.write(fd, content)
    os.close(fd)


def shell(command, *arguments):
    result = subprocess.run([command, *arguments], capture_output=True)
    if result.returncode:
        raise OSError(result.returncode, result.stderr.decode())


def aside(content, like=None):
    """A file outside of the watch, with the times of another one."""
    path = os.path.join(os.environ["ASIDE"], f"aside-{len(os.listdir(os.environ['ASIDE']))}")
    put(path, content)
    if like:
        shell("touch", "-r", like, path)
    return path


def fallocate(path, mode, offset, length):
    fd = os.open(path, os.O_RDWR)
    try:
        check(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))
    finally:
        os.close(fd)


def mapped(path):
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 8192)


def new(d): put(d + "/new", NEW)
def empty(d): put(d + "/empty", b"")
def append(d): put(d + "/file", NEW, os.O_WRONLY | os.O_APPEND)
def overwrite(d): put(d + "/file", NEW, os.O_WRONLY)
def truncate(d): os.truncate(d + "/file", 10)
def extend(d): os.truncate(d + "/file", 100_000)
def synced(d): put(d + "/file", NEW, os.O_WRONLY | os.O_SYNC)


def direct(d):
    fd = os.open(d + "/file", os.O_WRONLY | os.O_DIRECT)
    page = mmap.mmap(-1, 8192)
    page.write(NEW)
    try:
        os.write(fd, page)
    finally:
        os.close(fd)


def rename_over(d):
    put(d + "/.part", NEW)
    os.rename(d + "/.part", d + "/file")


def exchange(d):
    put(d + "/other", NEW)
    check(libc.renameat2(AT_FDCWD, (d + "/other").encode(), AT_FDCWD, (d + "/file").encode(),
                         RENAME_EXCHANGE))


def cp(d): shell("cp", aside(NEW), d + "/file")
def cp_p(d): shell("cp", "-p", aside(NEW, d + "/file"), d + "/file")
def rsync(d): shell("rsync", "-t", "--ignore-times", aside(NEW, d + "/file"), d + "/file")


def rsync_inplace(d):
    shell("rsync", "--inplace", "-t", "--ignore-times", aside(NEW, d + "/file"), d + "/file")


def dd(d): shell("dd", "if=" + aside(NEW), "of=" + d + "/file", "conv=notrunc", "status=none")
def sed(d): shell("sed", "-i", "s/before/now/", d + "/file")
def install(d): shell("install", "-m", "600", aside(NEW), d + "/file")


def tar(d):
    archive = os.path.join(os.environ["ASIDE"], "archive.tar")
    source = aside(NEW, d + "/file")
    shell("tar", "-cf", archive, "-C", os.path.dirname(source), "--transform", "s/.*/file/",
          os.path.basename(source))
    shell("tar", "-xf", archive, "-C", d)


def mapped_and_closed(d):
    page = mapped(d + "/file")
    page[0:16] = NEW[0:16]
    page.close()


def mapped_and_synced(d):
    page = mapped(d + "/file")
    page[0:16] = NEW[0:16]
    page.flush()
    kept.append(page)


def mapped_and_kept(d):
    page = mapped(d + "/file")
    page[0:16] = NEW[0:16]
    kept.append(page)


def hard_link(d): os.link(d + "/file", d + "/link")


def through_outer_link(d):
    """Writes through a name outside of the watch."""
    outer = os.path.join(os.path.dirname(os.path.dirname(d)), "outer")
    os.link(d + "/file", outer)
    put(outer, NEW)


def tmpfile(d, later=False):
    fd = os.open(d, os.O_TMPFILE | os.O_WRONLY, 0o644)
    os.write(fd, OLD)
    check(libc.linkat(AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD,
                      (d + "/linked").encode(), AT_SYMLINK_FOLLOW))
    if later:
        os.write(fd, NEW)
    os.close(fd)


def write_after_linkat(d): tmpfile(d, later=True)
def punch_hole(d): fallocate(d + "/file", PUNCH_HOLE | KEEP_SIZE, 0, 4096)
def zero_range(d): fallocate(d + "/file", ZERO_RANGE, 0, 4096)
def preallocate(d): fallocate(d + "/file", 0, 0, 65536)


def copy_range(d):
    put(d + "/source", NEW)
    with open(d + "/source", "rb") as source, open(d + "/file", "r+b") as target:
        os.copy_file_range(source.fileno(), target.fileno(), len(NEW))


def sendfile(d):
    with open(aside(NEW), "rb") as source, open(d + "/file", "r+b") as target:
        os.sendfile(target.fileno(), source.fileno(), 0, len(NEW))


def splice(d):
    reader, writer = os.pipe()
    os.write(writer, NEW)
    with open(d + "/file", "r+b") as target:
        check(libc.splice(reader, None, target.fileno(), None, ctypes.c_size_t(len(NEW)), 0))
    os.close(reader)
    os.close(writer)


def touch(d): os.utime(d + "/file", ns=(10**18, 10**18 + 1))
def chmod(d): os.chmod(d + "/file", 0o600)


def replaced_with_times(d):
    before = os.stat(d + "/file")
    os.unlink(d + "/file")
    put(d + "/file", NEW)
    os.utime(d + "/file", ns=(before.st_atime_ns, before.st_mtime_ns))


def deep_directory(d):
    os.makedirs(d + "/a/b/c")
    put(d + "/a/b/c/new", NEW)


def directory_moved_in(d):
    outer = os.path.join(os.path.dirname(os.path.dirname(d)), "moved")
    os.makedirs(outer + "/sub")
    put(outer + "/sub/new", NEW)
    os.rename(outer, d + "/moved")


def directory_renamed(d):
    os.rename(d + "/sub", d + "/renamed")
    put(d + "/renamed/file", NEW)


def symlink_replaced(d):
    os.unlink(d + "/link")
    put(d + "/link", NEW)


def through_proc(d):
    fd = os.open(d + "/file", os.O_RDONLY)
    put(f"/proc/self/fd/{fd}", NEW, os.O_WRONLY)
    os.close(fd)


def left_open(d):
    fd = os.open(d + "/file", os.O_WRONLY)
    os.write(fd, NEW)
    kept.append(fd)


def below(d):
    put(os.environ["BELOW"] + "/" + os.path.basename(d) + "/file", NEW)


WAYS = [new, empty, append, overwrite, truncate, extend, synced, direct, rename_over, exchange, cp,
        cp_p, rsync, rsync_inplace, dd, sed, install, tar, mapped_and_closed, mapped_and_synced,
        mapped_and_kept, hard_link, through_outer_link, tmpfile, write_after_linkat, punch_hole,
        zero_range, preallocate, copy_range, sendfile, splice, touch, chmod, replaced_with_times,
        deep_directory, directory_moved_in, directory_renamed, symlink_replaced, through_proc,
        left_open]


def main():
    command, top = sys.argv[1:3]
    ways = WAYS + ([below] if "BELOW" in os.environ else [])
    for way in ways:
        directory = f"{top}/{way.__name__}"
        if command == "prepare":
            os.makedirs(directory + "/sub")
            put(directory + "/file", OLD)
            put(directory + "/sub/file", OLD)
            os.symlink("file", directory + "/link") if way is symlink_replaced else None
            continue
        try:
            way(directory)
            print(f"{way.__name__}: done", flush=True)
        except OSError as err:
            print(f"{way.__name__}: not possible: {err}", file=sys.stderr, flush=True)
            print(f"{way.__name__}: not possible", flush=True)
    if command == "run":
        # As the kernel does within half a minute: until then, a filesystem in user space does not
        # know of a store through a mapping.
        os.sync()
        print("end", flush=True)
        sys.stdin.read()


main()
