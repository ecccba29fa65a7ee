//! Creates authorities, certificates, and directories of PEM files, for tests. A directory is removed on drop.
#![allow(dead_code, unreachable_pub, reason = "not every test uses all of it")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{env, fs, process};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Year, month and day.
pub type Day = (i32, u8, u8);

/// Validity periods: always valid, expired, and not yet valid.
pub const ALWAYS: (Day, Day) = ((1975, 1, 1), (4096, 1, 1));
pub const LONG_AGO: (Day, Day) = ((1975, 1, 1), (2001, 1, 1));
pub const ONE_DAY: (Day, Day) = ((4000, 1, 1), (4096, 1, 1));

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    pub cert_pem: String,
    pub key_pem: String,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Authority {
    /// Creates a root authority. Each call creates another key, even for the same name.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(Self::params(name), key).unwrap();
        Self { issuer }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// Returns the authority's certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Returns the authority's certificate and key, for a server that wrongly uses them as its own.
    pub fn itself(&self) -> Issued {
        let key_pem = self.issuer.key().serialize_pem();
        Issued { cert_pem: self.pem(), key_pem, der: self.issuer.der().to_vec() }
    }

    /// Issues a certificate for names and addresses, for servers and clients, valid at all times.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, ALWAYS)
    }

    /// Issues a certificate that is valid from one day until another.
    pub fn issue_for(&self, names: &[&str], (from, until): (Day, Day)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Issued { cert_pem: cert.pem(), key_pem: key.serialize_pem(), der: cert.der().to_vec() }
    }
}

impl Issued {
    /// Creates a certificate that its own key has signed. If `is_authority` is true, the certificate is the
    /// certificate of an authority, like the certificates that `openssl req -x509` makes.
    pub fn self_signed(names: &[&str], (from, until): (Day, Day), is_authority: bool) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "h");
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self { cert_pem: cert.pem(), key_pem: key.serialize_pem(), der: cert.der().to_vec() }
    }
}

/// A directory for the files of one test, removed on drop.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = env::temp_dir().join(format!("gelf-certificates-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("the directory for temporary files can be written");
        Self { path }
    }

    /// Creates a directory for a server. `ca.pem` has the certificate of an authority. `server.pem` and
    /// `server.key` have a certificate that this authority issued, and its key.
    pub fn of_server(names: &[&str]) -> (Self, Authority) {
        let (directory, authority) = (Self::new(), Authority::new("tests"));
        directory.write("ca.pem", &authority.pem());
        directory.write_issued("server", &authority.issue(names));
        (directory, authority)
    }

    /// Returns the path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, replacing an existing one atomically.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn write_issued(&self, name: &str, issued: &Issued) -> (PathBuf, PathBuf) {
        let cert = self.write(&format!("{name}.pem"), &issued.cert_pem);
        (cert, self.write(&format!("{name}.key"), &issued.key_pem))
    }
}

impl AsRef<Path> for Directory {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
