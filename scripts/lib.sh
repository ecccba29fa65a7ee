# shellcheck shell=bash
# Functions that the scripts share. Source this file. All messages go to stderr, so stdout belongs to the
# script.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die WORDS: prints one line and exits with 1.
die() {
  say "$*"
  exit 1
}

# usage_error WORDS: prints one line that points to --help, and exits with 2, for a wrong command line.
usage_error() {
  say "$* (see ${0##*/} --help)"
  exit 2
}

# Prints the comment at the head of the script, without the shebang.
print_help() {
  sed -n '2,/^[^#]/ { s/^# \{0,1\}//p; }' "$0"
}

has() { command -v "$1" >/dev/null 2>&1; }

can_install() { [[ $(uname -s) == Linux && $(id -u) == 0 ]] && has apt-get; }

# install_packages PACKAGE...: installs quietly and shows apt's output only when it fails. The package lists
# are missing on a fresh machine and outdated on an old one, so they are refreshed when the first attempt
# fails.
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

# unpacked_program PACKAGE PROGRAM: prints the path of a program of a Debian package, which is unpacked under
# target/packages and not installed: the installation of Prometheus would start a service.
unpacked_program() {
  # shellcheck disable=SC2154 # set by the script that sources this file
  local folder=$repository/target/packages/$1
  if [[ ! -x $folder/usr/bin/$2 ]]; then
    say "unpacking $1"
    mkdir -p "$folder"
    (
      cd "$folder" &&
        { apt-get download -qq "$1" || { apt-get update -qq && apt-get download -qq "$1"; }; } &&
        dpkg-deb -x ./"$1"_*.deb . && rm -f ./"$1"_*.deb
    ) >"$folder/log" 2>&1 </dev/null || {
      tail -n 15 "$folder/log" >&2
      say "apt-get could not download $1"
      return 1
    }
  fi
  printf '%s\n' "$folder/usr/bin/$2"
}

# static_busybox: prints the path of a busybox that runs in an otherwise empty image, or fails.
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

# browser: prints the path of Chromium or Chrome, or fails.
browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

ensure_browser() {
  { has chromedriver && browser >/dev/null; } || { can_install && install_packages chromium chromium-driver; }
}

# import_busybox IMAGE COMMAND...: makes an image that holds busybox under the names of these commands.
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

# python_with FOLDER: prints the path of a Python that has the packages of FOLDER/requirements.txt. Installs
# them under target/python first when they are missing.
python_with() {
  # shellcheck disable=SC2154 # set by the script that sources this file
  local requirements=$repository/$1/requirements.txt home=$repository/target/python/${1//\//-} log
  if ! cmp -s "$requirements" "$home/installed"; then
    # Debian packages the module venv separately.
    python3 -c 'import ensurepip, venv' 2>/dev/null || { can_install && install_packages python3 python3-venv; } \
      || die "needs python3 with venv"
    say "installing $(tr '\n' ' ' <"$requirements")with pip"
    rm -rf "$home"
    mkdir -p "$home"
    log=$home/log
    { python3 -m venv "$home" && "$home/bin/pip" install --quiet --requirement "$requirements"; } >"$log" 2>&1 </dev/null || {
      tail -n 15 "$log" >&2
      die "pip could not install them; its output is in $log"
    }
    cp "$requirements" "$home/installed"
  fi
  printf '%s\n' "$home/bin/python"
}
