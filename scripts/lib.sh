# shellcheck shell=bash
# What the scripts share. Source it; every message goes to stderr, so that stdout is the script's own.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# One line, then out: 1 for what went wrong here.
die() {
  say "$*"
  exit 1
}

# A wrong command line: one line and the way to the help, exit 2.
usage_error() {
  say "$* (see ${0##*/} --help)"
  exit 2
}

# Prints the comment at the head of the script, the shebang left out.
print_help() {
  sed -n '2,/^[^#]/ { s/^# \{0,1\}//p; }' "$0"
}

has() { command -v "$1" >/dev/null 2>&1; }

can_install() { [[ $(uname -s) == Linux && $(id -u) == 0 ]] && has apt-get; }

# install_packages PACKAGE...: quietly; apt's own words are shown only if it fails. The package lists are
# refreshed only if the first try fails: none on a fresh machine, outdated on an old one.
install_packages() {
  local options=(-y -qq --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120) log
  say "installing $* with apt-get"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  if ! apt-get install "${options[@]}" "$@" >"$log" 2>&1 </dev/null; then
    if ! { apt-get update -qq && apt-get install "${options[@]}" "$@"; } >"$log" 2>&1 </dev/null; then
      tail -n 15 "$log" >&2
      rm -f "$log"
      say "apt-get could not install $*"
      return 1
    fi
  fi
  rm -f "$log"
}

# A busybox that runs in an image holding nothing else: prints its path, or fails.
static_busybox() {
  local path
  path=$(command -v busybox) || return 1
  # ldd fails on a static binary.
  ! ldd "$path" >/dev/null 2>&1 || return 1
  printf '%s\n' "$path"
}

ensure_static_busybox() {
  static_busybox >/dev/null && return
  can_install || return 1
  install_packages busybox-static && static_busybox >/dev/null
}
