//! Whose a store is: a database does not start with one that belongs to another one.

use crate::cloud::Cloud;
use crate::support::{Data, OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);
const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

/// A start with new data that is refused: what it says.
fn refused(data: &Data, settings: &[(&str, &str)]) -> String {
    let (started, said) = data.command(settings, SERVE);
    assert!(!started, "{said}");
    said
}

async fn check(cloud: &Cloud) {
    let settings = cloud.settings(true);
    let first = Server::start_with(&settings);
    first.bucket(ME, "box", "private").await;
    first.put(ME, "box/a", pattern(100_000)).await;
    first.expect_clean().await;

    let other = Data::new();
    let said = refused(&other, &settings);
    assert!(
        said.contains("the provider 'cloud' in ") && said.contains("belongs to another database"),
        "{said}"
    );
    assert!(said.contains("aerostore take-over cloud"), "{said}");
    assert_eq!(said.matches("belongs to another database").count(), 1, "once: {said}");
    // Unless it is told to, and then the one before does not any more.
    let (taken, said) = other.command(&settings, &["take-over", "cloud", "--yes"]);
    assert!(taken && said.contains("belongs to this database now"), "{said}");
    let second = Server::start_in(other, &settings);
    let data = first.stop();
    let said = refused(&data, &settings);
    assert!(said.contains("the provider 'cloud' is not in ") && said.contains("which has blobs"), "{said}");
    let (well, said) = data.command(&settings, &["doctor"]);
    assert!(!well && said.contains("the provider 'cloud' is not in "), "{said}");
    drop(second);

    let (taken, said) = data.command(&settings, &["take-over", "cloud", "--yes"]);
    assert!(taken, "{said}");
    let first = Server::start_in(data, &settings);
    assert_eq!(first.content("box/a").await.unwrap(), pattern(100_000));
    // Whoever shares the database shares the store.
    drop(first.beside(&settings));
}

#[tokio::test]
async fn a_bucket_belongs_to_one_database() {
    check(&Cloud::moto()).await;
}

#[tokio::test]
async fn a_bucket_of_another_aerostore_belongs_to_one_database() {
    let store = Server::start();
    store.bucket(Who::Service, "aerostore", "private").await;
    check(&Cloud::aerostore(&store)).await;
}

#[tokio::test]
async fn a_container_belongs_to_one_database() {
    check(&Cloud::azurite()).await;
}

#[tokio::test]
async fn a_bucket_that_is_not_the_one_that_has_the_blobs_is_refused() {
    let cloud = Cloud::moto();
    let server = Server::start_with(&cloud.settings(true));
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/a", pattern(100_000)).await;
    let data = server.stop();
    let elsewhere = cloud.with("PREFIX", "tests/elsewhere");
    let said = refused(&data, &elsewhere.settings(true));
    assert!(
        said.contains("nothing there says which one it is") && said.contains("another bucket or prefix"),
        "{said}"
    );
}

#[tokio::test]
async fn stores_that_lie_in_each_other_are_refused() {
    let (cloud, data) = (Cloud::moto(), Data::new());
    let mut settings = cloud.settings(true);
    let below = format!("{}/below", cloud.prefix);
    let second: Vec<_> = settings
        .iter()
        .filter_map(|(name, value)| {
            Some((name.replace("CLOUD", "SECOND"), *value)).filter(|(name, _)| name.contains("SECOND"))
        })
        .collect();
    settings.extend(second.iter().map(|(name, value)| (name.as_str(), *value)));
    let said = refused(&data, &settings);
    assert!(said.contains("the providers 'cloud' and 'second' are the same place"), "{said}");
    settings.push(("AEROSTORE_PROVIDERS_SECOND_PREFIX", &below));
    let said = refused(&data, &settings);
    assert!(said.contains("the second lies within the first"), "{said}");
    settings.push(("AEROSTORE_PROVIDERS_SECOND_BUCKET", "another"));
    let (good, said) = data.command(&settings, &["serve", "--check"]);
    assert!(good, "{said}");
}

#[tokio::test]
async fn what_is_restored_into_belongs_to_the_restored_database() {
    let (source, cloud) = (Server::start(), Cloud::moto());
    source.bucket(ME, "box", "private").await;
    source.put(ME, "box/a", pattern(100_000)).await;
    let backup = tempfile::tempdir().unwrap();
    let to = backup.path().join("backup").display().to_string();
    let (made, said) = source.command(&[], &["backup", "create", "--to", &to]);
    assert!(made, "{said}");
    // A database that has the bucket, and nothing in it yet.
    let settings = cloud.settings(true);
    let before = Server::start_with(&settings).stop();
    let data = Data::new();
    let (restored, said) = data.command(&settings, &["backup", "restore", &to]);
    assert!(restored, "{said}");
    let server = Server::start_in(data, &settings);
    assert_eq!(server.content("box/a").await.unwrap(), pattern(100_000));
    let said = refused(&before, &settings);
    assert!(said.contains("the provider 'cloud' is not in "), "{said}");
}

/// What keeps nothing of the restored database's is not its provider by being configured: whose it is stays as it was, and whoever
/// restored is told.
#[tokio::test]
async fn what_is_not_restored_into_stays_another_databases() {
    let (source, cloud) = (Server::start(), Cloud::moto());
    source.bucket(ME, "box", "private").await;
    source.put(ME, "box/a", pattern(100_000)).await;
    let backup = tempfile::tempdir().unwrap();
    let to = backup.path().join("backup").display().to_string();
    let (made, said) = source.command(&[], &["backup", "create", "--to", &to]);
    assert!(made, "{said}");
    // Another database's, with nothing in it yet.
    let theirs = cloud.settings(true);
    let before = Server::start_with(&theirs).stop();

    // The disk is restored into; the cloud stands by for it, and would take bytes.
    let mut settings = cloud.settings(false);
    settings.push(("AEROSTORE_STORAGE_FAILOVER_PROVIDERS", "cloud"));
    let data = Data::new();
    let (restored, said) = data.command(&settings, &["backup", "restore", &to]);
    assert!(restored && !said.contains("it is the restored one's now"), "{said}");
    let words = "the provider 'cloud' in the bucket aerostore";
    for told in [refused(&data, &settings), data.command(&settings, &["doctor"]).1] {
        assert!(told.contains(words) && told.contains("belongs to another database"), "{told}");
        assert!(told.contains("aerostore take-over cloud"), "{told}");
    }
    let (well, said) = data.command(&settings, &["doctor"]);
    assert!(!well, "{said}");
    // Where it takes no bytes, a server that shares its database does without it; one that has a database to itself has one such place.
    let idle = cloud.settings(false);
    let data = match std::env::var("AEROSTORE_TEST_ENGINE").as_deref() {
        Ok("postgres") => {
            let server = Server::start_in(data, &idle);
            assert!(server.log().contains("it is no provider of this server"), "{}", server.log());
            server.stop()
        }
        _ => {
            assert!(refused(&data, &idle).contains("belongs to another database"));
            data
        }
    };
    // It stays as it was, and their server goes on with it.
    let theirs_again = Server::start_in(before, &theirs);
    theirs_again.bucket(ME, "box", "private").await;
    theirs_again.put(ME, "box/theirs", pattern(50_000)).await;
    let before = theirs_again.stop();

    // Without it the restored one starts; and with it where it is told that it may.
    let server = Server::start_in(data, &[("AEROSTORE_STORAGE_INLINE_THRESHOLD", "1KiB")]);
    assert_eq!(server.content("box/a").await.unwrap(), pattern(100_000));
    let data = server.stop();
    let (taken, said) = data.command(&settings, &["take-over", "cloud", "--yes"]);
    assert!(taken, "{said}");
    let server = Server::start_in(data, &settings);
    assert_eq!(server.content("box/a").await.unwrap(), pattern(100_000));
    let said = refused(&before, &theirs);
    assert!(said.contains("the provider 'cloud' is not in "), "{said}");
}
