//! Names for people: of keys, connectors and credentials.

use crate::error::Error;

/// Longest name, in bytes.
const NAME_MAX_BYTES: usize = 200;

/// Whether a name says something and is not too long.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.len() > NAME_MAX_BYTES {
        return Err(Error::field(
            "name",
            format_args!("must be 1 to {NAME_MAX_BYTES} bytes long"),
        ));
    }
    Ok(())
}
