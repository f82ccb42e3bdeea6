use std::path::{Path, PathBuf};

use super::*;

struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("telepath-config-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flags(pairs: &[(&'static str, &str)]) -> Flags {
    pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
}

fn problems(result: Result<Layers, ConfigError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn flags_override_environment_file_and_defaults_in_that_order() {
    let file = TempFile::new(
        "precedence.toml",
        "[api]\nlisten = \"127.0.0.1:1\"\n[log]\nformat = \"json\"\n[storage]\ndata_dir = \"d\"\n",
    );
    let listen = |flags: Flags, env: Environment, file: Option<&Path>| {
        Layers::gather(&flags, &env, file).unwrap().get("api.listen").unwrap().value.shown()
    };
    let variable = [("TELEPATH_API_LISTEN", "127.0.0.1:2")];
    assert_eq!(listen(flags(&[]), env(&[]), None), "127.0.0.1:8443");
    assert_eq!(listen(flags(&[]), env(&[]), Some(&file.0)), "127.0.0.1:1");
    assert_eq!(listen(flags(&[]), env(&variable), Some(&file.0)), "127.0.0.1:2");
    assert_eq!(listen(flags(&[("api.listen", "127.0.0.1:3")]), env(&variable), Some(&file.0)), "127.0.0.1:3");
    let config = Config::check(&Layers::gather(&flags(&[]), &env(&[]), Some(&file.0)).unwrap()).unwrap();
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.sip.first_listen().port(), 5060);
}

#[test]
fn unknown_names_are_rejected_with_a_suggestion() {
    let file = TempFile::new("unknown.toml", "[api]\nlisen = \"127.0.0.1:1\"\n[webhoks]\nx = 1\n");
    let text = problems(Layers::gather(&flags(&[]), &env(&[("TELEPATH_API_LISTN", "x")]), Some(&file.0)));
    assert!(text.contains("api.lisen") && text.contains("did you mean api.listen?"), "{text}");
    assert!(text.contains("did you mean TELEPATH_API_LISTEN?"), "{text}");
    assert!(text.contains("webhoks.x"), "{text}");
}

#[test]
fn variables_of_container_platforms_are_ignored() {
    let foreign = env(&[
        ("TELEPATH_PORT", "tcp://192.0.2.1:1"),
        ("TELEPATH_SERVICE_HOST", "192.0.2.1"),
        ("TELEPATH_API_KEY", "k"),
        ("TELEPATH_API_URL", "https://voice.example"),
        ("TELEPATH_CA_FILE", "ca.pem"),
    ]);
    assert!(Layers::gather(&flags(&[]), &foreign, None).is_ok());
}

#[test]
fn a_secret_is_read_from_a_file_but_not_from_two_places() {
    let secret = TempFile::new("secret", "postgres://u:hidden@db.example/t\n");
    let path = secret.0.to_str().unwrap();
    let layers = Layers::gather(
        &flags(&[("storage.data_dir", "d")]),
        &env(&[("TELEPATH_DATABASE_URL_FILE", path)]),
        None,
    )
    .unwrap();
    let DatabaseConfig::Postgres(url) = Config::check(&layers).unwrap().storage.database else { panic!() };
    assert_eq!(url.expose(), "postgres://u:hidden@db.example/t");
    let both = env(&[("TELEPATH_DATABASE_URL_FILE", path), ("TELEPATH_DATABASE_URL", "postgres://x")]);
    assert!(problems(Layers::gather(&flags(&[]), &both, None)).contains("both set"));
    let file = TempFile::new(
        "relative.toml",
        &format!("[storage]\ndatabase_url_file = {:?}\n", secret.0.file_name().unwrap()),
    );
    assert!(
        Layers::gather(&flags(&[]), &env(&[]), Some(&file.0)).unwrap().get("storage.database_url").is_some()
    );
}

#[test]
fn secrets_appear_in_no_output_and_no_error() {
    let hidden = "postgres://u:hidden@db.example/t";
    let layers = Layers::gather(
        &flags(&[("storage.data_dir", "d")]),
        &env(&[("TELEPATH_DATABASE_URL", hidden), ("TELEPATH_MASTER_KEY", "hidden")]),
        None,
    )
    .unwrap();
    let config = Config::check(&layers).unwrap();
    let shown = format!("{} {} {layers:?} {config:?}", as_text(&layers), as_json(&layers));
    assert!(!shown.contains("hidden"), "{shown}");
    let wrong = env(&[("TELEPATH_DATABASE_URL", "mysql://hidden")]);
    let error = Config::check(&Layers::gather(&flags(&[]), &wrong, None).unwrap()).unwrap_err();
    assert!(!error.to_string().contains("hidden"), "{error}");
    let file = TempFile::new("broken.toml", "[storage]\nmaster_key = \"hidden\n");
    let error = problems(Layers::gather(&flags(&[]), &env(&[]), Some(&file.0)));
    assert!(error.contains("line 2") && !error.contains("hidden"), "{error}");
}

#[test]
fn all_problems_are_reported_together_with_their_sources() {
    let given = flags(&[("api.insecure_http_listen", "0.0.0.0:80"), ("media.rtp_ports", "7")]);
    let variables = env(&[
        ("TELEPATH_LIMITS_CONCURRENT_CALLS", "none"),
        ("TELEPATH_TLS_KEY_FILE", "k.pem"),
        ("TELEPATH_LOG_LEVEL", "a=b=c"),
    ]);
    let error = Config::check(&Layers::gather(&given, &variables, None).unwrap()).unwrap_err().to_string();
    for part in [
        "api.insecure_http_listen (flag --insecure-http-listen) must be a loopback address",
        "media.rtp_ports",
        "limits.concurrent_calls (environment TELEPATH_LIMITS_CONCURRENT_CALLS)",
        "tls.certificate_file is required with tls.key_file",
        "log.level",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn values_of_the_wrong_type_in_the_file_are_rejected() {
    let file = TempFile::new(
        "types.toml",
        "[limits]\nconcurrent_calls = \"10\"\n[tls]\nhostnames = \"a\"\n[log]\nformat = 1\n",
    );
    let text = problems(Layers::gather(&flags(&[]), &env(&[]), Some(&file.0)));
    for part in [
        "limits.concurrent_calls",
        "whole number without quotes",
        "tls.hostnames",
        "list of strings",
        "log.format",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_example_file_contains_every_setting_and_is_valid() {
    let path = repository().join("telepath.example.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    // Settings without a default are shown commented out; with the comment signs taken away the whole must still parse.
    let is_setting = |rest: &&str| rest.contains(" = ") && !rest.starts_with(' ');
    let all: Vec<&str> =
        text.lines().map(|line| line.strip_prefix('#').filter(is_setting).unwrap_or(line)).collect();
    let table: toml::Table = all.join("\n").parse().unwrap();
    for setting in SETTINGS {
        let (section, name) = setting.key.split_once('.').unwrap();
        assert!(
            table.get(section).and_then(|section| section.get(name)).is_some(),
            "{} is missing",
            setting.key
        );
    }
}

#[test]
fn the_example_file_sets_nothing_but_defaults() {
    let path = repository().join("telepath.example.toml");
    let example = Layers::gather(&flags(&[]), &env(&[]), Some(&path)).unwrap();
    let defaults = Layers::gather(&flags(&[]), &env(&[]), None).unwrap();
    for setting in SETTINGS {
        // An empty list is the same as none.
        let shown =
            |layers: &Layers| layers.get(setting.key).map(|given| given.value.shown()).unwrap_or_default();
        assert_eq!(shown(&example), shown(&defaults), "{}", setting.key);
    }
    // They differ in where each value comes from.
    let checked =
        |layers: &Layers| format!("{:?}", Config { settings: Vec::new(), ..Config::check(layers).unwrap() });
    assert_eq!(checked(&example), checked(&defaults));
}

#[test]
fn unknown_log_levels_are_rejected_from_every_source() {
    let file = TempFile::new("level.toml", "[log]\nlevel = \"loud\"\n");
    let variable = env(&[("TELEPATH_LOG_LEVEL", "loud")]);
    for layers in [
        Layers::gather(&flags(&[("log.level", "loud")]), &env(&[]), None),
        Layers::gather(&flags(&[]), &variable, None),
        Layers::gather(&flags(&[]), &env(&[]), Some(&file.0)),
    ] {
        let layers = layers.unwrap();
        let error = Config::check_log(&layers).unwrap_err().to_string();
        assert!(error.contains("log.level") && error.contains("error, warn, info"), "{error}");
        assert!(Config::check(&layers).is_err());
    }
}

#[test]
fn the_reference_page_matches_the_settings_table() {
    crate::snapshot::check(&repository().join("docs/reference/configuration.md"), &reference_page());
}
