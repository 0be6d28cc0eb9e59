//! What sources say, which of them counts, and which mistakes are found.

mod providers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// Loads a file's text, variables and flags; gives the configuration, or all mistakes as one text.
fn load(yaml: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("storage.yml");
    std::fs::write(&file, yaml).unwrap();
    let flags = flags.iter().map(|(key, value)| Flag { flag: "--flag", key, value: (*value).to_owned() });
    let sources = Sources {
        config_file: Some(file.clone()),
        environment: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        flags: flags.collect(),
    };
    let place = file.display().to_string();
    Config::load(&sources).map_err(|errors| errors.to_string().replace(&place, "storage.yml"))
}

#[track_caller]
fn check_refused(yaml: &str, expected: &[&str]) {
    let problem = load(yaml, &[], &[]).expect_err(yaml);
    let lines: Vec<_> = problem.lines().skip(1).map(str::trim).collect();
    assert_eq!(lines, expected, "{yaml}");
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

#[test]
fn nothing_said_gives_the_defaults() {
    let config = load("", &[], &[]).unwrap().config;
    assert_eq!(config.listen, Address("127.0.0.1:8000".into()));
    assert_eq!(config.data_dir, Path::new("./aerostore-data"));
    assert_eq!(config.database, Database::Sqlite(None));
    assert_eq!(config.storage.max_file_size, ByteSize(50_000_000_000));
    assert_eq!(config.storage.inline_threshold, ByteSize(16 * 1024));
    assert_eq!(config.storage.durability, Durability::Full);
    assert_eq!(config.cleanup.interval, Duration::from_secs(3600));
    assert_eq!(config.signing.upload_expiry, Duration::from_secs(7200));
    assert_eq!(config.cors.allowed_origins, ["*"]);
    assert_eq!(config.rest.dialect, Dialect::Native);
    assert!(config.auth.jwt_secret.is_none() && config.server.trusted_proxies.is_empty());
}

#[test]
fn files_are_overridden_by_variables_and_those_by_flags() {
    let yaml = "listen: 127.0.0.1:1\ncleanup:\n  interval: 1m\n  grace: 2m\n  max_per_run: 3\n";
    let variables = [("AEROSTORE_CLEANUP_GRACE", "3m"), ("AEROSTORE_LISTEN", "127.0.0.1:2"), ("HOME", "/")];
    let loaded = load(yaml, &variables, &[("listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(loaded.config.listen.0, "127.0.0.1:3");
    assert_eq!(loaded.config.cleanup.interval, Duration::from_secs(60));
    assert_eq!(loaded.config.cleanup.grace, Duration::from_secs(180));
    let shown = loaded.in_force();
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("listen").ends_with("127.0.0.1:3                  # --flag"), "{shown}");
    assert!(line("cleanup.interval").ends_with("storage.yml:3"), "{shown}");
    assert!(line("cleanup.grace").ends_with("# AEROSTORE_CLEANUP_GRACE"), "{shown}");
    assert!(line("cleanup.enabled").ends_with("# default"), "{shown}");
    assert_eq!(shown.lines().count(), KEYS.len());
}

#[test]
fn lists_are_written_in_three_ways() {
    for yaml in [
        "server:\n  trusted_proxies: [10.0.0.0/8, \"::1\"]",
        "server:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - '::1'",
        "server: {trusted_proxies: '10.0.0.0/8, ::1'}",
    ] {
        let proxies = load(yaml, &[], &[]).unwrap().config.server.trusted_proxies;
        assert_eq!(proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()], "{yaml}");
    }
}

#[test]
fn unknown_keys_are_refused_with_line_and_suggestion() {
    check_refused("liste: 1", &["storage.yml:1: unknown key 'liste' (did you mean 'listen'?)"]);
    check_refused(
        "# hello\nstorage:\n  max_file_siez: 5MB\n",
        &["storage.yml:3: unknown key 'storage.max_file_siez' (did you mean 'storage.max_file_size'?)"],
    );
    check_refused(
        "max_file_size: 5MB\n",
        &["storage.yml:1: unknown key 'max_file_size' (did you mean 'storage.max_file_size'?)"],
    );
    check_refused("wholly_different_thing: 1", &["storage.yml:1: unknown key 'wholly_different_thing'"]);
    check_refused("listen:\n  host: x", &["storage.yml:2: unknown key 'listen.host'"]);
}

#[test]
fn bad_values_are_refused_all_at_once() {
    check_refused(
        "listen: nowhere\ncleanup:\n  interval: 5 minuts\n  max_per_run: 0\nrest: {dialect: french}\n",
        &[
            "storage.yml:1: listen: 'nowhere' is not HOST:PORT, like 127.0.0.1:8000 or [::1]:8000",
            "storage.yml:5: rest.dialect: 'french' is not one of: native, supabase",
            "storage.yml:3: cleanup.interval: '5 minuts' is not a duration; write it as 500ms, 30s, 5m, 1h30m or 7d",
            "storage.yml:4: cleanup.max_per_run: is at least 1",
        ],
    );
    check_refused(
        "storage: {inline_threshold: 2MiB}",
        &[
            "storage.yml:1: storage.inline_threshold: is at most 1MiB: the database is no place for large objects",
        ],
    );
    check_refused(
        "storage: {max_file_size: [1, 2]}",
        &["storage.yml:1: storage.max_file_size: is one value, not a list"],
    );
    check_refused("server: {drain: 11m}", &["storage.yml:1: server.drain: is at most 10m"]);
    assert!(load("server: {drain: 10m}", &[], &[]).is_ok());
    check_refused(
        "signing: {default_expiry: 2d, max_expiry: 1d}",
        &["storage.yml:1: signing.default_expiry: is longer than signing.max_expiry"],
    );
    for key in ["default_expiry", "max_expiry", "upload_expiry"] {
        let refused = format!("storage.yml:1: signing.{key}: is at most 3650d");
        check_refused(&format!("signing: {{{key}: 3651d}}"), &[&refused]);
        check_refused(
            &format!("signing: {{{key}: 0s}}"),
            &[&format!("storage.yml:1: signing.{key}: is at least 1s")],
        );
    }
    assert!(load("signing: {max_expiry: 3650d, default_expiry: 3650d}", &[], &[]).is_ok());
    check_refused(
        "cors: {allowed_origins: ['https://a.example/']}",
        &[
            "storage.yml:1: cors.allowed_origins: 'https://a.example/' is neither * nor an origin like https://app.example.org",
        ],
    );
    check_refused(
        "database: postgres://me:hunter2@db/x?sslmode=maybe",
        &["storage.yml:1: database: is no address like postgres://user@host:5432/database: \
           invalid connection string: invalid value for option `sslmode`"],
    );
    check_refused(
        "postgres: {schema: 'a\"b'}",
        &["storage.yml:1: postgres.schema: 'a\"b' is no schema name: up to 57 of a-z, 0-9 and _, \
           not starting with a digit or pg_"],
    );
}

#[test]
fn yaml_that_says_more_than_it_seems_to_is_refused() {
    let no_value = "has no value; leave the key out to get its default";
    check_refused("listen:\n", &[&format!("storage.yml:1: listen {no_value}")]);
    check_refused("listen: ~\n", &[&format!("storage.yml:1: listen {no_value}")]);
    check_refused("listen: ''\n", &[&format!("storage.yml:1: listen {no_value}")]);
    check_refused("listen: a:1\nlisten: b:1\n", &["storage.yml:2: listen is given twice"]);
    for (twice, line) in [
        ("cleanup:\n  grace: 1m\nlisten: a:1\ncleanup:\n  interval: 1h\n", 4),
        ("cleanup:\n  grace: 1m\ncleanup:\n", 3),
        ("cleanup:\ncleanup:\n  grace: 1m\n", 2),
        ("cleanup:\ncleanup:\n", 2),
        ("cleanup: {grace: 1m}\ncleanup: {grace: 1m}\n", 2),
    ] {
        check_refused(twice, &[&format!("storage.yml:{line}: cleanup is given twice")]);
    }
    check_refused("cleanup:\n  grace: 1m\n  grace: 1m\n", &["storage.yml:3: cleanup.grace is given twice"]);
    check_refused("a: &x 1\nb: *x\n", &["storage.yml:1: anchors and tags are not taken; write plain values"]);
    check_refused(
        "listen: !!str a:1\n",
        &["storage.yml:1: anchors and tags are not taken; write plain values"],
    );
    check_refused("- a\n", &["storage.yml:1: the file is a mapping of keys to values"]);
    check_refused("just words\n", &["storage.yml:1: the file is a mapping of keys to values"]);
    check_refused(
        "listen: a:1\n---\nlisten: b:1\n",
        &["storage.yml:2: the file is one document, not several"],
    );
    check_refused(
        "a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}",
        &["storage.yml:1: keys are nested too deeply"],
    );
    let broken = load("listen: [a\n", &[], &[]).unwrap_err();
    assert!(broken.contains("storage.yml:"), "{broken}");
    // A section whose keys are all commented out, an empty file, an empty document.
    for empty in ["cleanup:\n#  interval: 5m\n", "", "---\n", "# nothing\n"] {
        assert!(load(empty, &[], &[]).is_ok(), "{empty:?}");
    }
}

#[test]
fn unknown_variables_are_refused_and_foreign_ones_are_not() {
    let problem = load("", &[("AEROSTORE_LISTN", "x")], &[]).unwrap_err();
    assert!(
        problem.contains("AEROSTORE_LISTN: unknown variable (did you mean 'AEROSTORE_LISTEN'?)"),
        "{problem}"
    );
    for (name, value) in [
        ("AEROSTORE_LISTEN", ""),
        ("AEROSTORE_SERVICE_HOST", "10.0.0.1"),
        ("AEROSTORE_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("AEROSTORE_PORT", "tcp://10.0.0.1:8000"),
        ("AEROSTORE_URL", "http://x"),
        ("PATH", "x"),
    ] {
        assert!(load("", &[(name, value)], &[]).is_ok(), "{name}");
    }
}

#[test]
fn secrets_are_long_apart_and_never_shown() {
    check_refused(
        "auth: {jwt_secret: hunter2}",
        &["storage.yml:1: auth.jwt_secret: a secret has 32 bytes or more (try: openssl rand -hex 32)"],
    );
    let both = format!("auth: {{jwt_secret: {SECRET}}}\nsigning: {{previous_secrets: [{SECRET}]}}");
    check_refused(
        &both,
        &["default: signing.secret: is also a secret of auth; each purpose has a secret of its own"],
    );
    let good = format!("auth: {{jwt_secret: {SECRET}, previous_jwt_secrets: [{OTHER}]}}");
    let loaded = load(&good, &[], &[]).unwrap();
    for text in [format!("{:?}", loaded.config), loaded.in_force()] {
        assert!(!text.contains(SECRET) && !text.contains(OTHER), "{text}");
        assert!(text.contains("[redacted]"), "{text}");
    }
}

#[test]
fn a_file_is_found_by_flag_variable_or_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("storage.yml");
    std::fs::write(&file, "cleanup: {grace: 7m}").unwrap();
    let text = |path: &Path| path.display().to_string();
    let variable =
        |name: &str, value: String| Sources { environment: vec![(name.into(), value)], ..Sources::default() };
    let flag = Flag { flag: "--data-dir", key: "data_dir", value: text(directory.path()) };
    for sources in [
        Sources { config_file: Some(file.clone()), ..Sources::default() },
        variable("AEROSTORE_CONFIG", text(&file)),
        variable("AEROSTORE_DATA_DIR", text(directory.path())),
        Sources { flags: vec![flag.clone()], ..Sources::default() },
    ] {
        let loaded = Config::load(&sources).unwrap();
        assert_eq!(loaded.config.cleanup.grace, Duration::from_secs(420));
        assert_eq!(loaded.file.as_deref(), Some(file.as_path()));
    }
    let missing = Sources { config_file: Some(PathBuf::from("/nowhere/storage.yml")), ..Sources::default() };
    assert!(Config::load(&missing).unwrap_err().to_string().contains("/nowhere/storage.yml: cannot be read"));
    std::fs::write(&file, "data_dir: /elsewhere").unwrap();
    let circular = Sources { flags: vec![flag], ..Sources::default() };
    assert!(
        Config::load(&circular).unwrap_err().to_string().contains("storage.yml:1: data_dir cannot be set")
    );
}

#[test]
fn every_key_has_a_variable_of_its_own_and_a_default_that_is_written_as_it_is_shown() {
    let mut variables: Vec<_> = KEYS.iter().map(Key::variable).collect();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), KEYS.len());
    let shown = load("", &[], &[]).unwrap().config.shown();
    for (key, (name, value)) in KEYS.iter().zip(shown) {
        assert_eq!((key.name, key.default), (name, value.as_str()));
    }
}

#[track_caller]
fn check_form<T: Setting>(text: &str, shown: Option<&str>) {
    let parsed = T::parse(&RawValue::One(text.to_owned()));
    assert_eq!(parsed.ok().map(|value| value.show()).as_deref(), shown, "{text:?}");
}

#[test]
fn sizes_are_written_as_people_write_them() {
    for (text, bytes) in [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("100MB", 100_000_000),
        ("100 mb", 100_000_000),
        ("100MiB", 104_857_600),
        ("1.5GB", 1_500_000_000),
        ("0.5KiB", 512),
        ("16TiB", 17_592_186_044_416),
    ] {
        assert_eq!(ByteSize::parse(&RawValue::One(text.into())), Ok(ByteSize(bytes)), "{text}");
    }
    for text in
        ["", "x", "MB", "-1", "1.5", "1.5B", "1.", ".5MB", "1..5MB", "5 M", "5 parsecs", "99999999TB", "1e3"]
    {
        check_form::<ByteSize>(text, None);
    }
    check_form::<ByteSize>("1048576", Some("1MiB"));
    check_form::<ByteSize>("1000", Some("1KB"));
    check_form::<ByteSize>("1001", Some("1001B"));
}

#[test]
fn durations_are_written_as_people_write_them() {
    check_form::<Duration>("0", Some("0s"));
    check_form::<Duration>("500ms", Some("500ms"));
    check_form::<Duration>("90s", Some("1m30s"));
    check_form::<Duration>("1h30m", Some("1h30m"));
    check_form::<Duration>("1h 30m", Some("1h30m"));
    check_form::<Duration>("365d", Some("365d"));
    for text in ["", "5", "m", "-5m", "5 minutes", "1.5h", "5M", "99999999999999999999s", "5m3"] {
        check_form::<Duration>(text, None);
    }
}

#[test]
fn addresses_urls_and_databases_are_checked() {
    for text in ["localhost:0", "[::1]:8000", "0.0.0.0:80"] {
        check_form::<Address>(text, Some(text));
    }
    for text in ["8000", ":8000", "::1:8000", "a:b", "a:70000", "http://a:80"] {
        check_form::<Address>(text, None);
    }
    check_form::<PublicUrl>("https://files.example.org/base/", Some("https://files.example.org/base"));
    for text in ["files.example.org", "ftp://x", "https://", "https://u:p@x", "https://x/?a", "/x"] {
        check_form::<PublicUrl>(text, None);
    }
    check_form::<WebUrl>("https://issuer.example/keys?p=1", Some("https://issuer.example/keys?p=1"));
    check_form::<Database>("sqlite:///var/x.db", Some("sqlite:/var/x.db"));
    check_form::<Database>("sqlite:x.db", Some("sqlite:x.db"));
    let postgres = "postgres://me:hunter2@db.example.org:5433/files?sslmode=verify-full";
    check_form::<Database>(postgres, Some("postgres://db.example.org:5433/files"));
    for text in ["sqlite:", "mysql://x", "x.db", "postgres://", "postgres://h:x/y"] {
        check_form::<Database>(text, None);
    }
}

#[test]
fn a_lifecycle_rule_is_refused_by_the_key_that_is_wrong() {
    let check = |keys: &str, problem: &str| {
        let expected = format!("storage.yml:1: lifecycle.rules.r.{problem}");
        check_refused(&format!("lifecycle: {{rules: {{r: {{bucket: logs, {keys}}}}}}}"), &[&expected]);
    };
    check("max_age_days: 0", "max_age_days: is between 1 and 36500");
    check("max_age_days: 9, noncurrent_days: 40000", "noncurrent_days: is between 1 and 36500");
    check("max_age_days: 9, noncurrent_keep: 2", "noncurrent_keep: goes with noncurrent_days");
    check("max_age_days: 9, action: archive", "action: the action archive goes with archive_to");
    check("max_age_days: 9, prefix: /x", "prefix: no path begins so: paths have no slash at their start");
    check(
        "max_age_days: 9, action: archive, archive_to_bucket: a/b",
        "archive_to_bucket: Bucket name invalid",
    );
    check(
        "max_age_days: 9, action: archive, archive_to_provider: cold",
        "archive_to_provider: there is no provider 'cold' below providers",
    );
    check_refused(
        "lifecycle: {rules: {r: {bucket: a/b, max_age_days: 9}}}",
        &["storage.yml:1: lifecycle.rules.r.bucket: 'a/b' is no bucket's name: \
           a bucket name has only the characters that Supabase Storage allows"],
    );
}

#[test]
fn what_stands_below_names_is_taken_over_or_waits_as_it_is_named_in_the_file() {
    let was = load("", &[], &[]).unwrap().config;
    let other =
        "lifecycle: {rules: {r: {bucket: logs, max_age_days: 9}}}\nproviders: {p: {kind: s3, bucket: b}}";
    let other = load(other, &[], &[]).unwrap().config;
    let (adopted, taken, left) = was.adopt(&other);
    assert_eq!((taken, left), (vec!["lifecycle.rules"], vec!["providers"]));
    assert_eq!((adopted.lifecycle_rules.len(), adopted.providers.len()), (1, 0));
}

#[test]
fn a_file_that_was_read_before_and_is_gone_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir =
        Flag { flag: "--data-dir", key: "data_dir", value: directory.path().display().to_string() };
    let sources = Sources { flags: vec![data_dir], ..Sources::default() };
    assert!(Config::load(&sources).unwrap().file.is_none());
    assert!(Config::load_again(&sources, false).is_ok(), "there was none");
    let problem = Config::load_again(&sources, true).unwrap_err().to_string();
    assert!(problem.contains("storage.yml: cannot be read: No such file"), "{problem}");
    std::fs::write(directory.path().join("storage.yml"), "listen: 127.0.0.1:1\n").unwrap();
    assert!(Config::load_again(&sources, true).unwrap().file.is_some());
}

/// `UPDATE_DOCS=1` rewrites the page.
#[test]
fn the_reference_page_is_the_one_in_docs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, reference_page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == reference_page(), "docs/configuration.md is stale: run the tests with UPDATE_DOCS=1");
}

/// What the page shows as an example is a good configuration.
#[test]
fn the_example_of_the_reference_page_works() {
    let page = reference_page();
    let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let config = load(yaml, &[], &[]).unwrap().config;
    assert_eq!(config.storage.max_file_size, ByteSize(5_000_000_000));
}
