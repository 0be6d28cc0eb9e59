//! Which operation a request is: an allow-list by method, target, and the one parameter that chooses. What S3 has and this
//! server has not, in this place, is refused by name; it must never be taken for the operation without the parameter.

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::failure::Failure;
use super::target::{Parameters, Target};

/// What a request is, of what is answered here; the rest are documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `GET` or `HEAD` of an object's bytes.
    Read,
    /// `PUT` of an object's bytes.
    Write,
    /// `PUT` of a part's bytes.
    WritePart,
    /// Everything that carries XML, or nothing.
    Document(Document),
}

/// What a document that is sent is for, as far as it matters before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    /// None is sent, or nobody reads it.
    None,
    /// To make a bucket.
    NewBucket,
    /// To change something of a bucket.
    Bucket,
    /// To delete many objects.
    Deletion,
    /// To make an object of parts. Checksums in the head are the object's.
    Completion,
    /// To change an object's tags.
    Tags,
    /// To change an object's access control list.
    ObjectAcl,
}

/// Parameters that choose an operation, all that S3 has.
const CHOOSING: [&str; 40] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "append",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// Those that choose something here, for some method and target.
const SERVED: [&str; 14] = [
    "acl",
    "attributes",
    "cors",
    "delete",
    "lifecycle",
    "location",
    "policy",
    "policyStatus",
    "tagging",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "partNumber",
];

/// What no bucket has here, and can be asked for all the same.
const ABSENT: [&str; 10] = [
    "accelerate",
    "encryption",
    "logging",
    "notification",
    "object-lock",
    "ownershipControls",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "website",
];

/// Whether a query chooses an operation.
pub(super) fn chooses(query: &Parameters) -> bool {
    query.iter().any(|(name, _)| CHOOSING.contains(&name.as_str()))
}

impl Route {
    /// The operation that a request asks for.
    ///
    /// # Errors
    /// `NotImplemented`, `MethodNotAllowed`, and two operations at once.
    pub(super) fn of(parts: &Parts, target: &Target, query: &Parameters) -> Result<Self, Failure> {
        Self::found(&parts.method, target, query, &parts.headers)
    }

    fn found(
        method: &Method,
        target: &Target,
        query: &Parameters,
        headers: &HeaderMap,
    ) -> Result<Self, Failure> {
        let mut choosing = query.iter().map(|(name, _)| name.as_str()).filter(|name| CHOOSING.contains(name));
        let chosen = choosing.next();
        if let (Some(chosen), Some(other)) = (chosen, choosing.next()) {
            return Err(Failure::invalid(format!("{chosen} and {other} are no one operation")));
        }
        let has_part = query.iter().any(|(name, _)| name == "partNumber");
        let copies = headers.contains_key("x-amz-copy-source");
        let object = Self::of_object(method, chosen, has_part, copies);
        let found = match target {
            Target::Service => (*method == Method::GET && chosen.is_none()).then_some(Document::None),
            Target::Bucket(_) => Self::of_bucket(method, chosen),
            Target::Object(..) => {
                return object.ok_or_else(|| refused(chosen.or(has_part.then_some("partNumber"))));
            }
        };
        match found {
            Some(document) if !has_part && !copies => Ok(Self::Document(document)),
            _ => Err(refused(chosen)),
        }
    }

    fn of_bucket(method: &Method, chosen: Option<&str>) -> Option<Document> {
        match (method.as_str(), chosen) {
            ("GET", Some(name)) if ABSENT.contains(&name) => Some(Document::None),
            (
                "GET",
                None
                | Some(
                    "acl" | "cors" | "lifecycle" | "location" | "policy" | "policyStatus" | "tagging"
                    | "uploads" | "versioning" | "versions",
                ),
            )
            | ("HEAD", None)
            | ("DELETE", None | Some("cors" | "lifecycle" | "policy" | "tagging")) => Some(Document::None),
            ("PUT", None) => Some(Document::NewBucket),
            ("PUT", Some("acl" | "cors" | "lifecycle" | "policy" | "tagging" | "versioning")) => {
                Some(Document::Bucket)
            }
            ("POST", Some("delete")) => Some(Document::Deletion),
            _ => None,
        }
    }

    fn of_object(method: &Method, chosen: Option<&str>, has_part: bool, copies: bool) -> Option<Self> {
        let document = |document| Some(Self::Document(document));
        match (method.as_str(), chosen, has_part, copies) {
            ("GET" | "HEAD", None, _, false) => Some(Self::Read),
            ("PUT", None, false, false) => Some(Self::Write),
            ("PUT", Some("uploadId"), true, false) => Some(Self::WritePart),
            ("PUT", None, false, true) | ("PUT", Some("uploadId"), true, true) => document(Document::None),
            ("GET", Some("acl" | "attributes" | "tagging" | "uploadId"), false, false)
            | ("DELETE", None | Some("tagging" | "uploadId"), false, false)
            | ("POST", Some("uploads"), false, false) => document(Document::None),
            ("PUT", Some("acl"), false, false) => document(Document::ObjectAcl),
            ("PUT", Some("tagging"), false, false) => document(Document::Tags),
            ("POST", Some("uploadId"), false, false) => document(Document::Completion),
            _ => None,
        }
    }
}

fn refused(chosen: Option<&str>) -> Failure {
    match chosen {
        Some(name) if !SERVED.contains(&name) => Failure::not_implemented(name),
        _ => {
            let message = "The specified method is not allowed against this resource";
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        }
    }
}

#[cfg(test)]
mod tests {
    use file_storage::{BucketName, ObjectPath};
    use http::HeaderValue;

    use super::*;

    fn found(method: &str, on_object: bool, query: &[&str], copies: bool) -> Result<Route, &'static str> {
        let bucket = BucketName::parse("b").unwrap();
        let target = match on_object {
            true => Target::Object(bucket, ObjectPath::parse("k").unwrap()),
            false => Target::Bucket(bucket),
        };
        let query: Vec<_> = query.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let mut headers = HeaderMap::new();
        if copies {
            headers.insert("x-amz-copy-source", HeaderValue::from_static("b/k"));
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Route::found(&method, &target, &query, &headers).map_err(|failure| failure.code())
    }

    /// Every operation that there is, by method, target and parameter. Nothing else deletes, makes or overwrites anything.
    #[test]
    fn what_is_not_in_the_list_is_refused() {
        let served = [
            (
                "GET",
                false,
                "acl cors lifecycle location policy policyStatus tagging uploads versioning versions",
            ),
            ("GET", false, &ABSENT.join(" ")),
            ("PUT", false, "acl cors lifecycle policy tagging versioning"),
            ("DELETE", false, "cors lifecycle policy tagging"),
            ("POST", false, "delete"),
            ("GET", true, "acl attributes tagging uploadId"),
            ("PUT", true, "acl tagging"),
            ("DELETE", true, "tagging uploadId"),
            ("POST", true, "uploads uploadId"),
        ];
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "TRACE"] {
            for on_object in [false, true] {
                for name in CHOOSING {
                    let is_served = served.iter().any(|(m, o, names)| {
                        (*m, *o) == (method, on_object) && names.split(' ').any(|served| served == name)
                    });
                    let route = found(method, on_object, &[name], false);
                    assert_eq!(route.is_ok(), is_served, "{method} {on_object} {name}: {route:?}");
                    let code = if SERVED.contains(&name) { "MethodNotAllowed" } else { "NotImplemented" };
                    assert!(is_served || route == Err(code), "{method} {on_object} {name}: {route:?}");
                    assert!(found(method, on_object, &[name, "uploads"], false).is_err(), "{method} {name}");
                }
                let plain = found(method, on_object, &["x-id", "cachebuster"], false);
                let is_served = matches!(method, "GET" | "HEAD" | "PUT" | "DELETE");
                assert_eq!(plain.is_ok(), is_served, "{method} {on_object}: {plain:?}");
            }
        }
        assert_eq!(found("PUT", true, &["uploadId", "partNumber"], false), Ok(Route::WritePart));
        assert_eq!(
            found("PUT", true, &["uploadId", "partNumber"], true),
            Ok(Route::Document(Document::None))
        );
        assert_eq!(found("GET", true, &["partNumber"], false), Ok(Route::Read));
        for (method, query) in [
            ("DELETE", &["partNumber"][..]),
            ("DELETE", &["partNumber", "uploadId"]),
            ("PUT", &["partNumber"]),
            ("PUT", &["uploadId"]),
            ("POST", &["uploadId", "partNumber"]),
        ] {
            assert_eq!(found(method, true, query, false), Err("MethodNotAllowed"), "{method} {query:?}");
        }
        for (method, on_object) in [("GET", true), ("DELETE", true), ("PUT", false)] {
            assert!(found(method, on_object, &[], true).is_err(), "{method}: only a write copies");
        }
    }
}
