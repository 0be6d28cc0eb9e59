//! Browsers on other origins.

use server::http::HttpOptions;

use crate::support::{TestServer, get_request, header};

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\norigin: {origin}\r\n\
         access-control-request-method: PUT\r\naccess-control-request-headers: authorization,x-upsert\r\n\r\n"
    )
}

#[tokio::test]
async fn a_preflight_is_answered_without_the_handler() {
    let server = TestServer::start(HttpOptions::default());
    let answer = server.exchange(&preflight("https://app.example")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&answer, "access-control-allow-headers"), Some("authorization,x-upsert"));
    let methods = header(&answer, "access-control-allow-methods").unwrap();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(methods.split(',').any(|allowed| allowed == method), "{method} in {methods}");
    }
    assert_eq!(header(&answer, "access-control-allow-credentials"), None);
}

#[tokio::test]
async fn a_page_may_read_what_clients_need() {
    let server = TestServer::start(HttpOptions::default());
    let answer = server.exchange(&get_request("/hello", &[("origin", "https://app.example")])).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    let exposed = header(&answer, "access-control-expose-headers").unwrap();
    for name in ["etag", "content-range", "location", "upload-offset", "tus-resumable", "x-request-id"] {
        assert!(exposed.split(',').any(|header| header == name), "{name} in {exposed}");
    }
    let answer = server.exchange(&get_request("/hello", &[])).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"), "a cache may hand it to a page");
}

#[tokio::test]
async fn only_listed_origins_may_call_where_there_is_a_list() {
    let allowed_origins = vec!["https://app.example".to_owned()];
    let server = TestServer::start(HttpOptions { allowed_origins, ..HttpOptions::default() });
    for (origin, granted) in [("https://app.example", true), ("https://evil.example", false)] {
        let expected = granted.then_some(origin);
        let answer = server.exchange(&preflight(origin)).await;
        assert_eq!(header(&answer, "access-control-allow-origin"), expected, "{origin}");
        let answer = server.exchange(&get_request("/hello", &[("origin", origin)])).await;
        assert_eq!(header(&answer, "access-control-allow-origin"), expected, "{origin}");
        assert_eq!(header(&answer, "vary"), Some("origin"));
    }
    let answer = server.exchange(&get_request("/hello", &[])).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
    assert_eq!(header(&answer, "vary"), Some("origin"));
}

#[tokio::test]
async fn options_without_a_preflight_belongs_to_the_protocol() {
    let server = TestServer::start(HttpOptions::default());
    let request = "OPTIONS /hello HTTP/1.1\r\nhost: test\r\nconnection: close\r\norigin: https://a.b\r\n\r\n";
    let answer = server.exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}
