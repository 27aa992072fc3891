"""A file that is written through a mapping, one store for each line of the input."""

import mmap
import sys

with open(sys.argv[1], "w+b") as file:
    file.write(b"-" * 4096)
    file.flush()
    page = mmap.mmap(file.fileno(), 4096)
for line in sys.stdin:
    page[0:1] = line[0].encode()
    print("stored", flush=True)
page.close()
