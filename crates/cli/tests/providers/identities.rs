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
