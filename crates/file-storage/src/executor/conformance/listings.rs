//! Lists: what is on them, in which order, page by page.

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::subject::{Subject, allow, anon, bucket, listing, paths, service, user};
use crate::Timestamp;
use crate::bucket::{Bucket, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::{Collation, Cursor, Delimiter, Listing, ObjectSort, PageStart, SortOrder};
use crate::file::PutMode;
use crate::permissions::{Operation, RlsContext};

async fn fill(subject: &Subject, owner: &RlsContext, made: &Bucket, names: &[&str]) {
    for at in names {
        subject.put(owner, (made, at), b"1", PutMode::Create).await.unwrap();
    }
}

pub(crate) async fn folders_are_shown_once(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let names = ["a", "a-b", "a/", "a/b/c", "a/b/d", "a/c", "a0", "b//x", "ü/1", "ü/2", "\u{10ffff}/1"];
    fill(subject, &owner, &made, &names).await;
    let check = async |prefix: &str, delimiter, expected: &[&str]| {
        let up = listing(prefix, delimiter);
        assert_eq!(paths(&subject.list(&owner, "photos", &up).await), expected, "{prefix}");
        let down = Listing { sort: (ObjectSort::Name, SortOrder::Descending), ..up };
        let reversed: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!(paths(&subject.list(&owner, "photos", &down).await), reversed, "{prefix} down");
    };
    check("", true, &["a", "a-b", "a/", "a0", "b/", "ü/", "\u{10ffff}/"]).await;
    check("a", true, &["a", "a-b", "a/", "a0"]).await;
    check("a/", true, &["a/", "a/b/", "a/c"]).await;
    check("a/b/", true, &["a/b/c", "a/b/d"]).await;
    check("b/", true, &["b//"]).await;
    check("\u{10ffff}", true, &["\u{10ffff}/"]).await;
    check("A", true, &[]).await;
    check("", false, &names).await;
    check("a/b", false, &["a/b/c", "a/b/d"]).await;
    check("%", true, &[]).await;
}

pub(crate) async fn pages_follow_each_other(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    fill(subject, &owner, &made, &["a", "b/1", "b/2", "c", "d/1", "e"]).await;
    let page = async |start, limit| {
        subject.list(&owner, "photos", &Listing { start, limit, ..listing("", true) }).await
    };
    let first = page(PageStart::First, 2).await;
    assert_eq!(paths(&first), ["a", "b/"]);
    let second = page(PageStart::After(first.next.unwrap()), 2).await;
    assert_eq!(paths(&second), ["c", "d/"]);
    let third = page(PageStart::After(second.next.unwrap()), 2).await;
    assert_eq!((paths(&third), &third.next), (vec!["e"], &None));
    assert_eq!(page(PageStart::First, 5).await.next, None);
    let skipped = page(PageStart::Offset(3), 1).await;
    assert_eq!(paths(&skipped), ["d/"]);
    assert!(skipped.next.is_some());
    assert!(page(PageStart::Offset(5), 1).await.entries.is_empty());
}

pub(crate) async fn lists_show_what_may_be_read(subject: &Subject) {
    let (owner, other) = (user(), user());
    let root = listing("", true);
    for (policy, to_anon, to_other) in
        [(BucketPolicy::Public, 2, 2), (BucketPolicy::Authenticated, 0, 2), (BucketPolicy::Private, 0, 0)]
    {
        let name = policy.as_str();
        let made = subject.bucket(&owner, name, policy).await;
        fill(subject, &owner, &made, &["a", "b/c"]).await;
        assert_eq!(subject.list(&anon(), name, &root).await.entries.len(), to_anon, "{name}");
        assert_eq!(subject.list(&other, name, &root).await.entries.len(), to_other, "{name}");
        assert_eq!(subject.list(&owner, name, &root).await.entries.len(), 2, "{name}");
        assert_eq!(subject.list(&service(), name, &root).await.entries.len(), 2, "{name}");
    }
    let made = subject.bucket(&service(), "system", BucketPolicy::Private).await;
    fill(subject, &owner, &made, &["shared/1", "theirs/1"]).await;
    fill(subject, &other, &made, &["mine/1", "shared/2"]).await;
    assert_eq!(paths(&subject.list(&other, "system", &root).await), ["mine/", "shared/"]);
    assert_eq!(paths(&subject.list(&other, "system", &listing("shared/", true)).await), ["shared/2"]);
    assert_eq!(subject.list(&service(), "system", &root).await.entries.len(), 3);
    assert!(subject.list(&anon(), "system", &root).await.entries.is_empty());
    assert!(subject.list(&other, "nothing", &root).await.entries.is_empty());
}

pub(crate) async fn fs_i4_lists_ignore_case_when_asked(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    fill(subject, &owner, &made, &["Dir/B", "Dir/a", "dir/A", "dir/Sub/x", "dirt", "DIR/sUb/y"]).await;
    let folded = Listing { collation: Collation::IgnoreCase, ..listing("dIr/", true) };
    let all = subject.list(&owner, "photos", &folded).await;
    assert_eq!(paths(&all), ["Dir/a", "dir/A", "Dir/B", "DIR/sUb/", "dir/Sub/"]);
    let searched = Listing { search: "s".to_owned(), ..folded };
    assert_eq!(paths(&subject.list(&owner, "photos", &searched).await), ["DIR/sUb/", "dir/Sub/"]);
}

pub(crate) async fn lists_by_time_put_folders_first(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    fill(subject, &owner, &made, &["z", "y", "x/1", "a", "b/1"]).await;
    subject.put(&owner, (&made, "z"), b"2", PutMode::Upsert).await.unwrap();
    let by = async |sort, order| {
        let page =
            subject.list(&owner, "photos", &Listing { sort: (sort, order), ..listing("", true) }).await;
        paths(&page).join(" ")
    };
    assert_eq!(by(ObjectSort::CreatedAt, SortOrder::Ascending).await, "b/ x/ z y a");
    assert_eq!(by(ObjectSort::CreatedAt, SortOrder::Descending).await, "x/ b/ a y z");
    assert_eq!(by(ObjectSort::UpdatedAt, SortOrder::Ascending).await, "b/ x/ y a z");
}

pub(crate) async fn foreign_cursors_are_refused(subject: &Subject) {
    let owner = user();
    subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let access = allow(&owner, Operation::List);
    for (sort, time) in [(ObjectSort::Name, Some(Timestamp::UNIX_EPOCH)), (ObjectSort::CreatedAt, None)] {
        let asked = Listing {
            sort: (sort, SortOrder::Ascending),
            start: PageStart::After(Cursor { path: "a".to_owned(), time }),
            ..listing("", true)
        };
        let refused = subject.executor.list_objects(&access, &bucket("photos"), &asked).await;
        assert!(matches!(refused, Err(StorageError::InvalidRequest { .. })), "{refused:?}");
    }
}

/// An entry as the model has it: whether it is an object, its time, its name as it compares, its path.
type Line = (bool, Option<Timestamp>, String, String);

/// Everything that a list has to show, in order, made without any cleverness.
fn model(rows: &[(String, Timestamp)], asked: &Listing) -> Vec<String> {
    let fold = |text: &str| match asked.collation {
        Collation::Bytes => text.to_owned(),
        Collation::IgnoreCase => text.to_ascii_lowercase(),
    };
    let start = fold(&format!("{}{}", asked.prefix, asked.search));
    let by_time = asked.sort.0 != ObjectSort::Name;
    let mut lines: Vec<Line> = Vec::new();
    for (path, created) in rows.iter().filter(|(path, _)| fold(path).starts_with(&start)) {
        let rest = &path[asked.prefix.len()..];
        let delimiter = asked.delimiter.as_ref().map(Delimiter::as_str);
        let line = match delimiter.and_then(|text| Some((rest.find(text)?, text))) {
            Some((at, delimiter)) => {
                let folder = &path[..asked.prefix.len() + at];
                (false, None, fold(folder), format!("{folder}{delimiter}"))
            }
            _ => (by_time, by_time.then_some(*created), fold(path), path.clone()),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    // In the index's own order a folder is its path, slash and all.
    let plain = !by_time && asked.collation == Collation::Bytes;
    lines.sort_by(|a, b| {
        let (x, y) = if asked.sort.1 == SortOrder::Ascending { (a, b) } else { (b, a) };
        let inner = if plain { x.3.cmp(&y.3) } else { (x.1, &x.2, &x.3).cmp(&(y.1, &y.2, &y.3)) };
        a.0.cmp(&b.0).then(inner)
    });
    lines.into_iter().map(|line| line.3).collect()
}

fn any_listing() -> impl Strategy<Value = Listing> {
    let prefix =
        prop_oneof![Just(""), Just("a"), Just("a/"), Just("A/b"), Just("é/"), Just("a/b/"), Just("/")];
    let search = prop_oneof![4 => Just(""), 1 => Just("a"), 1 => Just("B"), 1 => Just("b/")];
    let collation = prop_oneof![Just(Collation::Bytes), Just(Collation::IgnoreCase)];
    let sort = prop_oneof![2 => Just(ObjectSort::Name), 1 => Just(ObjectSort::CreatedAt)];
    let order = prop_oneof![Just(SortOrder::Ascending), Just(SortOrder::Descending)];
    let delimiter =
        prop_oneof![2 => Just(""), 4 => Just("/"), 1 => Just("-"), 1 => Just("a/"), 1 => Just("é")];
    (prefix, search, delimiter, collation, sort, order, 1_u32..5).prop_map(
        |(prefix, search, delimiter, collation, sort, order, limit)| Listing {
            prefix: prefix.to_owned(),
            // Other delimiters than the slash are S3's, whose lists have one order.
            delimiter: match (sort, collation) {
                (ObjectSort::Name, Collation::Bytes) => Delimiter::new(delimiter),
                _ => Delimiter::new(delimiter).map(|_| Delimiter::SLASH),
            },
            search: search.to_owned(),
            collation,
            sort: (sort, order),
            limit,
            start: PageStart::First,
        },
    )
}

pub(crate) async fn lists_are_what_a_naive_model_says(subject: &Subject) {
    let names = prop::collection::btree_set("[aAbé-][abAé/-]{0,5}", 0..25);
    let (mine, theirs) = (user(), user());
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let number = std::cell::Cell::new(0);
    let handle = tokio::runtime::Handle::current();
    // The runner wants a plain closure, the executor a runtime: the model's cases wait in place.
    let strategy = (names, prop::collection::vec(any_listing(), 6));
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&strategy, |(names, asked)| {
            number.set(number.get() + 1);
            let name = format!("bucket-{}", number.get());
            handle.block_on(async {
                let made = subject.bucket(&service(), &name, BucketPolicy::Private).await;
                let writes = names.iter().enumerate().map(|(at, path)| {
                    let owner = if at % 3 == 0 { &theirs } else { &mine };
                    subject.put(owner, (&made, path), b"1", PutMode::Create)
                });
                let rows: Vec<_> = join_all(writes).await.into_iter().map(|w| w.unwrap().object).collect();
                for caller in [&mine, &service()] {
                    let visible: Vec<_> = rows
                        .iter()
                        .filter(|row| caller.is_service() || row.owner_id == caller.user_id())
                        .map(|row| (row.path.to_string(), row.created_at))
                        .collect();
                    for asked in &asked {
                        let expected = model(&visible, asked);
                        prop_assert_eq!(&walk(subject, caller, &name, asked).await, &expected, "{:?}", asked);
                        let start = PageStart::Offset(2);
                        let page = subject.list(caller, &name, &Listing { start, ..asked.clone() }).await;
                        let limit = usize::try_from(asked.limit).unwrap();
                        let part: Vec<_> = expected.iter().skip(2).take(limit).collect();
                        prop_assert_eq!(paths(&page), part, "offset, {:?}", asked);
                    }
                }
                Ok(())
            })
        })
    });
    outcome.unwrap();
}

/// All pages of a list, one after the other.
async fn walk(subject: &Subject, caller: &RlsContext, name: &str, asked: &Listing) -> Vec<String> {
    let mut all = Vec::new();
    let mut start = PageStart::First;
    loop {
        let page = subject.list(caller, name, &Listing { start, ..asked.clone() }).await;
        all.extend(paths(&page).into_iter().map(str::to_owned));
        match page.next {
            Some(next) => start = PageStart::After(next),
            None => return all,
        }
    }
}
