//! What a person sees during a sign-in: redirects, and pages to choose a provider, to enter an account, to be led
//! on, and for what went wrong.
//!
//! Pages run no script, load nothing from anybody else, and show what came from outside escaped. Their words are
//! in `texts/`, one file for each language.

mod account;
mod choose;
mod cookie;
mod pages;
mod redirect;
mod texts;
mod theme;

pub(crate) use account::{account, typed};
pub(crate) use choose::choose;
pub(crate) use cookie::{clear_cookie, cookies, keep_cookie_a_moment, set_cookie, surplus_cookies};
pub(crate) use pages::{
    Frame, Pages, connected, consented, errors, fault, frame, frame_of, leaving, not_connected,
};
pub(crate) use redirect::redirect;
pub(crate) use theme::style_sheet;
