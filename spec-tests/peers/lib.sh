# shellcheck shell=bash
# Functions of the scripts `install` and `run` of the peers, by language. Such a script sources this file. Build output
# goes to the folder $home, and nothing is built again until a file that it is made of changes.
here=$(cd "$(dirname "$0")" && pwd -P)
repository=$(cd "$here/../../.." && pwd -P)
# shellcheck source=SCRIPTDIR/../../scripts/lib.sh
source "$repository/scripts/lib.sh"
peer=${here##*/}
home=${GELF_PEER_HOME:-$repository/target/peers/$peer}

# provide COMMAND PACKAGE...: installs Debian's packages if the command is missing.
provide() { has "$1" || { can_install && install_packages "${@:2}"; } || die "$peer needs $1, which is not in PATH"; }

# begin FILE...: ends the script if the peer was installed from these files. Otherwise removes the mark of that.
begin() {
  stamp=$(cat "$here/../lib.sh" "$here/install" "$@" | cksum)
  if [[ $(cat "$home/stamp" 2>/dev/null) == "$stamp" ]]; then exit; fi
  mkdir -p "$home"
  rm -f "$home/stamp"
}

# quietly COMMAND...: shows the end of the output only if the command fails.
quietly() {
  "$@" >"$home/log" 2>&1 </dev/null || {
    tail -n 15 "$home/log" >&2
    die "$peer could not be installed ($home/log)"
  }
}

finish() { printf '%s\n' "$stamp" >"$home/stamp"; }

installed() { [[ -f $home/stamp ]] || die "$peer is not installed; run $here/install"; }

# install_python MODULE: installs requirements.txt in a virtual environment, from which the module can be imported.
install_python() {
  # A virtual environment breaks when its Python is replaced.
  "$home/venv/bin/python" -c "import $1" 2>/dev/null || rm -f "$home/stamp"
  begin "$here/requirements.txt"
  provide python3 python3
  # Debian has the venv module in a separate package.
  python3 -c 'import ensurepip, venv' 2>/dev/null \
    || { can_install && install_packages python3-venv; } || die "$peer needs the venv module of Python"
  rm -rf "$home/venv"
  quietly python3 -m venv "$home/venv"
  quietly "$home/venv/bin/pip" install --disable-pip-version-check --no-deps --requirement "$here/requirements.txt"
  finish
}

run_python() {
  installed
  # No bytecode beside the sources.
  export PYTHONPATH=$here/..:$here/../../adapters/python PYTHONDONTWRITEBYTECODE=1
  exec "$home/venv/bin/python" "$here/adapter.py"
}

# Installs package-lock.json.
install_node() {
  provide node nodejs
  provide npm npm
  begin "$here/package-lock.json"
  cp "$here/package.json" "$here/package-lock.json" "$home"
  quietly npm --prefix "$home" ci --ignore-scripts --no-audit --no-fund --no-update-notifier
  finish
}

# run_node PROGRAM [ARGUMENT...]: runs a program of the peer, such as the adapter.
run_node() {
  installed
  # The modules are in another folder than the program.
  NODE_PATH=$home/node_modules exec node --no-deprecation "$here/$1.js" "${@:2}"
}

# install_go FILE...: builds the adapter, which has these files.
install_go() {
  provide go golang-go
  begin "$here"/{go.mod,go.sum} "$here/../../adapters/go/subject.go" "$@" <(go version)
  quietly env -C "$here" go build -o "$home/adapter" .
  finish
}

# install_rust NAME: builds the adapter, whose crate has this name.
install_rust() {
  has cargo || die "$peer needs Cargo, which is not in PATH (https://rustup.rs)"
  begin "$here"/{Cargo.toml,Cargo.lock,src/main.rs} "$here/../../adapters/rust/gelf_subject.rs" <(rustc --version)
  provide cc gcc libc6-dev
  quietly cargo build --locked --quiet --manifest-path "$here/Cargo.toml" --target-dir "$home/build"
  cp "$home/build/debug/$1" "$home/adapter"
  finish
}

run_adapter() {
  installed
  exec "$home/adapter"
}

# Builds the adapter with Maven and collects its libraries.
install_java() {
  local helper=$here/../../adapters/java/GelfSubject.java
  begin "$here"/{pom.xml,../java-peers.xml} "$here"/*.java "$helper"
  { has javac && has mvn; } || { can_install && install_packages openjdk-17-jdk-headless maven; } \
    || die "$peer needs a Java development kit, 17 or newer, and Maven"
  rm -rf "$home/build" "$home/sources"
  mkdir -p "$home/sources"
  cp "$here"/*.java "$helper" "$home/sources"
  quietly mvn --batch-mode --quiet -Dstyle.color=never --file "$here/pom.xml" -Dpeer.home="$home" package
  finish
}

# run_java [CLASS ARGUMENT...]: runs the adapter, or another class.
run_java() {
  installed
  local options=(-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$home/build/adapter.jar:$home/build/libraries/*")
  exec java "${options[@]}" "${@:-Adapter}"
}
