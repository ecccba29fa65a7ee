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

# import_busybox IMAGE COMMAND...: an image of busybox under the names of these commands.
import_busybox() {
  local image=$1 root command
  shift
  root=$(mktemp -d)
  mkdir "$root/bin"
  cp "$(static_busybox)" "$root/bin/busybox"
  for command in "$@"; do ln -s busybox "$root/bin/$command"; done
  tar -C "$root" -c . | docker import - "$image" >/dev/null
  rm -rf "$root"
}

# python_with FOLDER: prints the path of a Python that has the packages of FOLDER/requirements.txt, installed under
# target/python when they are not.
python_with() {
  # shellcheck disable=SC2154 # the script that sources this has set it
  local requirements=$repository/$1/requirements.txt home=$repository/target/python/${1//\//-} log
  if ! cmp -s "$requirements" "$home/installed"; then
    # Debian has the module that makes environments in a package of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || { can_install && install_packages python3 python3-venv; } \
      || die "needs python3 with venv"
    say "installing $(tr '\n' ' ' <"$requirements")with pip"
    rm -rf "$home"
    mkdir -p "$home"
    log=$home/log
    { python3 -m venv "$home" && "$home/bin/pip" install --quiet --requirement "$requirements"; } >"$log" 2>&1 </dev/null || {
      tail -n 15 "$log" >&2
      die "pip could not install them; all it said is in $log"
    }
    cp "$requirements" "$home/installed"
  fi
  printf '%s\n' "$home/bin/python"
}
