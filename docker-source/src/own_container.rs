//! Detects the container that this process runs in, so that the process never follows its own output.
//!
//! If a process ships its own diagnostics, each shipped line can cause another line, without an end. The host
//! name does not identify the container, since `--hostname` and `--network host` change the host name. Under
//! cgroup v2, `/proc/self/cgroup` does not identify the container either. However, the Engine mounts three
//! files into every container. The source paths of these files, in `/proc/self/mountinfo`, contain the
//! container's id:
//!
//! ```text
//! 615 600 254:1 /var/lib/docker/containers/<64 hex>/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
//! ```
//!
//! A container with `--network container:X` has the files of container X. Therefore the writable folder of
//! the root file system takes precedence over the files. The folder identifies the container if both the
//! mounts of this process and the inspection of the container name it:
//!
//! ```text
//! 600 550 0:52 / / rw,relatime - overlay overlay rw,lowerdir=...,upperdir=/var/lib/docker/overlay2/<layer>/diff,...
//! ```
//!
//! Engines with the image store of containerd name no such folder. With these Engines, the files alone
//! identify the container.

use std::path::Path;
use std::{fs, io};

use crate::engine::{ContainerId, Inspect};

/// The length of a full container id: 64 lower-case hexadecimal digits.
const ID_LENGTH: usize = 64;

/// The files that an Engine mounts into each container, with their names in the container's folder on the
/// host.
const MOUNTED_FILES: [(&str, &str); 3] =
    [("/etc/hostname", "hostname"), ("/etc/hosts", "hosts"), ("/etc/resolv.conf", "resolv.conf")];

/// The signs by which the container of this process is recognized. Outside of a container, there are usually
/// no signs.
#[derive(Debug, Default)]
pub(crate) struct OwnContainer {
    /// The container whose files are mounted. It is the container of this process, or a container with which
    /// this process shares the network.
    of_files: Option<ContainerId>,
    /// The writable folder of the root file system.
    root: Option<Layer>,
}

impl OwnContainer {
    /// Reads the signs from a file in the format of `/proc/self/mountinfo`. There are no signs if the file does
    /// not exist, as outside of Linux.
    ///
    /// # Errors
    /// Returns an error if the file exists and cannot be read.
    pub(crate) fn read(mountinfo: &Path) -> io::Result<Self> {
        match fs::read(mountinfo) {
            Ok(mounts) => Ok(Self::from_mountinfo(&String::from_utf8_lossy(&mounts))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn from_mountinfo(mountinfo: &str) -> Self {
        Self {
            of_files: container_id_in(mountinfo).and_then(ContainerId::parse),
            root: root_layer_in(mountinfo),
        }
    }

    /// Returns whether mounted files show that this process runs in a container of an Engine.
    pub(crate) fn is_known(&self) -> bool {
        self.of_files.is_some()
    }

    /// Returns the container whose files are mounted.
    pub(crate) fn of_files(&self) -> Option<&ContainerId> {
        self.of_files.as_ref()
    }

    /// Returns whether this process runs in the container. `inspect` is absent if the inspection failed.
    pub(crate) fn is(&self, id: &ContainerId, inspect: Option<&Inspect>) -> bool {
        let layer = inspect.and_then(|inspect| Layer::of(&inspect.graph_driver.data.upper_dir));
        match (&self.root, layer) {
            (Some(own), Some(layer)) => *own == layer,
            _ => self.of_files.as_ref() == Some(id),
        }
    }
}

/// The last two components of the path of a container's writable folder, such as `<layer>/diff`. The rest of
/// the path is not compared, since the Engine can mount the folder by a relative path.
#[derive(Debug, Eq, PartialEq)]
struct Layer(String, String);

impl Layer {
    fn of(path: &str) -> Option<Self> {
        let mut folders = path.trim_end_matches('/').rsplit('/');
        let (last, parent) = (folders.next()?, folders.next()?);
        (!last.is_empty() && !parent.is_empty()).then(|| Self(parent.to_owned(), last.to_owned()))
    }
}

/// Returns the writable folder of the root file system, if the file system is an overlay. The last field of a
/// line contains the options of the file system.
fn root_layer_in(mountinfo: &str) -> Option<Layer> {
    let root = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some("/"))?;
    let options = root.rsplit(' ').next()?;
    Layer::of(options.split(',').find_map(|option| option.strip_prefix("upperdir="))?)
}

/// Returns the full id of the container whose files `/proc/self/mountinfo` shows; `None` outside of a
/// container.
///
/// The folder of the files is `…/containers/<id>/` in Docker and `…/overlay-containers/<id>/userdata/` (or
/// `vfs-`, `btrfs-`) in Podman. The beginning of the path depends on where the Engine keeps its data. One of
/// the three files is enough, since a user can mount other files over the rest. In a Kubernetes pod, the
/// folder belongs to the pod's sandbox or to no container, so no id is found.
///
/// The man page `proc_pid_mountinfo(5)` describes the layout of the text: the fourth field is the source path
/// within its file system, and the fifth field is the mount point.
fn container_id_in(mountinfo: &str) -> Option<&str> {
    mountinfo.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (source, mount_point) = (fields.next()?, fields.next()?);
        let (_, file) = MOUNTED_FILES.iter().find(|(path, _)| *path == mount_point)?;
        let mut folders = source.rsplit('/');
        if folders.next() != Some(*file) {
            return None;
        }
        let mut folder = folders.next()?;
        if folder == "userdata" {
            folder = folders.next()?;
        }
        (is_container_id(folder) && folders.next()?.ends_with("containers")).then_some(folder)
    })
}

fn is_container_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e9c0b7a1d2e8f6c5b4a39281706f5e4d3c2b1a0998877665544332211ffee";

    fn mount(source: &str, mount_point: &str) -> String {
        format!(
            "600 550 0:52 / / rw,relatime master:271 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB\n\
             601 600 0:55 / /proc rw,nosuid - proc proc rw\n\
             615 600 254:1 {source} {mount_point} rw,relatime - ext4 /dev/vda1 rw\n"
        )
    }

    /// Returns the inspection of a container with this writable folder.
    fn inspect(upper_dir: &str) -> Inspect {
        let text = serde_json::json!({"GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": upper_dir}}});
        serde_json::from_value(text).unwrap()
    }

    /// Returns the signs that a process sees in a container with the files of `ID` and this writable folder.
    fn own(upper_dir: &str) -> OwnContainer {
        let files = mount(&format!("/var/lib/docker/containers/{ID}/hostname"), "/etc/hostname");
        let root = format!("lowerdir=/var/lib/docker/overlay2/l/AB,upperdir={upper_dir},workdir=/w");
        OwnContainer::from_mountinfo(&files.replace("lowerdir=/var/lib/docker/overlay2/l/AB", &root))
    }

    #[test]
    fn the_root_file_system_takes_precedence_over_the_mounted_files() {
        let files_owner = ContainerId::parse(ID).unwrap();
        let other = ContainerId::parse(&ID.replace('3', "4")).unwrap();
        for mounted in ["/var/lib/docker/overlay2/0a1b/diff", "0a1b/diff"] {
            let own = own(mounted);
            let (mine, others) = (
                inspect("/var/lib/docker/overlay2/0a1b/diff"),
                inspect("/var/lib/docker/overlay2/99ff/diff"),
            );
            // The process runs in the container that the files belong to, or in another container that shares
            // the network of that container.
            assert!(own.is(&files_owner, Some(&mine)) && own.is(&other, Some(&mine)), "{mounted}");
            assert!(!own.is(&files_owner, Some(&others)) && !own.is(&other, Some(&others)), "{mounted}");
        }
    }

    #[test]
    fn the_mounted_files_decide_if_no_root_folder_is_reported() {
        let files_owner = ContainerId::parse(ID).unwrap();
        let other = ContainerId::parse(&ID.replace('3', "4")).unwrap();
        let own = own("/var/lib/docker/overlay2/0a1b/diff");
        for inspect in [None, Some(&Inspect::default()), Some(&inspect("")), Some(&inspect("/"))] {
            assert!(own.is(&files_owner, inspect) && !own.is(&other, inspect), "{inspect:?}");
        }
        let on_host = OwnContainer::from_mountinfo("25 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n");
        assert!(!on_host.is(&files_owner, Some(&inspect("/var/lib/docker/overlay2/0a1b/diff"))));
    }

    #[test]
    fn the_id_is_read_from_any_of_the_three_mounted_files() {
        for file in ["hostname", "hosts", "resolv.conf"] {
            let text = mount(&format!("/var/lib/docker/containers/{ID}/{file}"), &format!("/etc/{file}"));
            assert_eq!(container_id_in(&text), Some(ID), "{file}");
        }
    }

    #[test]
    fn the_engines_data_may_lie_anywhere() {
        for root in ["", "/data/docker", "/var/lib/docker/100000.100000", "/mnt/with\\040space"] {
            let text = mount(&format!("{root}/containers/{ID}/hostname"), "/etc/hostname");
            assert_eq!(container_id_in(&text), Some(ID), "{root}");
        }
    }

    #[test]
    fn podmans_folder_is_recognized() {
        let folder = "/containers/storage/overlay-containers";
        let text = mount(&format!("{folder}/{ID}/userdata/hosts"), "/etc/hosts");
        assert_eq!(container_id_in(&text), Some(ID));
    }

    #[test]
    fn a_file_that_the_user_mounted_does_not_hide_the_other_files() {
        let text = mount("/home/me/hosts", "/etc/hosts")
            + &mount(&format!("/var/lib/docker/containers/{ID}/resolv.conf"), "/etc/resolv.conf");
        assert_eq!(container_id_in(&text), Some(ID));
    }

    #[test]
    fn outside_of_a_container_no_id_is_found() {
        assert_eq!(container_id_in(""), None);
        assert_eq!(container_id_in("garbage\n\n a b c\n1 2 3 4\n"), None);
        assert_eq!(container_id_in(&mount("/etc/hostname", "/etc/hostname")), None);
        assert_eq!(container_id_in(&mount("/lib/kubelet/pods/0b1c/etc-hosts", "/etc/hosts")), None);
    }

    #[test]
    fn the_folders_of_other_containers_are_not_taken_for_our_own() {
        let folder = format!("/var/lib/docker/containers/{ID}");
        assert_eq!(container_id_in(&mount(&folder, "/watched")), None);
        assert_eq!(container_id_in(&mount(&format!("{folder}/hostname"), "/watched/hostname")), None);
        assert_eq!(container_id_in(&mount(&format!("{folder}/hosts"), "/etc/hostname")), None);
        let sandbox = format!("/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname");
        assert_eq!(container_id_in(&mount(&sandbox, "/etc/hostname")), None);
    }

    #[test]
    fn an_id_has_64_lower_case_hexadecimal_digits() {
        for id in [&ID[..63], &ID.to_uppercase(), &format!("{ID}0"), &ID.replace('3', "g")] {
            let text = mount(&format!("/var/lib/docker/containers/{id}/hostname"), "/etc/hostname");
            assert_eq!(container_id_in(&text), None, "{id}");
        }
    }
}
