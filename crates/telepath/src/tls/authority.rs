//! A local certificate authority in the data folder, and the server certificate that it signs. Clients trust one file,
//! `ca.pem`, which stays the same when the server certificate is renewed.

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

use crate::data_dir::{write_private, write_public};
use crate::exit::Failure;

/// The authority's certificate, to be trusted by clients.
pub(super) const CA_CERTIFICATE: &str = "ca.pem";
/// The authority's key.
const CA_KEY: &str = "ca.key";
/// The server's certificate.
pub(super) const SERVER_CERTIFICATE: &str = "server.pem";
/// The server's key.
pub(super) const SERVER_KEY: &str = "server.key";

/// A server certificate with less time left is renewed.
pub const RENEW_WITHIN: Duration = Duration::from_hours(30 * 24);
/// How long a server certificate is valid: the longest that common clients take without question.
const SERVER_VALIDITY: Duration = Duration::from_hours(397 * 24);
/// How long the authority is valid; renewing it means that every client must trust a new file.
const CA_VALIDITY: Duration = Duration::from_hours(10 * 365 * 24);
/// Certificates begin a little early, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::from_hours(24);

/// What is to be done about the server certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be served.
    Good,
    /// There is none, or none that can be read.
    Missing,
    /// Its time is nearly over.
    Expiring,
    /// It names other hosts than it should.
    OtherNames,
}

impl Standing {
    /// Judges a certificate in DER form.
    pub fn of(certificate: Option<&[u8]>, names: &[String], now: Timestamp) -> Self {
        let Some((_, certificate)) = certificate.and_then(|der| X509Certificate::from_der(der).ok()) else {
            return Standing::Missing;
        };
        let end = Timestamp::from_unix_seconds(certificate.validity().not_after.timestamp());
        if end.since(now) < RENEW_WITHIN {
            return Standing::Expiring;
        }
        let mut wanted = names.to_vec();
        let mut found = names_of(&certificate);
        wanted.sort_unstable();
        found.sort_unstable();
        if wanted == found { Standing::Good } else { Standing::OtherNames }
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

/// Makes what is missing, and renews the server certificate when its time has come or its names are others.
pub(super) fn ensure(folder: &Path, names: &[String], now: Timestamp) -> Result<(), Failure> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Failure::plain(format!("cannot make {}: {error}", folder.display())));
        }
        Ok(()) | Err(_) => {}
    }
    let authority = Authority::load_or_make(folder, now)?;
    let server = CertificateDer::from_pem_file(folder.join(SERVER_CERTIFICATE)).ok();
    let has_key = folder.join(SERVER_KEY).exists();
    let standing = match Standing::of(server.as_deref().filter(|_| has_key), names, now) {
        Standing::Good if authority.is_new => Standing::Missing,
        standing => standing,
    };
    if standing != Standing::Good {
        authority.issue(folder, names, now)?;
        tracing::info!(reason = ?standing, names = names.join(","), "made a new server certificate");
    }
    Ok(())
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    is_new: bool,
}

impl Authority {
    fn load_or_make(folder: &Path, now: Timestamp) -> Result<Self, Failure> {
        let (certificate, key) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
        let made_before = certificate.exists() && key.exists();
        if !made_before {
            Self::make(folder, now)?;
        }
        let read = |path: &Path| {
            fs::read_to_string(path)
                .map_err(|error| Failure::plain(format!("cannot read {}: {error}", path.display())))
        };
        let key_text = zeroize::Zeroizing::new(read(&key)?);
        let issuer = KeyPair::from_pem(&key_text)
            .and_then(|pair| Issuer::from_ca_cert_pem(&read(&certificate).unwrap_or_default(), pair))
            .map_err(|error| {
                Failure::plain(format!(
                    "the local certificate authority in {} cannot be used: {error}",
                    folder.display()
                ))
                .remedy("Remove that folder to have a new one made; clients must then trust the new ca.pem.")
            })?;
        Ok(Self { issuer, is_new: !made_before })
    }

    fn make(folder: &Path, now: Timestamp) -> Result<(), Failure> {
        let failed = |error: rcgen::Error| Failure::doing("cannot make a certificate authority", &error);
        let pair = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "Telepath local certificate authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, CA_VALIDITY);
        let certificate = params.self_signed(&pair).map_err(failed)?;
        // The key first: a certificate without its key could never be used.
        write_private(&folder.join(CA_KEY), zeroize::Zeroizing::new(pair.serialize_pem()).as_bytes())?;
        write_public(&folder.join(CA_CERTIFICATE), certificate.pem().as_bytes())
    }

    fn issue(&self, folder: &Path, names: &[String], now: Timestamp) -> Result<(), Failure> {
        let failed = |error: rcgen::Error| Failure::doing("cannot make a server certificate", &error);
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

fn set_validity(params: &mut CertificateParams, now: Timestamp, length: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |moment: Timestamp| epoch + moment.since(Timestamp::default());
    params.not_before = at(now.minus(BACKDATED));
    params.not_after = at(now.plus(length));
}
