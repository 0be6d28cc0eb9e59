//! Providers, which have names of the operator's choice.

use super::*;

/// A provider that needs nothing more.
const CLOUD: &str = "providers:\n  my-cloud:\n    kind: s3\n    bucket: b\n";

#[test]
fn providers_have_names_and_keys_of_their_own() {
    let yaml = format!(
        "{CLOUD}    access_key_id: id\n  disk:\n    kind: local\n    path: /mnt\nstorage: {{active_provider: my-cloud}}\n"
    );
    let variables = [
        // A dash is an underscore there; and the file is overridden.
        ("AEROSTORE_PROVIDERS_MY_CLOUD_SECRET_ACCESS_KEY", "short-and-secret"),
        ("AEROSTORE_PROVIDERS_MY_CLOUD_ACCESS_KEY_ID", "other"),
        ("AEROSTORE_PROVIDERS_FROM_HERE_KIND", "gcs"),
        ("AEROSTORE_PROVIDERS_FROM_HERE_BUCKET", "g"),
    ];
    let loaded = load(&yaml, &variables, &[]).unwrap();
    let providers = &loaded.config.providers;
    assert_eq!(providers.keys().collect::<Vec<_>>(), ["disk", "from_here", "my-cloud"]);
    let cloud = &providers["my-cloud"];
    assert_eq!(cloud.access_key_id.as_deref(), Some("other"));
    assert_eq!(cloud.secret_access_key.as_ref().unwrap().0.expose(), "short-and-secret");
    assert_eq!((cloud.retry_attempts, cloud.upload_timeout.as_secs()), (3, 300));
    assert_eq!((cloud.max_concurrent_uploads, cloud.max_concurrent_downloads), (5, 10));
    assert_eq!((cloud.stream_threshold, cloud.chunk_size), (ByteSize(10_000_000), ByteSize(5 << 20)));
    let shown = loaded.in_force();
    assert!(
        !shown.contains("short-and-secret") && !format!("{:?}", loaded.config).contains("short-and-secret")
    );
    let line = shown.lines().find(|line| line.starts_with("providers.my-cloud.secret_access_key")).unwrap();
    assert!(
        line.contains("[redacted]") && line.ends_with("# AEROSTORE_PROVIDERS_MY_CLOUD_SECRET_ACCESS_KEY")
    );
    assert!(shown.contains("storage.yml:4"), "{shown}");
}

#[test]
fn providers_that_cannot_be_are_refused() {
    check_refused(
        "storage: {active_provider: elsewhere}",
        &["storage.yml:1: storage.active_provider: there is no provider 'elsewhere' below providers"],
    );
    for (standby, problem) in [
        ("elsewhere", "there is no provider 'elsewhere' below providers"),
        ("local", "'local' is the active provider, or is named twice"),
        ("my-cloud, my-cloud", "'my-cloud' is the active provider, or is named twice"),
    ] {
        check_refused(
            &format!("{CLOUD}storage: {{failover_providers: [{standby}]}}"),
            &[&format!("storage.yml:5: storage.failover_providers: {problem}")],
        );
    }
    for (spool, active, problem) in [
        ("elsewhere", "local", "there is no provider 'elsewhere' of the kind local below providers"),
        ("my-cloud", "local", "there is no provider 'my-cloud' of the kind local below providers"),
        ("local", "local", "'local' is the active provider: there is nothing to wait for less"),
        ("disk", "disk", "'disk' is the active provider: there is nothing to wait for less"),
    ] {
        let disk = "  disk: {kind: local, path: /mnt}\n";
        check_refused(
            &format!("{CLOUD}{disk}storage: {{active_provider: {active}, spool: {spool}}}"),
            &[&format!("storage.yml:6: storage.spool: {problem}")],
        );
        load(&format!("{CLOUD}{disk}storage: {{active_provider: my-cloud, spool: disk}}"), &[], &[]).unwrap();
    }
    check_refused(
        &format!("{CLOUD}    buckte: b\n"),
        &[
            "storage.yml:5: unknown key 'providers.my-cloud.buckte' (did you mean 'providers.my-cloud.bucket'?)",
        ],
    );
    for (key, problem) in [
        ("account: a", "account: is no key of the kind s3"),
        ("path: /mnt", "path: is no key of the kind s3"),
        ("chunk_size: 1MB", "chunk_size: is at least 5MiB: stores take no smaller parts"),
        ("stream_threshold: 1GB", "stream_threshold: is at most 100MB: uploads up to it are kept in memory"),
        ("secret_access_key: x", "access_key_id: is needed for the kind s3"),
        ("prefix: a/../b", "prefix: is names of A-Z, a-z, 0-9, -, _ and . with slashes between them"),
        ("retry_attempts: 0", "retry_attempts: is at least 1"),
    ] {
        let refused = load(&format!("{CLOUD}    {key}\n"), &[], &[]).expect_err(key);
        assert!(refused.contains(&format!("providers.my-cloud.{problem}")), "{refused}");
    }
    for (yaml, problem) in [
        ("x: {bucket: b}", "providers.x.kind: is needed: one of local, s3, azure, gcs"),
        ("x: {kind: azure, bucket: b}", "providers.x.account: is needed for the kind azure"),
        ("x: {kind: gcs}", "providers.x.bucket: is needed for the kind gcs"),
        ("x: {kind: local}", "providers.x.path: is needed: the directory of the bytes"),
        ("local: {kind: s3, bucket: b}", "providers.local.kind: the provider 'local' is of kind local"),
        (
            "local: {kind: local, path: /mnt}",
            "providers.local.path: the provider 'local' is the data directory",
        ),
        ("Up: {kind: s3, bucket: b}", "providers.Up: a name begins with a letter"),
        ("x: 1", "providers.x: is a provider: keys and values below its name"),
    ] {
        let refused = load(&format!("providers: {{{yaml}}}"), &[], &[]).expect_err(yaml);
        assert!(refused.contains(problem), "{refused}");
    }
    let refused = load("", &[("AEROSTORE_PROVIDERS_X_BUCKTE", "b")], &[]).unwrap_err();
    assert!(refused.contains("AEROSTORE_PROVIDERS_X_BUCKTE: unknown variable"), "{refused}");
}
