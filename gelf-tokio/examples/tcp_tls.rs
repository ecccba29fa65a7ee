//! Sends messages over TLS, with certificates on both sides. The client trusts one certificate authority, and the
//! receiver requires that the client has a certificate of the same authority. The example creates the authority;
//! in production, the certificate files come from `openssl`, a service mesh or a certificate service.
//!
//! ```text
//! cargo run -p gelf-tokio --features tls --example tcp_tls
//! ```

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use gelf_tokio::gelf_core::{Decoder, Message};
use gelf_tokio::options::TcpReceiverOptions;
use gelf_tokio::{Client, ReceiverTls, TcpReceiver};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("gelf-tls-{}", std::process::id()));
    fs::create_dir(&directory)?;
    let result = send_and_receive(&directory).await;
    fs::remove_dir_all(&directory)?;
    result
}

async fn send_and_receive(directory: &Path) -> Result<(), Box<dyn Error>> {
    let files = Files::make(directory)?;

    // The receiver gets its own certificate and key, and the certificate of the authority that signs the
    // senders' certificates.
    let tls =
        ReceiverTls::from_pem_files(&files.server_cert, &files.server_key)?.with_client_ca(&files.ca)?;
    let mut receiver = TcpReceiver::bind_tls("127.0.0.1:0", TcpReceiverOptions::default(), tls).await?;

    // The URI states the authority that the client trusts, and the client's own certificate and key.
    let address = receiver.local_addr()?;
    let [ca, cert, key] = [&files.ca, &files.client_cert, &files.client_key].map(|path| path.display());
    let uri = format!("gelf+tls://{address}?server_name=logs.example&ca={ca}&cert={cert}&key={key}");
    let (client, mut receipts, driver) = Client::builder(&uri.parse()?).build_with_receipts()?;
    let driver = tokio::spawn(driver.run());
    for number in 1..=3 {
        client.send_with_receipt(&Message::new("example-host", format!("message {number}")), number).await?;
    }
    drop(client);

    let mut decoder = Decoder::lenient();
    for _ in 1..=3 {
        let received = receiver.recv().await.ok_or("the receiver is closed")??;
        let decoded = received.decode(&mut decoder)?;
        println!("received from {}: {}", received.from, decoded.message);
    }
    driver.await?;
    while let Some((number, outcome)) = receipts.recv().await {
        println!("message {number}: {outcome:?}");
    }
    Ok(())
}

/// PEM files of an authority, of a receiver called `logs.example`, and of a sender.
struct Files {
    ca: PathBuf,
    server_cert: PathBuf,
    server_key: PathBuf,
    client_cert: PathBuf,
    client_key: PathBuf,
}

impl Files {
    fn make(directory: &Path) -> Result<Self, Box<dyn Error>> {
        let write = |name: &str, pem: String| -> Result<PathBuf, Box<dyn Error>> {
            let path = directory.join(name);
            fs::write(&path, pem)?;
            Ok(path)
        };
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let ca = write("ca.pem", authority.self_signed(&authority_key)?.pem())?;
        let issuer = Issuer::new(authority, authority_key);
        let issue = |name: &str| -> Result<(PathBuf, PathBuf), Box<dyn Error>> {
            let key = KeyPair::generate()?;
            let cert = CertificateParams::new([name.to_owned()])?.signed_by(&key, &issuer)?;
            Ok((
                write(&format!("{name}.pem"), cert.pem())?,
                write(&format!("{name}.key.pem"), key.serialize_pem())?,
            ))
        };
        let (server_cert, server_key) = issue("logs.example")?;
        let (client_cert, client_key) = issue("sender.example")?;
        Ok(Self { ca, server_cert, server_key, client_cert, client_key })
    }
}
