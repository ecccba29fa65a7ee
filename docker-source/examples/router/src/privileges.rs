//! Drops the rights of root. The process keeps access to the Engine's socket and, if needed, to log files.
//!
//! The group that owns the socket differs from host to host, so an image cannot name it. A container that
//! starts as root can find the group and become user `nobody` in this group.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::path::Path;

use docker_source::EngineAddress;

/// The user without privileges, usually named `nobody`.
const NOBODY: u32 = 65534;

/// The result of [`drop_root`].
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Root {
    /// The process was not started as root.
    Absent,
    /// The process runs as this user and group.
    Dropped { user: u32, group: u32 },
    /// The process still runs as root, for this reason.
    Kept(String),
}

/// Changes from root to the user `nobody`, in a group that may use the Engine's socket. The user `nobody` becomes
/// the owner of the state folder, if there is one. The process stays root if `nobody` could not use the socket, or
/// if one of these changes fails. If `reads_files` is true, the process keeps the capability to read the files of
/// other users, if it has this capability.
///
/// Call this function before other threads exist: it affects only the calling thread, and the threads that
/// the calling thread starts later.
pub(crate) fn drop_root(engine: &EngineAddress, state: Option<&Path>, reads_files: bool) -> Root {
    if !is_root() {
        return Root::Absent;
    }
    let group = match engine {
        EngineAddress::Unix(path) => match std::fs::metadata(path) {
            Ok(socket) => group_of(&socket),
            Err(error) => Err(format!("{}: {error}", path.display())),
        },
        _ => Ok(NOBODY),
    };
    let dropped = group.and_then(|group| {
        if let Some(folder) = state {
            give_away(folder, group).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        match become_nobody(group, reads_files) {
            Ok(()) => Ok(Root::Dropped { user: NOBODY, group }),
            Err(error) => Err(format!("cannot become user {NOBODY} with group {group}: {error}")),
        }
    });
    dropped.unwrap_or_else(Root::Kept)
}

/// Creates the folder, and makes the user `nobody` the owner of the folder and of its files where necessary.
/// The target of a symbolic link in the folder keeps its owner, since `nobody` can have made the link.
fn give_away(folder: &Path, group: u32) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // The metadata are those of a link, not of its target.
        if entry.metadata()?.uid() != NOBODY {
            lchown(entry.path(), Some(NOBODY), Some(group))?;
        }
    }
    if std::fs::metadata(folder)?.uid() != NOBODY {
        chown(folder, Some(NOBODY), Some(group))?;
    }
    Ok(())
}

/// Raises the soft limit of open files to the hard limit. Each followed container needs a connection to the
/// Engine, and the usual soft limit of 1,024 exists for programs that use `select(2)`.
#[cfg(target_os = "linux")]
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    Ok(())
}

/// Returns the limit of open files, or `None` if there is no limit.
#[cfg(target_os = "linux")]
pub(crate) fn descriptor_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn descriptor_limit() -> Option<u64> {
    None
}

/// Returns the group in which `nobody` may read and write the socket. This is the socket's group if that group may
/// use the socket. If only the other users may use it, this is the group of `nobody`, because the rights of the other
/// users do not apply to members of the socket's group.
fn group_of(socket: &Metadata) -> Result<u32, String> {
    if socket.mode() & 0o060 == 0o060 {
        Ok(socket.gid())
    } else if socket.mode() & 0o006 == 0o006 && socket.gid() != NOBODY {
        Ok(NOBODY)
    } else {
        Err(format!("only its owner can use the Engine's socket (mode {:04o})", socket.mode() & 0o7777))
    }
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(target_os = "linux")]
fn become_nobody(group: u32, reads_files: bool) -> io::Result<()> {
    use rustix::thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    };
    use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
    use rustix::{process::Gid, process::Uid};

    let permitted = capabilities(None)?.permitted;
    // DAC_READ_SEARCH is preferred, since it permits only reading. DAC_OVERRIDE also permits writing, but it
    // is the capability that Docker gives a container by default.
    let wanted = [CapabilitySet::DAC_READ_SEARCH, CapabilitySet::DAC_OVERRIDE];
    let kept = wanted.into_iter().find(|wanted| reads_files && permitted.contains(*wanted));
    set_keep_capabilities(kept.is_some())?;

    // The user is set last, since only root can change the groups.
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(group))?;
    set_thread_uid(Uid::from_raw(NOBODY))?;
    if let Some(kept) = kept {
        let inheritable = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn is_root() -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
fn become_nobody(_group: u32, _reads_files: bool) -> io::Result<()> {
    Err(io::Error::other("not supported on this system"))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_user_nobody_gets_a_group_that_can_use_the_socket_if_there_is_one() {
        let path = std::env::temp_dir().join(format!("gelf-router-socket-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let group = |mode| {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            group_of(&file.metadata().unwrap())
        };
        let owner = file.metadata().unwrap().gid();
        for (mode, expected) in [(0o660, owner), (0o666, owner), (0o606, NOBODY), (0o646, NOBODY)] {
            assert_eq!(group(mode), Ok(expected), "{mode:o}");
        }
        for mode in [0o600, 0o640, 0o620] {
            let reason = format!("only its owner can use the Engine's socket (mode {mode:04o})");
            assert_eq!(group(mode), Err(reason));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_user_nobody_owns_the_state_folder_and_its_files_and_no_target_of_a_link() {
        if !is_root() {
            eprintln!("skipped: only root can change the owner of a file");
            return;
        }
        let path = std::env::temp_dir().join(format!("gelf-router-given-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let folder = path.join("state");
        std::fs::create_dir_all(&folder).unwrap();
        let (target, link, file) = (path.join("target"), folder.join("x"), folder.join("positions"));
        File::create(&target).unwrap();
        File::create(&file).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        give_away(&folder, NOBODY).unwrap();
        let owner = |path: &Path| std::fs::symlink_metadata(path).unwrap().uid();
        assert_eq!([&*folder, &*file, &*link].map(owner), [NOBODY; 3]);
        assert_eq!(owner(&target), 0);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
