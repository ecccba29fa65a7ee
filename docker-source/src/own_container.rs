//! Detection of the container that this process runs in, so that it never follows its own output.
//!
//! An agent that ships its own diagnostics feeds itself for ever. The host name does not identify the
//! container (`--hostname` and `--network host` change it), and under cgroup v2 `/proc/self/cgroup` does not,
//! either. But the Engine mounts three files into every container, and their source paths contain the id:
//!
//! ```text
//! 615 600 254:1 /var/lib/docker/containers/<64 hex>/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
//! ```

/// The length of a full container id: 64 lower-case hexadecimal digits.
const ID_LENGTH: usize = 64;

/// The files that an Engine mounts into each container, each kept in the container's own folder on the host.
const MOUNTED_FILES: [(&str, &str); 3] =
    [("/etc/hostname", "hostname"), ("/etc/hosts", "hosts"), ("/etc/resolv.conf", "resolv.conf")];

/// Returns the full id of the container whose `/proc/self/mountinfo` this is; `None` outside of a container.
///
/// Wherever the Engine keeps its data, the folder is `…/containers/<id>/` in Docker and
/// `…/overlay-containers/<id>/userdata/` (or `vfs-`, `btrfs-`) in Podman. One of the three files is enough,
/// since a user may mount others over them. In a Kubernetes pod, the folder belongs to the pod's sandbox, or
/// to no container at all.
///
/// The layout of the text is that of `proc_pid_mountinfo(5)`: the fourth field is the source path within its
/// file system, the fifth the mount point.
pub(crate) fn container_id_in(mountinfo: &str) -> Option<&str> {
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
    fn a_users_own_file_does_not_hide_the_others() {
        let text = mount("/home/me/hosts", "/etc/hosts")
            + &mount(&format!("/var/lib/docker/containers/{ID}/resolv.conf"), "/etc/resolv.conf");
        assert_eq!(container_id_in(&text), Some(ID));
    }

    #[test]
    fn outside_of_a_container_there_is_none() {
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
