//! Lists of uploads and of parts, page by page; and giving up.

use super::{Uploads, element, elements};
use crate::signer::Ask;
use crate::support::{Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn parts_are_listed_page_by_page() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    let path = "/parts/x";
    let upload = us.begin(path).await;
    for number in 1..=7 {
        us.part(path, &upload, number, &[7; 20][..number as usize]).await;
    }
    let list = async |more: &[(&str, &str)]| {
        let ask = Ask::new("GET", path).query("uploadId", &upload);
        let reply = us.send(more.iter().fold(ask, |ask, (name, value)| ask.query(name, value))).await;
        expect(&reply, 200, "");
        reply.text()
    };
    let (mut seen, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let page = list(&[("max-parts", "3"), ("part-number-marker", &after)]).await;
        seen.extend(elements(&page, "PartNumber"));
        after = element(&page, "NextPartNumberMarker");
        if element(&page, "IsTruncated") == "false" {
            break;
        }
        assert_eq!(elements(&page, "PartNumber").len(), 3);
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(elements(&list(&[]).await, "Size"), ["1", "2", "3", "4", "5", "6", "7"]);
    let none = list(&[("max-parts", "0")]).await;
    assert_eq!(elements(&none, "PartNumber"), Vec::<String>::new());
    assert_eq!(element(&none, "IsTruncated"), "false", "who goes on from there never ends");
    let bad = Ask::new("GET", path).query("uploadId", &upload).query("max-parts", "-1");
    expect(&us.send(bad).await, 400, "InvalidArgument");
}

#[tokio::test]
async fn uploads_are_listed_by_key_and_folder() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    server.bucket(Who::Service, "parts", "private").await;
    for path in
        ["/parts/a/1", "/parts/a/2", "/parts/a%20b", "/parts/b", "/parts/b", "/parts/c/d/e", "/parts/z"]
    {
        us.begin(path).await;
    }
    let list = async |more: &[(&str, &str)]| {
        let ask = Ask::new("GET", "/parts").query("uploads", "");
        let reply = us.send(more.iter().fold(ask, |ask, (name, value)| ask.query(name, value))).await;
        expect(&reply, 200, "");
        reply.text()
    };
    let names = |xml: &str| {
        let folders = elements(xml, "CommonPrefixes");
        let folders = folders.iter().map(|folder| element(folder, "Prefix"));
        elements(xml, "Key").into_iter().chain(folders).collect::<Vec<_>>()
    };
    assert_eq!(names(&list(&[]).await), ["a b", "a/1", "a/2", "b", "b", "c/d/e", "z"]);
    assert_eq!(names(&list(&[("delimiter", "/")]).await), ["a b", "b", "b", "z", "a/", "c/"]);
    assert_eq!(names(&list(&[("prefix", "c/"), ("delimiter", "/")]).await), ["c/d/"]);
    assert_eq!(names(&list(&[("key-marker", "b")]).await), ["c/d/e", "z"]);
    assert_eq!(names(&list(&[("prefix", "a b"), ("encoding-type", "url")]).await), ["a%20b"]);
    for (delimiter, size) in [("", "1"), ("", "2"), ("/", "1"), ("/", "2"), ("/", "3")] {
        let (mut seen, mut key, mut id) = (Vec::new(), String::new(), String::new());
        loop {
            let page = list(&[
                ("max-uploads", size),
                ("delimiter", delimiter),
                ("key-marker", &key),
                ("upload-id-marker", &id),
            ])
            .await;
            let found = names(&page);
            assert!(found.len() <= size.parse().unwrap() && !found.is_empty(), "{page}");
            seen.extend(found);
            if element(&page, "IsTruncated") == "false" {
                break;
            }
            (key, id) = (element(&page, "NextKeyMarker"), element(&page, "NextUploadIdMarker"));
        }
        seen.sort();
        let wanted = match delimiter {
            "" => vec!["a b", "a/1", "a/2", "b", "b", "c/d/e", "z"],
            _ => vec!["a b", "a/", "b", "b", "c/", "z"],
        };
        assert_eq!(seen, wanted, "{delimiter} {size}");
    }
    expect(&us.send(Ask::new("GET", "/nowhere").query("uploads", "")).await, 404, "NoSuchBucket");
    // Given up, one by one.
    let all = list(&[]).await;
    for (name, id) in elements(&all, "Key").iter().zip(elements(&all, "UploadId")) {
        let path = format!("/parts/{}", name.replace(' ', "%20"));
        let abort = || Ask::new("DELETE", &path).query("uploadId", &id);
        expect(&us.send(abort()).await, 204, "");
        expect(&us.send(abort()).await, 404, "NoSuchUpload");
    }
    assert_eq!(names(&list(&[]).await), Vec::<String>::new());
    server.expect_clean().await;
}
