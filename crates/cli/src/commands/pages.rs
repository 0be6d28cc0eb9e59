//! Long lists, which a server gives page by page.

use serde_json::Value;

use crate::failure::Failure;

/// Most items that a server gives at once.
const PAGE: u32 = 1000;

/// A page of a list, and where the next one goes on, if there is more.
pub(super) type Page = (Vec<Value>, Option<String>);

/// The first items of a list, and whether there are more. `ask` gets the query of a page: `limit`, those of `given` that have a
/// value, and from the second page on, by the name of `after`, where to go on.
pub(super) async fn first(
    limit: u32,
    given: &[(&'static str, &Option<String>)],
    after: &'static str,
    ask: impl AsyncFn(Vec<(&'static str, String)>) -> Result<Page, Failure>,
) -> Result<(Vec<Value>, bool), Failure> {
    first_of(limit, given, after, |_| true, ask).await
}

/// The same, of those items that are wanted: an item that changes while others are read is told of once, as it keeps its place.
pub(super) async fn first_of(
    limit: u32,
    given: &[(&'static str, &Option<String>)],
    after: &'static str,
    is_wanted: impl Fn(&Value) -> bool,
    ask: impl AsyncFn(Vec<(&'static str, String)>) -> Result<Page, Failure>,
) -> Result<(Vec<Value>, bool), Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut items, mut next) = (Vec::new(), None::<String>);
    loop {
        // One more than wanted says whether there are more; a page of fewer would be asked for again and again.
        let left = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX).clamp(100, PAGE);
        let mut query = vec![("limit", left.to_string())];
        query.extend(given.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?))));
        query.extend(next.take().map(|next| (after, next)));
        let (page, rest) = ask(query).await?;
        items.extend(page.into_iter().filter(&is_wanted));
        next = rest;
        if next.is_none() || items.len() > limit {
            let has_more = items.len() > limit;
            items.truncate(limit);
            return Ok((items, has_more));
        }
    }
}
