//! What the API's document says of TUS. The handlers serve two sets of callers, so that it stands apart from them.

#![allow(dead_code, reason = "the functions are there for their descriptions")]

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    paths(options, create, head, append, delete),
    tags((name = "Resumable uploads", description = "TUS 1.0.0: files in pieces, which go on after a connection broke."))
)]
pub(crate) struct Document;

/// Tells version, extensions and the largest size. No token is needed.
#[utoipa::path(
    options, path = "/upload/resumable", tag = "Resumable uploads", operation_id = "resumableOptions",
    responses((status = 204, description = "`Tus-Version`, `Tus-Extension`, `Tus-Max-Size`, `Tus-Checksum-Algorithm`")),
)]
fn options() {}

/// Begins an upload, perhaps with its first bytes; or makes an object of partial uploads. With a signed upload token in
/// `x-signature` the same is below `/upload/resumable/sign`.
#[utoipa::path(
    post, path = "/upload/resumable", tag = "Resumable uploads", operation_id = "createResumable",
    params(
        ("tus-resumable" = String, Header, description = "1.0.0"),
        ("upload-metadata" = String, Header, description = "Keys with values in base64: `bucketName`, `objectName`, and perhaps `contentType`, `cacheControl`, `metadata`"),
        ("upload-length" = Option<u64>, Header, description = "Bytes it will have"),
        ("upload-defer-length" = Option<u8>, Header, description = "1: that is said later"),
        ("upload-concat" = Option<String>, Header, description = "`partial`, or `final;` and URLs of partial uploads"),
        ("upload-checksum" = Option<String>, Header, description = "`sha1`, `sha256` or `md5`, and the body's digest in base64"),
        ("x-upsert" = Option<bool>, Header, description = "Replace an object that is there"),
    ),
    responses(
        (status = 201, description = "`Location` is where it goes on"),
        (status = 400, description = "Headers that make no sense"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The caller may not write here"),
        (status = 404, description = "No such bucket"),
        (status = 409, description = "There is an object already"),
        (status = 412, description = "Another version of the protocol"),
        (status = 413, description = "It is too large"),
        (status = 415, description = "The bucket does not take its type"),
        (status = 460, description = "The bytes do not have their checksum"),
        (status = 507, description = "A quota is exceeded, or the disk is full"),
    ),
)]
fn create() {}

/// Tells how far an upload is. A request that appends to it is ended.
#[utoipa::path(
    head, path = "/upload/resumable/{upload}", tag = "Resumable uploads", operation_id = "showResumable",
    params(
        ("upload" = String, Path, description = "As in `Location`"),
        ("tus-resumable" = String, Header, description = "1.0.0"),
    ),
    responses(
        (status = 200, description = "`Upload-Offset`, `Upload-Length`, `Upload-Metadata`, `Upload-Expires`"),
        (status = 404, description = "No such upload of the caller's"),
        (status = 410, description = "Its time is over"),
    ),
)]
fn head() {}

/// Appends bytes. With the last one, the object is there.
#[utoipa::path(
    patch, path = "/upload/resumable/{upload}", tag = "Resumable uploads", operation_id = "appendResumable",
    params(
        ("upload" = String, Path, description = "As in `Location`"),
        ("tus-resumable" = String, Header, description = "1.0.0"),
        ("upload-offset" = u64, Header, description = "Where the bytes begin: where the upload ends"),
        ("upload-length" = Option<u64>, Header, description = "Bytes it will have, where that was left open"),
        ("upload-checksum" = Option<String>, Header, description = "`sha1`, `sha256` or `md5`, and the body's digest in base64"),
    ),
    request_body(content((Vec<u8> = "application/offset+octet-stream"))),
    responses(
        (status = 204, description = "`Upload-Offset`: all before it is on stable storage"),
        (status = 404, description = "No such upload of the caller's"),
        (status = 409, description = "It is at another offset, which the answer says"),
        (status = 410, description = "Its time is over"),
        (status = 413, description = "More than it was to have, or than the bucket takes"),
        (status = 423, description = "Another request goes on with it"),
        (status = 460, description = "The bytes do not have their checksum"),
        (status = 507, description = "A quota is exceeded, or the disk is full"),
    ),
)]
fn append() {}

/// Gives an upload up.
#[utoipa::path(
    delete, path = "/upload/resumable/{upload}", tag = "Resumable uploads", operation_id = "abortResumable",
    params(
        ("upload" = String, Path, description = "As in `Location`"),
        ("tus-resumable" = String, Header, description = "1.0.0"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 400, description = "It is an object already"),
        (status = 404, description = "No such upload of the caller's"),
    ),
)]
fn delete() {}
