#!/usr/bin/env bash
# systemd 252: `systemd-analyze verify` exits with 0 for a unit with mistyped keys and values that
# systemd leaves out ("ignoring"); with --recursive-errors=yes it exits with 1.
#
# systemd-analyze(1): "verify … will load unit files and print warnings if any errors are
# detected"; the option is said to be about which units are looked at. A check in CI by its exit
# code lets a service through whose limits and protection are not in force; the option, or an
# empty stderr, has to be asked for.
. "$(dirname "$0")/common.sh"

systemd-analyze --version | head -n 1 | cut -d ' ' -f 1,2
cat >"$work/probe.service" <<'END'
[Service]
ExecStart=/bin/true
ProtectSystem=strictly
MemoryMaximum=1G
END
cat >"$work/sound.service" <<'END'
[Service]
ExecStart=/bin/true
ProtectSystem=strict
MemoryMax=1G
END
verify() { systemd-analyze verify "$@" 2>"$work/told" && echo 0 || echo "$?"; }
seen 'exit code' 0 "$(verify "$work/probe.service")"
seen 'settings that it says to be ignored' 2 "$(grep -c ignoring "$work/told")"
seen 'exit code with --recursive-errors=yes' 1 \
  "$(verify --recursive-errors=yes "$work/probe.service")"
seen 'exit code for a sound unit with --recursive-errors=yes' 0 \
  "$(verify --recursive-errors=yes "$work/sound.service")"
