//! `limit`, `offset`, `sort_by` and `order_by` of lists.

use crate::errors::Failure;
use crate::query::Query;
use keyway_core::page::{LIMIT_MAX, OrderBy, Page, SortBy};
use std::num::IntErrorKind;

/// Which part of a list a query asks for. Longer pages than allowed are shortened; the answer says so.
pub(crate) fn page(query: &Query) -> Result<Page, Failure> {
    let default = Page::default();
    Ok(Page {
        limit: number(query, "limit", 1)?.map_or(default.limit, |limit| limit.min(LIMIT_MAX)),
        offset: number(query, "offset", 0)?.unwrap_or(default.offset),
        sort_by: sort_by(query)?,
        order_by: order_by(query)?,
    })
}

/// A whole number that is at least `least`.
pub(crate) fn number(query: &Query, name: &str, least: i64) -> Result<Option<i64>, Failure> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    let number = text.parse::<i64>().or_else(|error| match error.kind() {
        // Too many digits are a large number still.
        IntErrorKind::PosOverflow => Ok(i64::MAX),
        _ => Err(error),
    });
    match number {
        Ok(number) if number >= least => Ok(Some(number)),
        _ => Err(Failure::query(format!(
            "{name} must be a whole number, {least} or more"
        ))),
    }
}

fn sort_by(query: &Query) -> Result<SortBy, Failure> {
    match query.get("sort_by") {
        None | Some("created_at" | "createdAt") => Ok(SortBy::CreatedAt),
        Some("updated_at" | "updatedAt") => Ok(SortBy::UpdatedAt),
        Some(_) => Err(Failure::query("sort_by must be created_at or updated_at")),
    }
}

fn order_by(query: &Query) -> Result<OrderBy, Failure> {
    match query
        .get("order_by")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        None | Some("desc") => Ok(OrderBy::Desc),
        Some("asc") => Ok(OrderBy::Asc),
        Some(_) => Err(Failure::query("order_by must be asc or desc")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Page, Failure> {
        page(&Query::parse(query.as_bytes()).unwrap())
    }

    #[test]
    fn the_default_is_ten_newest_first() {
        assert_eq!(read("").unwrap(), Page::default());
        assert_eq!(
            read("limit=&offset=&page_token=x").unwrap(),
            Page::default()
        );
        assert_eq!(Page::default().limit, 10);
    }

    #[test]
    fn long_pages_are_shortened_and_camel_case_is_understood() {
        let page = read("limit=5000&offset=3&sort_by=updatedAt&order_by=asc").unwrap();
        assert_eq!((page.limit, page.offset), (200, 3));
        assert_eq!(
            (page.sort_by, page.order_by),
            (SortBy::UpdatedAt, OrderBy::Asc)
        );
    }

    #[test]
    fn numbers_of_any_length_are_clamped_alike() {
        for digits in ["9223372036854775808", "99999999999999999999"] {
            let page = read(&format!("limit={digits}&offset={digits}")).unwrap();
            assert_eq!((page.limit, page.offset), (200, i64::MAX));
        }
        assert!(read("limit=-99999999999999999999").is_err());
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=-1", "limit"),
            ("limit=ten", "limit"),
            ("offset=-1", "offset"),
            ("sort_by=name", "sort_by"),
            ("order_by=up", "order_by"),
        ] {
            let failure = read(query).unwrap_err();
            assert_eq!(failure.wire_type(), "api.invalid_query_params");
            assert!(failure.message().starts_with(name), "{query}");
        }
    }
}
