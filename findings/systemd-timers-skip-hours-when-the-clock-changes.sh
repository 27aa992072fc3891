#!/usr/bin/env bash
# systemd 252: a timer with OnCalendar=hourly, in a time zone with summer time, does not run in one hour of
# the autumn night, and one of 02:30 each day does not run on a day in spring: 47 hours lie between two runs.
#
# systemd.time(7) says of "hourly" and of times of day that they are each hour and each day, and nothing of
# hours that come twice or not at all. cron of Debian runs jobs of a skipped hour right after it, and
# hourly ones each hour (cron(8)). Nights between two and three are when backups run: once a year a day
# without one, and an alarm about what is older than a day. UTC in the setting, or another hour, helps.
. "$(dirname "$0")/common.sh"

debian_root systemd=252.39-1~deb12u2 tzdata=2026f-0+deb12u1
# Prints the runs after a time, in UTC.
runs() {
  TZ=UTC chroot "$root" systemd-analyze calendar --base-time="$1 UTC" --iterations=3 "$2" |
    sed -nE 's/.*(Next elapse|Iter\. #[0-9]): [A-Za-z]+ ([^ ]+ [0-9]+:[0-9]+):00 UTC/\2/p' |
    paste -s -d ' '
}
chroot "$root" systemd-analyze --version | head -n 1
seen 'hourly in Berlin, around the 25th of October 2026' \
  '2026-10-25 00:00 2026-10-25 02:00 2026-10-25 03:00' \
  "$(runs '2026-10-24 23:30' '*-*-* *:00:00 Europe/Berlin')"
seen 'hourly in UTC, the same' '2026-10-25 00:00 2026-10-25 01:00 2026-10-25 02:00' \
  "$(runs '2026-10-24 23:30' '*-*-* *:00:00 UTC')"
seen 'at 02:30 in Berlin, around the 29th of March 2026' \
  '2026-03-28 01:30 2026-03-30 00:30 2026-03-31 00:30' \
  "$(runs '2026-03-27 12:00' '*-*-* 02:30:00 Europe/Berlin')"
seen 'at 03:30 in Berlin, the same days' '2026-03-28 02:30 2026-03-29 01:30 2026-03-30 01:30' \
  "$(runs '2026-03-27 12:00' '*-*-* 03:30:00 Europe/Berlin')"
