//! `keyway export` and `keyway import`: a whole database in a file, for a database of either kind.

pub(crate) mod export;
pub(crate) mod format;
pub(crate) mod import;
