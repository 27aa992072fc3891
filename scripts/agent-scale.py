#!/usr/bin/env python3
"""Measures the agent with many files: scans of unchanged trees, an idle daemon, a storm of new files.

    scripts/agent-scale.py BIN_DIR [WORK_DIR]

BIN_DIR has s3up, s3up-server and s3up-devstore (cargo build --release). WORK_DIR needs about 6 GB and
2.5 million inodes; everything in it is removed at the end. Nothing here is a test: the numbers are in
docs/limits.md.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

FILES = int(os.environ.get("S3UP_SCALE_FILES", 1_000_000))
DIRS = int(os.environ.get("S3UP_SCALE_DIRS", 100_000))
STORM = int(os.environ.get("S3UP_SCALE_STORM", 200_000))
STORM_DIRS = 40
IDLE_SECONDS = int(os.environ.get("S3UP_SCALE_IDLE_SECONDS", 180))
WAIT_SECONDS_MAX = 3600
KEY = "sk_live_" + "k" * 43


def main():
    programs = pathlib.Path(sys.argv[1])
    place = sys.argv[2] if len(sys.argv) > 2 else None
    work = pathlib.Path(tempfile.mkdtemp(prefix="s3up-scale-", dir=place))
    world = World(programs, work)
    try:
        unchanged_files(world)
        idle(world)
        storm(world)
    finally:
        world.stop()
        shutil.rmtree(work)


class World:
    """A gateway on an embedded S3 server."""

    def __init__(self, programs, work):
        self.programs, self.work, self.children = programs, work, []
        self.port = free_port()
        store = ["--root", work / "s3", "--bucket", "backups", "--versioned"]
        self.start("devstore", [programs / "s3up-devstore", *store])
        until("the S3 server listens", lambda: self.s3_url())
        server = work / "server.yaml"
        server.write_text(
            f"server: {{ host: 127.0.0.1, port: {self.port} }}\n"
            f"s3: {{ endpoint: '{self.s3_url()}', region: us-east-1, bucket: backups,\n"
            "  access_key_id: devstore, secret_access_key: devstore-secret }\n"
            f"database: {{ path: {work / 'gateway.db'} }}\n"
            f"clients: [{{ name: webapp, api_key: {KEY} }}]\n"
        )
        server.chmod(0o600)
        self.start("gateway", [programs / "s3up-server", "--config", server])
        until("the gateway answers", lambda: answers(self.port))

    def s3_url(self):
        found = re.search(r"http://[0-9.:]+", (self.work / "devstore.log").read_text())
        return found and found.group()

    def start(self, name, command):
        log = open(self.work / f"{name}.log", "wb")
        child = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
        self.children.append(child)
        return child

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
            child.wait()

    def host(self, name):
        """Returns the configuration of a host with one watched directory."""
        home = self.work / name
        (home / "up").mkdir(parents=True)
        config = home / "client.yaml"
        config.write_text(
            f"server: {{ url: 'http://127.0.0.1:{self.port}', api_key: {KEY} }}\n"
            f"database: {{ path: {home / 'client.db'} }}\n"
            f"watches: [{{ local_path: {home / 'up'}, remote_prefix: {name}/ }}]\n"
            "scan: { upload_existing: false }\n"
        )
        config.chmod(0o600)
        return home, config

    def run(self, config, *arguments):
        """Runs the agent to its end. Returns its output, the seconds, the CPU seconds and the RSS."""
        command = [str(self.programs / "s3up"), "--config", str(config), "--log-format", "logfmt"]
        start = time.monotonic()
        with open(self.work / "log", "wb") as log:
            child = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=log)
        output = child.stdout.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - start
        return output, took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024

    def daemon(self, config):
        command = [self.programs / "s3up", "--config", config, "--log-level", "warning", "run"]
        return self.start("daemon", command)

    def status(self, config):
        return json.loads(self.run(config, "status", "--json")[0])


def unchanged_files(world):
    home, config = world.host("unchanged")
    for n in range(FILES // 100):
        directory = home / "up" / f"{n // 100:03}" / f"{n % 100:02}"
        directory.mkdir(parents=True)
        for m in range(100):
            os.close(os.open(directory / f"file-{m:02}.jpg", os.O_CREAT | os.O_WRONLY, 0o644))
    say("files", FILES)
    measure_scan(world, config, "first scan, which records them as baseline")
    for _ in range(3):
        measure_scan(world, config, "scan of unchanged files, baseline")
    # As if all of them had been uploaded: no embedded server has to store a million objects for it.
    database = sqlite3.connect(home / "client.db")
    database.execute(
        "INSERT INTO files (local_path, remote_path, file_size, mtime, uploaded_at, mtime_ns, ctime_ns,"
        " inode, device, sha256, version_id) SELECT local_path, 'unchanged/' || local_path, file_size,"
        " mtime_ns / 1000000000, 1, mtime_ns, ctime_ns, inode, device,"
        " 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'v' FROM baseline"
    )
    root = str(home / "up") + "/"
    database.execute(
        "UPDATE files SET remote_path = 'unchanged/' || substr(local_path, ?)", (len(root) + 1,)
    )
    database.execute("DELETE FROM baseline")
    database.commit()
    database.close()
    for _ in range(3):
        measure_scan(world, config, "scan of unchanged files, protected")
    total = world.status(config)["total"]
    say("protected files, by status", total["protected"]["files"])
    daemon = world.daemon(config)
    until("the daemon runs", lambda: world.status(config)["running"])
    time.sleep(60)
    say("RSS of the daemon at its peak, MiB", peak_bytes(daemon) >> 20)
    daemon.terminate()
    daemon.wait()


def measure_scan(world, config, what):
    output, took, cpu, rss = world.run(config, "scan")
    log = (world.work / "log").read_text()
    # The rest of the time checks the database, looks for known files that are gone, and sends the heartbeat.
    walk = float(re.search(r"event=scan_done .*elapsed_seconds=([0-9.]+)", log).group(1))
    say(what, f"{walk:.1f} s of {took:.1f} s, {cpu:.1f} s of CPU, {rss >> 20} MiB: {output.strip()}")


def idle(world):
    home, config = world.host("idle")
    for n in range(DIRS):
        (home / "up" / f"{n // 1000:03}" / f"{n % 1000:03}").mkdir(parents=True)
    daemon = world.daemon(config)
    until("the first scan is complete", lambda: scanned(world, config))
    watches = count_watches(daemon)
    time.sleep(70)
    before = cpu_seconds(daemon)
    time.sleep(IDLE_SECONDS)
    used = cpu_seconds(daemon) - before
    limit = pathlib.Path("/proc/sys/fs/inotify/max_user_watches").read_text().strip()
    say("inotify watches of the idle daemon", f"{watches} (fs.inotify.max_user_watches is {limit})")
    say("CPU of the idle daemon", f"{used:.2f} s in {IDLE_SECONDS} s, {used / IDLE_SECONDS:.3%}")
    say("RSS of the idle daemon at its peak, MiB", peak_bytes(daemon) >> 20)
    say("watcher", world.status(config)["watcher"])
    daemon.terminate()
    daemon.wait()


def storm(world):
    home, config = world.host("storm")
    for n in range(STORM_DIRS):
        (home / "up" / str(n)).mkdir()
    daemon = world.daemon(config)
    until("the first scan is complete", lambda: scanned(world, config))
    start = time.monotonic()
    for n in range(STORM):
        with open(home / "up" / str(n % STORM_DIRS) / f"{n}", "w") as file:
            file.write(str(n))
    written = time.monotonic() - start
    until("all are protected", lambda: protected(world, config) == STORM, every=5)
    took = time.monotonic() - start
    listed = world.run(config, "list", "storm", "--json")[0].count("\n")
    say("storm", f"{STORM} files written in {written:.1f} s, all protected after {took:.1f} s")
    say("files of the storm that the gateway lists", listed)
    say("RSS of the daemon at its peak, MiB", peak_bytes(daemon) >> 20)
    assert listed == STORM, f"expected {STORM} files, found {listed}"
    daemon.terminate()
    daemon.wait()


def protected(world, config):
    return world.status(config)["total"]["protected"]["files"]


def scanned(world, config):
    status = world.run(config, "status", "--json")[0]
    return bool(status) and all(watch["last_scan_at"] for watch in json.loads(status)["watches"])


def count_watches(child):
    """Returns the number of directories that the process watches."""
    count = 0
    for file in pathlib.Path(f"/proc/{child.pid}/fdinfo").iterdir():
        count += file.read_text().count("inotify wd:")
    return count


def cpu_seconds(child):
    fields = pathlib.Path(f"/proc/{child.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(child):
    lines = pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def until(what, condition, every=0.5):
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < WAIT_SECONDS_MAX, f"timed out while waiting until {what}"
        time.sleep(every)


def answers(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def say(what, value):
    print(f"{what}: {value}", flush=True)


if __name__ == "__main__":
    main()
