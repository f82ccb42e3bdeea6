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

/// Whether a client that trusts this copy of `ca.pem`, and whose clock shows `now`, accepts the server certificate.
fn accepts(ca: &[u8], server: &CertificateDer<'_>, now: Timestamp) -> bool {
    use rustls::client::danger::ServerCertVerifier as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let seconds = u64::try_from(now.unix_seconds()).unwrap();
    let now = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let verifier = verifier.build().unwrap();
    verifier.verify_server_cert(server, &[], &"localhost".try_into().unwrap(), &[], now).is_ok()
}

#[test]
fn certificates_from_a_wrong_clock_are_replaced_when_it_is_corrected() {
    let wrong_times =
        [Timestamp::from_unix_seconds(0), NOW.plus(std::time::Duration::from_hours(40 * 365 * 24))];
    for (wrong, existed, restarted) in wrong_times
        .into_iter()
        .flat_map(|wrong| [(wrong, false, false), (wrong, true, false), (wrong, true, true)])
    {
        let case = format!("{wrong}, existed: {existed}, restarted: {restarted}");
        let setup = Setup::new();
        let trusted = existed.then(|| {
            setup.load(&[], NOW);
            (setup.read("ca.pem"), setup.read("ca.key"))
        });
        let certificates = setup.load(&[], wrong);
        assert!(
            accepts(&setup.read("ca.pem"), &setup.server_der(), wrong) && !certificates.is_due(wrong),
            "{case}"
        );
        assert!(certificates.is_due(NOW), "{case}");
        let mut served = certificates.subscribe();
        if restarted {
            setup.load(&[], NOW);
        } else {
            certificates.reload(NOW).unwrap();
            assert!(served.has_changed().unwrap() && !certificates.is_due(NOW), "{case}");
            served.mark_unchanged();
        }
        let ca = setup.read("ca.pem");
        assert!(accepts(&ca, &setup.server_der(), NOW), "{case}");
        for der in [CertificateDer::from_pem_slice(&ca).unwrap(), setup.server_der()] {
            let valid = Validity::read(&der).unwrap();
            assert!(valid.from <= NOW && NOW < valid.until, "{case}: {valid:?}");
        }
        if let Some((ca, key)) = trusted {
            assert!(accepts(&ca, &setup.server_der(), NOW), "{case}: a client with the earlier ca.pem");
            assert_eq!(key, setup.read("ca.key"), "{case}");
        }
        let (before, server) = (setup.read("ca.pem"), setup.server_der());
        setup.load(&[], NOW);
        assert_eq!((before, server), (setup.read("ca.pem"), setup.server_der()), "{case}: nothing is due");
    }
}

#[test]
fn certificate_files_are_never_due() {
    let setup = Setup::new();
    setup.load(&[], NOW);
    let source = CertificateSource::Files {
        certificate: setup.data.tls().join("server.pem"),
        key: setup.data.tls().join("server.key"),
    };
    let served = Certificates::load(&source, &setup.data, NOW).unwrap();
    assert!(!served.is_due(Timestamp::from_unix_seconds(0)) && !served.is_due(NOW.plus(RENEW_WITHIN * 100)));
}
