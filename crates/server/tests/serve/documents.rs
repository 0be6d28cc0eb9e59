//! The API's document, and the page that shows it.

use std::fs;
use std::path::Path;

use serde_json::Value;
use server::telemetry::DESCRIPTIONS;

use crate::support::TestServer;

/// The document that readers of the repository see is the one that is served. `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_document_in_the_repository_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let now = server::openapi::document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "docs/openapi.json is out of date: run the tests once with UPDATE_DOCS=1");
}

#[tokio::test]
async fn the_document_is_served_and_every_reference_in_it_leads_somewhere() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let (status, text) = server.get("/openapi.json", None).await;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &document["openapi"]), (200, &Value::from("3.1.0")));
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let ids: Vec<_> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len(), "{ids:?}");
}

#[tokio::test]
async fn the_page_needs_nobody_else() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    for (path, content_type) in
        [("/docs", "text/html"), ("/docs/page.js", "text/javascript"), ("/docs/page.css", "text/css")]
    {
        let answer = server.client.get(format!("http://{}{path}", server.address)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(content_type), "{path}");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} reaches out");
        assert!(!text.contains("<script>") && !text.contains("innerHTML"), "{path}");
    }
}

/// The table of metrics in the manual is the one that Prometheus is told. `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_table_of_metrics_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- metrics: ").unwrap();
    let (comment, rest) = rest.split_once("-->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of metrics -->").unwrap();
    let rows: String = DESCRIPTIONS
        .iter()
        .map(|(name, labels, kind, meaning)| {
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            format!("| `{name}{labels}` | {} | {meaning} |\n", format!("{kind:?}").to_lowercase())
        })
        .collect();
    let table = format!("| metric | kind | meaning |\n| --- | --- | --- |\n{rows}");
    let now = format!("{before}<!-- metrics: {comment}-->\n{table}<!-- end of metrics -->{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    assert!(now == fs::read_to_string(&path).unwrap(), "run the tests once with UPDATE_DOCS=1");
}
