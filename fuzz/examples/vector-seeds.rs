//! Writes the vectors of the conformance suite as seeds for the fuzzer: `vector-seeds FOLDER` creates a
//! subfolder of FOLDER for each target that has vectors.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder =
        folder.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "usage: vector-seeds FOLDER"))?;
    for (target, id, bytes) in gelf_fuzz::vector_inputs() {
        let target = folder.join(target);
        fs::create_dir_all(&target)?;
        fs::write(target.join(id), bytes)?;
    }
    Ok(())
}
