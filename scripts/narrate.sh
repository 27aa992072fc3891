# Output of ./demo: steps with check marks; colour and progress lines only on a
# terminal. Sourced by ./demo.

# shellcheck shell=bash

bold='' dim='' green='' red='' plain='' live=no
if [[ -t 1 ]]; then
  live=yes
  if [[ -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
  fi
fi

title() {
  printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

# say TEXT: prints a step that is done.
say() {
  clear_line
  printf '  %s✓%s %s\n' "$green" "$plain" "$1"
}

# note TEXT: prints a detail of the step before.
note() {
  clear_line
  printf '    %s%s%s\n' "$dim" "$1" "$plain"
}

# busy TEXT: shows a step in progress, on a terminal, until the next line.
busy() {
  [[ $live == no ]] || printf '\r\e[K  %s… %s%s' "$dim" "$1" "$plain"
}

clear_line() {
  [[ $live == no ]] || printf '\r\e[K'
}

# wrong TEXT: prints a failure.
wrong() {
  clear_line
  printf '  %s✗ %s%s\n' "$red" "$1" "$plain" >&2
}

# 1234567 -> 1.1 MiB
size() {
  numfmt --to=iec-i --suffix=B --format='%.1f' "$1" | sed -E 's/([0-9])([KMGT]?i?B)$/\1 \2/'
}

# now_ms prints the time in milliseconds; seconds_since MS prints the seconds since
# then.
now_ms() { date +%s%3N; }

seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}
