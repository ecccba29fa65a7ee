//! Checks the folder of `--state`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Finding;
use super::access::{ALL, Owner, Process, READ_WRITE};

/// The facts about a state folder.
#[derive(Debug)]
pub(super) enum Folder {
    /// The folder does not exist. `above` is the nearest parent folder that exists.
    Missing {
        above: Option<Owner>,
    },
    /// A file that is not a folder.
    Other,
    Present {
        folder: Owner,
        /// The files of the router in the folder.
        files: Vec<Owner>,
        is_read_only: bool,
    },
    Unreachable(io::Error),
}

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(folder) if folder.is_dir() => {
                let names = ["lock", "positions"];
                let files = names.iter().filter_map(|name| fs::metadata(path.join(name)).ok());
                Self::Present {
                    folder: Owner::of(&folder),
                    files: files.map(|file| Owner::of(&file)).collect(),
                    is_read_only: is_read_only(path),
                }
            }
            Ok(_) => Self::Other,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let above = path.ancestors().skip(1).find_map(|folder| fs::metadata(or_current(folder)).ok());
                Self::Missing { above: above.map(|folder| Owner::of(&folder)) }
            }
            Err(error) => Self::Unreachable(error),
        }
    }
}

/// Returns the folder, or `.` for the empty path, which is the last ancestor of a relative path.
fn or_current(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Returns whether the file system is mounted read-only.
#[cfg(target_os = "linux")]
fn is_read_only(path: &Path) -> bool {
    use rustix::fs::{StatVfsMountFlags, statvfs};

    statvfs(path).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(not(target_os = "linux"))]
fn is_read_only(_: &Path) -> bool {
    false
}

pub(super) fn judge(path: &Path, folder: &Folder, process: &Process) -> Finding {
    let subject = format!("--state {}", path.display());
    let user = process.user;
    match folder {
        Folder::Unreachable(error) => Finding::fail(
            subject,
            error.to_string(),
            "give this user the right to search the folders above it",
        ),
        Folder::Other => Finding::fail(subject, "this is not a folder", "name another folder"),
        Folder::Missing { above } if above.is_some_and(|above| process.may(ALL, above)) => Finding::warn(
            subject,
            "the folder does not exist yet, and the router creates it",
            "mount a volume there if this is a container, which otherwise loses the positions with its end",
        ),
        Folder::Missing { .. } => Finding::fail(
            subject,
            format!("the folder does not exist, and user {user} may not create it"),
            format!("create the folder and give it to user {user} (chown {user})"),
        ),
        Folder::Present { is_read_only: true, .. } => {
            Finding::fail(subject, "the file system is read-only", "mount the folder with the right to write")
        }
        Folder::Present { folder, files, .. } => {
            let is_denied = !process.may(ALL, *folder);
            let foreign = files.iter().find(|file| !process.may(READ_WRITE, **file));
            match (is_denied, foreign) {
                (true, _) => Finding::fail(
                    subject,
                    format!("user {user} may not write to the folder of user {}", folder.user),
                    format!("give the folder to user {user} (chown -R {user})"),
                ),
                (false, Some(file)) => Finding::fail(
                    subject,
                    format!(
                        "one of its files belongs to user {}, and user {user} may not write it",
                        file.user
                    ),
                    format!("give the files to user {user} (chown -R {user})"),
                ),
                (false, None) => Finding::ok(subject, "the folder can be written"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_finds;
    use super::*;

    #[test]
    fn a_state_folder_that_cannot_be_used_is_named() {
        let process = Process { user: 65534, groups: vec![998] };
        let owner = |user, mode| Owner { user, group: 0, mode };
        let present =
            |folder, files: &[Owner]| Folder::Present { folder, files: files.to_vec(), is_read_only: false };
        let judged = |folder: &Folder| judge("/state".as_ref(), folder, &process);
        let (own, foreign) = (owner(65534, 0o755), owner(0, 0o644));
        assert_finds(&judged(&present(own, &[])), "ok", "can be written");
        assert_finds(
            &judged(&present(owner(0, 0o755), &[])),
            "fail",
            "folder of user 0; give the folder to user 65534",
        );
        assert_finds(&judged(&present(own, &[own, foreign])), "fail", "one of its files belongs to user 0");
        let read_only = Folder::Present { folder: own, files: Vec::new(), is_read_only: true };
        assert_finds(&judged(&read_only), "fail", "is read-only; mount the folder");
        assert_finds(&judged(&Folder::Missing { above: Some(own) }), "warn", "; mount a volume there");
        assert_finds(
            &judged(&Folder::Missing { above: Some(foreign) }),
            "fail",
            "; create the folder and give it",
        );
        assert_finds(&judged(&Folder::Other), "fail", "not a folder");
    }

    #[test]
    fn the_facts_of_a_folder_are_read() {
        let path = std::env::temp_dir().join(format!("gelf-router-doctor-state-{}", std::process::id()));
        assert!(matches!(Folder::at(&path.join("a/b")), Folder::Missing { above: Some(_) }));
        let relative = Path::new("no-such-folder");
        assert!(matches!(Folder::at(relative), Folder::Missing { above: Some(_) }));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("positions"), "").unwrap();
        assert!(matches!(Folder::at(&path), Folder::Present { files, .. } if files.len() == 1));
        assert!(matches!(Folder::at(&path.join("positions")), Folder::Other));
        fs::remove_dir_all(path).unwrap();
    }
}
