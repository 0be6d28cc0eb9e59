//! `aerostore doctor`: what it finds, and how it ends.

use std::os::unix::fs::PermissionsExt;

use crate::server::alone;

/// The finding about something, of a report.
fn finding(report: &str, about: &str, severity: &str) -> serde_json::Value {
    let report = crate::json(report);
    let found = report["findings"].as_array().unwrap().iter();
    let mut found = found.filter(|finding| finding["about"] == about && finding["severity"] == severity);
    found.next().unwrap_or_else(|| panic!("{severity} about {about}: {report}")).clone()
}

#[test]
fn a_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A port that nobody has, whatever runs on this machine.
    let listen = "listen: 127.0.0.1:0\n";
    std::fs::write(folder.join("storage.yml"), listen).unwrap();
    let examine = |arguments: &[&str]| {
        let given = ["doctor", "--json", "--config", "storage.yml", "--data-dir", "data"];
        alone(&[&given, arguments].concat(), folder)
    };
    let well = examine(&[]);
    assert_eq!(well.code, 0, "{} {}", well.out, well.err);
    finding(&well.out, "start", "ok");
    assert!(!folder.join("data").exists(), "it changes nothing");

    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    let mode = |mode| std::fs::set_permissions(&data, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o777);
    let said = examine(&[]);
    assert_eq!(said.code, 1);
    assert_eq!(finding(&said.out, "data directory", "error")["advice"], "chmod 700 it");
    mode(0o755);
    let said = examine(&[]);
    assert_eq!(said.code, 0, "a warning is no failure");
    finding(&said.out, "data directory", "warning");
    mode(0o700);

    std::fs::write(data.join("secrets.json"), "{}").unwrap();
    let said = examine(&[]);
    assert_eq!(said.code, 1);
    assert!(finding(&said.out, "start", "error")["found"].as_str().unwrap().contains("secrets.json"));
    std::fs::remove_file(data.join("secrets.json")).unwrap();

    std::fs::write(folder.join("storage.yml"), format!("{listen}audit: {{directory: storage.yml}}\n"))
        .unwrap();
    let said = examine(&[]);
    assert_eq!(said.code, 1);
    assert!(finding(&said.out, "start", "error")["found"].as_str().unwrap().contains("audit log"));
    std::fs::write(folder.join("storage.yml"), listen).unwrap();

    let gone = "postgres://nobody:hidden@127.0.0.1:1/none";
    let said = examine(&["--database", gone]);
    assert_eq!(said.code, 1);
    finding(&said.out, "database", "error");
    assert!(!said.out.contains("hidden") && !said.err.contains("hidden"), "{}", said.out);

    let settings = "listen: 0.0.0.0:0\nserver: {public_url: http://files.example.org, max_connections: 99999999}\n\
                    providers: {cloud: {kind: s3, bucket: b, endpoint: http://127.0.0.1:1, access_key_id: a, \
                    secret_access_key: hidden, retry_attempts: 1}}\n\
                    auth: {jwt_secret: super-secret-jwt-token-with-at-least-32-characters-long}\n";
    std::fs::write(folder.join("storage.yml"), settings).unwrap();
    std::fs::remove_dir(&data).unwrap();
    let said = examine(&[]);
    assert_eq!(said.code, 1);
    for (about, severity) in [
        ("public URL", "warning"),
        ("file descriptors", "warning"),
        ("provider", "error"),
        // The file can be read by everybody, and the secret stands in documents.
        ("secrets", "warning"),
        ("secrets", "error"),
    ] {
        finding(&said.out, about, severity);
    }
    assert!(!said.out.contains("hidden") && !said.out.contains("super-secret"), "{}", said.out);
    assert!(!data.exists(), "it changes nothing");

    // Another program on the server's address.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    std::thread::spawn({
        let taken = taken.try_clone().unwrap();
        move || taken.incoming().for_each(drop)
    });
    let address = taken.local_addr().unwrap();
    std::fs::write(folder.join("storage.yml"), format!("listen: {address}\n")).unwrap();
    finding(&examine(&[]).out, "address", "error");
    alone(&["doctor", "--config", "missing.yml"], folder).fails(2, "missing.yml");
}

#[test]
fn a_database_is_examined_and_left_as_it_is() {
    let address = std::env::var("AEROSTORE_TEST_POSTGRES").expect("AEROSTORE_TEST_POSTGRES says where");
    let folder = tempfile::tempdir().unwrap();
    let said = alone(&["doctor", "--json", "--data-dir", "data", "--database", &address], folder.path());
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    let found = finding(&said.out, "database", "ok");
    assert!(found["found"].as_str().unwrap().starts_with("PostgreSQL "), "{found}");
}
