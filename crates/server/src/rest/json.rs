//! JSON bodies of requests: bounded, and refused in the words of a schema where they do not fit.

use std::marker::PhantomData;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use utoipa::ToSchema;

use crate::errors::ApiError;

/// Largest JSON body: room for a thousand of the longest paths.
const MAX_JSON_BYTES: usize = 2 * 1024 * 1024;

/// Reads a body that must be there.
pub(crate) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = collect(body).await?;
    if bytes.is_empty() {
        return Err(ApiError::schema("body must be object"));
    }
    parse(&bytes)
}

/// Reads a body that may be empty, also where it is announced as JSON.
pub(crate) async fn read_optional<T: DeserializeOwned + Default>(body: Body) -> Result<T, ApiError> {
    let bytes = collect(body).await?;
    if bytes.is_empty() { Ok(T::default()) } else { parse(&bytes) }
}

/// Reads a body that has nothing to say: none, or an empty object. What somebody asks for there would not be done, and so is refused.
pub(crate) async fn none(body: Body) -> Result<(), ApiError> {
    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    read_optional::<Nothing>(body).await?;
    Ok(())
}

async fn collect(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_JSON_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::JsonTooLarge { limit: MAX_JSON_BYTES }),
        Err(error) => Err(super::body::interrupted(&*error).into()),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        wording(&place, error.inner())
    })?;
    json.end().map_err(|error| wording(".", &error))?;
    Ok(value)
}

/// Says what is wrong as Supabase's schema checker does: `body/limit must be integer`.
fn wording(place: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            return ApiError::Json(format!("Body is not valid JSON: {text}"));
        }
        Category::Data => {}
    }
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words);
    let place = match place {
        "." => "body".to_owned(),
        inner => format!("body/{}", inner.replace(['.', '['], "/").replace(']', "")),
    };
    if let Some(name) = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return ApiError::schema(format!("{place} must have required property '{name}'"));
    }
    if text.starts_with("unknown variant") {
        return ApiError::schema(format!("{place} must be equal to one of the allowed values"));
    }
    if text.starts_with("must ") {
        return ApiError::schema(format!("{place} {text}"));
    }
    let wanted = text.rsplit_once("expected ").map_or("", |(_, wanted)| wanted);
    let kind = match wanted {
        "a string" | "string" => "string",
        "a boolean" => "boolean",
        "a sequence" => "array",
        wanted if wanted.starts_with("struct ") || wanted == "a map" => "object",
        wanted if wanted.starts_with(['u', 'i']) => "integer",
        _ => return ApiError::schema(format!("{place}: {text}")),
    };
    ApiError::schema(format!("{place} must be {kind}"))
}

/// What is sent as an object. A struct would take an array as well: as its fields, one after the other and without their names.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A field that is an object, or null; no array either.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|Object(value)| value))
}

/// A whole number, also as text: `3600` or `"3600"`, as some clients send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = u64)]
pub(super) struct Whole(pub(super) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor).map(Self)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("integer")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::custom("must be >= 0"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<u64, E> {
        Err(E::custom("must be integer"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        text.trim().parse().map_err(|_| E::custom("must be integer"))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<u64, E> {
        Err(E::custom("must be integer"))
    }

    fn visit_unit<E: de::Error>(self) -> Result<u64, E> {
        Err(E::custom("must be integer"))
    }
}

/// A number of bytes: a whole number, or text with a decimal unit such as `"20MB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = String, example = "20MB")]
pub(super) struct Bytes64(pub(super) u64);

impl<'de> Deserialize<'de> for Bytes64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        let wrong = || de::Error::custom("must be a number of bytes, or one with a unit, like \"20MB\"");
        match Form::deserialize(deserializer).map_err(|_| wrong())? {
            Form::Number(bytes) => Ok(Self(bytes)),
            Form::Text(text) => bytes_of(&text).map(Self).ok_or_else(wrong),
        }
    }
}

/// Units are decimal, as Supabase's are, unless they say otherwise: `20MB` is 20 000 000, `20MiB` is 20 971 520.
fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        Some((whole, fraction)) => {
            let digits = u32::try_from(fraction.len()).ok().filter(|digits| (1..=9).contains(digits))?;
            let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
            let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / 10_u128.pow(digits);
            whole.checked_add(u64::try_from(part).ok()?)
        }
    }
}

/// Tells a field that is `null` (`Some(None)`) from one that is absent (`None`).
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    struct Sample {
        name: String,
        #[serde(default)]
        limit: Option<Whole>,
        #[serde(default)]
        size: Option<Bytes64>,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        on: bool,
    }

    #[track_caller]
    fn refused(body: &str, words: &str) {
        let error = parse::<Sample>(body.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(words), "{body}: {error}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        refused("{}", "body must have required property 'name'");
        refused(r#"{"name": 5}"#, "body/name must be string");
        refused(r#"{"name": "a", "limit": "x"}"#, "body/limit must be integer");
        refused(r#"{"name": "a", "limit": -1}"#, "body/limit must be >= 0");
        refused(r#"{"name": "a", "limit": 1.5}"#, "body/limit must be integer");
        refused(r#"{"name": "a", "limit": []}"#, "body/limit must be integer");
        refused(r#"{"name": "a", "size": "20XB"}"#, "body/size must be a number of bytes");
        refused(r#"{"name": "a", "list": [1]}"#, "body/list/0 must be string");
        refused(r#"{"name": "a", "list": "x"}"#, "body/list must be array");
        refused(r#"{"name": "a", "on": "yes"}"#, "body/on must be boolean");
        refused("5", "body must be object");
        refused("null", "body must be object");
        refused("{nonsense", "Body is not valid JSON");
        refused(r#"{"name": "a"} x"#, "Body is not valid JSON");
        refused(r#"{"name": "a""#, "Body is not valid JSON");
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(default)]
        on: bool,
        #[serde(default, deserialize_with = "object")]
        inner: Option<Box<Strict>>,
    }

    #[test]
    fn an_array_is_no_object() {
        refused("[]", "body must be object");
        refused(r#"["a", 5, null, [], true]"#, "body must be object");
        let strict = |body: &str| parse::<Strict>(body.as_bytes()).map_err(|error| error.to_string());
        assert!(strict("{}").unwrap().inner.is_none());
        assert!(strict(r#"{"inner": {"on": true}}"#).unwrap().inner.unwrap().on);
        assert!(strict(r#"{"on": true, "inner": null}"#).unwrap().on);
        for array in ["[]", "[true]"] {
            assert_eq!(strict(array).unwrap_err(), "body must be object");
            let inner = format!(r#"{{"inner": {array}}}"#);
            assert_eq!(strict(&inner).unwrap_err(), "body/inner must be object");
        }
        let unknown = strict(r#"{"inner": {"of": true}}"#).unwrap_err();
        assert!(unknown.contains("unknown field `of`"), "{unknown}");
    }

    #[tokio::test]
    async fn a_body_that_says_nothing_has_no_field() {
        for nothing in ["", "{}", " { } "] {
            none(Body::from(nothing)).await.unwrap();
        }
        for something in ["[]", "null", r#"{"dry_run": true}"#, "x"] {
            let refused = none(Body::from(something)).await.unwrap_err();
            assert_eq!(refused.code(), "INVALID_REQUEST", "{something}");
        }
        let named = none(Body::from(r#"{"dry_run": true}"#)).await.unwrap_err().to_string();
        assert!(named.contains("`dry_run`"), "{named}");
    }

    #[test]
    fn numbers_come_as_text_and_sizes_with_units() {
        let sample: Sample = parse(br#"{"name": "a", "limit": "3600", "size": "20MB"}"#).unwrap();
        assert_eq!((sample.limit, sample.size), (Some(Whole(3600)), Some(Bytes64(20_000_000))));
        assert_eq!(sample.name, "a");
        assert!(sample.list.is_empty() && !sample.on);
        let check = |text: &str, bytes| assert_eq!(bytes_of(text), bytes, "{text}");
        check("5000", Some(5000));
        check("20mb", Some(20_000_000));
        check("1kb", Some(1000));
        check("1.5 GB", Some(1_500_000_000));
        check("1MiB", Some(1 << 20));
        check("", None);
        check("MB", None);
        check("-1MB", None);
        check("1.MB", None);
        check("99999999999TB", None);
    }
}
