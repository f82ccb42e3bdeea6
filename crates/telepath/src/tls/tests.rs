use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::*;
use crate::temporary::TemporaryFolder;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

struct Setup {
    _folder: TemporaryFolder,
    data: DataDir,
}

impl Setup {
    fn new() -> Self {
        let folder = TemporaryFolder::new();
        let data = DataDir::create(folder.path()).unwrap();
        Self { _folder: folder, data }
    }

    fn load(&self, hostnames: &[&str], now: Timestamp) -> Arc<Certificates> {
        let hostnames = hostnames.iter().map(|name| (*name).to_owned()).collect();
        Certificates::load(&CertificateSource::Local { hostnames }, &self.data, now).unwrap()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.data.tls().join(name)).unwrap()
    }

    fn server_der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.data.tls().join("server.pem")).unwrap()
    }
}

#[test]
fn the_first_start_creates_a_certificate_authority_and_later_starts_keep_it() {
    let setup = Setup::new();
    setup.load(&[], NOW);
    let (ca, server) = (setup.read("ca.pem"), setup.read("server.pem"));
    setup.load(&[], NOW);
    assert_eq!((ca, server), (setup.read("ca.pem"), setup.read("server.pem")));
    for (file, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("ca.pem", 0o644)] {
        let found = fs::metadata(setup.data.tls().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }
}

#[test]
fn a_certificate_is_renewed_in_time_and_when_its_names_change() {
    let setup = Setup::new();
    setup.load(&["Voice.example".to_lowercase().as_str()], NOW);
    let der = setup.server_der();
    let names = local_names(&["voice.example".to_owned()]);
    let of = |names: &[String], now| CertificateStatus::of(Some(der.as_ref()), names, now);
    let days = |count: u64| std::time::Duration::from_hours(count * 24);
    assert_eq!(of(&names, NOW), CertificateStatus::Valid);
    assert_eq!(of(&names, NOW.plus(days(366))), CertificateStatus::Valid);
    assert_eq!(of(&names, NOW.plus(days(368))), CertificateStatus::Expiring);
    assert_eq!(of(&names, NOW.plus(days(500))), CertificateStatus::Expiring);
    assert_eq!(of(&local_names(&[]), NOW), CertificateStatus::NamesChanged);
    assert_eq!(CertificateStatus::of(None, &names, NOW), CertificateStatus::Missing);
    assert_eq!(CertificateStatus::of(Some(b"nonsense"), &names, NOW), CertificateStatus::Missing);
}

#[test]
fn a_renewal_keeps_the_authority_and_is_served_at_once() {
    let setup = Setup::new();
    let certificates = setup.load(&[], NOW);
    let mut served = certificates.subscribe();
    let (ca, before) = (setup.read("ca.pem"), setup.server_der());
    certificates.reload(NOW.plus(std::time::Duration::from_hours(380 * 24))).unwrap();
    assert_eq!(ca, setup.read("ca.pem"));
    assert_ne!(before, setup.server_der());
    assert!(served.has_changed().unwrap());
    assert_eq!(served.borrow_and_update().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn a_missing_server_key_is_replaced_with_a_new_certificate() {
    let setup = Setup::new();
    setup.load(&[], NOW);
    fs::remove_file(setup.data.tls().join("server.key")).unwrap();
    setup.load(&[], NOW);
}

#[test]
fn a_mismatched_certificate_and_key_are_rejected_and_the_old_ones_stay_in_use() {
    let (one, two) = (Setup::new(), Setup::new());
    one.load(&[], NOW);
    two.load(&[], NOW);
    let pair = |certificate: &Setup, key: &Setup| CertificateSource::Files {
        certificate: certificate.data.tls().join("server.pem"),
        key: key.data.tls().join("server.key"),
    };
    let failure = Certificates::load(&pair(&one, &two), &one.data, NOW).unwrap_err();
    assert!(failure.message.contains("does not belong to"), "{failure}");
    let served = Certificates::load(&pair(&one, &one), &one.data, NOW).unwrap();
    fs::write(one.data.tls().join("server.pem"), "no certificate").unwrap();
    let watched = served.subscribe();
    assert!(served.reload(NOW).is_err());
    assert!(!watched.has_changed().unwrap());
}
