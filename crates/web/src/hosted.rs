//! What a person sees during a sign-in: redirects, a page to choose a provider, a page for what went wrong.
//!
//! Pages run no script and load one style sheet of our own; everything that came from outside is escaped.

mod cookie;
mod pages;
mod redirect;

pub(crate) use cookie::{clear_cookie, cookies, set_cookie, surplus_cookies};
pub(crate) use pages::{Pages, Words};
pub(crate) use redirect::redirect;
