//! Makes a Docker image from the busybox of this machine, without a registry or a builder.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, process};

use crate::{Engine, command, requirement};

const REPOSITORY: &str = "gelf-tests-busybox";

/// Returns the name of the image, and imports the image unless the Engine already has it.
pub(crate) fn busybox(engine: &Engine) -> String {
    // Tests run in threads of one process. One thread imports the image while the other threads wait.
    static IMPORTING: Mutex<()> = Mutex::new(());
    let _importing = IMPORTING.lock().unwrap_or_else(PoisonError::into_inner);

    let binary =
        requirement::find_on_path("busybox").expect("no busybox on the path: apt-get install busybox-static");
    let image = format!("{REPOSITORY}:{:016x}", content_hash(&binary));
    let known = command::try_docker(&engine.host, ["image", "inspect", &image], command::DEFAULT_LIMIT)
        .unwrap_or_else(|error| panic!("docker image inspect {image}: {error}"));
    if !known.status.success() {
        import(engine, &binary, &image);
    }
    image
}

fn import(engine: &Engine, binary: &Path, image: &str) {
    let root = env::temp_dir().join(format!("{REPOSITORY}-{}", process::id()));
    lay_out(binary, &root);
    let mut archive = Command::new("tar")
        .args(["--create", "--owner=0", "--group=0", "--directory"])
        .arg(&root)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar starts");
    let mut import = command::command(&engine.host);
    import.args(["import", "--change", "LABEL gelf-tests=image", "-", image]);
    import.stdin(archive.stdout.take().expect("stdout is piped"));
    let imported = command::output(&mut import, command::DEFAULT_LIMIT).expect("docker import runs");
    // Dropping the command closes its end of the pipe. Otherwise, tar would wait for a reader if the import
    // failed.
    drop(import);
    let archived = archive.wait().expect("tar ends");
    let _ = fs::remove_dir_all(&root);
    assert!(archived.success(), "tar: {archived}");
    assert!(
        imported.status.success(),
        "docker import: {}",
        String::from_utf8_lossy(&imported.stderr).trim_end()
    );
}

/// Creates `bin/busybox`, a link for each command of the busybox, and the folder `tmp`, which some commands
/// use.
fn lay_out(binary: &Path, root: &Path) {
    let bin = root.join("bin");
    fs::create_dir_all(&bin).expect("a directory can be created");
    fs::create_dir_all(root.join("tmp")).expect("a directory can be created");
    fs::copy(binary, bin.join("busybox")).expect("busybox can be copied");
    let commands = Command::new(binary).arg("--list").output().expect("busybox runs");
    for name in String::from_utf8_lossy(&commands.stdout).lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", bin.join(name)).expect("a link can be created");
    }
}

/// Returns a hash of the binary, so that an upgraded busybox gets another image.
fn content_hash(binary: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    fs::read(binary).expect("busybox can be read").hash(&mut hasher);
    hasher.finish()
}
