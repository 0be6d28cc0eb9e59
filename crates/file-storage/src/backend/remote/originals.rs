//! What lies in a store beside our blobs: listed below the provider's prefix, read, copied into a blob by the store itself, removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Attribute, Attributes, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::names::{self, Listed};
use super::write::MAX_COPY;
use super::{Inner, RemoteBackend, Store, fault, read, write};
use crate::backend::originals::{
    Adopter, CHANGED, Found, Held, Original, OriginalName, OriginalPage, Originals, unusable,
};
use crate::backend::place::WORD;
use crate::backend::{BackendError, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::{BlobKey, Sha256};

/// Most names that a page looks at: what lies between two originals may be millions of blobs.
const MOST_LISTED: usize = 20_000;

/// An object of a store, and how it was when it was looked at.
pub(in crate::backend) struct OpenedObject {
    inner: Arc<Inner>,
    path: Path,
    stamp: Stamp,
}

/// What tells whether an object is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    size: u64,
    tag: Option<String>,
    modified: crate::Timestamp,
}

impl Stamp {
    fn of(found: &ObjectMeta) -> Self {
        Self { size: found.size, tag: found.e_tag.clone(), modified: found.last_modified }
    }
}

impl OpenedObject {
    /// Fails where it is not as it was.
    async fn check(&self) -> Result<(), StorageError> {
        let asked = self.inner.attempts.run("adopt", || async {
            self.inner.client.head(&self.path).await.map_err(fault::during("adopt"))
        });
        match asked.await {
            Ok(found) if Stamp::of(&found) == self.stamp => Ok(()),
            Ok(_) | Err(BackendError::NotFound) => Err(unusable(CHANGED)),
            Err(error) => Err(error.into_storage_error(&self.inner.options.provider)),
        }
    }

    /// All of its bytes, and at their end whether it is another one by now.
    pub(in crate::backend) fn body(self: Arc<Self>) -> ByteStream {
        let opened = async move {
            let body =
                read::read_at(&self.inner, self.path.clone(), None, Some(self.inner.attempts.clone())).await;
            match body {
                Ok(body) => body
                    .chain(stream::once(async move { self.check().await.map(|()| bytes::Bytes::new()) }))
                    .boxed(),
                Err(BackendError::NotFound) => stream::iter([Err(unusable(CHANGED))]).boxed(),
                Err(error) => {
                    stream::iter([Err(error.into_storage_error(&self.inner.options.provider))]).boxed()
                }
            }
        };
        stream::once(opened).flatten().boxed()
    }

    pub(in crate::backend) async fn remove(&self) -> Result<(), StorageError> {
        self.check().await?;
        let deleted = self.inner.attempts.run("adopt", || async {
            self.inner.client.delete(&self.path).await.map_err(fault::during("adopt"))
        });
        match deleted.await {
            Ok(()) | Err(BackendError::NotFound) => Ok(()),
            Err(BackendError::Refused { source, .. }) => {
                tracing::warn!(error = %source, "an original was adopted and can't be removed");
                Err(unusable("it was adopted, and the server may not remove it"))
            }
            Err(error) => Err(error.into_storage_error(&self.inner.options.provider)),
        }
    }
}

/// Below a path in a store.
struct Below {
    inner: Arc<Inner>,
    /// What the names of all that lies there begin with: the provider's prefix and the path within it, with a slash behind; or nothing.
    folder: String,
}

impl Below {
    async fn read_page(
        &self,
        after: Option<&OriginalName>,
        limit: usize,
    ) -> Result<OriginalPage, BackendError> {
        let slashed = OriginalName::new(format!("/{}", self.folder));
        if after == Some(&slashed) {
            return Ok(OriginalPage { is_last: true, ..OriginalPage::default() });
        }
        let after = after.and_then(OriginalName::as_text).map(|name| format!("{}{name}", self.folder));
        let names = names::list(&self.inner, self.folder.clone(), after.clone());
        let behind = after
            .map(|name| Behind { name, may_come_again: matches!(self.inner.options.store, Store::Azure(_)) });
        let mut page = look(&self.folder, names, behind, (limit, MOST_LISTED)).await?;
        // What lies below `/old/` is easily taken for what lies below `old/`, and is not: nobody should believe that it came along.
        if page.is_last
            && !self.folder.is_empty()
            && names::has(&self.inner, format!("/{}", self.folder)).await?
        {
            page.found.push(Found { name: slashed, unusable: Some(SLASHED) });
        }
        Ok(page)
    }

    fn place(&self, name: &OriginalName) -> Option<Path> {
        let name = format!("{}{}", self.folder, name.as_text()?);
        Path::parse(&name).ok().filter(|_| names::is_plain(&name))
    }
}

/// Said of names that can't be asked for.
const ODD: &str = "its name begins or ends with a slash, or has an empty segment, or one of dots: the server can't ask the store for it. \
                   Rename it there";

/// Said of a folder beside the one that was asked for.
const SLASHED: &str = "names that begin with a slash are other names than those without, and the server can't ask the store for them. \
                       Rename them there";

/// Where a page goes on.
struct Behind {
    /// The last name that was looked at.
    name: String,
    /// Whether a list that is to begin behind it may begin before it all the same. Azurite's does.
    may_come_again: bool,
}

/// Makes a page of at most so many originals, of at most so many names that a store lists in a folder and behind one.
async fn look(
    folder: &str,
    mut names: BoxStream<'static, Result<Listed, BackendError>>,
    behind: Option<Behind>,
    (limit, most_listed): (usize, usize),
) -> Result<OriginalPage, BackendError> {
    let mut page = OriginalPage::default();
    let mut again = behind.as_ref().is_some_and(|behind| behind.may_come_again);
    let (mut last, mut listed) = (behind.map(|behind| behind.name), 0);
    while page.found.len() < limit && listed < most_listed {
        let Some(Listed { name, size }) = names.try_next().await? else {
            page.is_last = true;
            break;
        };
        if last.as_ref().is_some_and(|last| name <= *last) {
            if again || last.as_ref() == Some(&name) {
                continue;
            }
            // Whatever is sought behind a name would leave some out.
            return Err(BackendError::Body(Box::new(backwards(&name))));
        }
        (again, listed) = (false, listed + 1);
        // What a provider keeps, of this server or of another one elsewhere in the same store, is never an original; nor is what
        // stands for a folder.
        let is_folder = size == 0 && name.ends_with('/');
        if let Some(below) = name.strip_prefix(folder).filter(|_| !is_folder && !is_kept(&name)) {
            let unusable = (!names::is_plain(&name)).then_some(ODD);
            page.found.push(Found { name: OriginalName::new(below), unusable });
        }
        last = Some(name);
    }
    page.through = last.as_deref().and_then(|last| last.strip_prefix(folder)).map(OriginalName::new);
    Ok(page)
}

fn backwards(name: &str) -> StorageError {
    let message = format!(
        "the store's names do not come in order (\"{name}\" comes too late): such a store can't be adopted"
    );
    StorageError::InvalidRequest { message }
}

/// Whether a name is one that a provider gives: a blob's, or that of the word on which place it is.
fn is_kept(name: &str) -> bool {
    name.rsplit('/').next() == Some(WORD) || is_blob(name)
}

/// What a store gives with an object, besides its type and `Cache-Control`.
fn headers(attributes: &Attributes) -> BTreeMap<String, String> {
    let kept = [
        ("content-disposition", Attribute::ContentDisposition),
        ("content-encoding", Attribute::ContentEncoding),
        ("content-language", Attribute::ContentLanguage),
    ];
    let told = kept.into_iter().filter_map(|(name, attribute)| {
        let value: &str = attributes.get(&attribute)?.as_ref();
        if attribute != Attribute::ContentEncoding {
            return Some((name.to_owned(), value.to_owned()));
        }
        // How the body travelled when it was uploaded, which some stores keep, is no part of the object.
        let parts = value.split(',').map(str::trim).filter(|part| !part.eq_ignore_ascii_case("aws-chunked"));
        Some((name.to_owned(), parts.collect::<Vec<_>>().join(", ")))
    });
    told.filter(|(_, value)| !value.is_empty()).collect()
}

/// Whether the end of a name has the form of a blob's.
fn is_blob(name: &str) -> bool {
    let cut = name.rmatch_indices('/').nth(2).map_or(0, |(at, _)| at + 1);
    name.get(cut..).is_some_and(|end| BlobKey::from_stored(end).is_some())
}

#[async_trait]
impl Originals for Below {
    async fn page(&self, after: Option<&OriginalName>, limit: usize) -> Result<OriginalPage, StorageError> {
        let page = self.inner.attempts.run("list", || self.read_page(after, limit)).await;
        page.map_err(|error| error.into_storage_error(&self.inner.options.provider))
    }

    async fn open(&self, name: &OriginalName) -> Result<Option<Original>, StorageError> {
        let Some(path) = self.place(name) else { return Ok(None) };
        if is_kept(path.as_ref()) {
            return Err(unusable("it is what a provider of Aerostore's keeps"));
        }
        let asked = self.inner.attempts.run("adopt", || async {
            let options = GetOptions { head: true, ..GetOptions::default() };
            self.inner.client.get_opts(&path, options).await.map_err(fault::during("adopt"))
        });
        let found = match asked.await {
            Ok(found) => found,
            Err(BackendError::NotFound) => return Ok(None),
            Err(error) => return Err(error.into_storage_error(&self.inner.options.provider)),
        };
        let told = |attribute| found.attributes.get(&attribute).map(|it| it.as_ref().to_owned());
        let (content_type, cache_control) = (told(Attribute::ContentType), told(Attribute::CacheControl));
        let stamp = Stamp::of(&found.meta);
        Ok(Some(Original {
            size: stamp.size,
            modified: stamp.modified,
            content_type,
            cache_control: cache_control.filter(|control| !control.is_empty()),
            headers: headers(&found.attributes),
            held: Held::Object(Arc::new(OpenedObject { inner: self.inner.clone(), path, stamp })),
        }))
    }
}

#[async_trait]
impl Adopter for RemoteBackend {
    fn originals(&self, path: &str) -> Option<Arc<dyn Originals>> {
        let whole = [self.inner.options.prefix.as_str(), path];
        let parts = whole.iter().flat_map(|part| part.split('/')).filter(|part| !part.is_empty());
        let whole = parts.collect::<Vec<_>>().join("/");
        let folder = match whole.as_str() {
            "" => String::new(),
            // What can't be a name there has nothing below it.
            whole => format!("{}/", Path::parse(whole).ok()?),
        };
        Some(Arc::new(Below { inner: self.inner.clone(), folder }))
    }

    /// The store copies it, where it lies in the same one; what is then read and hashed is the copy, which nobody else writes to.
    async fn take(
        &self,
        key: &BlobKey,
        original: &Original,
        _moves: bool,
    ) -> Result<Option<BlobWritten>, BackendError> {
        let Held::Object(object) = &original.held else { return Ok(None) };
        if !Arc::ptr_eq(&object.inner, &self.inner) || object.stamp.size > MAX_COPY {
            return Ok(None);
        }
        write::copy_within(&self.inner, &object.path, key, object.stamp.size).await?;
        if let Err(changed) = object.check().await {
            self.settle(key, false).await;
            return Err(BackendError::Body(Box::new(changed)));
        }
        let mut body = read::read(&self.inner, key, None, Some(self.inner.attempts.about(key))).await?;
        let (mut size, mut hash) = (0_u64, digest::Context::new(&digest::SHA256));
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| BackendError::Body(Box::new(error)))?;
            size = size.saturating_add(chunk.len() as u64);
            hash.update(&chunk);
        }
        Ok(Some(BlobWritten { size, sha256: Sha256::from_digest(&hash.finish()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page has of these names, the folders among which are empty.
    async fn listed(
        names: &[&str],
        behind: Option<(&str, bool)>,
        most: usize,
    ) -> Result<OriginalPage, BackendError> {
        let found: Vec<_> = names
            .iter()
            .map(|name| Ok(Listed { name: (*name).to_owned(), size: u64::from(!name.ends_with('/')) }))
            .collect();
        let behind = behind.map(|(name, may_come_again)| Behind { name: name.to_owned(), may_come_again });
        look("", stream::iter(found).boxed(), behind, (100, most)).await
    }

    fn shown(page: &OriginalPage) -> Vec<String> {
        page.found.iter().map(|found| found.name.shown()).collect()
    }

    #[tokio::test]
    async fn a_page_leaves_out_what_providers_keep_and_says_how_far_it_looked() {
        let blob = "0198c1d2-0000-7000-8000-000000000001/0a/0198c1d2-0000-7000-8000-00000000000a";
        let names = [blob, "a-b", "a/", "a/c", "b/provider-id", "d"];
        for (most, wanted, through, is_last) in [
            (1, &[] as &[&str], blob, false),
            (3, &["a-b"][..], "a/", false),
            (5, &["a-b", "a/c"][..], "b/provider-id", false),
            (7, &["a-b", "a/c", "d"][..], "d", true),
        ] {
            let page = listed(&names, None, most).await.unwrap();
            assert_eq!(shown(&page), wanted, "{most}");
            assert_eq!(page.is_last, is_last, "{most}");
            assert_eq!(page.through, Some(OriginalName::new(through)), "{most}");
        }
    }

    #[tokio::test]
    async fn what_can_not_be_asked_for_is_told_of_and_hides_nothing() {
        let page = listed(&["-", "/", "//a", "/a", "/b", "a", "a//b", "b"], None, 100).await.unwrap();
        let told: Vec<_> = page.found.iter().map(|it| (it.name.shown(), it.unusable.is_some())).collect();
        let wanted = [
            ("-", false),
            ("//a", true),
            ("/a", true),
            ("/b", true),
            ("a", false),
            ("a//b", true),
            ("b", false),
        ];
        assert_eq!(told, wanted.map(|(name, odd)| (name.to_owned(), odd)));
    }

    #[tokio::test]
    async fn a_list_that_goes_backwards_is_refused() {
        for (names, behind) in [
            (&["a", "z", "b"][..], None),
            (&["b"][..], Some(("z", false))),
            (&["b", "zz", "c"][..], Some(("z", true))),
        ] {
            let error = listed(names, behind, 100).await.unwrap_err().into_storage_error(&"cloud".into());
            assert!(!error.is_retryable() && error.to_string().contains("in order"), "{error}");
        }
        let again = listed(&["a", "b", "c"], Some(("b", true)), 1).await.unwrap();
        assert_eq!(shown(&again), ["c"], "a store that begins anew each time");
        assert_eq!(shown(&listed(&["b", "c"], Some(("b", false)), 9).await.unwrap()), ["c"]);
    }

    #[test]
    fn what_a_store_gives_with_an_object_is_brought_but_not_how_it_travelled() {
        let attributes = Attributes::from_iter([
            (Attribute::ContentEncoding, "aws-chunked, gzip"),
            (Attribute::ContentLanguage, "de"),
            (Attribute::ContentDisposition, ""),
            (Attribute::ContentType, "text/plain"),
        ]);
        let found = headers(&attributes);
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("content-encoding", "gzip"), ("content-language", "de")]);
        let travelled = Attributes::from_iter([(Attribute::ContentEncoding, "aws-chunked")]);
        assert!(headers(&travelled).is_empty());
    }

    #[test]
    fn blobs_are_told_by_the_end_of_their_names() {
        let blob = "0198c1d2-0000-7000-8000-000000000001/0a/0198c1d2-0000-7000-8000-00000000000a";
        for (name, is) in [
            (blob.to_owned(), true),
            (format!("any/where/{blob}"), true),
            (format!("{blob}/x"), false),
            ("0a/0198c1d2-0000-7000-8000-00000000000a".to_owned(), false),
            ("a/b/c".to_owned(), false),
            ("c".to_owned(), false),
        ] {
            assert_eq!(is_blob(&name), is, "{name}");
        }
    }
}
