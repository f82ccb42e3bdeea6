//! The local certificate authority in the data folder, and the server certificate it signs. Clients trust `ca.pem`, which
//! does not change when the server certificate is renewed.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use telepath_core::clock::Timestamp;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::data_dir::{FOLDER_MODE, unusable, write_private, write_public};
use crate::exit::Failure;

pub(super) const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
pub(super) const SERVER_CERTIFICATE: &str = "server.pem";
pub(super) const SERVER_KEY: &str = "server.key";

/// A server certificate is renewed when less than this is left of its validity.
pub const RENEW_WITHIN: Duration = Duration::from_hours(30 * 24);
/// The validity of a server certificate: the longest that common clients accept.
const SERVER_VALIDITY: Duration = Duration::from_hours(397 * 24);
/// The validity of the authority. Renewing it requires every client to trust a new file.
const CA_VALIDITY: Duration = Duration::from_hours(10 * 365 * 24);
/// Certificates are valid from a little earlier, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::from_hours(24);

/// Whether the server certificate can be used, or why it has to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatus {
    Valid,
    /// There is none, or it cannot be parsed.
    Missing,
    /// It expires within [`RENEW_WITHIN`].
    Expiring,
    /// It was issued while the clock was ahead.
    NotYetValid,
    /// Its names are not the configured ones.
    NamesChanged,
}

impl CertificateStatus {
    /// The status of a certificate in DER form.
    pub fn of(certificate: Option<&[u8]>, names: &[String], now: Timestamp) -> Self {
        let Some((_, certificate)) = certificate.and_then(|der| X509Certificate::from_der(der).ok()) else {
            return CertificateStatus::Missing;
        };
        let valid = Validity::of(&certificate);
        if now < valid.from {
            return CertificateStatus::NotYetValid;
        }
        if now >= valid.renew_at() {
            return CertificateStatus::Expiring;
        }
        let mut wanted = names.to_vec();
        let mut found = names_of(&certificate);
        wanted.sort_unstable();
        found.sort_unstable();
        if wanted == found { CertificateStatus::Valid } else { CertificateStatus::NamesChanged }
    }
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadCertificate {
    /// Its names; of a certificate without names, its common name.
    pub(super) names: Vec<String>,
    pub(super) validity: Validity,
}

impl ReadCertificate {
    /// Reads a certificate in DER form; `None` if it cannot be parsed.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let mut names = names_of(&certificate);
        if names.is_empty() {
            let subject = certificate.subject().iter_common_name();
            names.extend(subject.filter_map(|name| name.as_str().ok().map(str::to_owned)));
        }
        Some(Self { names, validity: Validity::of(&certificate) })
    }
}

impl Validity {
    /// The validity of a certificate in DER form; `None` if it cannot be parsed.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        X509Certificate::from_der(certificate).ok().map(|(_, certificate)| Self::of(&certificate))
    }

    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            from: Timestamp::from_unix_seconds(validity.not_before.timestamp()),
            until: Timestamp::from_unix_seconds(validity.not_after.timestamp()),
        }
    }

    /// From when a server certificate is renewed.
    pub(super) fn renew_at(self) -> Timestamp {
        self.until.minus(RENEW_WITHIN)
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
            .map(|address| address.to_string())
            .ok(),
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}

/// Creates what is missing, and replaces the server certificate when it expires soon or its names have changed. Other users
/// can read `ca.pem` in the folder, because clients must.
pub(super) fn ensure(folder: &Path, names: &[String], now: Timestamp) -> Result<(), Failure> {
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(unusable(folder, &error));
        }
        Ok(()) | Err(_) => {}
    }
    let authority = Authority::load_or_create(folder, now)?;
    let server = CertificateDer::from_pem_file(folder.join(SERVER_CERTIFICATE)).ok();
    let has_key = folder.join(SERVER_KEY).exists();
    let status = match CertificateStatus::of(server.as_deref().filter(|_| has_key), names, now) {
        CertificateStatus::Valid if authority.is_new => CertificateStatus::Missing,
        status => status,
    };
    if status != CertificateStatus::Valid {
        authority.issue(folder, names, now)?;
        tracing::info!(reason = ?status, names = names.join(","), "created a new server certificate");
    }
    Ok(())
}

/// The key of the authority is never replaced. A certificate of the authority that is not valid now, because it has expired or
/// was created by a wrong clock, is issued again for the same key and name. So clients that trust an earlier one accept what
/// the authority signs as long as their copy is valid by their clocks.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    is_new: bool,
}

impl Authority {
    fn load_or_create(folder: &Path, now: Timestamp) -> Result<Self, Failure> {
        let (certificate, key) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
        let exists = certificate.exists() && key.exists();
        if !exists {
            Self::create(folder, now)?;
        }
        let read = |path: &Path| fs::read_to_string(path).map_err(|error| unusable(path, &error));
        let key_text = zeroize::Zeroizing::new(read(&key)?);
        let broken = |error: rcgen::Error| {
            Failure::plain(format!(
                "the local certificate authority in {} cannot be used: {error}",
                folder.display()
            ))
            .remedy("Delete that folder to create a new authority; clients must then trust the new ca.pem.")
        };
        let pair = || KeyPair::from_pem(&key_text);
        let load = |pair| Issuer::from_ca_cert_pem(&read(&certificate).unwrap_or_default(), pair);
        let mut issuer = pair().and_then(load).map_err(broken)?;
        let valid = CertificateDer::from_pem_file(&certificate).ok().and_then(|der| Validity::read(&der));
        if valid.is_some_and(|valid| now < valid.from || now >= valid.until) {
            write_certificate(folder, &pair().map_err(broken)?, now)?;
            tracing::warn!(
                file = %certificate.display(), %now,
                "the certificate of the local authority was not valid at this time and is issued again for the same key; \
                 check the clock, and copy ca.pem to clients that refuse the server"
            );
            issuer = pair().and_then(load).map_err(broken)?;
        }
        Ok(Self { issuer, is_new: !exists })
    }

    fn create(folder: &Path, now: Timestamp) -> Result<(), Failure> {
        let failed = |error: rcgen::Error| Failure::doing("cannot create a certificate authority", &error);
        let pair = KeyPair::generate().map_err(failed)?;
        // The key first: a certificate without its key is useless.
        write_private(&folder.join(CA_KEY), zeroize::Zeroizing::new(pair.serialize_pem()).as_bytes())?;
        write_certificate(folder, &pair, now)
    }

    fn issue(&self, folder: &Path, names: &[String], now: Timestamp) -> Result<(), Failure> {
        let failed = |error: rcgen::Error| Failure::doing("cannot create a server certificate", &error);
        let pair = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "Telepath server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, SERVER_VALIDITY);
        let certificate = params.signed_by(&pair, &self.issuer).map_err(failed)?;
        write_private(&folder.join(SERVER_KEY), zeroize::Zeroizing::new(pair.serialize_pem()).as_bytes())?;
        write_public(&folder.join(SERVER_CERTIFICATE), certificate.pem().as_bytes())
    }
}

/// Writes the certificate of the authority, signed by itself.
fn write_certificate(folder: &Path, pair: &KeyPair, now: Timestamp) -> Result<(), Failure> {
    let failed = |error: rcgen::Error| Failure::doing("cannot create a certificate authority", &error);
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "Telepath local certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, CA_VALIDITY);
    let certificate = params.self_signed(pair).map_err(failed)?;
    write_public(&folder.join(CA_CERTIFICATE), certificate.pem().as_bytes())
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, length: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |moment: Timestamp| epoch + moment.since(Timestamp::default());
    params.not_before = at(now.minus(BACKDATED));
    params.not_after = at(now.plus(length));
}
