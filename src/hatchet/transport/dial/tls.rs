//! The TLS configuration of rustls, made from the settings and shared by gRPC and REST.

use std::io::Read as _;
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::super::{config::Tls, error::ClientError};

const ROOT_CA: &str = "HATCHET_CLIENT_TLS_ROOT_CA_FILE";
const CERT: &str = "HATCHET_CLIENT_TLS_CERT_FILE";
const KEY: &str = "HATCHET_CLIENT_TLS_KEY_FILE";

/// The TLS configuration for all connections of a client. Made on first use: the system's certificates take memory, and
/// most clients without TLS never need them.
#[derive(Clone, Default)]
pub(in crate::hatchet) struct SharedTls(Arc<OnceLock<Result<rustls::ClientConfig, ClientError>>>);

impl SharedTls {
    /// The configuration. `tls` are the settings, which must be the same at each call.
    pub(in crate::hatchet) fn get(&self, tls: &Tls) -> Result<&rustls::ClientConfig, ClientError> {
        self.0.get_or_init(|| client_config(tls)).as_ref().map_err(Clone::clone)
    }
}

/// Trusts the authorities of the given file, else the system's, else the built-in ones. Presents a client certificate if
/// the settings name one. Sets no protocol (ALPN).
fn client_config(tls: &Tls) -> Result<rustls::ClientConfig, ClientError> {
    let (root_ca, identity) = match tls {
        Tls::On { root_ca, identity, .. } => (root_ca.as_deref(), identity.as_ref()),
        Tls::None => (None, None),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ClientError::config(format!("TLS cannot be set up: {e}")))?
        .with_root_certificates(roots(root_ca)?);
    let Some((cert, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(cert, CERT)?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key, KEY)?)
        .map_err(|_| ClientError::config(format!("{KEY}: {} holds no private key in PEM form", key.display())))?;
    builder
        .with_client_auth_cert(chain, secret)
        .map_err(|e| ClientError::config(format!("{CERT} and {KEY} cannot be used: {e}")))
}

/// Largest PEM file that is read, in bytes. A system's bundle of authorities has some 250 kB.
const MAX_PEM: u64 = 16 << 20;

/// Reads a PEM file. Refuses anything but a regular file: opening a FIFO blocks until another process writes, and a device
/// has no end.
fn read(path: &Path, variable: &str) -> Result<Vec<u8>, ClientError> {
    let failed = |why: &dyn std::fmt::Display| {
        ClientError::config(format!("{variable}: {} cannot be read: {why}", path.display()))
    };
    if !std::fs::metadata(path).map_err(|e| failed(&e))?.is_file() {
        return Err(failed(&"it is not a regular file: name a PEM file"));
    }
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| failed(&e))?;
    file.take(MAX_PEM + 1).read_to_end(&mut pem).map_err(|e| failed(&e))?;
    if pem.len() as u64 > MAX_PEM {
        return Err(failed(&format!("it is larger than {MAX_PEM} bytes: name a PEM file")));
    }
    Ok(pem)
}

/// Reads the certificates of a PEM file. Refuses a file without any, with which no server would be trusted.
fn certificates(path: &Path, variable: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = read(path, variable)?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => {
            Err(ClientError::config(format!("{variable}: {} holds no certificate in PEM form", path.display())))
        }
    }
}

fn roots(root_ca: Option<&Path>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    match root_ca {
        Some(path) => {
            let (added, _) = roots.add_parsable_certificates(certificates(path, ROOT_CA)?);
            if added == 0 {
                return Err(ClientError::config(format!(
                    "{ROOT_CA}: {} holds no certificate that can be used",
                    path.display()
                )));
            }
        }
        None if has_native_roots() => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        // As in a minimal container image.
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    Ok(roots)
}

/// Whether the system has certificates: in the usual files and folders of OpenSSL, or where the usual variables say.
fn has_native_roots() -> bool {
    if cfg!(any(windows, target_os = "macos")) {
        return true;
    }
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        return Path::new(&file).is_file();
    }
    if let Some(folder) = std::env::var_os("SSL_CERT_DIR") {
        return has_entries(Path::new(&folder));
    }
    [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ]
    .iter()
    .any(|file| Path::new(file).is_file())
        || has_entries(Path::new("/etc/ssl/certs"))
}

fn has_entries(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn special_and_huge_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, large) = (dir.path().join("fifo"), dir.path().join("large"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        // A sparse file.
        std::fs::File::create(&large).unwrap().set_len(4 << 30).unwrap();
        for (path, why) in
            [(&*fifo, "not a regular file"), (Path::new("/dev/zero"), "not a regular file"), (&large, "larger")]
        {
            let error = read(path, ROOT_CA).unwrap_err().to_string();
            assert!(error.contains(ROOT_CA) && error.contains(why), "{error}");
        }
    }
}
