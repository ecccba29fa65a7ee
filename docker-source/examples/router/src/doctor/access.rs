//! Determines the rights of this process to a file from the file's metadata.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The right to read and write, as in the last digit of a mode.
pub(super) const READ_WRITE: u32 = 0o6;
/// The right to read, write and search a folder.
pub(super) const ALL: u32 = 0o7;

/// The user and groups of a process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) user: u32,
    pub(super) groups: Vec<u32>,
}

impl Process {
    /// Returns the user and groups of this process.
    #[cfg(target_os = "linux")]
    pub(super) fn current() -> Self {
        use rustix::process::{getegid, geteuid, getgroups};

        let further = getgroups().unwrap_or_default();
        let groups = further.into_iter().chain([getegid()]).map(|group| group.as_raw()).collect();
        Self { user: geteuid().as_raw(), groups }
    }

    /// Returns root outside of Linux, so that every check of rights succeeds.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn current() -> Self {
        Self { user: 0, groups: Vec::new() }
    }

    /// Returns whether the mode of a file gives the process these rights. Root has all rights.
    pub(super) fn may(&self, wanted: u32, file: Owner) -> bool {
        let shift = match (self.user == file.user, self.groups.contains(&file.group)) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        self.user == 0 || file.mode >> shift & wanted == wanted
    }
}

/// The owner and mode of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

impl Owner {
    pub(super) fn of(file: &Metadata) -> Self {
        Self { user: file.uid(), group: file.gid(), mode: file.mode() & 0o7777 }
    }
}

/// Returns the name of a group from the text of `/etc/group`, or the number of the group.
pub(super) fn group_name(group: u32, groups: &str) -> String {
    let number = group.to_string();
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&*number)).then(|| name.to_owned())
    });
    named.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_the_owner_or_else_of_the_group_or_else_of_others_decide() {
        let owner = |mode| Owner { user: 10, group: 20, mode };
        let may = |user, group, mode| Process { user, groups: vec![1, group] }.may(READ_WRITE, owner(mode));
        for (user, group, mode, expected) in [
            (10, 9, 0o600, true),
            (10, 20, 0o066, false),
            (11, 20, 0o660, true),
            (11, 20, 0o606, false),
            (11, 21, 0o660, false),
            (11, 21, 0o666, true),
            (11, 20, 0o640, false),
            (0, 0, 0o000, true),
        ] {
            assert_eq!(may(user, group, mode), expected, "{user} {group} {mode:o}");
        }
    }

    #[test]
    fn a_group_is_named_as_in_etc_group() {
        let groups = "root:x:0:\ndocker:x:998:a,b\nx:y:z\n";
        assert_eq!((&*group_name(998, groups), &*group_name(99, groups)), ("docker", "99"));
    }
}
