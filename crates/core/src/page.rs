//! Limits, offsets and orders of lists.

/// Most rows one list answers.
pub const LIMIT_MAX: i64 = 200;
/// Rows a list answers when not asked otherwise.
pub const LIMIT_DEFAULT: i64 = 10;

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// When the row was made.
    #[default]
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// Newest first.
    #[default]
    Desc,
    /// Oldest first.
    Asc,
}

/// Which part of a list is asked for. Rows of equal time are ordered by id, so that pages never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// 1 to [`LIMIT_MAX`].
    pub limit: i64,
    /// Rows to skip.
    pub offset: i64,
    /// Order column.
    pub sort_by: SortBy,
    /// Order direction.
    pub order_by: OrderBy,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: LIMIT_DEFAULT,
            offset: 0,
            sort_by: SortBy::default(),
            order_by: OrderBy::default(),
        }
    }
}
