//! Keeps routes that were added through the HTTP API. Each route has a file `ID.json` in the folder of
//! `ROUTESPATH`.
//!
//! A file has the same keys as Logspout's own files of routes. A crash leaves either the old or the new file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::route::{RouteUri, json};

/// The maximum number of routes that are loaded. If this number of routes or more run, the HTTP API adds a route only
/// in place of a route with the same id.
pub(crate) const MAX_ROUTES: usize = 64;
/// The maximum length of a file, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// A folder of routes.
#[derive(Clone, Debug)]
pub(crate) struct RoutesFolder {
    path: PathBuf,
}

impl RoutesFolder {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// Returns an error if there is no folder at `path`. The router then keeps no routes, like Logspout.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match fs::metadata(path)?.is_dir() {
            true => Ok(Self { path: path.to_owned() }),
            false => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// Returns the routes of the first [`MAX_ROUTES`] files `*.json`, in the order of the names of the files. If one
    /// of these files is not a route, it is logged and left unchanged.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read.
    pub(crate) fn load(&self) -> io::Result<Vec<(String, RouteUri)>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.len() > MAX_ROUTES {
            tracing::warn!(
                "{} has more than {MAX_ROUTES} routes; the routes after the first {MAX_ROUTES} are left out",
                self.path.display()
            );
        }
        let mut routes = Vec::new();
        for path in paths.into_iter().take(MAX_ROUTES) {
            match read(&path) {
                Ok(route) => routes.push(route),
                Err(mistake) => tracing::warn!("{} is left out: {mistake}", path.display()),
            }
        }
        Ok(routes)
    }

    /// Writes the file of a route.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub(crate) fn save(&self, id: &str, uri: &RouteUri) -> io::Result<()> {
        let new = self.path.join(format!("{id}.new"));
        // Only the owner may read the file, since the options may contain credentials.
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(format!("{:#}\n", json::whole(id, uri)).as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, self.file(id))?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes the file of a route, if there is one.
    ///
    /// # Errors
    /// Returns an error if there is a file and it cannot be removed.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.file(id)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(&self.path)?.sync_all(),
        }
    }

    fn file(&self, id: &str) -> PathBuf {
        self.path.join(format!("{id}.json"))
    }
}

/// Reads a route. Its id is the name of the file without `.json`.
fn read(path: &Path) -> Result<(String, RouteUri), String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    let (_, uri) = json::parse(&text)?;
    let id = path.file_stem().and_then(|stem| stem.to_str()).filter(|id| json::is_id(id));
    Ok((id.ok_or("its name is not an id")?.to_owned(), uri))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_route_is_loaded_as_it_was_saved_until_it_is_removed() {
        let path = std::env::temp_dir().join(format!("gelf-router-routes-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        assert_eq!(RoutesFolder::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
        fs::create_dir(&path).unwrap();
        let folder = RoutesFolder::open(&path).unwrap();
        let uri = RouteUri::parse("gelf+http://u:p@h/gelf?filter.name=a*&header=A:secret#main").unwrap();
        folder.save("one", &uri).unwrap();
        folder.save("two", &uri).unwrap();
        let mode = fs::metadata(path.join("one.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Other files and damaged files do not prevent the loading of routes.
        fs::write(path.join("bad.json"), "{").unwrap();
        fs::write(path.join("large.json"), " ".repeat(70_000)).unwrap();
        fs::write(path.join("notes.txt"), "{").unwrap();
        let routes = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), uri.clone())).collect::<Vec<_>>();
        assert_eq!(folder.load().unwrap(), routes(&["one", "two"]));
        folder.remove("one").unwrap();
        folder.remove("one").unwrap();
        assert_eq!(folder.load().unwrap(), routes(&["two"]));
        fs::remove_dir_all(&path).unwrap();
    }
}
