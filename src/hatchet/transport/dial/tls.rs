//! The TLS configuration of rustls, built from the settings and shared by gRPC and REST.

use std::{
    io::Read as _,
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

/// The TLS configuration for all connections of a client. Built on first use, since the system's certificates take
/// memory and most clients without TLS never need them.
#[derive(Clone, Default)]
pub(in crate::hatchet) struct SharedTls(Arc<OnceLock<Result<rustls::ClientConfig, ClientError>>>);

impl SharedTls {
    /// Returns the configuration. `tls` are the settings, which must be the same in each call.
    pub(in crate::hatchet) fn get(&self, tls: &Tls) -> Result<&rustls::ClientConfig, ClientError> {
        self.0.get_or_init(|| build_config(tls)).as_ref().map_err(Clone::clone)
    }
}

/// Builds the configuration. It trusts the authorities of the given file, otherwise the system's, otherwise the
/// built-in list. It presents a client certificate if the settings name one. It sets no protocol (ALPN).
fn build_config(tls: &Tls) -> Result<rustls::ClientConfig, ClientError> {
    let (root_ca, identity) = match tls {
        Tls::On { root_ca, identity, .. } => (root_ca.as_deref(), identity.as_ref()),
        Tls::None => (None, None),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ClientError::config(format!("setting up TLS failed: {e}")))?
        .with_root_certificates(load_roots(root_ca)?);
    let Some((cert, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain = read_certificates(cert, CERT)?;
    let secret = PrivateKeyDer::from_pem_slice(&read_pem(key, KEY)?)
        .map_err(|_| invalid(KEY, key, &"the file must contain a private key in PEM form"))?;
    builder
        .with_client_auth_cert(chain, secret)
        .map_err(|e| invalid(KEY, key, &format!("the key must fit the certificate of {CERT} ({e})")))
}

/// The error for a setting that names a PEM file.
fn invalid(variable: &str, path: &Path, rule: &dyn std::fmt::Display) -> ClientError {
    ClientError::config(format!("invalid {variable} \"{}\": {rule}", path.display()))
}

/// Maximum size of a PEM file in bytes. A system's bundle of authorities has about 250 kB.
const MAX_PEM: u64 = 16 << 20;

/// Reads a PEM file. Refuses anything but a regular file, since opening a FIFO blocks until another process writes, and
/// a device has no end.
fn read_pem(path: &Path, variable: &str) -> Result<Vec<u8>, ClientError> {
    let unreadable = |e| invalid(variable, path, &format!("the file must be readable ({e})"));
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(invalid(variable, path, &"it must be a regular file in PEM form"));
    }
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_PEM + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if pem.len() as u64 > MAX_PEM {
        return Err(invalid(variable, path, &format!("a PEM file must not be larger than {MAX_PEM} bytes")));
    }
    Ok(pem)
}

/// Reads the certificates of a PEM file. Refuses a file without certificates, which would trust no server.
fn read_certificates(path: &Path, variable: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = read_pem(path, variable)?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(invalid(variable, path, &"the file must contain a certificate in PEM form")),
    }
}

fn load_roots(root_ca: Option<&Path>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    match root_ca {
        Some(path) => {
            let (added, _) = roots.add_parsable_certificates(read_certificates(path, ROOT_CA)?);
            if added == 0 {
                return Err(invalid(ROOT_CA, path, &"the file must contain a certificate of an authority"));
            }
        }
        None if has_native_roots() => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        // For example in a minimal container image.
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    Ok(roots)
}

/// Whether the system has certificates, at the usual paths of OpenSSL or at the paths that OpenSSL's variables name.
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
        for (path, rule) in
            [(&*fifo, "be a regular file"), (Path::new("/dev/zero"), "be a regular file"), (&large, "larger")]
        {
            let error = read_pem(path, ROOT_CA).unwrap_err().to_string();
            assert!(error.contains(ROOT_CA) && error.contains(rule), "{error}");
        }
    }
}
